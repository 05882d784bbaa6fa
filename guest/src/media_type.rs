//! The media type of a file, by its name.
//!
//! The table is our own: the crates for this carry a thousand types that no browser knows and would double the size of the
//! component. A test compares it with one of them.

use crate::fields;
use crate::path::RelativePath;

/// The type of names that are not in the tables. Browsers save such a file.
const UNKNOWN: &str = "application/octet-stream";

/// The type of text. Browsers show it.
const TEXT: &str = "text/plain";

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

/// The longest extension of the table, in bytes.
const MAX_EXTENSION_BYTES: usize = 16;

/// The extensions of the table as numbers, in its order. They are compared in a step each, where texts take a call.
const KEYS: [u128; TYPES.len()] = {
    let mut keys = [0; TYPES.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = key(TYPES[at].0.as_bytes());
        at += 1;
    }
    keys
};

/// An extension in lower case as a number. The numbers are in the order of the texts.
const fn key(extension: &[u8]) -> u128 {
    let mut bytes = [0; MAX_EXTENSION_BYTES];
    let mut at = 0;
    while at < extension.len() {
        bytes[at] = extension[at].to_ascii_lowercase();
        at += 1;
    }
    u128::from_be_bytes(bytes)
}

/// The media type of a file of this name, without parameters.
pub fn of(path: &RelativePath) -> &'static str {
    let name = path.file_name();
    let Some(dot) = name.bytes().rposition(|byte| byte == b'.') else {
        let is_text = TEXT_NAMES.iter().any(|known| known.eq_ignore_ascii_case(name));
        return if is_text { TEXT } else { UNKNOWN };
    };
    let extension = &name.as_bytes()[dot + 1..];
    if extension.len() > MAX_EXTENSION_BYTES || extension.contains(&0) {
        return UNKNOWN;
    }
    KEYS.binary_search(&key(extension)).map_or(UNKNOWN, |at| TYPES[at].1)
}

/// The value of `Content-Type` for a media type. Text is UTF-8, and says so, but for XML: the declaration in the file, which
/// a parameter would override, names its encoding. A type that an operator gives a parameter is sent as it is.
pub fn content_type(media_type: &str) -> String {
    const CHARSET: &str = "; charset=utf-8";
    let has_charset =
        media_type.starts_with("text/") && media_type != "text/xml" && !media_type.contains(';');
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
    let media_type = media_type.split(';').next().unwrap_or_default().trim_end();
    let (kind, rest) = media_type.split_once('/').unwrap_or_default();
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
    use super::{COMPRESSED, TEXT, TYPES, content_type, is_compressed, is_valid, of};
    use crate::path::{NamePolicy, UrlPath};

    fn essence(name: &str) -> &'static str {
        of(UrlPath::parse(&format!("/{name}"), NamePolicy::default()).unwrap().relative())
    }

    fn media_type(name: &str) -> String {
        content_type(essence(name))
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TYPES.is_sorted_by(|a, b| a.0 < b.0));
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
