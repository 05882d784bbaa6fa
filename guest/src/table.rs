//! Values by pattern of path: the lines of a setting, of which the first about a path decides.

use crate::pattern::Pattern;

/// Values by pattern of path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table<T> {
    /// The lines with a pattern, in their order.
    lines: Vec<(Pattern<'static>, T)>,
    /// The value of paths that no line is about.
    otherwise: T,
}

impl<T> Table<T> {
    /// A table of these lines. Other paths have the value `otherwise`.
    pub fn new(lines: Vec<(Pattern<'static>, T)>, otherwise: T) -> Self {
        Self { lines, otherwise }
    }

    /// The same value for every path.
    pub const fn uniform(value: T) -> Self {
        Self { lines: Vec::new(), otherwise: value }
    }

    /// The value of every path; `None` if it depends on the path.
    pub fn same_for_all(&self) -> Option<&T> {
        self.lines.is_empty().then_some(&self.otherwise)
    }

    /// Every value, in the order of the lines.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.lines.iter().map(|(_, value)| value).chain([&self.otherwise])
    }

    /// The value of a file, whose decoded path begins with a slash. The path is made only if a pattern needs it.
    pub fn of_file(&self, path: impl FnOnce() -> String) -> &T {
        self.first(path, Pattern::matches)
    }

    /// The value of a path that may be a directory: `/docs/*` is about `/docs` too.
    pub fn of_path(&self, path: impl FnOnce() -> String) -> &T {
        self.first(path, |pattern, path| {
            pattern.matches(path) || pattern.captures_of_directory(path).is_some()
        })
    }

    fn first(&self, path: impl FnOnce() -> String, is_about: impl Fn(&Pattern<'static>, &str) -> bool) -> &T {
        if self.lines.is_empty() {
            return &self.otherwise;
        }
        let path = path();
        let line = self.lines.iter().find(|(pattern, _)| is_about(pattern, &path));
        line.map_or(&self.otherwise, |(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::pattern::Pattern;

    #[test]
    fn the_first_line_about_a_path_decides() {
        let lines = [("/docs/old/*", 1), ("*.txt", 2), ("/docs/*", 3)];
        let table = Table::new(lines.map(|(text, value)| (Pattern::new(text), value)).into(), 4);
        let of_file = |path: &str| *table.of_file(|| path.to_owned());
        let of_path = |path: &str| *table.of_path(|| path.to_owned());
        for (path, file, any) in [
            ("/docs/old/a.txt", 1, 1),
            ("/docs/old", 3, 1),
            ("/docs/a.txt", 2, 2),
            ("/docs/a", 3, 3),
            ("/docs", 4, 3),
            ("/", 4, 4),
        ] {
            assert_eq!((of_file(path), of_path(path)), (file, any), "{path}");
        }
        assert_eq!(table.same_for_all(), None);
        assert_eq!(table.values().collect::<Vec<_>>(), [&1, &2, &3, &4]);
    }

    #[test]
    fn a_value_for_every_path_needs_no_path() {
        let table = Table::uniform(5);
        assert_eq!(table.same_for_all(), Some(&5));
        assert_eq!(*table.of_file(|| unreachable!("no pattern")), 5);
    }
}
