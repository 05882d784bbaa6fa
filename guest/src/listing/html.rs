//! A listing as a page that works without scripts.

use super::{Entry, Key, Listing, Order, Readme, View};
use crate::date::Date;
use crate::html::{self, Name, Text};
use crate::markdown;
use crate::path::encode_segment;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::{self, Write as _};

/// About how long a row is.
const ROW_BYTES: usize = 192;

/// The page of a listing.
pub fn render(listing: &Listing) -> String {
    let slash = if listing.path.as_str().is_empty() { "" } else { "/" };
    let title = format!("Index of /{}{slash}", listing.path.as_str());
    let rendered = listing.readme.as_ref().and_then(Readme::rendered);
    let style = rendered.map(|_| markdown::STYLE);
    let body_bytes = 2048 + ROW_BYTES * listing.entries.len() + rendered.map_or(0, str::len);
    html::page_with(&title, style, body_bytes, |body| {
        // Writing to a string does not fail.
        let _ = write_body(body, listing);
    })
}

/// The query of a view, with its ampersands escaped for markup.
struct Query<'a> {
    key: Key,
    order: Order,
    page: usize,
    filter: &'a str,
}

impl<'a> Query<'a> {
    fn of(view: &'a View) -> Self {
        Self { key: view.key, order: view.order, page: view.page, filter: &view.filter }
    }
}

impl fmt::Display for Query<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "?sort={}&amp;order={}", self.key.name(), self.order.name())?;
        if self.page > 1 {
            write!(f, "&amp;page={}", self.page)?;
        }
        if !self.filter.is_empty() {
            write!(f, "&amp;q={}", utf8_percent_encode(self.filter, NON_ALPHANUMERIC))?;
        }
        Ok(())
    }
}

/// The query that keeps the order of a view in another directory; empty for the default one.
fn order_query(view: &View) -> String {
    if view.is_default_order() {
        String::new()
    } else {
        Query { page: 1, filter: "", ..Query::of(view) }.to_string()
    }
}

fn write_body(body: &mut String, listing: &Listing) -> fmt::Result {
    let order = order_query(&listing.view);
    write_heading(body, listing, &order)?;
    body.push_str("<main>\n");
    write_filter(body, &listing.view, &order)?;
    write_table(body, listing, &order)?;
    write_pages(body, listing)?;
    write_count(body, listing)?;
    if let Some(readme) = &listing.readme {
        let name = &readme.name;
        writeln!(body, "<section aria-label=\"{0}\">\n<h2>{0}</h2>", Name(name))?;
        match readme.rendered() {
            Some(html) => markdown::append_article(body, html),
            None => writeln!(body, "<pre>{}</pre>", Text(&readme.text))?,
        }
        if readme.is_cut {
            writeln!(body, "<p><a href=\"./{}\">The whole file</a></p>", encode_segment(name))?;
        }
        body.push_str("</section>\n");
    }
    body.push_str("</main>\n");
    Ok(())
}

/// The path, with a link to each directory but the last.
fn write_heading(body: &mut String, listing: &Listing, order: &str) -> fmt::Result {
    let segments: Vec<_> = listing.path.as_str().split('/').filter(|segment| !segment.is_empty()).collect();
    body.push_str("<nav aria-label=\"Breadcrumbs\">\n<h1>Index of ");
    for (at, name) in std::iter::once(&"/").chain(&segments).enumerate() {
        let ups = segments.len() - at;
        let slash = if at == 0 { "" } else { "/" };
        if ups > 0 {
            write!(body, "<a href=\"./{}{order}\">{}{slash}</a>", "../".repeat(ups), Name(name))?;
        } else {
            write!(body, "<bdi>{}</bdi>{slash}", Name(name))?;
        }
    }
    body.push_str("</h1>\n</nav>\n");
    Ok(())
}

/// The filter, a form that asks for this directory again, and a link that removes it.
fn write_filter(body: &mut String, view: &View, order: &str) -> fmt::Result {
    body.push_str("<form role=\"search\" action=\"./\">");
    if !view.is_default_order() {
        for (name, value) in [("sort", view.key.name()), ("order", view.order.name())] {
            write!(body, "<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")?;
        }
    }
    write!(
        body,
        "<input type=\"search\" name=\"q\" value=\"{}\" aria-label=\"Names that contain\" placeholder=\"Filter\"> \
        <button>Filter</button>",
        Text(&view.filter)
    )?;
    if !view.filter.is_empty() {
        write!(body, " <a href=\"./{order}\">Show all</a>")?;
    }
    body.push_str("</form>\n");
    Ok(())
}

