//! The components: their imports, their sizes, and whether the prebuilt ones match the sources.

use guest_builder::{FILE_SERVER, FILE_SERVER_MARKDOWN, FILE_SERVER_P3, prebuilt, world};
use host::component::{BUILT_IN, BUILT_IN_MARKDOWN, BUILT_IN_P3};

#[test]
fn the_component_imports_nothing_beyond_its_world() {
    for (source, component, world, filesystem) in [
        (FILE_SERVER, &*BUILT_IN, "file-server", "wasi:filesystem/types@0.2.12"),
        (FILE_SERVER_MARKDOWN, &*BUILT_IN_MARKDOWN, "file-server", "wasi:filesystem/types@0.2.12"),
        (FILE_SERVER_P3, &*BUILT_IN_P3, "file-server-p3", "wasi:filesystem/types@0.3.0"),
    ] {
        let allowed = world::imports_of_world(world).unwrap();
        for (name, component) in
            [("built-in", component), ("prebuilt", &prebuilt::read(source.name()).unwrap())]
        {
            let imports = world::imports_of_component(component).unwrap();
            assert!(imports.contains(filesystem), "{name} imports {imports:?}");
            let beyond: Vec<_> = imports.difference(&allowed).collect();
            assert!(beyond.is_empty(), "{name} imports {beyond:?}, which {world} does not name");
        }
    }
}

#[test]
fn the_world_of_wasi_0_3_has_no_network_and_no_randomness() {
    let allowed = world::imports_of_world("file-server-p3").unwrap();
    let expected = [
        "wasi:cli/environment@0.3.0",
        "wasi:cli/stderr@0.3.0",
        "wasi:cli/types@0.3.0",
        "wasi:clocks/system-clock@0.3.0",
        "wasi:clocks/types@0.3.0",
        "wasi:filesystem/preopens@0.3.0",
        "wasi:filesystem/types@0.3.0",
        "wasi:http/types@0.3.0",
    ];
    // The world does not name the interfaces that only define types: error codes and `duration`.
    assert_eq!(allowed.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_world_has_no_network_and_no_randomness() {
    let allowed = world::imports_of_world("file-server").unwrap();
    let expected = [
        "wasi:cli/environment@0.2.12",
        "wasi:cli/stderr@0.2.12",
        "wasi:clocks/monotonic-clock@0.2.12",
        "wasi:clocks/wall-clock@0.2.12",
        "wasi:filesystem/preopens@0.2.12",
        "wasi:filesystem/types@0.2.12",
        "wasi:http/types@0.2.12",
        "wasi:io/error@0.2.12",
        "wasi:io/poll@0.2.12",
        "wasi:io/streams@0.2.12",
    ];
    // The world does not name `wasi:io/poll` and `monotonic-clock`. They define types that other interfaces use:
    // `pollable` and `duration`.
    assert_eq!(allowed.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_component_imports_only_what_it_calls() {
    let imports = world::imports_of_component(&BUILT_IN).unwrap();
    assert_eq!(world::imports_of_component(&BUILT_IN_MARKDOWN).unwrap(), imports);
    let expected = [
        "wasi:cli/environment@0.2.12",
        "wasi:cli/stderr@0.2.12",
        "wasi:clocks/wall-clock@0.2.12",
        "wasi:filesystem/preopens@0.2.12",
        "wasi:filesystem/types@0.2.12",
        "wasi:http/types@0.2.12",
        "wasi:io/error@0.2.12",
        "wasi:io/streams@0.2.12",
    ];
    assert_eq!(imports.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_components_are_small() {
    assert!(BUILT_IN.len() < 400 * 1024, "{} bytes", BUILT_IN.len());
    // The parser of Markdown, with its table of named characters.
    assert!(BUILT_IN_MARKDOWN.len() < 620 * 1024, "{} bytes", BUILT_IN_MARKDOWN.len());
    // In code that may wait, the compiler shares less.
    assert!(BUILT_IN_P3.len() < 490 * 1024, "{} bytes", BUILT_IN_P3.len());
}

#[test]
fn the_prebuilt_components_are_intact_and_up_to_date() {
    prebuilt::check().unwrap();
}
