//! Writes what the parser finds.

use super::link::{Destination, destination};
use super::{MAX_DEPTH, Rendered, raw};
use crate::html::Text;
use pulldown_cmark::{Alignment, Event, LinkType, Options, Parser, Tag, TagEnd};
use std::collections::HashMap;
use std::fmt::Write as _;

/// What is understood beyond CommonMark. A block of metadata at the beginning is understood to be left out.
const EXTENSIONS: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_YAML_STYLE_METADATA_BLOCKS);

/// Renders a source, whose headings of the first level become headings of `level`. Bytes that are not UTF-8 become replacement
/// characters.
pub fn render(source: &[u8], level: usize) -> Rendered {
    let source = String::from_utf8_lossy(source);
    let source = source.strip_prefix('\u{feff}').unwrap_or(&source);
    let mut writer = Writer { html: String::with_capacity(source.len() * 3 / 2), level, ..Writer::default() };
    for event in Parser::new_ext(source, EXTENSIONS) {
        writer.event(event);
    }
    Rendered { html: writer.html, title: writer.title }
}

/// What is read before it is written.
#[derive(Default)]
enum Reading {
    /// Nothing: what comes is written.
    #[default]
    Nothing,
    /// A block of raw HTML.
    Raw(String),
    /// What an image shows in words.
    Image { reference: String, words: String, nested: usize },
    /// A block of metadata.
    Metadata,
}

/// A heading that is being written.
struct Heading {
    /// Where its element begins.
    at: usize,
    /// Whether it is of the first level.
    is_first: bool,
    text: String,
}