fn write_table(body: &mut String, listing: &Listing, order: &str) -> fmt::Result {
    body.push_str("<table>\n<thead>\n<tr>");
    let view = &listing.view;
    for (key, title) in
        [(Key::Name, "Name"), (Key::Size, "Size"), (Key::Time, "Modified<small> (UTC)</small>")]
    {
        let is_current = key == view.key;
        let next = if is_current { view.order.reversed() } else { Order::Ascending };
        let (sort, arrow) = match (is_current, view.order) {
            (false, _) => ("", ""),
            (true, Order::Ascending) => {
                (" aria-sort=\"ascending\"", " <span aria-hidden=\"true\">\u{2191}</span>")
            }
            (true, Order::Descending) => {
                (" aria-sort=\"descending\"", " <span aria-hidden=\"true\">\u{2193}</span>")
            }
        };
        let query = Query { key, order: next, page: 1, filter: &view.filter };
        write!(body, "<th scope=\"col\"{sort}><a href=\"./{query}\">{title}</a>{arrow}</th>")?;
    }
    body.push_str("</tr>\n</thead>\n<tbody>\n");
    if !listing.path.as_str().is_empty() {
        writeln!(
            body,
            "<tr><th scope=\"row\"><a href=\"./../{order}\">../ <small>parent directory</small></a></th>\
            <td></td><td></td></tr>"
        )?;
    }
    for entry in &listing.entries {
        write_entry(body, entry, order)?;
    }
    body.push_str("</tbody>\n</table>\n");
    Ok(())
}

/// A row. It is written piece by piece and without the formatting machinery, because a page has a thousand of them.
fn write_entry(body: &mut String, entry: &Entry, order: &str) -> fmt::Result {
    body.push_str("<tr><th scope=\"row\"><a href=\"./");
    body.extend(encode_segment(&entry.name));
    if entry.is_directory {
        body.push('/');
        body.push_str(order);
    }
    body.push_str("\"><bdi>");
    match Name(&entry.name).as_plain() {
        Some(name) => body.push_str(name),
        None => write!(body, "{}", Name(&entry.name))?,
    }
    body.push_str(if entry.is_directory { "</bdi>/</a></th><td>" } else { "</bdi></a></th><td>" });
    if let Some(size) = entry.size {
        body.push_str("<data value=\"");
        push_number(body, size);
        body.push_str("\">");
        push_human(body, size);
        body.push_str("</data></td><td>");
    } else {
        body.push_str("</td><td>");
    }
    if let Some(date) = entry.modified.and_then(|time| Date::of(time.seconds)) {
        let iso = date.iso();
        // To the minute, which fits on a line; to the day on a phone.
        let (day, minute) = (&iso[..10], &iso[11..16]);
        for part in ["<time datetime=\"", &iso, "\">", day, "<span> ", minute, "</span></time>"] {
            body.push_str(part);
        }
    }
    body.push_str("</td></tr>\n");
    Ok(())
}

fn write_pages(body: &mut String, listing: &Listing) -> fmt::Result {
    let (view, pages) = (&listing.view, listing.pages);
    if pages == 1 {
        return Ok(());
    }
    body.push_str("<nav aria-label=\"Pages\">\n<ul>\n");
    let mut link = |page: usize, rel: &str, text: &str| {
        let query = Query { page, ..Query::of(view) };
        writeln!(body, "<li><a rel=\"{rel}\" href=\"./{query}\">{text}</a></li>")
    };
    if view.page > 1 {
        link(1, "first", "First")?;
        link(view.page - 1, "prev", "Previous")?;
    }
    if view.page < pages {
        link(view.page + 1, "next", "Next")?;
        link(pages, "last", "Last")?;
    }
    body.push_str("</ul>\n</nav>\n");
    Ok(())
}

fn write_count(body: &mut String, listing: &Listing) -> fmt::Result {
    let Listing { view, pages, total, unreadable, is_truncated, is_archived, is_compressed, .. } = listing;
    let noun = if *total == 1 { "entry" } else { "entries" };
    write!(body, "<footer>{total} {noun}")?;
    if !view.filter.is_empty() {
        write!(body, " that contain <q>{}</q>", Name(&view.filter))?;
    }
    if *pages > 1 {
        write!(body, ", page {} of {pages}", view.page)?;
    }
    match unreadable {
        0 => {}
        1 => body.push_str("; 1 more has a name that cannot be served"),
        _ => write!(body, "; {unreadable} more have names that cannot be served")?,
    }
    if *is_truncated {
        body.push_str("; the directory has more entries than can be listed");
    }
    if *is_archived {
        body.push_str(". <a href=\"./?archive=tar\">Download all as a tar archive</a>");
        if *is_compressed {
            body.push_str(", or <a href=\"./?archive=tar.gz\">compressed</a>");
        }
    }
    body.push_str("</footer>\n");
    Ok(())
}

/// Appends a size to three digits or so: `512 B`, `1.5 KiB`, `23 MiB`.
fn push_human(body: &mut String, size: u64) {
    const UNITS: [&str; 6] = [" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"];
    if size < 1024 {
        push_number(body, size);
        body.push_str(" B");
        return;
    }
    let mut rest = size;
    let mut at = 0;
    // As long as it would be shown as 1024 or more.
    while rest >= 1024 * 1024 && at + 1 < UNITS.len() {
        rest /= 1024;
        at += 1;
    }
    // In tenths, rounded down: a file is never said to be larger than it is.
    let tenths = rest * 10 / 1024;
    push_number(body, tenths / 10);
    if tenths < 100 {
        body.push('.');
        push_number(body, tenths % 10);
    }
    body.push_str(UNITS[at]);
}

