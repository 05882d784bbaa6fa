//! A listing as a page that works without a script.

use super::{Entry, Key, Listing, Order, View};
use crate::date::Date;
use crate::html::{self, Name, Text};
use crate::path::encode_segment;
use std::fmt::Write as _;

/// The page of a listing.
pub fn render(listing: &Listing, nonce: &str) -> String {
    let mut body = String::new();
    // Writing to a string does not fail.
    let _ = write_body(&mut body, listing);
    let title = format!("Index of /{}", listing.path.as_str());
    html::page(&title, nonce, &body)
}

fn write_body(body: &mut String, listing: &Listing) -> std::fmt::Result {
    body.push_str("<main>\n");
    write_heading(body, listing)?;
    write_table(body, listing)?;
    write_pages(body, listing)?;
    write_count(body, listing)?;
    if let Some(readme) = &listing.readme {
        let name = &readme.name;
        writeln!(body, "<section aria-label=\"{0}\">\n<h2>{0}</h2>", Name(name))?;
        writeln!(body, "<pre>{}</pre>", Text(&readme.text))?;
        if readme.is_cut {
            writeln!(body, "<p><a href=\"./{}\">The whole file</a></p>", encode_segment(name))?;
        }
        body.push_str("</section>\n");
    }
    body.push_str("</main>\n");
    Ok(())
}

/// The path, every directory of it a link but the last.
fn write_heading(body: &mut String, listing: &Listing) -> std::fmt::Result {
    let segments: Vec<_> = listing.path.as_str().split('/').filter(|segment| !segment.is_empty()).collect();
    body.push_str("<h1>Index of ");
    for (at, name) in std::iter::once(&"/").chain(&segments).enumerate() {
        let ups = segments.len() - at;
        let slash = if at == 0 { "" } else { "/" };
        if ups > 0 {
            write!(body, "<a href=\"./{}\">{}{slash}</a>", "../".repeat(ups), Name(name))?;
        } else {
            write!(body, "<bdi>{}</bdi>{slash}", Name(name))?;
        }
    }
    body.push_str("</h1>\n");
    Ok(())
}

fn write_table(body: &mut String, listing: &Listing) -> std::fmt::Result {
    body.push_str("<table>\n<thead>\n<tr>");
    for (key, title) in
        [(Key::Name, "Name"), (Key::Size, "Size"), (Key::Time, "Modified<small> (UTC)</small>")]
    {
        let is_current = key == listing.view.key;
        let order = if is_current { listing.view.order.reversed() } else { Order::Ascending };
        let (sort, arrow) = match (is_current, listing.view.order) {
            (false, _) => ("", ""),
            (true, Order::Ascending) => (" aria-sort=\"ascending\"", " \u{2191}"),
            (true, Order::Descending) => (" aria-sort=\"descending\"", " \u{2193}"),
        };
        let query = View { key, order, page: 1 }.query();
        write!(body, "<th scope=\"col\"{sort}><a href=\"./{query}\">{title}</a>{arrow}</th>")?;
    }
    body.push_str("</tr>\n</thead>\n<tbody>\n");
    if !listing.path.as_str().is_empty() {
        body.push_str(
            "<tr><td><a href=\"./../\">../</a> <small>parent directory</small></td><td></td><td></td></tr>\n",
        );
    }
    for entry in &listing.entries {
        write_entry(body, entry)?;
    }
    body.push_str("</tbody>\n</table>\n");
    Ok(())
}

fn write_entry(body: &mut String, entry: &Entry) -> std::fmt::Result {
    let slash = if entry.is_directory { "/" } else { "" };
    let href = encode_segment(&entry.name);
    write!(body, "<tr><td><a href=\"./{href}{slash}\"><bdi>{}</bdi>{slash}</a></td><td>", Name(&entry.name))?;
    if let Some(size) = entry.size {
        write!(body, "<data value=\"{size}\">{}</data>", human(size))?;
    }
    body.push_str("</td><td>");
    if let Some(date) = entry.modified.and_then(|time| Date::of(time.seconds)) {
        let iso = date.iso();
        // To the minute, which fits on a line; to the day on a phone.
        write!(body, "<time datetime=\"{iso}\">{}<span> {}</span></time>", &iso[..10], &iso[11..16])?;
    }
    body.push_str("</td></tr>\n");
    Ok(())
}

