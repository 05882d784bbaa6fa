//! How long a file may be kept: `Cache-Control` (RFC 9111 §5.2).

use crate::config::Settings;
use crate::path::RelativePath;
use std::borrow::Cow;

/// For files: stored, but validated before each use. Nothing in a name proves that its content never changes, so a longer
/// life is up to the operator.
pub const REVALIDATE: &str = "no-cache";

/// For errors: the file may be there in a moment.
pub const NEVER: &str = "no-store";

/// The `Cache-Control` of a file. The path of the file counts, not the requested one: a page that answers for a missing
/// script is not a script.
pub fn control(settings: &Settings, file: &RelativePath) -> Cow<'static, str> {
    match settings.cache_control.of_file(|| file.decoded()) {
        Some(value) => Cow::Owned(value.clone()),
        None => Cow::Borrowed(REVALIDATE),
    }
}

/// The same `Cache-Control` for an answer that no shared cache may store.
pub fn private(control: &str) -> String {
    // A comma in a quoted string is none between directives.
    let control = if control.contains('"') { REVALIDATE } else { control };
    let directives = control.split(',').map(str::trim).filter(|directive| {
        let name = directive.split('=').next().unwrap_or_default();
        !directive.is_empty()
            && !["public", "s-maxage"].iter().any(|shared| name.eq_ignore_ascii_case(shared))
    });
    let mut directives: Vec<_> = directives.collect();
    let is_private = ["private", NEVER]
        .iter()
        .any(|wanted| directives.iter().any(|directive| directive.eq_ignore_ascii_case(wanted)));
    if !is_private {
        directives.insert(0, "private");
    }
    directives.join(", ")
}

#[cfg(test)]
mod tests {
    use super::private;
    use proptest::prelude::*;

    #[test]
    fn a_private_answer_is_kept_no_longer_than_before() {
        for (control, expected) in [
            ("", "private"),
            ("no-cache", "private, no-cache"),
            ("no-store", "no-store"),
            ("Public, s-maxage=600, max-age=60, immutable", "private, max-age=60, immutable"),
            ("Private, max-age=60", "Private, max-age=60"),
            ("private=\"x, private\", max-age=60", "private, no-cache"),
            ("public,, no-store", "no-store"),
        ] {
            assert_eq!(private(control), expected, "{control}");
        }
    }

    proptest! {
        #[test]
        fn no_shared_cache_stores_what_is_private(control in "((public|PRIVATE|private=\"a, no-store\"|s-maxage=1|no-store|x)[ ,]{0,2}){0,5}") {
            let control = private(&control).to_ascii_lowercase();
            let directives: Vec<_> = control.split(", ").collect();
            prop_assert!(directives.contains(&"private") || directives.contains(&"no-store"));
            prop_assert!(!directives.iter().any(|it| *it == "public" || it.starts_with("s-maxage")));
        }
    }
}
