//! What the operator has added to every answer: fields by rule, the security preset, CORS.

use crate::config::{Cors, Settings};
use crate::fields::{self, OwnField};
use crate::path::RelativePath;
use crate::request::{Method, Request};
use crate::response::{ALLOW, Body, Plan};
use crate::rules::{HeaderRule, Redirect};

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

/// All rules about paths, and the paths of this request that they are compared with.
pub struct Rules<'a> {
    settings: &'a Settings,
    /// The rules of `_headers`.
    pub site_headers: Vec<HeaderRule>,
    /// The rules of `_redirects`.
    pub site_redirects: Vec<Redirect>,
    requested: String,
    /// The path of the file that is answered, where it is another than the one requested.
    pub opened: String,
}

impl<'a> Rules<'a> {
    /// The rules of the settings, for a request for this decoded path.
    pub fn new(settings: &'a Settings, requested: String) -> Self {
        let opened = String::new();
        Self { settings, site_headers: Vec::new(), site_redirects: Vec::new(), requested, opened }
    }

    /// Says which file is answered. Rules about it hold however it was asked for.
    pub fn opened(&mut self, file: &RelativePath) {
        let has_rules = !self.settings.headers.is_empty()
            || !self.site_headers.is_empty()
            || !self.site_redirects.is_empty();
        if has_rules {
            self.opened = file.decoded();
        }
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        [self.requested.as_str(), self.opened.as_str()].into_iter().filter(|path| !path.is_empty())
    }

    /// The first redirect about the request, `forced` or any, and the path that it is about.
    pub fn redirect(&self, forced: bool) -> Option<(Redirect, String)> {
        self.site_redirects.iter().filter(|rule| rule.forced || !forced).find_map(|rule| {
            let path = self.paths().find(|path| rule.is_about(path))?;
            Some((rule.clone(), path.to_owned()))
        })
    }

    /// The value that rules give a field, if they do. Values of the same name join (RFC 9110 §5.3).
    pub fn value(&self, name: &str) -> Option<String> {
        let sources = [&self.site_headers, &self.settings.headers];
        sources.into_iter().find_map(|rules| {
            let (fields, _) = self.collect(rules);
            fields.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
        })
    }

    /// The fields that rules give the request, and the names that they take from it. Values of the same name join,
    /// unless a later rule takes the earlier ones back.
    fn collect<'r>(&self, rules: &'r [HeaderRule]) -> (Vec<OwnField>, Vec<&'r str>) {
        let mut fields: Vec<OwnField> = Vec::new();
        let mut unset = Vec::new();
        let is_about = |rule: &&HeaderRule| self.paths().any(|path| rule.pattern.matches(path));
        for rule in rules.iter().filter(is_about) {
            fields.retain(|(name, _)| !rule.unset.contains(name));
            unset.extend(rule.unset.iter().map(String::as_str));
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
        (fields, unset)
    }
}

/// Completes an answer.
pub fn apply<F>(plan: &mut Plan<F>, settings: &Settings, rules: &Rules<'_>, request: &Request) {
    // Browsers are told to believe the media type, in every answer: a text must not become a script by its looks.
    plan.set("x-content-type-options", "nosniff".to_owned());
    if settings.security_headers {
        add_security(plan, settings);
    }
    add_cors(plan, settings, request);
    for source in [&settings.headers[..], &rules.site_headers] {
        let (fields, unset) = rules.collect(source);
        plan.headers.retain(|(name, _)| !unset.contains(&name.as_ref()) || fields::is_reserved(name));
        for (name, value) in fields {
            if may_be_set(&name, plan) {
                plan.set(name, value);
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

/// Whether a rule about a file may say this of an answer. An error is no file: caches must not keep it as long. A page
/// that the server has written keeps the policy that it was written for. What a file is has been said already, where
/// it is to be said.
fn may_be_set<F>(name: &str, plan: &Plan<F>) -> bool {
    let is_own = matches!(plan.body, Body::Bytes(_));
    match name {
        "cache-control" | "expires" => matches!(plan.status, 200 | 206 | 304),
        "content-type" => false,
        "content-disposition" | "content-language" => {
            !is_own && plan.headers.iter().any(|(name, _)| name == "content-type")
        }
        "content-security-policy" => !is_own,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::{Rules, apply};
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
        let rules = Rules { site_headers: site.to_vec(), ..Rules::new(settings, "/a/b.css".to_owned()) };
        apply(&mut plan, settings, &rules, request);
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
