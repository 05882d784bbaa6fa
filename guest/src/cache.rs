//! How long a file may be kept: `Cache-Control` by rule (RFC 9111 §5.2).

use crate::config::Settings;

/// For pages: kept, but asked for again before each use. They name everything else, and an old one would name what has
/// gone.
pub const REVALIDATE: &str = "no-cache";

/// For names that change whenever the content does: kept for a year, which is as good as for ever.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// For errors: the file may be there in a moment.
pub const NEVER: &str = "no-store";

/// The `Cache-Control` of a file of this name and media type, requested by a decoded path; `None` leaves it to the
/// caches.
pub fn control(settings: &Settings, requested: &str, name: &str, media_type: &str) -> Option<String> {
    let rule = settings
        .cache_control
        .iter()
        .find(|(pattern, _)| pattern.as_ref().is_none_or(|pattern| pattern.matches(requested)));
    if let Some((_, value)) = rule {
        return Some(value.clone());
    }
    if matches!(media_type, "text/html" | "application/xhtml+xml") {
        Some(REVALIDATE.to_owned())
    } else if has_content_hash(name) {
        Some(FOREVER.to_owned())
    } else {
        None
    }
}

/// Whether a name carries a hash of its content, as the tools that bundle sites write them: `main.d587bbd6.css`,
/// `index-B4f7kQ2z.js`.
///
/// To take something else for a hash would have browsers keep an old file for a year. So a hash in hexadecimal digits has
/// at least eight, letters and numerals among them; one in the 64 letters of the URL-safe alphabet has exactly
/// eight, capital letters, small letters and numerals, and belongs to a kind of file that such tools write.
fn has_content_hash(name: &str) -> bool {
    let Some((stem, extension)) = name.split_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return false;
    };
    let is_bundled = matches!(
        name.rsplit('.').next().unwrap_or_default(),
        "js" | "mjs"
            | "css"
            | "map"
            | "wasm"
            | "json"
            | "svg"
            | "png"
            | "jpg"
            | "webp"
            | "avif"
            | "woff"
            | "woff2"
    );
    // `name.hash.ext` or `name-hash.ext`; what follows the last dot is never a hash.
    let inner = extension.rsplit_once('.').map_or("", |(inner, _)| inner).split(['.', '-', '_']);
    let mut candidates = stem.split(['-', '_']).skip(1).chain(inner).filter(|part| !part.is_empty());
    let url_safe_tail = is_bundled.then(|| stem.len().checked_sub(9)).flatten().and_then(|at| {
        let (rest, tail) = stem.split_at_checked(at)?;
        tail.strip_prefix(['-', '.']).filter(|_| !rest.is_empty())
    });
    candidates.any(|part| is_hexadecimal_hash(part) || (is_bundled && is_url_safe_hash(part)))
        || url_safe_tail.is_some_and(is_url_safe_hash)
}

fn is_hexadecimal_hash(part: &str) -> bool {
    (8..=64).contains(&part.len())
        && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_alphabetic())
}

fn is_url_safe_hash(part: &str) -> bool {
    part.len() == 8
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && part.bytes().any(|byte| byte.is_ascii_digit())
        && part.bytes().any(|byte| byte.is_ascii_uppercase())
        && part.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{FOREVER, control, has_content_hash};
    use crate::config::Settings;
    use crate::media_type;
    use crate::path::{Hidden, RelativePath};
    use proptest::prelude::*;

    #[test]
    fn a_hash_is_told_from_words_and_dates() {
        for name in [
            "main.d587bbd6.css",
            "main.d587bbd6.chunk.css",
            "app-3f2a9c1d4e5b6a7c.js",
            "index-B4f7kQ2z.js",
            "index.B4f7kQ2z.css",
            "index-aBf7_Q2z.js",
            "storage-0123456789abcdef.png",
        ] {
            assert!(has_content_hash(name), "{name}");
        }
        for name in [
            "index.js",
            "report-20231114.pdf",
            "bootstrap-datepicker.js",
            "deadbeef.js",
            "jquery-3.7.1.min.js",
            "setup-Win64Bit.exe",
            "Setup-Win64Release.exe",
            "photo-12345678.jpg",
            "a.facade00",
            ".d587bbd6.css",
            "d587bbd6",
            "a-feedface.js",
            "IMG_20231114.jpg",
            "Überwachung-é.js",
        ] {
            assert!(!has_content_hash(name), "{name}");
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts_and_the_default_last() {
        let rules = "/a/*: max-age=1\n*.css: max-age=2";
        let variables = [("FILES_CACHE_CONTROL".to_owned(), rules.to_owned())];
        let settings = Settings::from_environment(&variables).unwrap();
        let of = |path: &str| {
            let file = RelativePath::from_setting(path, Hidden::Refused).unwrap();
            control(&settings, path, file.file_name(), media_type::of(&file))
        };
        assert_eq!(of("/a/x.css").as_deref(), Some("max-age=1"));
        assert_eq!(of("/b/x.css").as_deref(), Some("max-age=2"));
        assert_eq!(of("/b/x.html").as_deref(), Some("no-cache"));
        assert_eq!(of("/b/x.d587bbd6.js").as_deref(), Some(FOREVER));
        assert_eq!(of("/b/page.d587bbd6.html").as_deref(), Some("no-cache"));
        assert_eq!(of("/b/x.txt"), None);
    }

    proptest! {
        #[test]
        fn any_name_is_answered(name: String) {
            has_content_hash(&name);
        }
    }
}
