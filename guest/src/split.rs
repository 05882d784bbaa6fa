//! Splitting short texts: the standard library's searches are made for long ones, and to prepare such a search takes longer than
//! to look at each byte of a header field.

/// The texts before and after the first `byte`, which is ASCII.
pub fn once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|other| other == byte)?;
    Some((&text[..at], &text[at + 1..]))
}

/// The texts between all `byte`s, which are ASCII. There is at least one.
pub fn pieces(text: &str, byte: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, after) = once(text, byte).map_or((text, None), |(piece, after)| (piece, Some(after)));
        rest = after;
        Some(piece)
    })
}

/// The text without the spaces and tabs around it (RFC 9110 §5.6.3).
pub fn trimmed(text: &str) -> &str {
    let is_visible = |byte| !matches!(byte, b' ' | b'\t');
    let start = text.bytes().position(is_visible).unwrap_or(text.len());
    let end = text.bytes().rposition(is_visible).map_or(start, |last| last + 1);
    &text[start..end]
}

#[cfg(test)]
mod tests {
    use super::{once, pieces, trimmed};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_split_as_by_the_standard_library(text in "[a, \t;é]{0,12}") {
            prop_assert_eq!(once(&text, b','), text.split_once(','));
            prop_assert_eq!(pieces(&text, b',').collect::<Vec<_>>(), text.split(',').collect::<Vec<_>>());
            prop_assert_eq!(trimmed(&text), text.trim_matches([' ', '\t']));
        }
    }
}
