//! The settings, for people: what each is called, takes and does.

/// A setting, for people.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name of the environment variable.
    pub name: &'static str,
    /// What its value is, in a word.
    pub value: &'static str,
    /// Whether it may be given several times; the values are then joined by line ends.
    pub repeatable: bool,
    /// What holds when it is not set.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Every setting.
pub const VARIABLES: [Variable; 12] = [
    Variable {
        name: "FILES_INDEX",
        value: "NAMES",
        repeatable: false,
        default: "index.html",
        meaning: "The files that stand for their directory, the first that exists; separated by spaces",
    },
    Variable {
        name: "FILES_LISTING",
        value: "on|off",
        repeatable: false,
        default: "off; the host sets it on when it listens on loopback addresses only",
        meaning: "List directories that have no index, as HTML or, where a client asks for it, as JSON",
    },
    Variable {
        name: "FILES_CLEAN_URLS",
        value: "on|off",
        repeatable: false,
        default: "on",
        meaning: "Answer /about with about.html, and redirect /about.html there",
    },
    Variable {
        name: "FILES_SPA",
        value: "FILE",
        repeatable: false,
        default: "none",
        meaning: "Answer navigations to paths that do not exist with this file, for single-page applications",
    },
    Variable {
        name: "FILES_ERROR_PAGE",
        value: "DIRECTORY|off",
        repeatable: false,
        default: "the nearest 404.html, from the requested directory upwards",
        meaning: "Take error pages from this directory (404.html, 405.html...), or from none",
    },
    Variable {
        name: "FILES_HIDDEN",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Serve files and directories whose name begins with a dot",
    },
    Variable {
        name: "FILES_PRECOMPRESSED",
        value: "on|off",
        repeatable: false,
        default: "on",
        meaning: "Use .br, .zst and .gz files beside a file that are not older than it, for clients that take them",
    },
    Variable {
        name: "FILES_CACHE_CONTROL",
        value: "[PATTERN: ]VALUE",
        repeatable: true,
        default: "no-cache for HTML, a year and immutable for names with a content hash",
        meaning: "Set Cache-Control for paths of a pattern, or for all; one to a line, the first that fits counts",
    },
    Variable {
        name: "FILES_HEADERS",
        value: "PATTERN: NAME: VALUE",
        repeatable: true,
        default: "none",
        meaning: "Add a header field to answers for paths of a pattern; one to a line",
    },
    Variable {
        name: "FILES_SECURITY_HEADERS",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Keep other sites from framing and embedding this one, and from seeing its paths",
    },
    Variable {
        name: "FILES_CORS",
        value: "*|ORIGINS",
        repeatable: false,
        default: "none",
        meaning: "Let scripts of these origins (https://example.com), separated by spaces, or of all read answers",
    },
    Variable {
        name: "FILES_RULES",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Obey the files _headers and _redirects in the root; they are never served",
    },
];
