//! Trace context: to which trace a request belongs (W3C Trace Context, level 1). This is pure but for the random ids.

use crate::config::otlp::Sample;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The bytes of a `traceparent` of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LENGTH: usize = 55;

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// The value of a field `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traceparent {
    trace: NonZeroU128,
    span: NonZeroU64,
    is_sampled: bool,
}

impl Traceparent {
    /// Reads a value. Of a version after 00, the fields that are known are read (§4.3).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let (known, more) = value.split_at_checked(LENGTH)?;
        let is_whole = match number(&known[..2])? {
            0 => more.is_empty(),
            0xff => false,
            _ => matches!(more, [] | [b'-', ..]),
        };
        if !is_whole || [2, 35, 52].iter().any(|&at| known[at] != b'-') {
            return None;
        }
        let trace = NonZeroU128::new(number(&known[3..35])?)?;
        let span = NonZeroU64::new(u64::try_from(number(&known[36..52])?).ok()?)?;
        let is_sampled = number(&known[53..])? & u128::from(SAMPLED) != 0;
        Some(Self { trace, span, is_sampled })
    }
}

impl fmt::Display for Traceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, is_sampled } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*is_sampled))
    }
}

/// The value of at most 32 hexadecimal digits, none of which is a capital.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, &digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

/// The place of a request in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// The trace, and the span of this request.
    own: Traceparent,
    /// The span of the client, if there is one.
    parent: Option<NonZeroU64>,
}

impl Context {
    /// Continues the trace of a client, or begins one.
    pub(super) fn new(parent: Option<Traceparent>, sample: Sample) -> Self {
        Self::with_ids(parent, sample, random())
    }

    /// The same with these ids of a new trace and of the span.
    fn with_ids(
        parent: Option<Traceparent>,
        sample: Sample,
        (trace, span): (NonZeroU128, NonZeroU64),
    ) -> Self {
        let own = match parent {
            Some(parent) => Traceparent { span, ..parent },
            None => Traceparent { trace, span, is_sampled: sample.takes(trace.get()) },
        };
        Self { own, parent: parent.map(|parent| parent.span) }
    }

    /// Continues the trace that a head names, or begins one, and has the head name the span of this request as the parent.
    pub(super) fn take(headers: &mut HeaderMap, sample: Sample) -> Self {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let parent = given.next().filter(|_| given.next().is_none());
        let context = Self::new(parent.and_then(|value| Traceparent::parse(value.as_bytes())), sample);
        if context.parent.is_none() {
            // It belongs to a trace that is not continued (§3.3.1.3).
            headers.remove(TRACESTATE);
        }
        if let Ok(value) = HeaderValue::try_from(context.own.to_string()) {
            headers.insert(TRACEPARENT, value);
        }
        context
    }

    /// Whether it is to be sent.
    pub(super) fn is_sampled(&self) -> bool {
        self.own.is_sampled
    }

    /// The id of the trace.
    pub(super) fn trace(&self) -> NonZeroU128 {
        self.own.trace
    }

    /// The id of the span.
    pub(super) fn span(&self) -> NonZeroU64 {
        self.own.span
    }

    /// The id of the client's span.
    pub(super) fn parent(&self) -> Option<NonZeroU64> {
        self.parent
    }
}

/// New ids. Without randomness from the kernel they are not unique, which is no reason to fail.
fn random() -> (NonZeroU128, NonZeroU64) {
    let mut bytes = [0; 24];
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    let (&[high, low, span], _) = bytes.as_chunks().0.split_first_chunk().unwrap_or((&[[0; 8]; 3], &[]));
    let trace = u128::from(u64::from_ne_bytes(high)) << 64 | u128::from(u64::from_ne_bytes(low));
    let span = u64::from_ne_bytes(span);
    (NonZeroU128::new(trace).unwrap_or(NonZeroU128::MIN), NonZeroU64::new(span).unwrap_or(NonZeroU64::MIN))
}

