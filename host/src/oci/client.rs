//! Requests to a registry (OCI distribution specification), within limits of size and time.
//!
//! What is sent to a registry goes by HTTPS, but for those of this machine and those that the operator names. A redirect
//! never leads from HTTPS to clear HTTP, and a password or token is never sent to another host than the one it is for.

use super::challenge::{Challenge, token_url};
use super::credentials::Credentials;
use super::digest::Sha256;
use super::location::resolve;
use super::reference::{Reference, Registry};
use crate::config::components::Registries;
use crate::outgoing::{Client, Times, trust};
use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use futures_util::stream;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT, WWW_AUTHENTICATE,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use serde::Deserialize;
use std::time::Duration;
use wasmtime_wasi_http::{Error, WasiBody};

/// For a connection, with the name, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// For the head of an answer, and between two pieces of it: registries look blobs up in distant stores.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many redirects are followed. Registries send clients to a store of blobs, and that to a copy nearby.
const MAX_REDIRECTS: usize = 5;

/// The largest answer with a token, in bytes.
const MAX_TOKEN: u64 = 64 * 1024;

/// Bytes of a body that are sent at a time. Each that is taken gives the registry more time.
const PIECE: usize = 64 * 1024;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("wasi-httpd/", env!("CARGO_PKG_VERSION")));

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The type that is accepted.
    pub(super) accept: Option<&'static str>,
    /// The type and content of what is sent.
    pub(super) body: Option<(&'static str, Bytes)>,
    /// How many bytes of an answer are taken.
    pub(super) most: u64,
}

impl Ask {
    pub(super) fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, accept: None, body: None, most: 0 }
    }

    /// A GET whose answer may have so many bytes.
    pub(super) fn get(uri: Uri, most: u64) -> Self {
        Self { most, ..Self::new(Method::GET, uri) }
    }
}

/// An answer. Its body is read only where it tells success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    pub(super) body: Vec<u8>,
    /// What was asked in the end.
    uri: Uri,
}

impl Answer {
    /// The URL that it names as `Location`.
    pub(super) fn location(&self) -> Option<Uri> {
        resolve(&self.uri, self.fields.get(LOCATION)?.to_str().ok()?)
    }

    /// An error that says what a registry has answered.
    pub(super) fn refusal(&self) -> anyhow::Error {
        let (host, status) = (host(&self.uri), self.status);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => anyhow!(
                "{host} denies access ({}); a file with a user name and a password is named by --registry-auth",
                status.as_u16()
            ),
            StatusCode::TOO_MANY_REQUESTS => {
                anyhow!("{host} takes no more requests at the moment (429); try again later")
            }
            _ => anyhow!("{host} answers {status}"),
        }
    }
}

