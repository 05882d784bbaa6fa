//! A listing as JSON (RFC 8259), for programs.

use super::{Entry, Listing};
use crate::date::Date;
use crate::html::is_invisible;
use std::fmt::{self, Write as _};

/// A string in its quotes. What has a meaning in HTML is escaped too, in case the text is put into a page, and so are
/// characters without a shape.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        if self.0.chars().all(is_plain) {
            f.write_str(self.0)?;
        } else {
            let mut units = [0; 2];
            for character in self.0.chars() {
                if is_plain(character) {
                    f.write_char(character)?;
                } else {
                    for unit in character.encode_utf16(&mut units) {
                        write!(f, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        f.write_char('"')
    }
}

/// Whether a character stands for itself.
fn is_plain(character: char) -> bool {
    !matches!(character, '"' | '\\' | '&' | '<' | '>' | '\'')
        && !character.is_ascii_control()
        && !is_invisible(character)
}

/// The listing as one object.
pub fn render(listing: &Listing) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text, listing);
    text
}

fn write(text: &mut String, listing: &Listing) -> fmt::Result {
    let Listing { path, view, pages, total, unreadable, is_truncated, entries, .. } = listing;
    let slash = if path.as_str().is_empty() { "" } else { "/" };
    let path = format!("/{}{slash}", path.as_str());
    write!(text, "{{\"path\":{},\"sort\":\"{}\",", Quoted(&path), view.key.name())?;
    write!(text, "\"order\":\"{}\",\"q\":{},", view.order.name(), Quoted(&view.filter))?;
    write!(text, "\"page\":{},\"pages\":{pages},\"total\":{total},", view.page)?;
    write!(text, "\"unreadable\":{unreadable},\"truncated\":{is_truncated},\"entries\":[")?;
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push('\n');
        write_entry(text, entry)?;
    }
    text.push_str("\n]}\n");
    Ok(())
}

fn write_entry(text: &mut String, entry: &Entry) -> fmt::Result {
    let kind = if entry.is_directory { "directory" } else { "file" };
    write!(text, "{{\"name\":{},\"type\":\"{kind}\"", Quoted(&entry.name))?;
    if let Some(size) = entry.size {
        write!(text, ",\"size\":{size}")?;
    }
    if let Some(date) = entry.modified.and_then(|time| Date::of(time.seconds)) {
        write!(text, ",\"modified\":\"{}\"", date.iso())?;
    }
    text.push('}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Quoted, render};
    use crate::listing::{Entry, Key, Listing, Order, View};
    use crate::path::RelativePath;
    use crate::tree::Timestamp;

    #[test]
    fn a_string_is_read_back_as_it_was() {
        assert_eq!(Quoted("a b é 日 🦀").to_string(), "\"a b é 日 🦀\"");
        assert_eq!(
            Quoted("\"\\\n</\u{202e}\u{e0001}").to_string(),
            r#""\u0022\u005c\u000a\u003c/\u202e\udb40\udc01""#
        );
    }

    #[test]
    fn an_object_says_where_it_is_and_what_there_is() {
        let modified = Some(Timestamp { seconds: 1_700_000_000, nanoseconds: 5 });
        let listing = Listing {
            path: RelativePath::root().join("a"),
            view: View { key: Key::Time, order: Order::Descending, page: 1, filter: "<d".into() },
            pages: 1,
            total: 2,
            unreadable: 0,
            is_truncated: false,
            is_archived: false,
            is_compressed: false,
            entries: vec![
                Entry { name: "d".into(), is_directory: true, size: None, modified: None },
                Entry { name: "f".into(), is_directory: false, size: Some(3), modified },
            ],
            readme: None,
        };
        assert_eq!(
            render(&listing),
            "{\"path\":\"/a/\",\"sort\":\"time\",\"order\":\"desc\",\"q\":\"\\u003cd\",\
            \"page\":1,\"pages\":1,\"total\":2,\"unreadable\":0,\"truncated\":false,\"entries\":[\n{\"name\":\"d\",\"type\":\"directory\"},\n\
            {\"name\":\"f\",\"type\":\"file\",\"size\":3,\"modified\":\"2023-11-14T22:13:20Z\"}\n]}\n"
        );
    }
}
