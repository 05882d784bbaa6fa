//! A volume of a `ConfigMap`, as the kubelet writes it: links at the top lead through `..data` to a hidden directory, and an
//! update replaces `..data`.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::site::{MODIFIED_SECONDS, Site};
use tests::{eventually, programs};

/// When the kubelet has written a version: it sets no times.
fn written(version: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(MODIFIED_SECONDS + version, 123_456_789)
}

/// Writes a version of the volume, and has `..data` lead to it.
fn publish(site: &Site, version: u64, page: &str) {
    let directory = format!("..2026_11_27_12_00_00.{version}");
    site.file_modified(&format!("{directory}/index.html"), page, written(version));
    site.file_modified(&format!("{directory}/assets/app.js"), "app", written(version));
    symlink(&directory, site.path("..data_tmp")).unwrap();
    fs::rename(site.path("..data_tmp"), site.path("..data")).unwrap();
}

fn volume(version: u64, page: &str) -> Site {
    let site = Site::new();
    publish(&site, version, page);
    for name in ["index.html", "assets"] {
        symlink(format!("..data/{name}"), site.path(name)).unwrap();
    }
    site
}

#[test]
fn the_files_of_a_volume_are_served_and_its_directories_are_hidden() {
    let site = volume(1, "one").with("FILES_LISTING", "on").with("FILES_INDEX", "none");
    tests::on_each_runtime!(site, |server| {
        assert_eq!(server.get("/index.html").text(), "one");
        assert_eq!(server.get("/assets/app.js").text(), "app");
        for target in ["/..data/index.html", "/..2026_11_27_12_00_00.1/index.html"] {
            assert_eq!(server.get(target).status, 404, "{target}");
        }
        let listing = server.get_with("/", &[("Accept", "application/json")]);
        let listing: serde_json::Value = serde_json::from_slice(&listing.body).unwrap();
        let names: Vec<_> =
            listing["entries"].as_array().unwrap().iter().map(|entry| &entry["name"]).collect();
        assert_eq!(names, ["assets", "index.html"]);
    });
}

#[test]
fn an_update_of_a_volume_is_served_with_a_new_tag() {
    let site = volume(1, "one");
    tests::on_each_runtime!(site, |server| {
        publish(&site, 1, "one");
        let first = server.get("/");
        assert_eq!(first.text(), "one");
        publish(&site, 2, "two");
        let tag = first.header("etag").unwrap();
        eventually("the update is served", || server.get("/").text() == "two");
        let response = server.get_with("/", &[("Range", "bytes=1-"), ("If-Range", tag)]);
        assert_eq!((response.status, response.text()), (200, "two"));
        fs::remove_dir_all(site.path("..2026_11_27_12_00_00.1")).unwrap();
    });
}

#[test]
fn pods_have_tags_of_their_own_and_send_no_part_for_that_of_another() {
    let volumes = [volume(1, "page"), volume(2, "page")];
    let [one, other] = volumes.each_ref().map(|site| programs!().ours(site, &["--etag=mtime"]));
    let response = one.get("/");
    let tag = response.header("etag").unwrap();
    assert_ne!(other.get("/").header("etag"), Some(tag));
    for (fields, status) in [
        (&[("If-None-Match", tag)][..], 200),
        (&[("Range", "bytes=1-"), ("If-Range", tag)], 200),
        (&[("Range", "bytes=1-"), ("If-Match", tag)], 412),
    ] {
        assert_eq!(other.get_with("/", fields).status, status, "{fields:?}");
    }
}