fn write_pages(body: &mut String, listing: &Listing) -> std::fmt::Result {
    let Listing { view, pages, .. } = *listing;
    if pages == 1 {
        return Ok(());
    }
    body.push_str("<nav aria-label=\"Pages\">\n<ul>\n");
    let mut link = |page: usize, rel: &str, text: &str| {
        let query = View { page, ..view }.query();
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

fn write_count(body: &mut String, listing: &Listing) -> std::fmt::Result {
    let Listing { view, pages, total, unreadable, .. } = *listing;
    let noun = if total == 1 { "entry" } else { "entries" };
    write!(body, "<footer>{total} {noun}")?;
    if pages > 1 {
        write!(body, ", page {} of {pages}", view.page)?;
    }
    match unreadable {
        0 => {}
        1 => body.push_str("; 1 more has a name that is not UTF-8 and cannot be served"),
        _ => write!(body, "; {unreadable} more have names that are not UTF-8 and cannot be served")?,
    }
    body.push_str("</footer>\n");
    Ok(())
}

/// A size to three digits or so: `512 B`, `1.5 KiB`, `23 MiB`.
fn human(size: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if size < 1024 {
        return format!("{size} B");
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
    if tenths < 100 {
        format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[at])
    } else {
        format!("{} {}", tenths / 10, UNITS[at])
    }
}

#[cfg(test)]
mod tests {
    use super::{human, render};
    use crate::listing::{Entry, Key, Listing, Order, Readme, View};
    use crate::path::RelativePath;
    use crate::resolve::Timestamp;

    fn listing(entries: Vec<Entry>) -> Listing {
        Listing {
            path: RelativePath::root().join("a<b").join("c"),
            view: View { key: Key::Name, order: Order::Ascending, page: 1 },
            pages: 1,
            total: entries.len(),
            unreadable: 0,
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
            assert_eq!(human(size), expected);
        }
    }

    #[test]
    fn names_are_text_and_links_are_encoded() {
        let page = render(
            &listing(vec![
                file("<img src=x onerror=alert(1)>.txt"),
                file("a\"b&c"),
                file("q?x#y"),
                file("a\nb"),
                Entry { is_directory: true, size: None, ..file("d e") },
            ]),
            "n",
        );
        for part in [
            "<title>Index of /a&lt;b/c</title>",
            "<a href=\"./../../\">/</a><a href=\"./../\">a&lt;b/</a><bdi>c</bdi>/",
            "<a href=\"./%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E.txt\"><bdi>&lt;img src=x onerror=alert(1)&gt;.txt",
            "<a href=\"./a%22b%26c\"><bdi>a&quot;b&amp;c</bdi></a>",
            "<a href=\"./q%3Fx%23y\">",
            "<a href=\"./a%0Ab\"><bdi>a\u{240a}b</bdi></a>",
            "<a href=\"./d%20e/\"><bdi>d e</bdi>/</a></td><td></td>",
            "<data value=\"1536\">1.5 KiB</data>",
            "<time datetime=\"2023-11-14T22:13:20Z\">2023-11-14<span> 22:13</span></time>",
            "<a href=\"./?sort=name&amp;order=desc\">Name</a>",
            "<footer>5 entries</footer>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<img") && !page.contains("<nav"));
    }

    #[test]
    fn pages_lead_to_each_other() {
        let view = View { key: Key::Size, order: Order::Descending, page: 2 };
        let page = render(&Listing { view, pages: 3, total: 2500, unreadable: 2, ..listing(vec![]) }, "n");
        for part in [
            "<a rel=\"prev\" href=\"./?sort=size&amp;order=desc\">",
            "<a rel=\"next\" href=\"./?sort=size&amp;order=desc&amp;page=3\">",
            "2500 entries, page 2 of 3; 2 more have names that are not UTF-8",
            "<th scope=\"col\" aria-sort=\"descending\"><a href=\"./?sort=size&amp;order=asc\">Size</a>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn a_readme_is_shown_as_text() {
        let readme = Readme { name: "README.md".into(), text: "# <b>".into(), is_cut: true };
        let page = render(&Listing { readme: Some(readme), ..listing(vec![]) }, "n");
        assert!(page.contains("<pre># &lt;b&gt;</pre>"), "{page}");
        assert!(page.contains("<a href=\"./README.md\">The whole file</a>"), "{page}");
    }
}
