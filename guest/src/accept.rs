//! The `Accept` field: whether a generated page is sent as HTML, JSON or plain text (RFC 9110 §12.5.1).

use crate::request::{Headers, Name};
use crate::weight::{Member, Parameters, Weight, members};

/// Whether the client names `text/html`, as browsers do. Tools send `*/*`, which does not count.
pub fn wants_html(headers: &Headers) -> bool {
    // So begins the line of every browser that asks for a page. The rest of it cannot make the highest weight smaller.
    let is_usual = |line: &Vec<u8>| line.starts_with(b"text/html,") && str::from_utf8(line).is_ok();
    headers.values(Name::Accept).iter().any(is_usual) || weight(headers, "text/html") > 0
}

/// Whether the client names `application/json` and gives it a higher weight than HTML.
pub fn wants_json(headers: &Headers) -> bool {
    let weight_in = |media_type, range| {
        [media_type, range, "*/*"].into_iter().find_map(|range| weight_if_named(headers, range)).unwrap_or(0)
    };
    weight(headers, "application/json") > 0
        && weight_in("application/json", "application/*") > weight_in("text/html", "text/*")
}

/// The weight of a media type; 0 if the client does not name it.
fn weight(headers: &Headers, media_type: &str) -> Weight {
    weight_if_named(headers, media_type).unwrap_or(0)
}

fn weight_if_named(headers: &Headers, range: &str) -> Option<Weight> {
    members(headers, Name::Accept, Parameters::Allowed)
        .filter(|member| member.name.eq_ignore_ascii_case(range))
        .filter_map(Member::weight)
        .max()
}

#[cfg(test)]
mod tests {
    use super::{wants_html, wants_json};
    use crate::request::Headers;

    #[test]
    fn only_a_named_type_is_wanted() {
        let wanted = |accept: Option<&str>| {
            let fields = accept.map(|value| ("Accept".to_owned(), value.as_bytes().to_vec()));
            let headers = Headers::new(fields.into_iter().collect::<Vec<_>>());
            (wants_html(&headers), wants_json(&headers))
        };
        for (accept, expected) in [
            (None, (false, false)),
            (Some("*/*"), (false, false)),
            (Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), (true, false)),
            (Some("TEXT/HTML;level=1"), (true, false)),
            (Some("text/html,text/html;q=0"), (true, false)),
            (Some("text/htmlx"), (false, false)),
            (Some("text/html;q=0"), (false, false)),
            (Some("application/json"), (false, true)),
            (Some("text/html, application/json"), (true, false)),
            (Some("text/html;q=0.5, application/json"), (true, true)),
            (Some("*/*, application/json;q=0.1"), (false, false)),
            (Some("text/*, application/json;q=0.5"), (false, false)),
            (Some("*/*;q=0.1, application/json"), (false, true)),
            (Some("\u{0}\u{ff}"), (false, false)),
        ] {
            assert_eq!(wanted(accept), expected, "{accept:?}");
        }
    }
}
