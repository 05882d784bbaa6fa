//! The media type that a file's name stands for.
//!
//! A table of its own: the crates for this carry a thousand types that no browser knows, more than half of the whole
//! component's size. A test holds it against one of them.

use crate::path::RelativePath;

/// What a name without a known extension stands for: bytes, which a browser saves and does not interpret.
const UNKNOWN: &str = "application/octet-stream";

/// Extensions in lower case, in order, with the types that the IANA or the WHATWG MIME standard give them. Sources of
/// programs and settings are plain text: that is how a browser shows them.
const TYPES: &[(&str, &str)] = &[
    ("7z", "application/x-7z-compressed"),
    ("aac", "audio/aac"),
    ("apk", "application/vnd.android.package-archive"),
    ("apng", "image/apng"),
    ("atom", "application/atom+xml"),
    ("avi", "video/x-msvideo"),
    ("avif", "image/avif"),
    ("bin", "application/octet-stream"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("c", "text/plain"),
    ("cc", "text/plain"),
    ("conf", "text/plain"),
    ("cpp", "text/plain"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dmg", "application/octet-stream"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("eot", "application/vnd.ms-fontobject"),
    ("eps", "application/postscript"),
    ("epub", "application/epub+zip"),
    ("exe", "application/octet-stream"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("h", "text/plain"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("ics", "text/calendar"),
    ("ini", "text/plain"),
    ("iso", "application/octet-stream"),
    ("jar", "application/java-archive"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("jsonld", "application/ld+json"),
    ("jxl", "image/jxl"),
    ("log", "text/plain"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("mid", "audio/midi"),
    ("midi", "audio/midi"),
    ("mjs", "text/javascript"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpd", "application/dash+xml"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpeg"),
    ("msi", "application/x-msi"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogg", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("ps", "application/postscript"),
    ("py", "text/plain"),
    ("rar", "application/vnd.rar"),
    ("rs", "text/plain"),
    ("rss", "application/rss+xml"),
    ("rtf", "application/rtf"),
    ("sh", "text/plain"),
    ("sql", "text/plain"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tgz", "application/gzip"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("toml", "text/plain"),
    ("ts", "video/mp2t"),
    ("tsv", "text/tab-separated-values"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("vcf", "text/vcard"),
    ("vtt", "text/vtt"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("weba", "audio/webm"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("wit", "text/plain"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xhtml", "application/xhtml+xml"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "text/xml"),
    ("xsl", "application/xslt+xml"),
    ("xslt", "application/xslt+xml"),
    ("xz", "application/x-xz"),
    ("yaml", "text/plain"),
    ("yml", "text/plain"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type of a file of this name, without parameters.
pub fn of(path: &RelativePath) -> &'static str {
    let extension =
        path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    let found = TYPES.binary_search_by_key(&extension.as_str(), |&(known, _)| known);
    found.map_or(UNKNOWN, |at| TYPES[at].1)
}

/// The value of `Content-Type` for a media type: text carries its encoding, which is UTF-8.
pub fn content_type(media_type: &'static str) -> String {
    let parameter = if media_type.starts_with("text/") { "; charset=utf-8" } else { "" };
    [media_type, parameter].concat()
}

/// Whether files of this type are compressed by their format, so that no coded form of them is worth anything.
pub fn is_compressed(media_type: &str) -> bool {
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
    use super::{COMPRESSED, TYPES, content_type, is_compressed, of};
    use crate::path::{Hidden, UrlPath};

    fn essence(name: &str) -> &'static str {
        of(UrlPath::parse(&format!("/{name}"), Hidden::Refused).unwrap().relative())
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
        for name in ["LICENSE", "a.unknown", "html", "a.html/LICENSE", "a.%C3%A9"] {
            assert_eq!(media_type(name), "application/octet-stream", "{name}");
        }
    }

    #[test]
    fn only_formats_that_compress_are_left_alone() {
        for name in ["a.png", "a.mp4", "a.woff2", "a.zip", "a.txt.gz", "a.pdf"] {
            assert!(is_compressed(essence(name)), "{name}");
        }
        for name in ["a.html", "a.svg", "a.json", "a.wasm", "a.ttf", "LICENSE", "a.bin", "a.ico"] {
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
            "deb", "m3u8", "m4a", "m4v", "map", "mid", "midi", "mjs", "msi", "otf", "rar", "rs", "sh", "sql",
            "tgz", "toml", "ts", "vcf", "woff", "xsl", "xslt", "yaml", "yml",
        ];
        for &(extension, ours) in TYPES {
            let theirs = mime_guess::from_ext(extension).first_raw();
            if !on_purpose.contains(&extension) {
                assert!(theirs.is_none() || theirs == Some(ours), "{extension}: {ours}, not {theirs:?}");
            }
        }
    }
}
