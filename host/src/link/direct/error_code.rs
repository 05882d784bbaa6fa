//! `wasi:http/types.error-code`: a variant of 39 cases, most of them without a value.

use super::lowering::{Lower, Out, Place};
use super::memory::{R, invalid_discriminant, is_some, owned_text};
use wasmtime_wasi_http::p2::bindings::http::types::{
    DnsErrorPayload, ErrorCode, FieldSizePayload, TlsAlertReceivedPayload,
};

/// What a case carries.
enum Value {
    Nothing,
    Dns(DnsErrorPayload),
    TlsAlert(TlsAlertReceivedPayload),
    BodySize(Option<u64>),
    SectionSize(Option<u32>),
    FieldSize(FieldSizePayload),
    MaybeFieldSize(Option<FieldSizePayload>),
    Text(Option<String>),
}

/// The number of a case, and its value.
fn split(code: ErrorCode) -> (u8, Value) {
    use ErrorCode as E;
    match code {
        E::DnsTimeout => (0, Value::Nothing),
        E::DnsError(payload) => (1, Value::Dns(payload)),
        E::DestinationNotFound => (2, Value::Nothing),
        E::DestinationUnavailable => (3, Value::Nothing),
        E::DestinationIpProhibited => (4, Value::Nothing),
        E::DestinationIpUnroutable => (5, Value::Nothing),
        E::ConnectionRefused => (6, Value::Nothing),
        E::ConnectionTerminated => (7, Value::Nothing),
        E::ConnectionTimeout => (8, Value::Nothing),
        E::ConnectionReadTimeout => (9, Value::Nothing),
        E::ConnectionWriteTimeout => (10, Value::Nothing),
        E::ConnectionLimitReached => (11, Value::Nothing),
        E::TlsProtocolError => (12, Value::Nothing),
        E::TlsCertificateError => (13, Value::Nothing),
        E::TlsAlertReceived(payload) => (14, Value::TlsAlert(payload)),
        E::HttpRequestDenied => (15, Value::Nothing),
        E::HttpRequestLengthRequired => (16, Value::Nothing),
        E::HttpRequestBodySize(size) => (17, Value::BodySize(size)),
        E::HttpRequestMethodInvalid => (18, Value::Nothing),
        E::HttpRequestUriInvalid => (19, Value::Nothing),
        E::HttpRequestUriTooLong => (20, Value::Nothing),
        E::HttpRequestHeaderSectionSize(size) => (21, Value::SectionSize(size)),
        E::HttpRequestHeaderSize(size) => (22, Value::MaybeFieldSize(size)),
        E::HttpRequestTrailerSectionSize(size) => (23, Value::SectionSize(size)),
        E::HttpRequestTrailerSize(size) => (24, Value::FieldSize(size)),
        E::HttpResponseIncomplete => (25, Value::Nothing),
        E::HttpResponseHeaderSectionSize(size) => (26, Value::SectionSize(size)),
        E::HttpResponseHeaderSize(size) => (27, Value::FieldSize(size)),
        E::HttpResponseBodySize(size) => (28, Value::BodySize(size)),
        E::HttpResponseTrailerSectionSize(size) => (29, Value::SectionSize(size)),
        E::HttpResponseTrailerSize(size) => (30, Value::FieldSize(size)),
        E::HttpResponseTransferCoding(coding) => (31, Value::Text(coding)),
        E::HttpResponseContentCoding(coding) => (32, Value::Text(coding)),
        E::HttpResponseTimeout => (33, Value::Nothing),
        E::HttpUpgradeFailed => (34, Value::Nothing),
        E::HttpProtocolError => (35, Value::Nothing),
        E::LoopDetected => (36, Value::Nothing),
        E::ConfigurationError => (37, Value::Nothing),
        E::InternalError(text) => (38, Value::Text(text)),
    }
}

impl Lower for ErrorCode {
    const SIZE: usize = 32;
    const ALIGN: usize = 8;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        let (case, value) = split(self);
        case.lower(out, place)?;
        let place = place.at(8)?;
        match value {
            Value::Nothing => Ok(()),
            Value::Dns(DnsErrorPayload { rcode, info_code }) => {
                rcode.lower(out, place)?;
                info_code.lower(out, place.at(12)?)
            }
            Value::TlsAlert(TlsAlertReceivedPayload { alert_id, alert_message }) => {
                alert_id.lower(out, place)?;
                alert_message.lower(out, place.at(4)?)
            }
            Value::BodySize(size) => size.lower(out, place),
            Value::SectionSize(size) => size.lower(out, place),
            Value::FieldSize(size) => size.lower(out, place),
            Value::MaybeFieldSize(size) => size.lower(out, place),
            Value::Text(text) => text.lower(out, place),
        }
    }
}

