//! Markdown as HTML: of a file as a page, or of a README below a listing.
//!
//! pulldown-cmark parses CommonMark, tables, task lists, struck-through text and a block of metadata, which is left out.
//! [`mod@render`] writes what it finds, and nothing in the source becomes markup of its own:
//!
//! - Raw HTML is left out, and the text between its tags stays.
//! - A [`link`] leads to http, https, mailto or a relative reference, or it is text.
//! - An image is one of this site, or a link.
//! - What is nested deeper than [`MAX_DEPTH`] is written at that depth.
//!
//! The page's [`POLICY`] lets it do nothing even if something slipped through.

pub mod link;
mod raw;
#[cfg(feature = "markdown")]
mod render;

#[cfg(feature = "markdown")]
pub use render::render;

use crate::html::{self, Name};

/// Files of more bytes are sent as they are. The tree of the worst source takes some hundred bytes for each of its bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// How deep blocks and spans are nested. Browsers stop at 512, and nobody reads beyond ten.
pub const MAX_DEPTH: usize = 32;

/// Whether this build of the file server renders Markdown. The parser has tables of 60 KiB, which every request would pay for.
pub const IS_BUILT: bool = cfg!(feature = "markdown");

/// The media type of sources (RFC 7763).
pub const MEDIA_TYPE: &str = "text/markdown";

/// A source as HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Markup that stands in an element of its own.
    pub html: String,
    /// The text of the first heading of the first level, if there is one.
    pub title: Option<String>,
}

/// Without the feature, no setting asks for it.
#[cfg(not(feature = "markdown"))]
pub fn render(_source: &[u8], _level: usize) -> Rendered {
    Rendered::default()
}

/// Whether a media type, with or without parameters, is that of Markdown.
pub fn is_source(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

/// The style of rendered Markdown, beside that of every page.
pub const STYLE: &str = "\
article{overflow-wrap:break-word}\
article h1{font-size:1.75rem;line-height:1.25}\
article h2{font-size:1.4rem}\
article h3{font-size:1.2rem}\
article h4,article h5,article h6{font-size:1rem}\
article a{text-decoration:underline}\
article img{max-width:100%;height:auto}\
article code{font:.9em ui-monospace,monospace}\
article :not(pre)>code{background:#8882;border-radius:4px;padding:.1em .3em}\
article blockquote{margin-inline:0;padding-inline-start:1rem;border-inline-start:.25rem solid var(--line)}\
article hr{border:0;border-top:1px solid var(--line)}\
article table{width:auto;margin-block:1rem}\
article th,article td,article th:first-child,article thead th+th{width:auto;padding:.3rem .6rem;text-align:start;white-space:normal;\
color:inherit;border:1px solid var(--line);overflow-wrap:anywhere}\
article .c,article th.c:first-child{text-align:center}\
article .e,article th.e:first-child{text-align:end}";

/// The `Content-Security-Policy` of a page with rendered Markdown: that of [other pages](html::POLICY), with this style and the
/// images of this site.
pub const POLICY: &str = "default-src 'none'; \
    style-src 'sha256-rfH8V8AY+R2rUzwRd4LY8P97ZijqC30Bf1RhaM+dRTA=' 'sha256-4awCjN+k8DwCVy0xeFacXKSXxORCT+ICiqkzJiveJWs='; img-src 'self' data:; base-uri 'none'; \
    form-action 'self'; frame-ancestors 'self'";

/// The page of a source, which is called `name` where it has no title.
pub fn page(name: &str, source: &[u8]) -> String {
    let Rendered { html, title } = render(source, 1);
    html::page_with(title.as_deref().unwrap_or(name), Some(STYLE), html.len() + 256, |body| {
        body.push_str("<nav aria-label=\"This file\"><a href=\"./\">Directory</a> \u{b7} <a href=\"?plain\">Plain text</a></nav>\n<main>\n");
        if title.is_none() {
            body.push_str("<h1>");
            Name(name).append_to(body);
            body.push_str("</h1>\n");
        }
        append_article(body, &html);
        body.push_str("</main>\n");
    })
}

/// Appends rendered Markdown. Its language is unknown, and its direction that of its first letters.
pub fn append_article(body: &mut String, html: &str) {
    for part in ["<article lang=\"\" dir=\"auto\">\n", html, "</article>\n"] {
        body.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::{POLICY, STYLE, is_source, page};
    use crate::html;
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use sha2::{Digest as _, Sha256};

    #[test]
    fn the_policy_allows_both_styles_and_no_other() {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE));
        assert!(POLICY.contains(&format!(" 'sha256-{digest}';")), "the hash of the style is {digest}");
        let directive = |policy: &str, name: &str| {
            let found = policy.split("; ").find_map(|directive| directive.strip_prefix(name));
            found.unwrap().trim().to_owned()
        };
        let (ours, others) = (directive(POLICY, "style-src"), directive(html::POLICY, "style-src"));
        assert_eq!(ours, format!("{others} 'sha256-{digest}'"));
        let page = page("a.md", b"");
        assert!(page.contains(&format!("<style>{STYLE}</style>\n</head>")));
        assert_eq!(page.matches("<style>").count(), 2);
    }

    #[test]
    fn a_page_is_called_by_its_first_heading_or_its_name() {
        let page = |source: &str| page("a<b.md", source.as_bytes());
        let titled = page("# A *b* `c`\n\ntext");
        assert!(titled.contains("<title>A b c</title>"), "{titled}");
        assert_eq!(titled.matches("<h1").count(), 1);
        let untitled = page("## Second\n\ntext");
        assert!(untitled.contains("<title>a&lt;b.md</title>"), "{untitled}");
        assert!(untitled.contains("<main>\n<h1>a&lt;b.md</h1>\n<article"), "{untitled}");
    }

    #[test]
    fn a_type_with_parameters_is_a_type() {
        for (media_type, expected) in [
            ("text/markdown", true),
            ("Text/Markdown; charset=utf-8", true),
            ("text/markdownx", false),
            ("text/plain", false),
        ] {
            assert_eq!(is_source(media_type), expected, "{media_type}");
        }
    }
}
