//! The component: its imports, its size, and whether the prebuilt one matches the sources.

use guest_builder::{FILE_SERVER, prebuilt, world};
use host::component::BUILT_IN;

#[test]
fn the_component_imports_nothing_beyond_its_world() {
    let allowed = world::imports_of_world("file-server").unwrap();
    for (name, component) in
        [("built-in", BUILT_IN), ("prebuilt", &prebuilt::read(FILE_SERVER.name()).unwrap())]
    {
        let imports = world::imports_of_component(component).unwrap();
        assert!(imports.contains("wasi:filesystem/types@0.2.12"), "{name} imports {imports:?}");
        let beyond: Vec<_> = imports.difference(&allowed).collect();
        assert!(beyond.is_empty(), "{name} imports {beyond:?}, which its world does not name");
    }
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
    let imports = world::imports_of_component(BUILT_IN).unwrap();
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
fn the_component_is_under_350_kib() {
    assert!(BUILT_IN.len() < 350 * 1024, "{} bytes", BUILT_IN.len());
}

#[test]
fn the_prebuilt_components_are_intact_and_up_to_date() {
    prebuilt::check().unwrap();
}
