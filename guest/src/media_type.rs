//! The media type of a file, by its name.
//!
//! The table is our own: the crates for this carry a thousand types that no browser knows and would double the size of the
//! component. A test compares it with one of them.

use crate::fields;
use crate::path::RelativePath;
use crate::split;
use std::borrow::Cow;

/// The type of names that are not in the tables. Browsers save such a file.
const UNKNOWN: &str = "application/octet-stream";

/// The type of text. Browsers show it.
pub const TEXT: &str = "text/plain";

/// Names without an extension that are text by convention, in upper case.
const TEXT_NAMES: [&str; 16] = [
    "AUTHORS",
    "CHANGELOG",
    "CHANGES",
    "CONTRIBUTING",
    "CONTRIBUTORS",
    "COPYING",
    "COPYRIGHT",
    "DOCKERFILE",
    "HISTORY",
    "INSTALL",
    "LICENCE",
    "LICENSE",
    "MAKEFILE",
    "NEWS",
    "NOTICE",
    "README",
];

/// Extensions in lower case, sorted, with the types that the IANA or the WHATWG MIME standard give them. Source code and
/// configuration are plain text, so that browsers show them.
const TYPES: &[(&str, &str)] = &[
    ("3gp", "video/3gpp"),
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("adoc", TEXT),
    ("aif", "audio/aiff"),
    ("aiff", "audio/aiff"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("asc", TEXT),
    ("asm", TEXT),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bash", TEXT),
    ("bat", TEXT),
    ("bib", TEXT),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", TEXT),
    ("cc", TEXT),
    ("cfg", TEXT),
    ("cjs", "text/javascript"),
    ("clj", TEXT),
    ("cmake", TEXT),
    ("conf", TEXT),
    ("cpp", TEXT),
    ("crate", "application/gzip"),
    ("cs", TEXT),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("cur", "image/x-icon"),
    ("cxx", TEXT),
    ("d", TEXT),
    ("dart", TEXT),
    ("deb", "application/vnd.debian.binary-package"),
    ("diff", TEXT),
    ("dmg", "application/octet-stream"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("el", TEXT),
    ("env", TEXT),
    ("eot", "application/vnd.ms-fontobject"),
    ("eps", "application/postscript"),
    ("epub", "application/epub+zip"),
    ("erl", TEXT),
    ("ex", TEXT),
    ("exe", "application/octet-stream"),
    ("f90", TEXT),
    ("fish", TEXT),
    ("flac", "audio/flac"),
    ("gemspec", TEXT),
    ("geojson", "application/geo+json"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("go", TEXT),
    ("gradle", TEXT),
    ("gradlew", TEXT),
    ("graphql", TEXT),
    ("groovy", TEXT),
    ("gz", "application/gzip"),
    ("h", TEXT),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("hpp", TEXT),
    ("hs", TEXT),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("hxx", TEXT),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar"),
    ("ini", TEXT),
    ("iso", "application/octet-stream"),
    ("jar", "application/java-archive"),
    ("java", TEXT),
    ("jfif", "image/jpeg"),
    ("jl", TEXT),
    ("jpe", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("json5", TEXT),
    ("jsonld", "application/ld+json"),
    ("jsx", TEXT),
    ("jxl", "image/jxl"),
    ("kt", TEXT),
    ("less", TEXT),
    ("lhs", TEXT),
    ("lisp", TEXT),
    ("lock", TEXT),
    ("log", TEXT),
    ("lua", TEXT),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4", TEXT),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript"),
    ("mk", TEXT),
    ("mka", "audio/x-matroska"),
    ("mkv", "video/x-matroska"),
    ("ml", TEXT),
    ("mod", TEXT),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("msi", "application/x-msi"),
    ("ndjson", "application/x-ndjson"),
    ("nim", TEXT),
    ("nix", TEXT),
    ("obj", "model/obj"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("org", TEXT),
    ("otf", "font/otf"),
    ("patch", TEXT),
    ("pdf", "application/pdf"),
    ("pem", TEXT),
    ("php", TEXT),
    ("pl", TEXT),
    ("pm", TEXT),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("properties", TEXT),
    ("proto", TEXT),
    ("ps", "application/postscript"),
    ("ps1", TEXT),
    ("psd", "image/vnd.adobe.photoshop"),
    ("py", TEXT),
    ("r", TEXT),
    ("rar", "application/vnd.rar"),
    ("rb", TEXT),
    ("rs", TEXT),
    ("rss", "application/rss+xml"),
    ("rst", TEXT),
    ("rtf", "application/rtf"),
    ("s", TEXT),
    ("sass", TEXT),
    ("scala", TEXT),
    ("scss", TEXT),
    ("service", TEXT),
    ("sh", TEXT),
    ("sql", TEXT),
    ("srt", TEXT),
    ("stl", "model/stl"),
    ("sum", TEXT),
    ("svg", "image/svg+xml"),
    ("swift", TEXT),
    ("tar", "application/x-tar"),
    ("tcl", TEXT),
    ("tex", TEXT),
    ("tf", TEXT),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", TEXT),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values"),
    ("tsx", TEXT),
    ("ttc", "font/collection"),
    ("ttf", "font/ttf"),
    ("txt", TEXT),
    ("vcf", "text/vcard"),
    ("vim", TEXT),
    ("vtt", "text/vtt"),
    ("vue", TEXT),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("whl", "application/zip"),
    ("wit", TEXT),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "text/xml"),
    ("xsl", "application/xslt+xml"),
    ("xslt", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", TEXT),
    ("yml", TEXT),
    ("zig", TEXT),
    ("zip", "application/zip"),
    ("zsh", TEXT),
    ("zst", "application/zstd"),
];

/// The longest extension of [`SHORT`], in bytes.
const MAX_SHORT_BYTES: usize = 8;

/// The extensions of [`TYPES`] that are longer.
const LONG: [(&str, &str); 2] = [("properties", TEXT), ("webmanifest", "application/manifest+json")];

const SHORT_COUNT: usize = TYPES.len() - LONG.len();

/// The other extensions as numbers, in the order of the table, each with the place of its type in [`KINDS`]. Numbers are compared in
/// a step each, where texts take a call, and the whole is half as long as the table.
const SHORT: ([u64; SHORT_COUNT], [u8; SHORT_COUNT]) = {
    let (mut keys, mut kinds) = ([0; SHORT_COUNT], [0; SHORT_COUNT]);
    let (mut at, mut to) = (0, 0);
    while at < TYPES.len() {
        let (extension, media_type) = TYPES[at];
        if extension.len() <= MAX_SHORT_BYTES {
            keys[to] = key(extension.as_bytes());
            let mut kind = 0;
            while !is_same(KINDS.0[kind], media_type) {
                kind += 1;
            }
            assert!(kind <= u8::MAX as usize);
            #[allow(clippy::cast_possible_truncation, reason = "it is checked above")]
            {
                kinds[to] = kind as u8;
            }
            to += 1;
        }
        at += 1;
    }
    assert!(to == SHORT_COUNT);
    (keys, kinds)
};

static KEYS: [u64; SHORT_COUNT] = SHORT.0;
static KEY_KINDS: [u8; SHORT_COUNT] = SHORT.1;

/// The types of the table, each once, and their number.
const KINDS: ([&str; TYPES.len()], usize) = {
    let (mut kinds, mut count) = ([""; TYPES.len()], 0);
    let mut at = 0;
    while at < TYPES.len() {
        let mut other = 0;
        while other < count && !is_same(kinds[other], TYPES[at].1) {
            other += 1;
        }
        if other == count {
            kinds[count] = TYPES[at].1;
            count += 1;
        }
        at += 1;
    }
    (kinds, count)
};

static KIND_NAMES: [&str; KINDS.1] = {
    let mut names = [""; KINDS.1];
    let mut at = 0;
    while at < names.len() {
        names[at] = KINDS.0[at];
        at += 1;
    }
    names
};

/// Whether two texts are equal, for constants.
const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// An extension of up to [`MAX_SHORT_BYTES`] in lower case as a number. The numbers are in the order of the texts.
const fn key(extension: &[u8]) -> u64 {
    let (mut key, mut at) = (0, 0);
    while at < extension.len() {
        key |= (extension[at].to_ascii_lowercase() as u64) << (56 - 8 * at);
        at += 1;
    }
    key
}

/// The media type of a file of this name, without parameters.
pub fn of(path: &RelativePath) -> &'static str {
    let name = path.file_name();
    let Some(dot) = name.bytes().rposition(|byte| byte == b'.') else {
        let is_text = TEXT_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
        return if is_text { TEXT } else { UNKNOWN };
    };
    let extension = &name[dot + 1..];
    if extension.len() > MAX_SHORT_BYTES {
        let known = LONG.iter().find(|(known, _)| known.eq_ignore_ascii_case(extension));
        return known.map_or(UNKNOWN, |&(_, media_type)| media_type);
    }
    let found = KEYS.binary_search(&key(extension.as_bytes()));
    found.map_or(UNKNOWN, |at| KIND_NAMES[usize::from(KEY_KINDS[at])])
}

/// The value of `Content-Type` for a media type. Text is UTF-8, and says so, but for XML: the declaration in the file, which
/// a parameter would override, names its encoding. A type that an operator gives a parameter is sent as it is.
pub fn content_type(media_type: &str) -> Cow<'static, str> {
    // Those of most files, ready to be sent.
    let usual = match media_type {
        "text/css" => "text/css; charset=utf-8",
        "text/html" => "text/html; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        _ => return Cow::Owned(any_content_type(media_type)),
    };
    Cow::Borrowed(usual)
}

fn any_content_type(media_type: &str) -> String {
    const CHARSET: &str = "; charset=utf-8";
    let has_charset = media_type.starts_with("text/")
        && media_type != "text/xml"
        && !media_type.bytes().any(|byte| byte == b';');
    let mut value = String::with_capacity(media_type.len() + CHARSET.len());
    value.push_str(media_type);
    if has_charset {
        value.push_str(CHARSET);
    }
    value
}

/// Whether this is a media type, perhaps with parameters (RFC 9110 §8.3.1).
pub fn is_valid(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    fields::is_value(text)
        && essence.split_once('/').is_some_and(|(kind, rest)| fields::is_name(kind) && fields::is_name(rest))
}

/// Whether files of this type are compressed by their format, so that no precompressed variant would be smaller.
pub fn is_compressed(media_type: &str) -> bool {
    let media_type = split::once(media_type, b';').map_or(media_type, |(essence, _)| essence.trim_end());
    let (kind, rest) = split::once(media_type, b'/').unwrap_or_default();
    match kind {
        "audio" | "video" => true,
        "image" => !matches!(rest, "svg+xml" | "bmp" | "x-icon" | "tiff"),
        "font" => rest.starts_with("woff"),
        _ => COMPRESSED.contains(&rest),
    }
}

/// Those of `application/`.
const COMPRESSED: &[&str] = &[
    "epub+zip",
    "gzip",
    "java-archive",
    "pdf",
    "vnd.android.package-archive",
    "vnd.debian.binary-package",
    "vnd.rar",
    "x-7z-compressed",
    "x-bzip2",
    "x-xz",
    "zip",
    "zstd",
];

#[cfg(test)]
mod tests {
    use super::{
        COMPRESSED, TEXT, TYPES, UNKNOWN, any_content_type, content_type, is_compressed, is_valid, of,
    };
    use crate::path::{NamePolicy, UrlPath};
    use std::borrow::Cow;

    fn essence(name: &str) -> &'static str {
        of(UrlPath::parse(&format!("/{name}"), &NamePolicy::default()).unwrap().relative())
    }

    fn media_type(name: &str) -> Cow<'static, str> {
        content_type(essence(name))
    }

    #[test]
    fn what_is_ready_to_be_sent_is_what_any_type_would_be() {
        for (_, media_type) in TYPES {
            assert_eq!(content_type(media_type), any_content_type(media_type));
        }
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn every_extension_of_the_table_is_found_and_no_other() {
        for (extension, media_type) in TYPES {
            assert_eq!(essence(&format!("a.{extension}")), *media_type, "{extension}");
            for other in [format!("{extension}x"), extension[1..].to_owned(), format!("{extension}\u{1}")] {
                let known = TYPES.iter().find(|(known, _)| *known == other);
                assert_eq!(essence(&format!("a.{other}")), known.map_or(UNKNOWN, |known| known.1), "{other}");
            }
        }
    }

    #[test]
    fn the_extension_decides_in_either_case() {
        assert_eq!(media_type("a.html"), "text/html; charset=utf-8");
        assert_eq!(media_type("A.HTML"), "text/html; charset=utf-8");
        assert_eq!(media_type("a.min.js"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("a.tar.gz"), "application/gzip");
        assert_eq!(media_type("app.wasm"), "application/wasm");
    }

    #[test]
    fn a_name_that_says_nothing_is_bytes() {
        for name in ["program", "a.unknown", "html", "a.html/program", "a.%C3%A9"] {
            assert_eq!(media_type(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn what_people_read_is_text() {
        for name in ["README", "Makefile", "license", "a.go", "a.tsx", "a.srt", "a.rs", "a/COPYING"] {
            assert_eq!(media_type(name), "text/plain; charset=utf-8", "{name}");
        }
        assert_eq!(media_type("a.markdown"), "text/markdown; charset=utf-8");
        assert_eq!(media_type("a.cjs"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("a.gltf"), "model/gltf+json");
    }

    #[test]
    fn a_type_with_its_own_encoding_is_sent_as_it_is() {
        assert_eq!(media_type("feed.xml"), "text/xml");
        assert_eq!(content_type("text/plain; charset=latin1"), "text/plain; charset=latin1");
    }

    #[test]
    fn a_media_type_has_two_tokens() {
        for text in ["text/plain", "text/plain; charset=utf-8", "model/gltf+json"] {
            assert!(is_valid(text), "{text}");
        }
        for text in ["", "text", "/", "text/", "a b/c", "text/plain; \u{1}"] {
            assert!(!is_valid(text), "{text}");
        }
    }

    #[test]
    fn only_formats_that_compress_are_left_alone() {
        for name in ["a.png", "a.mp4", "a.woff2", "a.zip", "a.txt.gz", "a.pdf"] {
            assert!(is_compressed(essence(name)), "{name}");
        }
        for name in ["a.html", "a.svg", "a.json", "a.wasm", "a.ttf", "program", "a.bin", "a.ico"] {
            assert!(!is_compressed(essence(name)), "{name}");
        }
        for rest in COMPRESSED {
            assert!(
                TYPES.iter().any(|(_, known)| known.strip_prefix("application/") == Some(rest)),
                "{rest}"
            );
        }
    }

    /// Where the table differs from the crate, it is on purpose.
    #[test]
    fn the_table_agrees_with_mime_guess() {
        let on_purpose = [
            "cur", "deb", "m3u8", "m4a", "m4v", "map", "mid", "midi", "mjs", "msi", "obj", "otf", "psd",
            "rar", "stl", "tgz", "ts", "vcf", "woff", "xsl", "xslt",
        ];
        for &(extension, ours) in TYPES {
            let theirs = mime_guess::from_ext(extension).first_raw();
            if ours != TEXT && !on_purpose.contains(&extension) {
                assert!(theirs.is_none() || theirs == Some(ours), "{extension}: {ours}, not {theirs:?}");
            }
        }
    }
}
