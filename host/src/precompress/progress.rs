//! How far the work is, as one line of a terminal that is written again and again.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// How often the line is written.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// Characters of the bar.
const WIDTH: u64 = 30;

/// The line on standard error, where that is a terminal.
#[derive(Debug)]
pub(super) struct Line {
    is_shown: bool,
}

impl Line {
    pub(super) fn new() -> Self {
        Self { is_shown: std::io::stderr().is_terminal() }
    }

    /// Shows how much of everything is done, in bytes and in variants.
    pub(super) fn show(&self, bytes: (u64, u64), variants: (usize, usize)) {
        if self.is_shown {
            write(&format!("\r{}\x1b[K", text(bytes, variants)));
        }
    }

    /// Makes way for other lines.
    pub(super) fn clear(&self) {
        if self.is_shown {
            write("\r\x1b[K");
        }
    }
}

/// A terminal that is gone needs no line.
fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// The line, of fewer characters than the narrowest of terminals has.
fn text((done, all): (u64, u64), (made, wanted): (usize, usize)) -> String {
    let of =
        |parts: u64| u64::try_from(u128::from(done.min(all)) * u128::from(parts) / u128::from(all.max(1)));
    let (filled, percent) = (of(WIDTH).unwrap_or(0), of(100).unwrap_or(0));
    let bar: String = (0..WIDTH).map(|at| if at < filled { '#' } else { '.' }).collect();
    format!("[{bar}] {percent:>3} %, {made} of {wanted} variants")
}

#[cfg(test)]
mod tests {
    use super::text;
    use proptest::prelude::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        assert_eq!(text((0, 0), (0, 0)), format!("[{}]   0 %, 0 of 0 variants", ".".repeat(30)));
        assert_eq!(
            text((50, 100), (3, 9)),
            format!("[{}{}]  50 %, 3 of 9 variants", "#".repeat(15), ".".repeat(15))
        );
        assert_eq!(text((200, 100), (9, 9)), format!("[{}] 100 %, 9 of 9 variants", "#".repeat(30)));
    }

    proptest! {
        #[test]
        fn the_bar_is_always_as_wide(done: u64, all: u64) {
            let line = text((done, all), (0, 0));
            prop_assert_eq!(line.find(']'), Some(31));
        }
    }
}