impl Lower for FieldSizePayload {
    const SIZE: usize = 20;
    const ALIGN: usize = 4;

    fn lower(self, out: &mut Out<'_>, place: Place) -> R<()> {
        self.field_name.lower(out, place)?;
        self.field_size.lower(out, place.at(12)?)
    }
}

/// An error code as it is passed to a function: its case, and the values that its cases have in common.
#[derive(Clone, Copy)]
pub(super) struct Flat {
    pub(super) case: u32,
    pub(super) first: u32,
    /// A pointer, or a size of 64 bits.
    pub(super) second: u64,
    pub(super) rest: [u32; 4],
}

impl Flat {
    /// Lifts it.
    #[allow(clippy::cast_possible_truncation, reason = "narrow numbers come in wide ones (canonical ABI)")]
    pub(super) fn lift(self, memory: &[u8]) -> R<ErrorCode> {
        use ErrorCode as E;
        let Self { case, first, second, rest: [third, fourth, fifth, sixth] } = self;
        let second_word = second as u32;
        let optional_text = |case, address, length| -> R<Option<String>> {
            is_some(case)?.then(|| owned_text(memory, address, length)).transpose()
        };
        let text = || optional_text(first, second_word, third);
        let body_size = || -> R<Option<u64>> { Ok(is_some(first)?.then_some(second)) };
        let section_size = || -> R<Option<u32>> { Ok(is_some(first)?.then_some(second_word)) };
        let size = |name, address, length, case, size| -> R<FieldSizePayload> {
            let field_name = optional_text(name, address, length)?;
            Ok(FieldSizePayload { field_name, field_size: is_some(case)?.then_some(size) })
        };
        let field_size = || size(first, second_word, third, fourth, fifth);
        Ok(match case {
            0 => E::DnsTimeout,
            1 => {
                let rcode = text()?;
                E::DnsError(DnsErrorPayload { rcode, info_code: is_some(fourth)?.then_some(fifth as u16) })
            }
            2 => E::DestinationNotFound,
            3 => E::DestinationUnavailable,
            4 => E::DestinationIpProhibited,
            5 => E::DestinationIpUnroutable,
            6 => E::ConnectionRefused,
            7 => E::ConnectionTerminated,
            8 => E::ConnectionTimeout,
            9 => E::ConnectionReadTimeout,
            10 => E::ConnectionWriteTimeout,
            11 => E::ConnectionLimitReached,
            12 => E::TlsProtocolError,
            13 => E::TlsCertificateError,
            14 => {
                let alert_id = is_some(first)?.then_some(second as u8);
                let alert_message = optional_text(third, fourth, fifth)?;
                E::TlsAlertReceived(TlsAlertReceivedPayload { alert_id, alert_message })
            }
            15 => E::HttpRequestDenied,
            16 => E::HttpRequestLengthRequired,
            17 => E::HttpRequestBodySize(body_size()?),
            18 => E::HttpRequestMethodInvalid,
            19 => E::HttpRequestUriInvalid,
            20 => E::HttpRequestUriTooLong,
            21 => E::HttpRequestHeaderSectionSize(section_size()?),
            22 => E::HttpRequestHeaderSize(
                is_some(first)?.then(|| size(second_word, third, fourth, fifth, sixth)).transpose()?,
            ),
            23 => E::HttpRequestTrailerSectionSize(section_size()?),
            24 => E::HttpRequestTrailerSize(field_size()?),
            25 => E::HttpResponseIncomplete,
            26 => E::HttpResponseHeaderSectionSize(section_size()?),
            27 => E::HttpResponseHeaderSize(field_size()?),
            28 => E::HttpResponseBodySize(body_size()?),
            29 => E::HttpResponseTrailerSectionSize(section_size()?),
            30 => E::HttpResponseTrailerSize(field_size()?),
            31 => E::HttpResponseTransferCoding(text()?),
            32 => E::HttpResponseContentCoding(text()?),
            33 => E::HttpResponseTimeout,
            34 => E::HttpUpgradeFailed,
            35 => E::HttpProtocolError,
            36 => E::LoopDetected,
            37 => E::ConfigurationError,
            38 => E::InternalError(text()?),
            _ => return Err(invalid_discriminant()),
        })
    }
}
