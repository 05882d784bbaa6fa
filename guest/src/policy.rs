//! What settings and rules add to every answer, and remove from it: fields by rule, the security preset, CORS.

use crate::cache;
use crate::config::{Cors, Settings};
use crate::fields;
use crate::request::{Method, Name, Request};
use crate::response::{ALLOW, Body, Origin, Plan};
use crate::rules::Changes;
use std::borrow::Cow;

/// The security preset: which sites may frame and embed this one, and what they learn of its paths.
const SECURITY: [(&str, &str); 5] = [
    ("content-security-policy", "frame-ancestors 'self'"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-frame-options", "SAMEORIGIN"),
];

/// The fields of an answer that scripts of other origins may read, beyond those that CORS always allows.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag";

/// The fields that scripts of other origins may send: all of them but `Authorization`, which a star leaves out (the Fetch
/// standard's CORS protocol). No answer allows credentials of the browser either, so that other origins read nothing that a guard
/// is about.
const ALLOWED: &str = "*";

/// How long a browser may remember that, in seconds: the longest time that any browser accepts.
const PREFLIGHT_MAX_AGE_SECONDS: &str = "86400";

/// Completes an answer with what the settings and rules say.
pub fn apply<F>(plan: &mut Plan<F>, settings: &Settings, changes: &Changes, request: &Request) {
    // The media type counts in every answer: a text must not become a script because it looks like one.
    plan.set("x-content-type-options", "nosniff");
    if settings.security_headers {
        add_security(plan, settings);
    }
    add_cors(plan, settings, request);
    for name in &changes.unset {
        if is_open(name, plan) {
            plan.headers.retain(|(known, _)| known != name);
        }
    }
    for (name, value) in &changes.set {
        if name == "vary" {
            let members = value.split(',').map(str::trim).filter(|member| !member.is_empty());
            members.for_each(|member| plan.add_to_list("vary", member.to_owned()));
        } else if is_open(name, plan) {
            plan.set(name.clone(), value.clone());
        }
    }
}

/// Keeps an answer that depends on who asks out of shared caches. They do not store such answers unless `Cache-Control` says that
/// they may (RFC 9111 §3.5), which rules that were written for all files do say.
pub fn keep_private<F>(plan: &mut Plan<F>) {
    plan.add_to_list("vary", "Authorization");
    // Fields that caches obey instead (RFC 9213).
    plan.headers.retain(|(name, _)| !name.ends_with("cdn-cache-control") && name != "surrogate-control");
    let control = plan.headers.iter().find(|(name, _)| name == "cache-control").map(|(_, value)| &**value);
    let private = cache::private(control.unwrap_or_default());
    plan.set("cache-control", private);
}

/// Whether rules may set or remove a field of an answer. The rest is the server's own: what describes the message, what keeps
/// errors out of caches, and what keeps pages that the server writes from running anything.
fn is_open<F>(name: &str, plan: &Plan<F>) -> bool {
    let origin = plan.origin;
    match name {
        // The type of a file was chosen with the rules in view.
        "x-content-type-options" | "content-type" | "vary" => false,
        "cache-control" | "expires" => {
            matches!(origin, Origin::File | Origin::Page | Origin::Rule | Origin::Listing)
        }
        "content-disposition" | "content-language" => {
            matches!(origin, Origin::File | Origin::Page | Origin::ErrorPage)
                && plan.headers.iter().any(|(name, _)| name == "content-type")
        }
        // A page of the server's own has a policy that was written for it. A 304 about it would change it.
        "content-security-policy" => {
            !matches!(origin, Origin::Page | Origin::Listing) && !matches!(plan.body, Body::Bytes(_))
        }
        _ => !fields::is_reserved(name),
    }
}

/// Adds the preset. Fields that the answer has already are stricter and stay.
fn add_security<F>(plan: &mut Plan<F>, settings: &Settings) {
    for (name, value) in SECURITY {
        let is_shared = name == "cross-origin-resource-policy" && settings.cors != Cors::None;
        let is_set = plan.headers.iter().any(|(known, _)| known == name);
        if !is_shared && !is_set {
            plan.set(name, value);
        }
    }
}

/// The CORS protocol of the Fetch standard, preflights too.
fn add_cors<F>(plan: &mut Plan<F>, settings: &Settings, request: &Request) {
    let allowed = match &settings.cors {
        Cors::None => return,
        Cors::Any => Cow::Borrowed("*"),
        Cors::Origins(origins) => {
            // Add `Vary` even when the request has no `Origin`: its presence would change the answer.
            plan.add_to_list("vary", "Origin");
            let origin = request.headers.single(Name::Origin).and_then(|origin| str::from_utf8(origin).ok());
            let found = origin.and_then(|origin| {
                origins.iter().find(|known| known.eq_ignore_ascii_case(origin)).map(|_| origin)
            });
            match found {
                Some(origin) => Cow::Owned(origin.to_owned()),
                None => return,
            }
        }
    };
    plan.set("access-control-allow-origin", allowed);
    if request.method == Method::Options && request.headers.contains(Name::AccessControlRequestMethod) {
        plan.set("access-control-allow-methods", ALLOW);
        plan.set("access-control-allow-headers", ALLOWED);
        plan.set("access-control-max-age", PREFLIGHT_MAX_AGE_SECONDS);
    } else {
        plan.set("access-control-expose-headers", EXPOSED);
        if settings.digests {
            plan.add_to_list("access-control-expose-headers", "Repr-Digest");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{apply, keep_private};
    use crate::config::Settings;
    use crate::request::{Headers, Method, Request};
    use crate::response::{Body, Origin, Plan};
    use crate::rules::Changes;

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::from_environment(variables).unwrap()
    }

    fn request(method: Method, fields: &[(&str, &str)]) -> Request {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
        Request { method, target: "/".into(), headers: Headers::new(fields) }
    }

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn applied(settings: &Settings, request: &Request, plan: Plan<()>) -> Vec<(String, String)> {
        changed(settings, &Changes::default(), request, plan)
    }

    fn changed(
        settings: &Settings,
        changes: &Changes,
        request: &Request,
        mut plan: Plan<()>,
    ) -> Vec<(String, String)> {
        apply(&mut plan, settings, changes, request);
        plan.headers.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    const NOSNIFF: (&str, &str) = ("x-content-type-options", "nosniff");

    #[test]
    fn the_servers_own_fields_are_neither_set_nor_removed() {
        let own =
            [("cache-control", "a"), ("content-type", "a"), ("content-security-policy", "a"), ("etag", "a")];
        let names: Vec<String> = own
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .chain([NOSNIFF.0.to_owned(), "vary".into()])
            .collect();
        let removing = Changes { set: Vec::new(), unset: names.clone() };
        let setting =
            Changes { set: names.iter().map(|name| (name.clone(), "b".into())).collect(), unset: vec![] };
        let get = request(Method::Get, &[]);
        for (origin, open) in [
            (Origin::File, ["cache-control", "content-security-policy"].as_slice()),
            (Origin::ErrorPage, &["content-security-policy"]),
            (Origin::Rule, &["cache-control", "content-security-policy"]),
            (Origin::Listing, &["cache-control"]),
            (Origin::Server, &[]),
        ] {
            let plan = || {
                let mut plan = Plan::new(origin, 200);
                if matches!(origin, Origin::Listing | Origin::Server) {
                    plan.body = Body::Bytes(b"page".to_vec());
                }
                own.iter().fold(plan, |plan, &(name, value)| plan.with(name, value))
            };
            let removed = changed(&Settings::default(), &removing, &get, plan());
            let kept = own.iter().filter(|(name, _)| !open.contains(name)).copied().chain([NOSNIFF]);
            assert_eq!(removed, fields(&kept.collect::<Vec<_>>()), "{origin:?}");
            let set = changed(&Settings::default(), &setting, &get, plan());
            let expected =
                own.iter().map(|&(name, value)| (name, if open.contains(&name) { "b" } else { value }));
            let expected = expected.chain([NOSNIFF, ("vary", "b")]);
            assert_eq!(set, fields(&expected.collect::<Vec<_>>()), "{origin:?}");
        }
    }

    #[test]
    fn what_depends_on_who_asks_is_kept_by_nobody_else() {
        let mut plan: Plan<()> = Plan::new(Origin::File, 200)
            .with("cache-control", "public, max-age=60")
            .with("cdn-cache-control", "max-age=60")
            .with("netlify-cdn-cache-control", "max-age=60")
            .with("surrogate-control", "max-age=60")
            .with("vary", "Accept-Encoding");
        keep_private(&mut plan);
        assert_eq!(
            plan.headers,
            [("cache-control", "private, max-age=60"), ("vary", "Accept-Encoding, Authorization")]
                .map(|(name, value)| (name.into(), value.into()))
        );
    }

    #[test]
    fn any_origin_is_a_star_and_does_not_vary() {
        let settings = settings(&[("FILES_CORS", "*")]);
        let get = request(Method::Get, &[("Origin", "https://a.example")]);
        let headers = applied(&settings, &get, Plan::new(Origin::File, 200));
        assert!(headers.contains(&("access-control-allow-origin".into(), "*".into())));
        assert!(!headers.iter().any(|(name, _)| name == "vary"));
    }

    #[test]
    fn a_known_origin_is_named_and_every_answer_varies() {
        let settings = settings(&[("FILES_CORS", "https://a.example https://b.example")]);
        let names = |origin: &[(&str, &str)]| {
            let headers = applied(&settings, &request(Method::Get, origin), Plan::new(Origin::File, 200));
            let value = |wanted: &str| {
                headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
            };
            (value("access-control-allow-origin"), value("vary").unwrap())
        };
        let vary = || "Origin".to_owned();
        assert_eq!(names(&[("Origin", "https://b.example")]), (Some("https://b.example".into()), vary()));
        assert_eq!(names(&[("Origin", "https://evil.example")]), (None, vary()));
        assert_eq!(names(&[("Origin", "null")]), (None, vary()));
        assert_eq!(names(&[]), (None, vary()));
    }

    #[test]
    fn a_preflight_is_told_what_may_be_sent() {
        let settings = settings(&[("FILES_CORS", "*")]);
        let preflight = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET")];
        let headers =
            applied(&settings, &request(Method::Options, &preflight), Plan::new(Origin::Server, 204));
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "x-content-type-options",
                "access-control-allow-origin",
                "access-control-allow-methods",
                "access-control-allow-headers",
                "access-control-max-age"
            ]
        );
    }

    #[test]
    fn the_preset_yields_to_stricter_policies_and_to_cors() {
        let get = request(Method::Get, &[]);
        let plan = Plan::new(Origin::File, 200).with("content-security-policy", "default-src 'none'");
        let headers = applied(&settings(&[("FILES_SECURITY_HEADERS", "on")]), &get, plan);
        assert_eq!(headers.len(), 6);
        assert_eq!(headers[0].1, "default-src 'none'");
        let shared = settings(&[("FILES_SECURITY_HEADERS", "on"), ("FILES_CORS", "*")]);
        let headers = applied(&shared, &get, Plan::new(Origin::File, 200));
        assert!(!headers.iter().any(|(name, _)| name == "cross-origin-resource-policy"));
    }
}