#[cfg(test)]
mod tests {
    use super::{Context, NonZeroU64, NonZeroU128, TRACEPARENT, TRACESTATE, Traceparent};
    use crate::cli;
    use crate::config::otlp::{Otlp, Sample};
    use http::header::{HeaderMap, HeaderValue};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn sample(ratio: &str) -> Sample {
        let typed = cli::Otlp { otlp: Some("http://a".to_owned()), otlp_sample: Some(ratio.to_owned()) };
        Otlp::new(typed).unwrap().unwrap().sample
    }

    /// What a guest sees of these fields.
    fn taken(traceparents: &[&str], ratio: &str) -> (Context, String, bool) {
        let mut headers = HeaderMap::new();
        for value in traceparents {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        let context = Context::take(&mut headers, sample(ratio));
        assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
        let seen = headers[TRACEPARENT].to_str().unwrap().to_owned();
        (context, seen, headers.contains_key(TRACESTATE))
    }

    #[test]
    fn the_example_of_the_specification_is_read() {
        let parsed = Traceparent::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(parsed.trace.get(), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((parsed.span.get(), parsed.is_sampled), (0xb7ad_6b71_6920_3331, true));
        assert_eq!(parsed.to_string(), EXAMPLE);
    }

    #[test]
    fn later_versions_may_have_more_and_this_one_not() {
        let of = |version: &str, rest: &str| {
            Traceparent::parse(format!("{version}{}{rest}", &EXAMPLE[2..]).as_bytes()).is_some()
        };
        assert!(of("00", "") && of("01", "") && of("cc", "-what") && of("fe", "-"));
        assert!(!of("00", "-") && !of("00", "-00") && !of("01", "x") && !of("ff", "") && !of("0", ""));
    }

    #[test]
    fn what_is_not_well_formed_is_none() {
        for value in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b7169203331--01",
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(Traceparent::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn the_guest_gets_the_span_of_the_server_as_its_parent() {
        let (context, seen, has_state) = taken(&[EXAMPLE], "0");
        assert_eq!(seen, format!("00-{TRACE}-{:016x}-01", context.span()));
        assert_eq!(context.parent().unwrap().get(), 0xb7ad_6b71_6920_3331);
        assert_ne!(context.parent(), Some(context.span()));
        assert!(context.is_sampled() && has_state, "the client decides, and not --otlp-sample");
        let (context, seen, _) = taken(&[&EXAMPLE.replace("-01", "-00")], "1");
        assert!(!context.is_sampled() && seen.starts_with(&format!("00-{TRACE}-")) && seen.ends_with("-00"));
    }

    #[test]
    fn without_a_valid_field_a_trace_begins() {
        for given in [&[][..], &["00-x"], &[EXAMPLE, EXAMPLE]] {
            let (context, seen, has_state) = taken(given, "1");
            assert_eq!(seen, format!("00-{:032x}-{:016x}-01", context.trace(), context.span()));
            assert!(context.parent().is_none() && context.is_sampled() && !has_state);
            assert!(!seen.contains(TRACE));
        }
        let (first, second) = (taken(&[], "0").0, taken(&[], "0").0);
        assert!(!first.is_sampled());
        assert_ne!((first.trace(), first.span()), (second.trace(), second.span()));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in any::<NonZeroU128>(), span in any::<NonZeroU64>(), is_sampled: bool) {
            let written = Traceparent { trace, span, is_sampled };
            prop_assert_eq!(Traceparent::parse(written.to_string().as_bytes()), Some(written));
        }

        #[test]
        fn what_is_read_is_written_but_for_other_flags(value in "00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}") {
            let parsed = Traceparent::parse(value.as_bytes());
            let is_valid = value[3..35].contains(|digit| digit != '0') && value[36..52].contains(|digit| digit != '0');
            prop_assert_eq!(parsed.is_some(), is_valid);
            if let Some(parsed) = parsed {
                prop_assert_eq!(&parsed.to_string()[..53], &value[..53]);
            }
        }

        #[test]
        fn nothing_else_is_read(value in any::<Vec<u8>>()) {
            prop_assert!(Traceparent::parse(&value).is_none());
        }
    }
}