/// Appends a number in decimal digits.
fn push_number(body: &mut String, number: u64) {
    if let (1.., rest) = (number / 10, number % 10) {
        push_number(body, number / 10);
        push_number(body, rest);
    } else {
        body.push(char::from(b'0' + u8::try_from(number).unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::{push_human, render};
    use crate::listing::{Entry, Key, Listing, Order, Readme, View};
    use crate::path::RelativePath;
    use crate::tree::Timestamp;

    fn listing(entries: Vec<Entry>) -> Listing {
        Listing {
            path: RelativePath::root().join("a<b").join("c"),
            view: View::default(),
            pages: 1,
            total: entries.len(),
            unreadable: 0,
            is_truncated: false,
            is_archived: false,
            is_compressed: false,
            entries,
            readme: None,
        }
    }

    fn file(name: &str) -> Entry {
        let modified = Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 0 });
        Entry { name: name.to_owned(), is_directory: false, size: Some(1536), modified }
    }

    #[test]
    fn sizes_are_short_and_never_too_large() {
        for (size, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10_239, "9.9 KiB"),
            (10_240, "10 KiB"),
            (1_048_575, "1023 KiB"),
            (1_048_576, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            let mut text = String::new();
            push_human(&mut text, size);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn names_are_text_and_links_are_encoded() {
        let page = render(&listing(vec![
            file("<img src=x onerror=alert(1)>.txt"),
            file("a\"b&c"),
            file("q?x#y"),
            file("a\nb"),
            Entry { is_directory: true, size: None, ..file("d e") },
        ]));
        for part in [
            "<title>Index of /a&lt;b/c/</title>",
            "<a href=\"./../../\">/</a><a href=\"./../\">a&lt;b/</a><bdi>c</bdi>/",
            "<a href=\"./%3Cimg%20src=x%20onerror=alert(1)%3E.txt\"><bdi>&lt;img src=x onerror=alert(1)&gt;.txt",
            "<a href=\"./a%22b%26c\"><bdi>a&quot;b&amp;c</bdi></a>",
            "<a href=\"./q%3Fx%23y\">",
            "<a href=\"./a%0Ab\"><bdi>a\u{240a}b</bdi></a>",
            "<a href=\"./d%20e/\"><bdi>d e</bdi>/</a></th><td></td>",
            "<data value=\"1536\">1.5 KiB</data>",
            "<time datetime=\"2023-11-14T22:13:20Z\">2023-11-14<span> 22:13</span></time>",
            "<a href=\"./?sort=name&amp;order=desc\">Name</a>",
            "<footer>5 entries</footer>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<img") && !page.contains("Pages") && !page.contains("archive"));
    }

    #[test]
    fn pages_lead_to_each_other() {
        let view = View { key: Key::Size, order: Order::Descending, page: 2, filter: "a&b".into() };
        let page = render(&Listing { view, pages: 3, total: 2500, unreadable: 2, ..listing(vec![]) });
        for part in [
            "<a rel=\"prev\" href=\"./?sort=size&amp;order=desc&amp;q=a%26b\">",
            "<a rel=\"next\" href=\"./?sort=size&amp;order=desc&amp;page=3&amp;q=a%26b\">",
            "2500 entries that contain <q>a&amp;b</q>, page 2 of 3; 2 more have names that cannot be served",
            "<th scope=\"col\" aria-sort=\"descending\"><a href=\"./?sort=size&amp;order=asc&amp;q=a%26b\">Size</a>",
            "<input type=\"hidden\" name=\"sort\" value=\"size\">",
            "<input type=\"search\" name=\"q\" value=\"a&amp;b\"",
            "<a href=\"./../?sort=size&amp;order=desc\">../ <small>parent directory</small></a>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn an_archive_is_offered_where_there_is_one() {
        let page = render(&Listing { is_archived: true, ..listing(vec![file("a")]) });
        let link = "<footer>1 entry. <a href=\"./?archive=tar\">Download all as a tar archive</a></footer>";
        assert!(page.contains(link), "{page}");
        let page = render(&Listing { is_archived: true, is_compressed: true, ..listing(vec![]) });
        let links =
            "Download all as a tar archive</a>, or <a href=\"./?archive=tar.gz\">compressed</a></footer>";
        assert!(page.contains(links), "{page}");
    }

    #[test]
    fn a_readme_is_shown_as_text() {
        let readme = Readme { name: "README.md".into(), text: "# <b>".into(), is_cut: true, rendered: None };
        let page = render(&Listing { readme: Some(readme), ..listing(vec![]) });
        assert!(page.contains("<pre># &lt;b&gt;</pre>"), "{page}");
        assert!(page.contains("<a href=\"./README.md\">The whole file</a>"), "{page}");
    }
}
