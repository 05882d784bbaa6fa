//! TLS: where certificates come from, and what is said and done about clear HTTP. This is pure parsing: no file is read.

use super::grants::host_port;
use super::listen::ListenAddress;
use super::{ConfigError, defaults};
use crate::cli;
use http::header::HeaderValue;
use std::path::PathBuf;

/// How a server speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where its certificates come from.
    pub source: Source,
    /// Where requests in the clear are redirected to `https:`.
    pub redirects: Vec<ListenAddress>,
    /// The value of the field `Strict-Transport-Security` of each response.
    pub hsts: Option<HeaderValue>,
}

/// Where certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From files, which may be replaced while the server runs: the pairs of all sites in their order, each once. There is
    /// at least one.
    Files(Vec<Pair>),
    /// A certificate for this machine, made by this program.
    Dev,
}

/// The files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate, followed by those that lead to one that clients trust.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Pair {
    /// Both files.
    pub fn paths(&self) -> [PathBuf; 2] {
        [self.certificate.clone(), self.key.clone()]
    }
}

impl Tls {
    /// Validates the arguments of a server that has these certificates; `None` if it speaks clear HTTP.
    pub(super) fn new(arguments: cli::Tls, pairs: Vec<Pair>) -> Result<Option<Self>, ConfigError> {
        let cli::Tls { tls_dev, redirect_http, hsts } = arguments;
        let source = match (tls_dev, pairs.is_empty()) {
            (true, false) => return Err(ConfigError::DevAndFiles),
            (true, true) => Source::Dev,
            (false, false) => Source::Files(pairs),
            (false, true) if !redirect_http.is_empty() => {
                return Err(ConfigError::NeedsTls("--redirect-http"));
            }
            (false, true) if hsts.is_some() => return Err(ConfigError::NeedsTls("--hsts")),
            (false, true) => return Ok(None),
        };
        if source == Source::Dev && hsts.is_some() {
            return Err(ConfigError::HstsForLocalhost);
        }
        let redirects = redirect_http.iter().map(|text| host_port("--redirect-http", text));
        let redirects = redirects.map(|address| address.map(ListenAddress::Tcp));
        Ok(Some(Self {
            source,
            redirects: redirects.collect::<Result<_, _>>()?,
            hsts: hsts.as_deref().map(strict_transport_security).transpose()?,
        }))
    }
}

/// The pairs of a site.
pub(super) fn pairs(
    cli::Certificates { tls_cert, tls_key }: cli::Certificates,
) -> Result<Vec<Pair>, ConfigError> {
    if tls_cert.len() != tls_key.len() {
        return Err(ConfigError::Unpaired { certificates: tls_cert.len(), keys: tls_key.len() });
    }
    let pairs = tls_cert.into_iter().zip(tls_key);
    Ok(pairs.map(|(certificate, key)| Pair { certificate, key }).collect())
}

/// The value of `Strict-Transport-Security` (RFC 6797 §6.1) for the value of `--hsts`, which is empty for the default.
fn strict_transport_security(text: &str) -> Result<HeaderValue, ConfigError> {
    const SUBDOMAINS: &str = "includeSubDomains";
    let wrong = || ConfigError::Hsts(text.to_owned());
    let (age, subdomains) = match text.split_once(',') {
        Some((age, subdomains)) if subdomains.eq_ignore_ascii_case(SUBDOMAINS) => (age, true),
        Some(_) => return Err(wrong()),
        None if text.eq_ignore_ascii_case(SUBDOMAINS) => ("", true),
        None => (text, false),
    };
    let age: u32 = match age {
        "" => defaults::HSTS_MAX_AGE,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    let subdomains = if subdomains { "; includeSubDomains" } else { "" };
    HeaderValue::try_from(format!("max-age={age}{subdomains}")).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Pair, Source, Tls, pairs, strict_transport_security};
    use crate::cli;

    fn tls(
        certificates: &[&str],
        keys: &[&str],
        change: impl FnOnce(&mut cli::Tls),
    ) -> Result<Option<Tls>, ConfigError> {
        let paths = |texts: &[&str]| texts.iter().map(Into::into).collect();
        let certificates = cli::Certificates { tls_cert: paths(certificates), tls_key: paths(keys) };
        let mut arguments = cli::Tls::default();
        change(&mut arguments);
        Tls::new(arguments, pairs(certificates)?)
    }

    #[test]
    fn a_certificate_and_a_key_are_a_pair_in_their_order() {
        let pair = |certificate: &str, key: &str| Pair { certificate: certificate.into(), key: key.into() };
        let config = tls(&["a", "b"], &["x", "y"], |_| {}).unwrap().unwrap();
        assert_eq!(config.source, Source::Files(vec![pair("a", "x"), pair("b", "y")]));
        assert_eq!(tls(&[], &[], |_| {}), Ok(None));
        let error = tls(&["a", "b"], &["x"], |_| {}).unwrap_err();
        assert_eq!(error, ConfigError::Unpaired { certificates: 2, keys: 1 });
    }

    #[test]
    fn what_needs_tls_is_nothing_without_it() {
        let redirect = |arguments: &mut cli::Tls| arguments.redirect_http = vec!["localhost:80".to_owned()];
        assert_eq!(tls(&[], &[], redirect), Err(ConfigError::NeedsTls("--redirect-http")));
        let hsts = |arguments: &mut cli::Tls| arguments.hsts = Some(String::new());
        assert_eq!(tls(&[], &[], hsts), Err(ConfigError::NeedsTls("--hsts")));
        let dev = |arguments: &mut cli::Tls| arguments.tls_dev = true;
        assert_eq!(tls(&["a"], &["x"], dev), Err(ConfigError::DevAndFiles));
        let both =
            |arguments: &mut cli::Tls| (arguments.tls_dev, arguments.hsts) = (true, Some(String::new()));
        assert_eq!(tls(&[], &[], both), Err(ConfigError::HstsForLocalhost));
    }

    #[test]
    fn hsts_is_an_age_and_subdomains_only_where_they_are_named() {
        for (text, value) in [
            ("", "max-age=31536000"),
            ("300", "max-age=300"),
            ("0", "max-age=0"),
            ("includeSubDomains", "max-age=31536000; includeSubDomains"),
            ("63072000,includesubdomains", "max-age=63072000; includeSubDomains"),
        ] {
            assert_eq!(strict_transport_security(text).unwrap(), value);
        }
        for text in ["+1", "-1", "1y", "300,", "300,preload", "300;includeSubDomains", "4294967296"] {
            assert_eq!(strict_transport_security(text), Err(ConfigError::Hsts(text.to_owned())));
        }
    }
}
