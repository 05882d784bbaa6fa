//! What a request at the admin listener asks for.

use http::Method;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The metrics.
    Metrics,
    /// Whether the process lives.
    Health,
    /// Whether it should be sent requests.
    Ready,
    /// The page.
    Status,
    /// What is on the page.
    StatusJson,
    /// Whatever there is.
    Root,
    /// Something that there is not.
    Unknown,
    /// It is not asked for but told something.
    NotRead,
}

impl Route {
    /// What a request with this method and path asks for.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let route = match path {
            "/metrics" => Self::Metrics,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/status" => Self::Status,
            "/status.json" => Self::StatusJson,
            "/" => Self::Root,
            _ => return Self::Unknown,
        };
        if matches!(*method, Method::GET | Method::HEAD) { route } else { Self::NotRead }
    }
}

#[cfg(test)]
mod tests {
    use super::Route;
    use http::Method;

    #[test]
    fn paths_are_exact_and_only_read() {
        for (path, route) in [
            ("/metrics", Route::Metrics),
            ("/healthz", Route::Health),
            ("/readyz", Route::Ready),
            ("/status", Route::Status),
            ("/status.json", Route::StatusJson),
            ("/", Route::Root),
            ("/metrics/", Route::Unknown),
            ("//metrics", Route::Unknown),
            ("*", Route::Unknown),
            ("", Route::Unknown),
        ] {
            assert_eq!(
                (Route::of(&Method::GET, path), Route::of(&Method::HEAD, path)),
                (route, route),
                "{path}"
            );
        }
        assert_eq!(Route::of(&Method::POST, "/metrics"), Route::NotRead);
        assert_eq!(Route::of(&Method::POST, "/missing"), Route::Unknown);
    }
}