/// A conversation with a registry about a repository.
pub(super) struct Session<'a> {
    client: Client,
    registries: &'a Registries,
    registry: &'a Registry,
    repository: &'a str,
    /// What is to be done there, such as `pull`.
    actions: &'static str,
    scheme: Scheme,
    authorization: Option<HeaderValue>,
    times: Times,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        registries: &'a Registries,
        reference: &'a Reference,
        actions: &'static str,
    ) -> Result<Self> {
        let Reference { registry, repository, .. } = reference;
        let client = Client::new(trust::client_config(None, &[])?);
        let scheme = if registries.may_be_in_clear(registry) { Scheme::HTTP } else { Scheme::HTTPS };
        let connect = CONNECT_TIMEOUT.min(registries.time);
        // Less than the whole, so that one line says which of both is over.
        let silence = SILENCE_TIMEOUT.min(registries.time / 2);
        let times = Times { connect, first_byte: silence, between_bytes: silence, total: registries.time };
        Ok(Self { client, registries, registry, repository, actions, scheme, authorization: None, times })
    }

    /// The URL of something in the repository.
    pub(super) fn url(&self, rest: &str) -> Result<Uri> {
        let url = format!("{}://{}/v2/{}/{rest}", self.scheme, self.registry, self.repository);
        url.parse().with_context(|| format!("{url} is no URL"))
    }

    /// Sends a request, with a password or token if the registry demands that.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<Answer> {
        let answer = self.follow(ask).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenges = answer.fields.get_all(WWW_AUTHENTICATE).iter();
        let mut challenges = challenges.filter_map(|field| field.to_str().ok()).filter_map(Challenge::parse);
        let Some(challenge) = challenges.next() else { return Ok(answer) };
        // A server that a redirect leads to has no claim to a password.
        if !self.is_registry(&answer.uri) {
            return Ok(answer);
        }
        self.authorize(challenge).await?;
        self.follow(ask).await
    }

    /// Gets a blob.
    pub(super) async fn blob(&mut self, digest: &Sha256, size: u64) -> Result<Vec<u8>> {
        let answer = self.ask(&Ask::get(self.url(&format!("blobs/{digest}"))?, size)).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal());
        }
        let (length, host) = (answer.body.len() as u64, host(&answer.uri));
        if length < size {
            bail!("{host} ends early, after {length} of {size} bytes");
        }
        if Sha256::of(&answer.body) != *digest {
            bail!("{host} has sent other bytes than those of {digest}");
        }
        Ok(answer.body)
    }

    async fn authorize(&mut self, challenge: Challenge) -> Result<()> {
        let credentials = Credentials::read(self.registries.auth.as_deref())?;
        let basic = credentials.basic(self.registry)?;
        let basic = basic.map(|pair| secret(&format!("Basic {pair}"))).transpose()?;
        let (realm, service) = match challenge {
            Challenge::Basic => {
                self.authorization = Some(basic.with_context(|| {
                    format!(
                        "{} demands a user name and a password; a file with them is named by --registry-auth",
                        self.registry
                    )
                })?);
                return Ok(());
            }
            Challenge::Bearer { realm, service } => (realm, service),
        };
        let scope = format!("repository:{}:{}", self.repository, self.actions);
        let uri: Uri = token_url(&realm, service.as_deref(), &scope)
            .parse()
            .ok()
            .with_context(|| format!("{} gives no URL at which there are tokens", self.registry))?;
        self.check(&self.url("")?, &uri)?;
        let ask = Ask::get(uri, MAX_TOKEN);
        let answer = self.send(&ask, &ask.uri, basic).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal());
        }
        let token = serde_json::from_slice(&answer.body)
            .ok()
            .and_then(|Token { token, access_token }| token.or(access_token));
        let token = token.with_context(|| format!("{} gives no token", host(&answer.uri)))?;
        self.authorization = Some(secret(&format!("Bearer {token}"))?);
        Ok(())
    }

    /// Sends a request, and again where redirects lead.
    async fn follow(&self, ask: &Ask) -> Result<Answer> {
        let mut uri = ask.uri.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authorization = self.authorization.clone().filter(|_| self.is_registry(&uri));
            let answer = self.send(ask, &uri, authorization).await?;
            let is_safe = matches!(ask.method, Method::GET | Method::HEAD);
            let is_redirect = is_safe && matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect {
                return Ok(answer);
            }
            let next = answer.location().with_context(|| format!("{} redirects to no URL", host(&uri)))?;
            self.check(&uri, &next)?;
            uri = next;
        }
        bail!("{} redirects more than {MAX_REDIRECTS} times", self.registry)
    }

    /// Refuses a URL that a server names, if what is sent there could be read on the way.
    pub(super) fn check(&self, from: &Uri, to: &Uri) -> Result<()> {
        let is_fine = match to.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => {
                let registry = to.authority().and_then(|authority| Registry::parse(authority.as_str()));
                from.scheme() == Some(&Scheme::HTTP)
                    && registry.is_some_and(|registry| self.registries.may_be_in_clear(&registry))
            }
            _ => false,
        };
        if is_fine {
            return Ok(());
        }
        bail!("{} leads to {}, which does not speak HTTPS", host(from), host(to))
    }

    /// Whether what is sent to this URL goes to the registry itself.
    fn is_registry(&self, uri: &Uri) -> bool {
        let is_its = |authority: &http::uri::Authority| {
            authority.as_str().eq_ignore_ascii_case(self.registry.as_str())
        };
        uri.scheme() == Some(&self.scheme) && uri.authority().is_some_and(is_its)
    }

    /// Sends one request to this URL.
    async fn send(&self, ask: &Ask, uri: &Uri, authorization: Option<HeaderValue>) -> Result<Answer> {
        let mut request = Request::new(content(ask.body.as_ref().map(|(_, bytes)| bytes)));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = uri.clone();
        let fields = request.headers_mut();
        fields.insert(USER_AGENT, AGENT);
        fields.extend(ask.accept.map(|kind| (ACCEPT, HeaderValue::from_static(kind))));
        fields.extend(authorization.map(|value| (AUTHORIZATION, value)));
        if let Some((kind, bytes)) = &ask.body {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        } else if ask.method == Method::POST {
            fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        let failed = |error: Error| anyhow!("{} {}", host(uri), self.explain(&error));
        let (response, sending) = self.client.send(request, self.times, ()).await.map_err(failed)?;
        let (head, body) = Response::into_parts(response);
        let mut answer =
            Answer { status: head.status, fields: head.headers, body: Vec::new(), uri: uri.clone() };
        if head.status.is_success() && ask.method != Method::HEAD {
            answer.body = self.read(body, ask.most, uri).await?;
        }
        // Until here, the request is being sent.
        drop(sending);
        Ok(answer)
    }

    /// Reads a body of so many bytes at most.
    async fn read(&self, mut body: WasiBody, most: u64, uri: &Uri) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| anyhow!("{} {}", host(uri), self.explain(&error)))?;
            let Ok(data) = frame.into_data() else { continue };
            if (bytes.len() + data.len()) as u64 > most {
                bail!("{} sends more than {most} bytes", host(uri));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// What went wrong with a request, after the name of the host.
    fn explain(&self, error: &Error) -> String {
        let Times { connect, first_byte, .. } = self.times;
        match error {
            Error::DnsTimeout | Error::DnsError { .. } => {
                "has no address: its name cannot be looked up".to_owned()
            }
            Error::ConnectionRefused => "refuses connections".to_owned(),
            Error::DestinationUnavailable => "cannot be reached".to_owned(),
            Error::ConnectionTimeout => format!("does not answer within {} s", connect.as_secs_f32()),
            Error::ConnectionReadTimeout | Error::HttpResponseTimeout => {
                format!("sends nothing for {} s", first_byte.as_secs_f32())
            }
            Error::ConnectionTerminated => "ends the connection without an answer".to_owned(),
            Error::HttpResponseIncomplete => "ends early, in the middle of its answer".to_owned(),
            Error::HttpResponseHeaderSectionSize(_) => "sends a head that is too large".to_owned(),
            Error::HttpProtocolError => "does not speak HTTP".to_owned(),
            Error::Tls(error) => format!("does not speak TLS as it should: {error}"),
            error => format!("cannot be asked: {error}"),
        }
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// A value that is not written to logs.
fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .ok()
        .context("a password or token has characters that no field may have")?;
    value.set_sensitive(true);
    Ok(value)
}

/// The host of a URL, and its port if it names one, in messages.
fn host(uri: &Uri) -> &str {
    uri.authority().map_or("a URL without a host", |authority| authority.as_str())
}

/// A body of these bytes, in pieces.
fn content(bytes: Option<&Bytes>) -> WasiBody {
    let mut rest = bytes.cloned().unwrap_or_default();
    let pieces = stream::iter(std::iter::from_fn(move || {
        let piece = rest.split_to(rest.len().min(PIECE));
        (!piece.is_empty()).then(|| Ok::<_, Error>(Frame::data(piece)))
    }));
    match bytes {
        Some(bytes) if !bytes.is_empty() => StreamBody::new(pieces).boxed_unsync(),
        _ => http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync(),
    }
}

#[cfg(test)]
mod tests;
