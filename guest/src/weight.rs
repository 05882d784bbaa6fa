//! Lists of preferences with weights, as in `Accept` and `Accept-Encoding` (RFC 9110 §12.4.2).

use crate::request::{Headers, Name};
use crate::split;

/// A weight in thousandths, from 0 ("not acceptable") to 1000.
pub type Weight = u16;

/// The highest weight, which is also that of a member without a weight.
const MAX_WEIGHT: Weight = 1000;

/// A member of a list.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// What is preferred: a media range, or a content coding.
    pub name: &'a str,
    /// What follows its first semicolon.
    rest: Option<&'a str>,
    parameters: Parameters,
}

impl Member<'_> {
    /// The weight; `None` where it is invalid, or where there is a parameter that is refused.
    pub fn weight(self) -> Option<Weight> {
        let mut weight = MAX_WEIGHT;
        for parameter in self.rest.into_iter().flat_map(|rest| split::pieces(rest, b';')).map(split::trimmed)
        {
            match parameter.as_bytes() {
                [b'q' | b'Q', b'=', ..] => weight = parse(&parameter[2..])?,
                _ if self.parameters == Parameters::Allowed => {}
                _ => return None,
            }
        }
        Some(weight)
    }
}

/// The members of all lines of a field. A member that has no [weight](Member::weight) counts as missing. The other members still
/// count.
pub fn members(headers: &Headers, field: Name, parameters: Parameters) -> impl Iterator<Item = Member<'_>> {
    let lines = headers.values(field).iter().filter_map(|line| str::from_utf8(line).ok());
    let members = lines.flat_map(|line| split::pieces(line, b','));
    members.filter_map(move |member| {
        let (name, rest) =
            split::once(member, b';').map_or((member, None), |(name, rest)| (name, Some(rest)));
        let name = split::trimmed(name);
        (!name.is_empty()).then_some(Member { name, rest, parameters })
    })
}

/// Whether members may have parameters other than a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// For media ranges, which may have them.
    Allowed,
    /// For content codings, which may not.
    Refused,
}

/// Parses a weight: `0` or `1`, with up to three decimals.
fn parse(text: &str) -> Option<Weight> {
    let (whole, decimals) = split::once(text, b'.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = decimals.bytes().chain([b'0'; 3]).take(3);
    let thousandths = digits.fold(0, |number, digit| 10 * number + Weight::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(MAX_WEIGHT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Parameters, members, parse};
    use crate::request::{Headers, Name};

    #[test]
    fn a_weight_has_at_most_three_decimals() {
        for (text, weight) in
            [("0", 0), ("0.", 0), ("1", 1000), ("1.000", 1000), ("0.5", 500), ("0.25", 250), ("0.001", 1)]
        {
            assert_eq!(parse(text), Some(weight), "{text}");
        }
        for text in ["", ".5", "2", "1.001", "0.0001", "-1", "+1", "0,5", "0.x", "01", "1e0", "half", " 1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn lines_join_and_bad_members_are_dropped() {
        let fields = [("Accept", " gzip ;q=0.5,, br ; Q=1"), ("accept", "x;q=high, y;level=1, ;q=1, z;q=0")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let headers = Headers::new(fields.to_vec());
        let read = |parameters| {
            let members = members(&headers, Name::Accept, parameters);
            members.filter_map(|member| Some((member.name, member.weight()?))).collect::<Vec<_>>()
        };
        let codings = read(Parameters::Refused);
        assert_eq!(codings, [("gzip", 500), ("br", 1000), ("z", 0)]);
        let ranges = read(Parameters::Allowed);
        assert_eq!(ranges, [("gzip", 500), ("br", 1000), ("y", 1000), ("z", 0)]);
    }
}
