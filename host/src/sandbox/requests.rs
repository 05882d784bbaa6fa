//! Outgoing HTTP requests of a guest: only to hosts of `--allow-host`, and within limits of time and number.

use super::network::Network;
use http::header::HeaderName;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{
    DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request,
};

/// How many requests one instance may have in flight. Each has a connection of its own; browsers open six to a host.
const MAX_REQUESTS: usize = 16;

/// How long a response may take to begin, and between two pieces, if the guest has that much time itself. Browsers wait as
/// long. The runtime's own limit is ten minutes.
const MAX_STEP: Duration = Duration::from_mins(5);

/// The requests that one instance sends to other servers.
pub struct Requests {
    network: Arc<Network>,
    /// How long a response may take to begin, and between two pieces. Less than the guest has itself, so that it has time
    /// left to handle the failure.
    time: Duration,
    /// Created with the first request, because most guests send none.
    places: Option<Arc<Semaphore>>,
}

type Transfer = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl Requests {
    pub(super) fn new(network: Arc<Network>, time: Duration) -> Self {
        Self { network, time: (time / 4 * 3).min(MAX_STEP), places: None }
    }

    /// Checks that a request may be sent.
    fn check(&self, request: &Request<WasiBody>) -> Result<(), Error> {
        let authority = request.uri().authority().ok_or(Error::HttpRequestUriInvalid)?;
        let default_port = if request.uri().scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        // `http://example.com@other/` goes to another host than it seems to, and would send a password.
        let names_a_user = authority.as_str().contains('@');
        let port = authority.port_u16();
        let allowed = !names_a_user && self.network.allows_request(authority.host(), port, default_port);
        if allowed { Ok(()) } else { Err(Error::HttpRequestDenied) }
    }

    /// The time-outs that the guest asked for, capped by the host's.
    fn within_limits(&self, options: Option<RequestOptions>) -> RequestOptions {
        let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout } =
            options.unwrap_or_default();
        let limit = |asked: Option<Duration>| Some(asked.unwrap_or(self.time).min(self.time));
        RequestOptions {
            connect_timeout: limit(connect_timeout),
            first_byte_timeout: limit(first_byte_timeout),
            between_bytes_timeout: limit(between_bytes_timeout),
        }
    }
}

/// Header fields that only the host may set: those of the connection, of framing, and `Host`. This is the runtime's own
/// list, which is a constant with destructors there.
static FORBIDDEN: LazyLock<Forbidden> = LazyLock::new(|| {
    let names = DEFAULT_FORBIDDEN_HEADERS;
    let hints = names.iter().map(hint).fold(0, |hints, hint| hints | hint);
    Forbidden { names, hints }
});

/// Names, and the hints at them together: the runtime asks for each field of a request and of its response, and almost no
/// name needs to be compared.
struct Forbidden {
    names: [HeaderName; 9],
    hints: u64,
}

impl Forbidden {
    fn contains(&self, name: &HeaderName) -> bool {
        self.hints & hint(name) != 0 && self.names.contains(name)
    }
}

/// One bit of 64, by length and last letter. Of the fields that browsers and servers send, none shares one with a forbidden field.
fn hint(name: &HeaderName) -> u64 {
    let name = name.as_str().as_bytes();
    let last = name.last().copied().unwrap_or_default();
    1 << ((name.len() * 4 + usize::from(last)) % 64)
}

impl WasiHttpHooks for Requests {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        FORBIDDEN.contains(name)
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Transfer,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Transfer), Error>> + Send> {
        if let Err(error) = self.check(&request) {
            return Box::new(std::future::ready(Err(error)));
        }
        let places = self.places.get_or_insert_with(|| Arc::new(Semaphore::new(MAX_REQUESTS)));
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            return Box::new(std::future::ready(Err(Error::ConnectionLimitReached)));
        };
        let options = self.within_limits(options);
        let answered = tokio::time::timeout(self.time, default_send_request(request, Some(options)));
        Box::new(async move {
            let (response, connection) = answered.await.map_err(|_| Error::ConnectionTimeout)??;
            let transfer: Transfer = Box::new(async move {
                let outcome = connection.await;
                drop(place);
                outcome
            });
            Ok((response.map(BodyExt::boxed_unsync), transfer))
        })
    }

    // The default implementations also log each failure on standard error, where only the guest has to know of it.

    fn p2_error_from_hyper(&mut self, _: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, error: &io::Error) -> ErrorCode {
        match error.kind() {
            io::ErrorKind::TimedOut => ErrorCode::ConnectionTimeout,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                ErrorCode::DestinationUnavailable
            }
            _ => ErrorCode::ConnectionRefused,
        }
    }

    fn p2_error_from_tls(&mut self, _: &io::Error) -> ErrorCode {
        ErrorCode::TlsProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_FORBIDDEN_HEADERS, FORBIDDEN, HeaderName};
    use proptest::prelude::proptest;

    #[test]
    fn every_forbidden_field_is_found() {
        for name in &DEFAULT_FORBIDDEN_HEADERS {
            assert!(FORBIDDEN.contains(name), "{name}");
            assert!(FORBIDDEN.contains(&name.as_str().parse().unwrap()), "{name}");
        }
        for name in ["date", "host2", "accept", "content-type", "x-host"] {
            assert!(!FORBIDDEN.contains(&HeaderName::from_static(name)), "{name}");
        }
    }

    proptest! {
        #[test]
        fn other_fields_are_not(name in "[a-z0-9-]{1,20}") {
            let name: HeaderName = name.parse().unwrap();
            assert_eq!(FORBIDDEN.contains(&name), DEFAULT_FORBIDDEN_HEADERS.contains(&name));
        }
    }
}
