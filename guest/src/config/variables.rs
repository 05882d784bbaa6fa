//! The documentation of the settings: the name, value, default and meaning of each.

/// A setting as its documentation describes it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// The name of the environment variable.
    pub name: &'static str,
    /// The form of its value.
    pub value: &'static str,
    /// Whether a flag for it may be given several times; the values are joined by line ends.
    pub repeatable: bool,
    /// What holds when it is not set.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// The name of every setting. A component that says which there are needs no more.
pub const NAMES: [&str; VARIABLES.len()] = {
    let mut names = [""; VARIABLES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = VARIABLES[at].name;
        at += 1;
    }
    names
};

/// Every setting.
pub const VARIABLES: [Variable; 19] = [
    Variable {
        name: "FILES_INDEX",
        value: "NAMES",
        repeatable: false,
        default: "index.html",
        meaning: "The index files of a directory, separated by spaces; the first that exists is used",
    },
    Variable {
        name: "FILES_LISTING",
        value: "[PATTERN: ]on|off",
        repeatable: true,
        default: "off; wasi-httpd sets it on when it listens on loopback addresses only and no --allow-name is given",
        meaning: "List directories of a pattern, or all, that have no index, as HTML or, if the client prefers it, as JSON; the first match decides",
    },
    Variable {
        name: "FILES_ARCHIVE",
        value: "[PATTERN: ]on|off",
        repeatable: true,
        default: "off",
        meaning: "Send a listed directory of a pattern, or each, with everything below it, if it is asked for with ?archive=tar or ?archive=tar.gz; the first match decides",
    },
    Variable {
        name: "FILES_CLEAN_URLS",
        value: "[PATTERN: ]on|redirect|off",
        repeatable: true,
        default: "on",
        meaning: "Answer /about with about.html, for pages of a pattern or for all; on adds a canonical link to /about.html, redirect redirects it; the first match decides",
    },
    Variable {
        name: "FILES_SPA",
        value: "FILE|PATTERN: FILE|PATTERN: off",
        repeatable: true,
        default: "none",
        meaning: "Answer navigations to paths that do not exist, of a pattern or all, with this file, for single-page applications; the first match decides",
    },
    Variable {
        name: "FILES_ERROR_PAGE",
        value: "DIRECTORY|off",
        repeatable: false,
        default: "the nearest 404.html, from the requested directory upwards",
        meaning: "Take error pages (404.html, 405.html...) from this directory, or use none",
    },
    Variable {
        name: "FILES_HIDDEN",
        value: "[PATTERN: ]on|off",
        repeatable: true,
        default: "off",
        meaning: "Serve files and directories whose name begins with a dot, and what is in such directories, of a pattern or all; the first match decides",
    },
    Variable {
        name: "FILES_PORTABLE_NAMES",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Refuse names that Windows resolves to another path; set it when the component runs on Windows",
    },
    Variable {
        name: "FILES_MARKDOWN",
        value: "on|readme|off",
        repeatable: false,
        default: "off",
        meaning: "Show browsers .md files as pages; readme renders only those below listings; on other runtimes, the component of wasi-httpd guest --markdown does",
    },
    Variable {
        name: "FILES_PRECOMPRESSED",
        value: "on|off",
        repeatable: false,
        default: "on",
        meaning: "Send .br, .zst and .gz files in place of the file they belong to, if they are not older and the client accepts them",
    },
    Variable {
        name: "FILES_AUTH",
        value: "PATTERN[: USERS]",
        repeatable: true,
        default: "none",
        meaning: "Ask at paths of a pattern and below them for the password of one of these users, or of any user of --auth-file where none is named; every pattern about a path counts",
    },
    Variable {
        name: "FILES_CACHE_CONTROL",
        value: "[PATTERN: ]VALUE",
        repeatable: true,
        default: "no-cache",
        meaning: "Set Cache-Control for files of a pattern, or for all; the first match decides",
    },
    Variable {
        name: "FILES_TYPE",
        value: "PATTERN: TYPE",
        repeatable: true,
        default: "by the name of the file",
        meaning: "Set the media type of files of a pattern",
    },
    Variable {
        name: "FILES_ETAG",
        value: "auto|mtime",
        repeatable: false,
        default: "auto",
        meaning: "Build entity tags from modification time and length; auto adds the inode change time where the modification time has whole seconds",
    },
    Variable {
        name: "FILES_DIGESTS",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Send the digest of a file (Repr-Digest) to clients that ask for it, once it is known",
    },
    Variable {
        name: "FILES_HEADERS",
        value: "PATTERN: NAME: VALUE",
        repeatable: true,
        default: "none",
        meaning: "Add a header field to answers about paths of a pattern",
    },
    Variable {
        name: "FILES_SECURITY_HEADERS",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Forbid other sites to frame or embed this one, and send them no paths as referrers",
    },
    Variable {
        name: "FILES_CORS",
        value: "*|ORIGINS",
        repeatable: false,
        default: "none",
        meaning: "Let scripts of these origins, separated by spaces, or of all origins, read answers",
    },
    Variable {
        name: "FILES_RULES",
        value: "on|off",
        repeatable: false,
        default: "off",
        meaning: "Apply the files _headers and _redirects in the root; they are never served",
    },
];
