//! How long a file may be kept: `Cache-Control` by rule (RFC 9111 §5.2).

use crate::config::Settings;
use crate::path::RelativePath;
use crate::pattern::Pattern;

/// For pages: kept, but asked for again before each use. They name everything else, and an old one would name what has
/// gone.
pub const REVALIDATE: &str = "no-cache";

/// For names that change whenever the content does: kept for a year, which is as good as for ever.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// For errors: the file may be there in a moment.
pub const NEVER: &str = "no-store";

/// The `Cache-Control` of the file at this path; `None` leaves it to the caches. It is the file that counts and not how
/// it was asked for: a page that is answered for a missing script is no script.
pub fn control(settings: &Settings, file: &RelativePath, media_type: &str) -> Option<String> {
    if !settings.cache_control.is_empty() {
        let path = file.decoded();
        let fits = |pattern: &Option<Pattern>| pattern.as_ref().is_none_or(|pattern| pattern.matches(&path));
        if let Some((_, value)) = settings.cache_control.iter().find(|(pattern, _)| fits(pattern)) {
            return Some(value.clone());
        }
    }
    if matches!(media_type, "text/html" | "application/xhtml+xml") {
        Some(REVALIDATE.to_owned())
    } else if has_content_hash(file.file_name()) {
        Some(FOREVER.to_owned())
    } else {
        None
    }
}

/// Whether a name carries a hash of its content, as the tools that bundle sites write them: `main.d587bbd6.css`,
/// `main.d587bbd6.chunk.js`, `index-B4f7kQ2z.js`.
///
/// To take something else for a hash would have browsers keep an old file for a year, and dates, numbers and identifiers
/// look much like one. So only names count that such tools write: between dots, of a kind of file that belongs to a
/// page; or behind a hyphen, at the end of the stem, of a program or a font.
fn has_content_hash(name: &str) -> bool {
    let mut parts: Vec<&str> = name.split('.').collect();
    let extension = parts.pop().unwrap_or_default();
    let (Some(stem), is_program) = (parts.first(), PROGRAMS.contains(&extension)) else { return false };
    if stem.is_empty() || !(is_program || ASSETS.contains(&extension)) {
        return false;
    }
    if parts[1..].iter().any(|part| is_hexadecimal_hash(part) || is_url_safe_hash(part)) {
        return true;
    }
    // The hash itself may hold a hyphen where it is not hexadecimal, and so is counted from the end.
    let url_safe = stem.len().checked_sub(URL_SAFE_LENGTH + 1).and_then(|at| stem.split_at_checked(at));
    let url_safe = url_safe.and_then(|(rest, hash)| hash.strip_prefix('-').filter(|_| !rest.is_empty()));
    let hexadecimal = stem.rsplit_once('-').filter(|(rest, _)| !rest.is_empty() && !is_uuid(stem));
    is_program
        && parts.len() == 1
        && (url_safe.is_some_and(is_url_safe_hash)
            || hexadecimal.is_some_and(|(_, hash)| is_hexadecimal_hash(hash)))
}

/// The kinds of files whose names bundlers end with a hash behind a hyphen.
const PROGRAMS: [&str; 7] = ["css", "js", "map", "mjs", "wasm", "woff", "woff2"];

/// Further kinds of files that they name with a hash between dots.
const ASSETS: [&str; 9] = ["avif", "gif", "ico", "jpg", "json", "png", "svg", "ttf", "webp"];

/// The length of a hash in the 64 letters of the URL-safe alphabet.
const URL_SAFE_LENGTH: usize = 8;

/// Whether this looks like a universally unique identifier (RFC 9562 §4), which stays when the content changes.
fn is_uuid(stem: &str) -> bool {
    stem.rsplit('-').map(str::len).take(4).eq([12, 4, 4, 4])
}

fn is_hexadecimal_hash(part: &str) -> bool {
    (8..=64).contains(&part.len())
        && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && part.bytes().any(|byte| byte.is_ascii_digit())
        // A date with a letter behind it is no hash.
        && part.bytes().filter(u8::is_ascii_alphabetic).count() >= 2
}

fn is_url_safe_hash(part: &str) -> bool {
    part.len() == URL_SAFE_LENGTH
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
            "logo.6ce24c58023cc2f8fd88fe9d219db6c6.svg",
            "chunk-0123456789abcdef.mjs",
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
            "550e8400-e29b-41d4-a716-44665544abcd.json",
            "550e8400-e29b-41d4-a716-44665544abcd.js",
            "avatar-1f0c2d3e4a5b.png",
            "sensor-001a2b3c4d5e.log",
            "minutes-20240305b.pdf",
            "IMG_20231114a.jpg",
            "build.20240305b.js",
            "backup.1f0c2d3e4a5b.tar",
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
            control(&settings, &file, media_type::of(&file))
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
