//! Lists of preferences with weights, as in `Accept` and `Accept-Encoding` (RFC 9110 §12.4.2).

use crate::request::{Headers, Name};

/// A weight in thousandths, from 0 ("not acceptable") to 1000.
pub type Weight = u16;

/// The highest weight, which is also that of a member without a weight.
const MAX_WEIGHT: Weight = 1000;

/// The members of all lines of a field, with their weights. A member with an invalid weight is dropped, and so is one
/// with another parameter if `parameters` are refused. The other members still count.
pub fn members<'a>(
    headers: &'a Headers,
    field: Name,
    parameters: Parameters,
) -> impl Iterator<Item = (&'a str, Weight)> {
    let lines = headers.values(field).iter().filter_map(|line| str::from_utf8(line).ok());
    let members = lines.flat_map(|line| line.split(','));
    members.filter_map(move |member| {
        let mut parts = member.split(';').map(|part| part.trim_matches([' ', '\t']));
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut weight = MAX_WEIGHT;
        for parameter in parts {
            match parameter.strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('=')) {
                Some(value) => weight = parse(value)?,
                None if parameters == Parameters::Allowed => {}
                None => return None,
            }
        }
        Some((name, weight))
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
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (whole, decimals),
        None => (text, ""),
    };
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
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
        let codings: Vec<_> = members(&headers, Name::Accept, Parameters::Refused).collect();
        assert_eq!(codings, [("gzip", 500), ("br", 1000), ("z", 0)]);
        let ranges: Vec<_> = members(&headers, Name::Accept, Parameters::Allowed).collect();
        assert_eq!(ranges, [("gzip", 500), ("br", 1000), ("y", 1000), ("z", 0)]);
    }
}
