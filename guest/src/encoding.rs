//! Content codings: which precompressed variants of a file a client prefers (RFC 9110 §12.5.3).

use crate::request::{Headers, Name};
use crate::weight::{Parameters, Weight, members};

/// The content coding of a precompressed variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstandard,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Every coding, the one that usually compresses best first.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstandard, Self::Gzip];

    /// The name of the coding in `Content-Encoding` and `Accept-Encoding`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The suffix that a variant's file name has after the name of the file.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstandard => ".zst",
            Self::Gzip => ".gz",
        }
    }

    fn is_called(self, name: &str) -> bool {
        name.eq_ignore_ascii_case(self.name()) || (self == Self::Gzip && name.eq_ignore_ascii_case("x-gzip"))
    }
}

/// The codings that the client prefers to the unencoded file, the best first.
///
/// There are none without the field, or if it names none of these codings. If a coding is named twice, the first weight
/// counts. A file without variants is sent unencoded even to a client that refuses `identity`.
pub fn preferred(headers: &Headers) -> Vec<Coding> {
    if let [line] = headers.values(Name::AcceptEncoding)
        && let Some((_, codings)) = USUAL.iter().find(|(usual, _)| usual.as_bytes() == line)
    {
        return codings.to_vec();
    }
    preferred_of(headers)
}

/// What browsers send, and what that prefers: most requests need no more than to compare one line.
const USUAL: [(&str, &[Coding]); 3] = [
    ("gzip, deflate, br, zstd", &[Coding::Brotli, Coding::Zstandard, Coding::Gzip]),
    ("gzip, deflate, br", &[Coding::Brotli, Coding::Gzip]),
    ("gzip, deflate", &[Coding::Gzip]),
];

/// The same of any lines.
fn preferred_of(headers: &Headers) -> Vec<Coding> {
    let mut weights: [Option<Weight>; 3] = [None; 3];
    let mut identity = None;
    let mut wildcard = None;
    for member in members(headers, Name::AcceptEncoding, Parameters::Refused) {
        let slot = match member.name {
            "*" => &mut wildcard,
            name if name.eq_ignore_ascii_case("identity") => &mut identity,
            name => match Coding::ALL.iter().position(|coding| coding.is_called(name)) {
                Some(at) => &mut weights[at],
                None => continue,
            },
        };
        if slot.is_none() {
            *slot = member.weight();
        }
    }
    if identity.is_none() && wildcard.is_none() && weights.iter().all(Option::is_none) {
        return Vec::new();
    }
    let min_weight = identity.unwrap_or(0).max(1);
    let mut order: Vec<(Coding, Weight)> = Vec::with_capacity(Coding::ALL.len());
    for (coding, weight) in Coding::ALL.into_iter().zip(weights) {
        let weight = weight.or(wildcard).unwrap_or(0);
        if weight >= min_weight {
            // Codings of the same weight keep the order of `Coding::ALL`.
            let place = order.iter().position(|&(_, other)| other < weight).unwrap_or(order.len());
            order.insert(place, (coding, weight));
        }
    }
    order.into_iter().map(|(coding, _)| coding).collect()
}

#[cfg(test)]
mod tests {
    use super::{Coding, USUAL, preferred, preferred_of};
    use crate::request::Headers;
    use Coding::{Brotli, Gzip, Zstandard};
    use proptest::prelude::*;

    fn headers(lines: &[&str]) -> Headers {
        let field = |line: &&str| ("accept-encoding".to_owned(), line.as_bytes().to_vec());
        Headers::new(lines.iter().map(field).collect::<Vec<_>>())
    }

    #[test]
    fn the_client_decides_and_the_server_breaks_ties() {
        let cases: [(&[&str], &[Coding]); 18] = [
            (&[], &[]),
            (&[""], &[]),
            (&["gzip"], &[Gzip]),
            (&["GZIP"], &[Gzip]),
            (&["x-gzip"], &[Gzip]),
            (&["gzip, deflate, br, zstd"], &[Brotli, Zstandard, Gzip]),
            (&["gzip;q=0"], &[]),
            (&["br;q=0, gzip"], &[Gzip]),
            (&["gzip;q=0.5, br;q=0.9"], &[Brotli, Gzip]),
            (&["gzip;q=0.9, br;q=0.5"], &[Gzip, Brotli]),
            (&["*"], &[Brotli, Zstandard, Gzip]),
            (&["*, br;q=0"], &[Zstandard, Gzip]),
            (&["*;q=0, gzip"], &[Gzip]),
            (&["deflate"], &[]),
            (&["gzip;q=x, br"], &[Brotli]),
            (&["gzip", "br"], &[Brotli, Gzip]),
            (&["identity, gzip;q=0.5"], &[]),
            (&["identity;q=0"], &[]),
        ];
        for (lines, expected) in cases {
            assert_eq!(preferred(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn what_browsers_send_prefers_what_it_says() {
        for (line, codings) in USUAL {
            assert_eq!(preferred_of(&headers(&[line])), codings, "{line}");
            assert_eq!(preferred(&headers(&[line])), codings, "{line}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(line: Vec<u8>) {
            preferred(&Headers::new(vec![("accept-encoding".into(), line)]));
        }

        #[test]
        fn a_refused_coding_is_never_preferred(line in "((br|gzip|zstd|identity|\\*)(;q=(0|1|0\\.5))?, ?){0,6}") {
            let preferred = preferred(&headers(&[&line]));
            let first = |name: &str| line.split(',').map(str::trim).find(|member| {
                member.split(';').next() == Some(name)
            });
            for coding in Coding::ALL {
                if first(coding.name()).is_some_and(|member| member.ends_with("q=0")) {
                    prop_assert!(!preferred.contains(&coding));
                }
            }
        }
    }
}
