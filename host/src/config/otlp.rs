//! Where traces go, and how many of them. This is pure parsing: no name is looked up.

use super::grants::{self, HostGrant, HostPort};
use super::{ConfigError, defaults};
use crate::cli;
use http::Uri;
use std::fmt;

/// The port of URLs that name none (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;

/// The path of collectors (OTLP specification, "OTLP/HTTP Request").
const TRACES: &str = "/v1/traces";

/// The configuration of `--otlp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// The collector.
    pub collector: HostPort,
    /// The path that takes traces.
    pub path: String,
    /// How many of the traces that begin here are sent.
    pub sample: Sample,
}

/// A share of all traces. It is kept as the number of ids that are in it, of 2⁶³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u64);

impl Sample {
    /// All ids.
    const ALL: u64 = 1 << 63;

    /// The share that a text from 0 to 1 says.
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let ratio = text.parse().ok().filter(|ratio: &f64| (0.0..=1.0).contains(ratio));
        let ratio = ratio.ok_or_else(|| ConfigError::OtlpSample(text.to_owned()))?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "2⁶³ is exact, and the product is from 0 to that"
        )]
        Ok(Self((ratio * Self::ALL as f64) as u64))
    }

    /// Whether the trace with this id is in it. Ids are random, so that their last bits decide.
    pub fn takes(self, id: u128) -> bool {
        id & u128::from(Self::ALL - 1) < u128::from(self.0)
    }
}

impl Otlp {
    /// Validates the arguments.
    pub(crate) fn new(typed: cli::Otlp) -> Result<Option<Self>, ConfigError> {
        let cli::Otlp { otlp, otlp_sample } = typed;
        let Some(url) = otlp else {
            return if otlp_sample.is_some() { Err(ConfigError::NoOtlp) } else { Ok(None) };
        };
        if !cfg!(feature = "otlp") {
            return Err(ConfigError::WithoutOtlp);
        }
        let sample = Sample::parse(otlp_sample.as_deref().unwrap_or(defaults::OTLP_SAMPLE))?;
        let (collector, path) = parse(&url)?;
        Ok(Some(Self { collector, path, sample }))
    }
}

/// Reads the URL of a collector.
fn parse(text: &str) -> Result<(HostPort, String), ConfigError> {
    let wrong = || ConfigError::OtlpUrl(text.to_owned());
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return Err(ConfigError::OtlpOverTls(text.to_owned())),
        _ => return Err(wrong()),
    }
    // The parser drops a fragment.
    if uri.query().is_some() || text.contains('#') {
        return Err(wrong());
    }
    let authority = uri.authority().ok_or_else(wrong)?.as_str();
    let HostGrant { host, port } = grants::host_grant("--otlp", authority).map_err(|error| match error {
        ConfigError::Host { .. } => wrong(),
        error => error,
    })?;
    let path = if uri.path() == "/" { TRACES } else { uri.path() };
    Ok((HostPort { host, port: port.unwrap_or(HTTP_PORT) }, path.to_owned()))
}

impl fmt::Display for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.collector, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Otlp, Sample, parse};
    use crate::cli;
    use proptest::prelude::{any, prop_assert, proptest};

    fn new(otlp: Option<&str>, sample: Option<&str>) -> Result<Option<Otlp>, ConfigError> {
        Otlp::new(cli::Otlp { otlp: otlp.map(str::to_owned), otlp_sample: sample.map(str::to_owned) })
    }

    #[test]
    fn a_url_names_a_collector_and_perhaps_a_path() {
        for (text, host, port, path) in [
            ("http://127.0.0.1:4318", "127.0.0.1", 4318, "/v1/traces"),
            ("http://127.0.0.1:4318/", "127.0.0.1", 4318, "/v1/traces"),
            ("HTTP://[::1]:4318", "::1", 4318, "/v1/traces"),
            ("http://Collector.example", "collector.example", 80, "/v1/traces"),
            ("http://a:1/traces/", "a", 1, "/traces/"),
        ] {
            let (collector, parsed) = parse(text).unwrap();
            assert_eq!((&collector.host[..], collector.port, &parsed[..]), (host, port, path), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_collector_is_refused() {
        for text in [
            "",
            "127.0.0.1:4318",
            "localhost",
            "ftp://a/",
            "http://",
            "http:///v1/traces",
            "http://a:b",
            "http://a:99999",
            "http://u:p@a/",
            "http://a/?b",
            "http://a/#b",
            "http://::1/",
        ] {
            assert_eq!(parse(text), Err(ConfigError::OtlpUrl(text.into())), "{text}");
        }
        assert!(matches!(parse("http://a:0"), Err(ConfigError::PortZero { flag: "--otlp", .. })));
        assert_eq!(parse("https://a"), Err(ConfigError::OtlpOverTls("https://a".into())));
    }

    #[test]
    fn a_share_is_from_0_to_1() {
        for text in ["", "-0.1", "1.1", "NaN", "inf", "half", "50%"] {
            assert_eq!(Sample::parse(text), Err(ConfigError::OtlpSample(text.into())));
        }
        assert_eq!(Sample::parse("0.5"), Ok(Sample(1 << 62)));
        assert_eq!(new(None, Some("0.5")), Err(ConfigError::NoOtlp));
        assert_eq!(new(None, None), Ok(None));
    }

    #[cfg(not(feature = "otlp"))]
    #[test]
    fn a_build_without_traces_says_so() {
        assert_eq!(new(Some("http://a"), None), Err(ConfigError::WithoutOtlp));
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn all_traces_are_sent_by_default() {
        let otlp = new(Some("http://[::1]:4318"), None).unwrap().unwrap();
        assert_eq!(otlp.sample, Sample::parse("1").unwrap());
        assert_eq!(otlp.to_string(), "http://[::1]:4318/v1/traces");
        assert_eq!(new(Some("http://a"), Some("2")), Err(ConfigError::OtlpSample("2".into())));
    }

    proptest! {
        #[test]
        fn all_ids_are_in_1_and_none_in_0(id in any::<u128>()) {
            prop_assert!(Sample::parse("1").unwrap().takes(id));
            prop_assert!(!Sample::parse("0").unwrap().takes(id));
        }
    }
}
