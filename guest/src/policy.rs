//! What the operator has added to every answer: fields by rule, the security preset, CORS.

use crate::config::{Cors, Settings};
use crate::fields::OwnField;
use crate::request::{Method, Request};
use crate::response::{ALLOW, Plan};
use crate::rules::HeaderRule;

/// Fields that nobody expects and that keep a site to itself: where it may be framed and embedded, what other sites learn
/// of its paths.
const SECURITY: [(&str, &str); 5] = [
    ("content-security-policy", "frame-ancestors 'self'"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("x-frame-options", "SAMEORIGIN"),
];

/// What scripts of other origins may see of an answer, beyond what every script may.
const EXPOSED: &str = "Accept-Ranges, Content-Encoding, Content-Length, Content-Range, ETag";

/// What scripts of other origins may send, beyond what every script may.
const ALLOWED: &str = "If-Match, If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, Range";

/// How long a browser may remember that, in seconds: the most that one of them takes.
const REMEMBERED_SECONDS: &str = "86400";

/// Completes an answer to a request for a decoded path, if it had one. `site` holds the rules of `_headers`.
pub fn apply<F>(
    plan: &mut Plan<F>,
    settings: &Settings,
    site: &[HeaderRule],
    request: &Request,
    path: Option<&str>,
) {
    // Browsers are told to believe the media type, in every answer: a text must not become a script by its looks.
    plan.set("x-content-type-options", "nosniff".to_owned());
    if settings.security_headers {
        add_security(plan, settings);
    }
    add_cors(plan, settings, request);
    if let Some(path) = path {
        for rules in [&settings.headers[..], site] {
            for (name, value) in collect(rules, path) {
                if may_be_set(&name, plan.status) {
                    plan.set(name, value);
                }
            }
        }
    }
}

/// Adds the preset, but for what the answer says already and more strictly.
fn add_security<F>(plan: &mut Plan<F>, settings: &Settings) {
    for (name, value) in SECURITY {
        let is_shared = name == "cross-origin-resource-policy" && settings.cors != Cors::None;
        let is_set = plan.headers.iter().any(|(known, _)| known == name);
        if !is_shared && !is_set {
            plan.set(name, value.to_owned());
        }
    }
}

/// The CORS protocol of the Fetch standard, preflights too.
fn add_cors<F>(plan: &mut Plan<F>, settings: &Settings, request: &Request) {
    let allowed = match &settings.cors {
        Cors::None => return,
        Cors::Any => "*",
        Cors::Origins(origins) => {
            // Also where there is no such field: the answer would be another one if there were.
            plan.add_to_list("vary", "Origin");
            let origin = request.headers.single("origin").and_then(|origin| str::from_utf8(origin).ok());
            let found = origin.and_then(|origin| {
                origins.iter().find(|known| known.eq_ignore_ascii_case(origin)).map(|_| origin)
            });
            match found {
                Some(origin) => origin,
                None => return,
            }
        }
    };
    plan.set("access-control-allow-origin", allowed.to_owned());
    if request.method == Method::Options && request.headers.contains("access-control-request-method") {
        plan.set("access-control-allow-methods", ALLOW.to_owned());
        plan.set("access-control-allow-headers", ALLOWED.to_owned());
        plan.set("access-control-max-age", REMEMBERED_SECONDS.to_owned());
    } else {
        plan.set("access-control-expose-headers", EXPOSED.to_owned());
    }
}

/// The fields that rules give a path. Values of the same name join (RFC 9110 §5.3), unless a later rule takes the earlier
/// ones back.
fn collect(rules: &[HeaderRule], path: &str) -> Vec<OwnField> {
    let mut fields: Vec<OwnField> = Vec::new();
    for rule in rules.iter().filter(|rule| rule.pattern.matches(path)) {
        fields.retain(|(name, _)| !rule.unset.contains(name));
        for (name, value) in &rule.set {
            match fields.iter_mut().find(|(known, _)| known == name) {
                Some((_, joined)) => {
                    joined.push_str(", ");
                    joined.push_str(value);
                }
                None => fields.push((name.clone(), value.clone())),
            }
        }
    }
    fields
}

/// Whether a rule about a file may say this of an answer. An error is no file: caches must not keep it as long, nor take
/// it for one of its type. What is sent with 304 describes a file that the client has.
fn may_be_set(name: &str, status: u16) -> bool {
    match name {
        "cache-control" | "expires" => matches!(status, 200 | 206 | 304),
        "content-type" | "content-disposition" | "content-language" => status == 200,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::apply;
    use crate::config::Settings;
    use crate::request::{Headers, Method, Request};
    use crate::response::Plan;
    use crate::rules::{HeaderRule, parse_headers};

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let variables: Vec<_> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Settings::from_environment(&variables).unwrap()
    }

    fn request(method: Method, fields: &[(&str, &str)]) -> Request {
        let fields = fields.iter().map(|(name, value)| ((*name).into(), value.as_bytes().to_vec())).collect();
        Request { method, target: "/".into(), headers: Headers::new(fields) }
    }

    fn applied(
        settings: &Settings,
        site: &[HeaderRule],
        request: &Request,
        plan: Plan<()>,
    ) -> Vec<(String, String)> {
        let mut plan = plan;
        apply(&mut plan, settings, site, request, Some("/a/b.css"));
        plan.headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
    }

    fn expect(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    const NOSNIFF: (&str, &str) = ("x-content-type-options", "nosniff");

    #[test]
    fn fields_of_all_rules_join_and_the_sites_own_count_last() {
        let settings = settings(&[("FILES_HEADERS", "*: X-A: 1\n*.css: X-A: 2\n*.js: X-B: 3\n*: X-C: c")]);
        let site = parse_headers(b"/*\n  X-C: d\n  X-D: e\n/a/*\n  ! X-D\n  X-E: f\n").unwrap();
        let get = request(Method::Get, &[]);
        assert_eq!(
            applied(&settings, &site, &get, Plan::new(200)),
            expect(&[NOSNIFF, ("x-a", "1, 2"), ("x-c", "d"), ("x-e", "f")])
        );
    }

    #[test]
    fn an_error_keeps_its_own_type_and_is_not_kept() {
        let rules = "*: Cache-Control: max-age=9\n*: Content-Type: text/x\n*: X-A: b";
        let settings = settings(&[("FILES_HEADERS", rules)]);
        let get = request(Method::Get, &[]);
        let plan = || Plan::new(404).with("cache-control", "no-store").with("content-type", "text/plain");
        assert_eq!(
            applied(&settings, &[], &get, plan()),
            expect(&[("cache-control", "no-store"), ("content-type", "text/plain"), NOSNIFF, ("x-a", "b")])
        );
        assert_eq!(
            applied(&settings, &[], &get, Plan::new(304)),
            expect(&[NOSNIFF, ("cache-control", "max-age=9"), ("x-a", "b")])
        );
    }

    #[test]
    fn any_origin_is_a_star_and_does_not_vary() {
        let settings = settings(&[("FILES_CORS", "*")]);
        let get = request(Method::Get, &[("Origin", "https://a.example")]);
        let headers = applied(&settings, &[], &get, Plan::new(200));
        assert!(headers.contains(&("access-control-allow-origin".into(), "*".into())));
        assert!(!headers.iter().any(|(name, _)| name == "vary"));
    }

    #[test]
    fn a_known_origin_is_named_and_every_answer_varies() {
        let settings = settings(&[("FILES_CORS", "https://a.example https://b.example")]);
        let names = |origin: &[(&str, &str)]| {
            let headers = applied(&settings, &[], &request(Method::Get, origin), Plan::new(200));
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
        let headers = applied(&settings, &[], &request(Method::Options, &preflight), Plan::new(204));
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
        let plan = Plan::new(200).with("content-security-policy", "default-src 'none'");
        let headers = applied(&settings(&[("FILES_SECURITY_HEADERS", "on")]), &[], &get, plan);
        assert_eq!(headers.len(), 6);
        assert_eq!(headers[0].1, "default-src 'none'");
        let shared = settings(&[("FILES_SECURITY_HEADERS", "on"), ("FILES_CORS", "*")]);
        let headers = applied(&shared, &[], &get, Plan::new(200));
        assert!(!headers.iter().any(|(name, _)| name == "cross-origin-resource-policy"));
    }
}
