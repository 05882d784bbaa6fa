//! Whose request it is: that of the connection's peer or, where a proxy that is believed has sent it, that of the client
//! whom the proxy names.

use super::forwarded::{self, Told, forwarded, x_forwarded};
use super::refusal::Refusal;
use crate::authority::Authority;
use crate::net::ConnInfo;
use crate::net::proxy::{Field, Forwarding};
use crate::report::Subject;
use crate::report::request_id::RequestId;
use http::Request;
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::Scheme;
use std::borrow::Cow;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What answers on a request need to know of its connection, with the client and the scheme that a proxy names. The field
/// `Host` becomes the one that the client has sent to the proxy, if the proxy says that.
pub(super) fn identify<'a, B>(
    request: &mut Request<B>,
    info: &'a ConnInfo,
) -> Result<Cow<'a, ConnInfo>, Refusal> {
    let Some(forwarding) = &info.forwarding else { return Ok(Cow::Borrowed(info)) };
    let Told { address, scheme, host } = read(request.headers(), forwarding)?;
    let host = host.map(|host| {
        let is_host = Authority::parse(host.as_bytes()).is_some();
        HeaderValue::from_str(host).ok().filter(|_| is_host).ok_or(MALFORMED)
    });
    let host = host.transpose()?;
    let mut info = info.clone();
    info.peer = address.map_or(info.peer, Into::into);
    match scheme {
        Some(forwarded::Scheme::Http) => info.scheme = Scheme::HTTP,
        Some(forwarded::Scheme::Https) => info.scheme = Scheme::HTTPS,
        None => {}
    }
    // A request with no such field, or two, is refused for that.
    if let Some(host) = host
        && request.headers().get_all(HOST).iter().count() == 1
    {
        request.headers_mut().insert(HOST, host);
    }
    Ok(Cow::Owned(info))
}

/// The subject of a request that came by this connection. It has the id that a proxy has sent, if the proxy is believed and
/// the id is well formed.
pub(super) fn subject<B>(request: &Request<B>, info: &ConnInfo) -> Subject {
    let subject = Subject::new(request.method(), request.uri());
    match info.forwarding.as_ref().and_then(|_| given_id(request.headers())) {
        Some(id) => subject.with_id(id),
        None => subject,
    }
}

/// The value of `X-Request-Id`, unless there are several.
fn given_id(headers: &HeaderMap) -> Option<RequestId> {
    let mut ids = headers.get_all(X_REQUEST_ID).iter();
    let id = ids.next().filter(|_| ids.next().is_none())?;
    RequestId::given(id.as_bytes())
}

const MALFORMED: Refusal = Refusal::Malformed("its Forwarded field is not well formed");

fn read<'a>(headers: &'a HeaderMap, forwarding: &Forwarding) -> Result<Told<'a>, Refusal> {
    let lines = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let is_trusted = |address| forwarding.is_trusted(address);
    match forwarding.field {
        Field::Forwarded => forwarded(lines(FORWARDED), is_trusted).map_err(|_| MALFORMED),
        Field::XForwarded => Ok(x_forwarded(lines(X_FORWARDED_FOR), lines(X_FORWARDED_PROTO), is_trusted)),
    }
}
