//! Decides what is to be made: of names, sizes and times alone, without a look at the disk.

use crate::coding::FileVersion;
use guest::encoding::Coding;
use guest::media_type;
use guest::path::{NamePolicy, RelativePath};

/// What is at the place of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing.
    Free,
    /// A file, or a symbolic link to one.
    Variant(FileVersion),
    /// Something else, which stays: a directory, or a link that leads nowhere.
    Taken,
}

/// What a name in a directory means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// It may be that of a file to compress, or of a directory.
    Source,
    /// It is never served, so that nothing is gained.
    Hidden,
    /// Its format compresses, or it is a variant itself.
    Compressed,
}

impl Name {
    /// What the name of a path means, whose directory is served.
    pub(super) fn of(directory: &RelativePath, name: &str) -> Self {
        if !directory.serves_child(name, &NamePolicy::default()) {
            Self::Hidden
        } else if Coding::ALL.iter().any(|coding| name.ends_with(coding.suffix()))
            || media_type::is_compressed(media_type::of(&directory.join(name)))
        {
            Self::Compressed
        } else {
            Self::Source
        }
    }
}

/// Whether a variant of a file is to be made for what is at its place.
///
/// The file server takes a variant that was not modified before its file. That is not enough here: tools give the same time of
/// modification to different content, so a file that has changed in any way since its variant did is compressed again.
pub(super) fn is_wanted(source: &FileVersion, place: Place) -> bool {
    match place {
        Place::Free => true,
        Place::Taken => false,
        Place::Variant(variant) => variant.modified < source.modified || variant.changed < source.changed,
    }
}

#[cfg(test)]
mod tests {
    use super::{Name, Place, is_wanted};
    use crate::coding::FileVersion;
    use guest::path::RelativePath;
    use proptest::prelude::*;

    fn version(modified: i64, changed: i64) -> FileVersion {
        FileVersion { file: (1, 1), size: 1, modified: (modified, 0), changed: (changed, 0) }
    }

    proptest! {
        /// What is written has the time of modification of its file, and has changed after it was read.
        #[test]
        fn what_was_written_is_wanted_again_only_after_a_change(
            modified: i64, changed in 0_i64..1_000, written in 0_i64..1_000, later in 1_i64..1_000, other: i64,
        ) {
            let source = version(modified, changed);
            let variant = Place::Variant(version(modified, changed + written));
            prop_assert!(!is_wanted(&source, variant));
            let touched = version(other, changed + written + later);
            prop_assert!(is_wanted(&touched, variant), "whatever time of modification it was given");
        }

        /// Where the server would not take a variant, one is made.
        #[test]
        fn an_outdated_variant_is_always_replaced(source: i64, age in 1_i64..1_000, changed: i64) {
            let source = version(source.max(i64::MIN + 1_000), changed);
            let variant = version(source.modified.0 - age, changed);
            prop_assert!(is_wanted(&source, Place::Variant(variant)));
        }

        #[test]
        fn every_name_means_something(name: String) {
            Name::of(&RelativePath::root(), &name);
        }
    }

    #[test]
    fn what_is_at_the_place_and_is_no_variant_stays() {
        assert!(is_wanted(&version(1, 1), Place::Free));
        assert!(!is_wanted(&version(1, 1), Place::Taken));
    }

    #[test]
    fn names_that_are_not_served_or_are_compressed_are_no_sources() {
        let root = RelativePath::root();
        for (name, expected) in [
            ("index.html", Name::Source),
            ("assets", Name::Source),
            ("LICENSE", Name::Source),
            ("app.unknown", Name::Source),
            (".well-known", Name::Source),
            (".htaccess", Name::Hidden),
            ("_headers", Name::Hidden),
            ("_headers.gz", Name::Hidden),
            ("a\\b.js", Name::Hidden),
            ("", Name::Hidden),
            ("photo.jpg", Name::Compressed),
            ("site.tar.gz", Name::Compressed),
            ("app.js.br", Name::Compressed),
            ("app.js.zst", Name::Compressed),
        ] {
            assert_eq!(Name::of(&root, name), expected, "{name}");
        }
        assert_eq!(Name::of(&root.join("d"), ".well-known"), Name::Hidden);
    }
}
