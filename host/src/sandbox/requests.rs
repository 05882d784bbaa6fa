//! Outgoing HTTP requests of a guest: only to hosts of `--allow-host`, and within limits of time and number. This is the same
//! for `wasi:http` 0.2 and 0.3.

use super::denials::Denial;
use super::network::Network;
use crate::outgoing::{Sending, Times};
use http::header::HeaderName;
use http::uri::{Authority, Scheme};
use http::{Request, Response};
use rustls::CertificateError;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions, WasiBody, WasiHttpHooks};

/// How many requests one instance may have in flight. Browsers open six connections to a host.
const MAX_REQUESTS: usize = 16;

/// How long a response may take to begin, and between two pieces, if the guest has that much time itself. Browsers wait as
/// long. The runtime's own limit is ten minutes.
const MAX_STEP: Duration = Duration::from_mins(5);

/// How long a connection may take: one name server that is silent, and servers that are busy.
const MAX_CONNECT: Duration = Duration::from_secs(20);

/// The requests that one instance sends to other servers.
pub struct Requests {
    network: Arc<Network>,
    /// How long a response may take to begin, and between two pieces. Less than the guest has itself, so that it has time
    /// left to handle the failure.
    time: Duration,
    /// Created with the first request, because most guests send none.
    places: Option<Arc<Semaphore>>,
}

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
    fn within_limits(&self, options: Option<RequestOptions>) -> Times {
        let RequestOptions { connect_timeout, first_byte_timeout, between_bytes_timeout } =
            options.unwrap_or_default();
        let limit = |asked: Option<Duration>, most: Duration| asked.unwrap_or(most).min(most);
        Times {
            connect: limit(connect_timeout, self.time.min(MAX_CONNECT)),
            first_byte: limit(first_byte_timeout, self.time),
            between_bytes: limit(between_bytes_timeout, self.time),
            total: self.time,
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
        _: Sending,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Sending), Error>> + Send> {
        let failed = |error| Box::new(std::future::ready(Err(error)));
        if let Err(error) = self.check(&request) {
            return failed(error);
        }
        let Some(client) = self.network.client().cloned() else {
            return failed(Error::HttpRequestDenied);
        };
        let places = self.places.get_or_insert_with(|| Arc::new(Semaphore::new(MAX_REQUESTS)));
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            return failed(Error::ConnectionLimitReached);
        };
        let times = self.within_limits(options);
        let network = Arc::clone(&self.network);
        Box::new(async move {
            let authority = request.uri().authority().cloned();
            client.send(request, times, place).await.map_err(|error| match error {
                Error::Tls(error) => of_tls(&error, &network, authority.as_ref()),
                error => error,
            })
        })
    }
}

/// Why there is no TLS, for the guest. A certificate that is not trusted is the operator's to know of: a flag may be missing.
fn of_tls(error: &io::Error, network: &Network, authority: Option<&Authority>) -> Error {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(fault)) => {
            if let Some(authority) = authority {
                let is_unknown = matches!(fault, CertificateError::UnknownIssuer);
                let host = authority.as_str().to_owned();
                network.denials.note(&Denial::Certificate { host, fault: fault.to_string(), is_unknown });
            }
            Error::TlsCertificateError
        }
        Some(rustls::Error::AlertReceived(alert)) => Error::TlsAlertReceived {
            alert_id: Some(u8::from(*alert)),
            alert_message: Some(format!("{alert:?}")),
        },
        _ => Error::TlsProtocolError,
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