#[derive(Default)]
struct Writer {
    html: String,
    title: Option<String>,
    /// The level of headings of the first level.
    level: usize,
    /// The closing tags of what is open.
    open: Vec<&'static str>,
    reading: Reading,
    heading: Option<Heading>,
    /// How often an identifier was wanted.
    identifiers: HashMap<String, u32>,
    /// The columns of the table, and at which one the row is.
    columns: Vec<Alignment>,
    column: usize,
    is_head: bool,
    is_link: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match (&mut self.reading, event) {
            (Reading::Nothing, event) => self.write(event),
            (Reading::Raw(html), Event::Html(text) | Event::Text(text)) => html.push_str(&text),
            (Reading::Raw(html), Event::End(TagEnd::HtmlBlock)) => {
                let text = raw::text(html);
                self.reading = Reading::Nothing;
                if !text.trim().is_empty() {
                    self.push(&["<p>", text.trim(), "</p>\n"]);
                }
            }
            (Reading::Image { words, .. }, Event::Text(text) | Event::Code(text)) => words.push_str(&text),
            (Reading::Image { words, .. }, Event::SoftBreak | Event::HardBreak) => words.push(' '),
            (Reading::Image { nested, .. }, Event::Start(Tag::Image { .. })) => *nested += 1,
            (Reading::Image { nested, .. }, Event::End(TagEnd::Image)) if *nested > 0 => *nested -= 1,
            (Reading::Image { reference, words, .. }, Event::End(TagEnd::Image)) => {
                let (reference, words) = (std::mem::take(reference), std::mem::take(words));
                self.reading = Reading::Nothing;
                self.image(&reference, &words);
            }
            (Reading::Metadata, Event::End(TagEnd::MetadataBlock(_))) => self.reading = Reading::Nothing,
            (Reading::Raw(_) | Reading::Image { .. } | Reading::Metadata, _) => {}
        }
    }

    fn write(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::HtmlBlock) => self.reading = Reading::Raw(String::new()),
            Event::Start(Tag::MetadataBlock(_)) => self.reading = Reading::Metadata,
            Event::Start(Tag::Image { dest_url, .. }) => {
                let reference = dest_url.into_string();
                self.reading = Reading::Image { reference, words: String::new(), nested: 0 };
            }
            Event::Start(tag) => {
                let end = if self.open.len() < MAX_DEPTH { self.start(tag) } else { "" };
                self.open.push(end);
            }
            Event::End(end) => self.end(end),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.text(&text),
            Event::Code(text) => {
                self.push(&["<code>"]);
                self.text(&text);
                self.push(&["</code>"]);
            }
            Event::InlineHtml(tag) if tag.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("<br")) => {
                self.push(&["<br>\n"]);
            }
            // The text between tags is not among them.
            Event::Html(_) | Event::InlineHtml(_) | Event::FootnoteReference(_) => {}
            Event::SoftBreak => self.push(&["\n"]),
            Event::HardBreak => self.push(&["<br>\n"]),
            Event::Rule => self.push(&["<hr>\n"]),
            Event::TaskListMarker(is_done) => {
                let checked = if is_done { " checked" } else { "" };
                self.push(&["<input type=\"checkbox\" disabled", checked, "> "]);
            }
        }
    }

    /// Writes the opening tag of an element. Returns the closing one.
    fn start(&mut self, tag: Tag<'_>) -> &'static str {
        let (opening, closing) = match tag {
            Tag::Paragraph => ("<p>", "</p>\n"),
            Tag::Heading { level, .. } => return self.start_heading(level as usize),
            Tag::BlockQuote(_) => ("<blockquote>\n", "</blockquote>\n"),
            Tag::CodeBlock(_) => ("<pre><code>", "</code></pre>\n"),
            Tag::List(None) => ("<ul>\n", "</ul>\n"),
            Tag::List(Some(first)) => {
                // Writing to a string does not fail.
                let _ = writeln!(self.html, "<ol start=\"{first}\">");
                ("", "</ol>\n")
            }
            Tag::Item => ("<li>", "</li>\n"),
            Tag::Table(columns) => {
                self.columns = columns;
                ("<table>\n", "</table>\n")
            }
            Tag::TableHead => {
                (self.column, self.is_head) = (0, true);
                ("<thead>\n<tr>", "</tr>\n</thead>\n")
            }
            Tag::TableRow => {
                self.column = 0;
                ("<tr>", "</tr>\n")
            }
            Tag::TableCell => return self.start_cell(),
            Tag::Emphasis => ("<em>", "</em>"),
            Tag::Strong => ("<strong>", "</strong>"),
            Tag::Strikethrough => ("<del>", "</del>"),
            Tag::Link { link_type, dest_url, .. } => return self.start_link(link_type, &dest_url),
            // Of extensions that are off, and what is read before it is written.
            _ => ("", ""),
        };
        self.push(&[opening]);
        closing
    }

    fn start_heading(&mut self, level: usize) -> &'static str {
        const OPENING: [&str; 6] = ["<h1", "<h2", "<h3", "<h4", "<h5", "<h6"];
        const CLOSING: [&str; 6] = ["</h1>\n", "</h2>\n", "</h3>\n", "</h4>\n", "</h5>\n", "</h6>\n"];
        let shown = (level + self.level).saturating_sub(2).min(5);
        self.push(&[OPENING[shown]]);
        self.heading = Some(Heading { at: self.html.len(), is_first: level == 1, text: String::new() });
        self.push(&[">"]);
        CLOSING[shown]
    }

    fn start_cell(&mut self) -> &'static str {
        let class = match self.columns.get(self.column) {
            Some(Alignment::Center) => " class=\"c\"",
            Some(Alignment::Right) => " class=\"e\"",
            _ => "",
        };
        self.column += 1;
        if self.is_head {
            self.push(&["<th scope=\"col\"", class, ">"]);
            "</th>"
        } else {
            self.push(&["<td", class, ">"]);
            "</td>"
        }
    }

    fn start_link(&mut self, link_type: LinkType, reference: &str) -> &'static str {
        let scheme = if link_type == LinkType::Email { "mailto:" } else { "" };
        if scheme.is_empty() && destination(reference).is_none() {
            return "";
        }
        self.is_link = true;
        let _ = write!(self.html, "<a href=\"{scheme}{}\">", Text(reference.trim_matches(' ')));
        "</a>"
    }

    fn end(&mut self, end: TagEnd) {
        let closing = self.open.pop().unwrap_or_default();
        self.push(&[closing]);
        match end {
            TagEnd::TableHead => self.is_head = false,
            TagEnd::Link => self.is_link = false,
            TagEnd::Heading(_) => {
                if let Some(Heading { at, is_first, text }) = self.heading.take() {
                    if let Some(identifier) = self.identifier(&text) {
                        self.html.insert_str(at, &format!(" id=\"{identifier}\""));
                    }
                    if is_first && self.title.is_none() {
                        self.title = Some(text);
                    }
                }
            }
            _ => {}
        }
    }

    /// An image of this site; of another one, a link to it, since its server would learn who reads the page.
    fn image(&mut self, reference: &str, words: &str) {
        let shown = Text(if words.is_empty() { reference } else { words });
        let reference = reference.trim_matches(' ');
        let _ = match destination(reference) {
            Some(Destination::Own) => {
                write!(
                    self.html,
                    "<img src=\"{}\" alt=\"{}\" loading=\"lazy\">",
                    Text(reference),
                    Text(words)
                )
            }
            Some(Destination::Elsewhere) if !self.is_link && self.open.len() < MAX_DEPTH => {
                write!(self.html, "<a href=\"{}\">{shown}</a>", Text(reference))
            }
            _ => write!(self.html, "{shown}"),
        };
    }

    fn text(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.text.push_str(text);
        }
        let _ = write!(self.html, "{}", Text(text));
    }

    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.html.push_str(part);
        }
    }

    /// The identifier that code forges give a heading, to which tables of contents link: its letters and digits in lower case, with
    /// hyphens for spaces. One that was there before gets a number.
    fn identifier(&mut self, text: &str) -> Option<String> {
        let mut identifier = String::with_capacity(text.len());
        for character in text.trim().chars() {
            match character {
                ' ' => identifier.push('-'),
                '-' | '_' => identifier.push(character),
                _ if character.is_alphanumeric() => identifier.extend(character.to_lowercase()),
                _ => {}
            }
        }
        if identifier.is_empty() {
            return None;
        }
        let count = self.identifiers.entry(identifier.clone()).or_default();
        *count += 1;
        if *count > 1 {
            let _ = write!(identifier, "-{}", *count - 1);
        }
        Some(identifier)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_DEPTH, render};
    use proptest::prelude::*;

    fn html(source: &str) -> String {
        render(source.as_bytes(), 1).html
    }

    #[test]
    fn what_readmes_have_is_rendered() {
        for (source, expected) in [
            (
                "a *b* **c** ~~d~~ `e<`",
                "<p>a <em>b</em> <strong>c</strong> <del>d</del> <code>e&lt;</code></p>\n",
            ),
            ("# A b\n## A b", "<h1 id=\"a-b\">A b</h1>\n<h2 id=\"a-b-1\">A b</h2>\n"),
            ("###### Über `uns`!", "<h6 id=\"über-uns\">Über <code>uns</code>!</h6>\n"),
            ("# !", "<h1>!</h1>\n"),
            ("a\nb  \nc\\\nd", "<p>a\nb<br>\nc<br>\nd</p>\n"),
            (
                "- a\n- b\n\n3. c\n",
                "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<ol start=\"3\">\n<li>c</li>\n</ol>\n",
            ),
            (
                "- [x] a\n- [ ] b",
                "<ul>\n<li><input type=\"checkbox\" disabled checked> a</li>\n\
                 <li><input type=\"checkbox\" disabled> b</li>\n</ul>\n",
            ),
            ("> a", "<blockquote>\n<p>a</p>\n</blockquote>\n"),
            ("```sh\n<a>\n```", "<pre><code>&lt;a&gt;\n</code></pre>\n"),
            ("---\ntitle: <b>\n---\n\na", "<p>a</p>\n"),
            ("a\n\n---\n\nb", "<p>a</p>\n<hr>\n<p>b</p>\n"),
            (
                "|a|b|c|\n|-|:-:|-:|\n|1|2|3|",
                "<table>\n<thead>\n<tr><th scope=\"col\">a</th><th scope=\"col\" class=\"c\">b</th>\
                 <th scope=\"col\" class=\"e\">c</th></tr>\n</thead>\n\
                 <tr><td>1</td><td class=\"c\">2</td><td class=\"e\">3</td></tr>\n</table>\n",
            ),
            ("\u{feff}# a", "<h1 id=\"a\">a</h1>\n"),
        ] {
            assert_eq!(html(source), expected, "{source:?}");
        }
        assert_eq!(render(b"# a\n##### b", 3).html, "<h3 id=\"a\">a</h3>\n<h6 id=\"b\">b</h6>\n");
        assert_eq!(render(b"\xff", 1).html, "<p>\u{fffd}</p>\n");
    }

    #[test]
    fn links_lead_nowhere_else() {
        for (source, expected) in [
            ("[a](b.md?c#d)", "<a href=\"b.md?c#d\">a</a>"),
            ("[a](<b\"c'>)", "<a href=\"b&quot;c&#39;\">a</a>"),
            (
                "<https://a.example/?b&c>",
                "<a href=\"https://a.example/?b&amp;c\">https://a.example/?b&amp;c</a>",
            ),
            ("<a@b.example>", "<a href=\"mailto:a@b.example\">a@b.example</a>"),
            ("[a][b]\n\n[b]: c 'd'", "<a href=\"c\">a</a>"),
            ("[a](javascript:alert(1))", "a"),
            ("[a](JAVASCRIPT&colon;alert(1))", "a"),
            ("[a](java&Tab;script:alert(1))", "a"),
            ("[a](&#1;javascript:alert(1))", "a"),
            ("<javascript:alert(1)>", "javascript:alert(1)"),
            ("[a](data:text/html,b)", "a"),
            ("[a][b]\n\n[b]: vbscript:c", "a"),
        ] {
            assert_eq!(html(source), format!("<p>{expected}</p>\n"), "{source:?}");
        }
    }

    #[test]
    fn images_are_of_this_site() {
        for (source, expected) in [
            ("![a *b* ![c](d)](e.png \"f\")", "<img src=\"e.png\" alt=\"a b c\" loading=\"lazy\">"),
            ("![\"<](</a\">)", "<img src=\"/a&quot;\" alt=\"&quot;&lt;\" loading=\"lazy\">"),
            ("![a](https://b.example/c.svg)", "<a href=\"https://b.example/c.svg\">a</a>"),
            ("![](//b.example/c.svg)", "<a href=\"//b.example/c.svg\">//b.example/c.svg</a>"),
            ("[![a](https://b.example/c.svg)](d)", "<a href=\"d\">a</a>"),
            ("[![a](c.svg)](d)", "<a href=\"d\"><img src=\"c.svg\" alt=\"a\" loading=\"lazy\"></a>"),
            ("![a](data:image/svg+xml,b)", "a"),
            ("![a](javascript:b)", "a"),
        ] {
            assert_eq!(html(source), format!("<p>{expected}</p>\n"), "{source:?}");
        }
    }

    #[test]
    fn raw_html_is_no_markup() {
        for (source, expected) in [
            (
                "<p align=\"center\">\n<img src=x onerror=alert(1)>\na &amp; <b>b</b>\n</p>",
                "<p>a &amp; b</p>\n",
            ),
            ("<script>\nalert(1)\n</script>\n\na", "<p>a</p>\n"),
            ("<!-- a -->\n\nb", "<p>b</p>\n"),
            ("a <kbd onclick=\"alert(1)\">b</kbd><br/>c", "<p>a b<br>\nc</p>\n"),
            ("<svg onload=alert(1)>", ""),
            ("a <!-- b --> c", "<p>a  c</p>\n"),
        ] {
            assert_eq!(html(source), expected, "{source:?}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let blocks = html(&">".repeat(10_000));
        assert_eq!(blocks.matches("<blockquote>").count(), MAX_DEPTH);
        assert_eq!(blocks.matches("</blockquote>").count(), MAX_DEPTH);
        // What parsers have been slow at, and what makes much of little.
        let columns = format!("{}|\n{}|\n{}", "|a".repeat(10_000), "|-".repeat(10_000), "|\n".repeat(10_000));
        let reference = format!("[a]: /{}\n\n{}", "b".repeat(30_000), "[a] ".repeat(10_000));
        let nested: String = (0..200).map(|depth| "  ".repeat(depth) + "- a\n").collect();
        for source in [
            "*a_ ".repeat(16_000),
            "[".repeat(64_000),
            "[a](".repeat(16_000),
            "![[]()".repeat(10_000),
            "<!--".repeat(16_000),
            "<a \"".repeat(16_000),
            "\\".repeat(64_000),
            (1..300).map(|length| "`".repeat(length) + "a").collect(),
            "# \"\n".repeat(16_000),
            "&amp;".repeat(12_000),
            "\0".repeat(64_000),
            columns,
            reference,
            nested,
        ] {
            let length = html(&source).len();
            assert!(
                length <= 64 * source.len().max(64 * 1024),
                "{length} of {} {:?}",
                source.len(),
                &source[..40]
            );
        }
    }

    /// Every tag that is written, without its values.
    fn tags(html: &str) -> Vec<&str> {
        html.split('<').skip(1).map(|tag| tag.split(['>', ' ', '\n']).next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn no_source_writes_other_tags(
            source in "([ \n>#*_~`|:\\-\\[\\]()!<>/&;\"'=a-d0-9\t\\\\]|<script>|javascript:|&lt;|\\[x\\]|on=|http://){0,60}",
        ) {
            const KNOWN: [&str; 26] = [
                "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "input",
                "li", "ol", "p", "pre", "strong", "table", "td", "th", "thead", "tr", "ul",
            ];
            let html = html(&source);
            for tag in tags(&html) {
                prop_assert!(KNOWN.contains(&tag.trim_start_matches('/')), "{tag} in {html}");
            }
            for attribute in html.split("href=\"").chain(html.split("src=\"")).skip(1) {
                let scheme = attribute.trim_start().to_ascii_lowercase();
                prop_assert!(!scheme.starts_with("javascript:") && !scheme.starts_with("data:"), "{html}");
            }
            // What is opened is closed.
            let count = |tag: &str| html.matches(tag).count();
            for name in ["a", "blockquote", "code", "em", "li", "table", "td", "tr", "h1"] {
                let opened = count(&format!("<{name}>")) + count(&format!("<{name} "));
                prop_assert_eq!(opened, count(&format!("</{name}>")), "{} in {}", name, html);
            }
        }
    }
}
