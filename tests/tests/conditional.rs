//! Validators and conditional requests: RFC 9110 §8.8 and §13.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tests::eventually;
use tests::on_each_runtime;
use tests::site::{MODIFIED, MODIFIED_TAG, Site};

fn site() -> Site {
    let site = Site::new();
    site.file("a.txt", [b'x'; 1000]);
    site
}

fn tag() -> String {
    format!("\"{MODIFIED_TAG}-3e8\"")
}

#[test]
fn a_304_has_the_entity_tag_and_no_content() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        let response = client.request("GET", "/a.txt", &[("If-None-Match", &tag())]);
        assert_eq!(response.status, 304);
        assert_eq!(response.header_names(), ["cache-control", "etag", "vary", "x-content-type-options"]);
        assert_eq!(response.header("etag"), Some(tag().as_str()));
        // Further requests on the connection show that no body followed the head.
        assert_eq!(client.request("HEAD", "/a.txt", &[("If-None-Match", &tag())]).status, 304);
        assert_eq!(client.request("GET", "/a.txt", &[]).body.len(), 1000);
    });
}

#[test]
fn if_none_match_finds_the_tag_in_any_list() {
    let site = site();
    let tag = tag();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (value, status) in [
            ("*".to_owned(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"a,b\", \"x\" , {tag}"), 304),
            (format!(", ,{tag},"), 304),
            ("\"nope\"".to_owned(), 200),
            (MODIFIED_TAG.to_owned(), 200),
            (String::new(), 200),
        ] {
            assert_eq!(
                client.request("GET", "/a.txt", &[("If-None-Match", &value)]).status,
                status,
                "{value}"
            );
        }
        let two_lines = [("If-None-Match", "\"x\""), ("If-None-Match", tag.as_str())];
        assert_eq!(client.request("GET", "/a.txt", &two_lines).status, 304);
    });
}

#[test]
fn if_none_match_overrides_if_modified_since() {
    let site = site();
    on_each_runtime!(site, |server| {
        let both = |tag: &str, date: &str| {
            server.get_with("/a.txt", &[("If-None-Match", tag), ("If-Modified-Since", date)]).status
        };
        assert_eq!(both("\"nope\"", MODIFIED), 200);
        assert_eq!(both(&tag(), "Sat, 01 Jan 2000 00:00:00 GMT"), 304);
    });
}

#[test]
fn a_file_not_changed_since_the_date_is_a_304() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (date, status) in [
            (MODIFIED, 304),
            ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
            ("Tuesday, 14-Nov-23 22:13:20 GMT", 304),
            ("Tue Nov 14 22:13:20 2023", 304),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 304),
            ("garbage", 200),
        ] {
            assert_eq!(
                client.request("GET", "/a.txt", &[("If-Modified-Since", date)]).status,
                status,
                "{date}"
            );
        }
        let twice = [("If-Modified-Since", MODIFIED), ("If-Modified-Since", MODIFIED)];
        assert_eq!(client.request("GET", "/a.txt", &twice).status, 200);
    });
}

#[test]
fn if_match_compares_strongly() {
    let site = site();
    on_each_runtime!(site, |server| {
        let mut client = server.connect();
        for (value, status) in
            [("*", 200), (tag().as_str(), 200), (format!("W/{}", tag()).as_str(), 412), ("\"nope\"", 412)]
        {
            assert_eq!(client.request("GET", "/a.txt", &[("If-Match", value)]).status, status, "{value}");
        }
        assert_eq!(client.request("GET", "/missing", &[("If-Match", "*")]).status, 404);
        let old = "Sat, 01 Jan 2000 00:00:00 GMT";
        assert_eq!(client.request("GET", "/a.txt", &[("If-Unmodified-Since", old)]).status, 412);
        let both = [("If-Match", tag()), ("If-Unmodified-Since", old.to_owned())];
        let both = both.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_eq!(client.request("GET", "/a.txt", &both).status, 200);
    });
}

#[test]
fn conditions_do_not_apply_to_redirects_and_missing_files() {
    let site = site();
    site.file("dir/index.html", "x");
    on_each_runtime!(site, |server| {
        assert_eq!(server.get_with("/dir", &[("If-None-Match", "*")]).status, 308);
        assert_eq!(server.get_with("/missing", &[("If-None-Match", "*")]).status, 404);
    });
}

#[test]
fn dates_are_compared_by_whole_seconds() {
    let site = site();
    let modified = UNIX_EPOCH + Duration::new(1_700_000_000, 999_000_000);
    site.file_modified("late.txt", "x", modified);
    on_each_runtime!(site, |server| {
        let response = server.get("/late.txt");
        assert_eq!(response.header("last-modified"), Some(MODIFIED), "rounded up");
        assert_eq!(server.get_with("/late.txt", &[("If-Modified-Since", MODIFIED)]).status, 304);
        assert_eq!(server.get_with("/late.txt", &[("If-Unmodified-Since", MODIFIED)]).status, 200);
        let range = [("If-Range", MODIFIED), ("Range", "bytes=0-0")];
        assert_eq!(server.get_with("/late.txt", &range).status, 206);
    });
}

#[test]
fn a_file_changed_since_the_date_is_a_412() {
    let site = site();
    on_each_runtime!(site, |server| {
        for (date, status) in [
            (MODIFIED, 200),
            ("Tue, 14 Nov 2023 22:13:21 GMT", 200),
            ("Tue, 14 Nov 2023 22:13:19 GMT", 412),
            ("Tuesday, 14-Nov-23 22:13:19 GMT", 412),
            ("Tue Nov 14 22:13:19 2023", 412),
            ("Mon, 01 Jan 1900 00:00:00 GMT", 412),
            ("Sat, 01 Jan 0000 00:00:00 GMT", 412),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 200),
            ("Wednesday, 14-Nov-99 22:13:20 GMT", 412),
            ("garbage", 200),
        ] {
            assert_eq!(server.get_with("/a.txt", &[("If-Unmodified-Since", date)]).status, status, "{date}");
        }
    });
}

#[test]
fn if_range_ignores_a_date_until_it_is_strong() {
    let site = site();
    on_each_runtime!(site, |server| {
        site.file_modified("fresh.txt", "x", SystemTime::now() + Duration::from_mins(1));
        let response = server.get("/fresh.txt");
        let date = response.header("last-modified").unwrap();
        let status = server.get_with("/fresh.txt", &[("If-Range", date), ("Range", "bytes=0-0")]).status;
        assert_eq!(status, 200, "the file may change again within the same second");
        let tag = response.header("etag").unwrap();
        assert!(tag.starts_with("W/"), "{tag}");
        for list in ["\"x\"", tag, tag.trim_start_matches("W/")] {
            assert_eq!(server.get_with("/fresh.txt", &[("If-Match", list)]).status, 412, "{list}");
        }
    });
}

#[test]
fn head_has_the_same_conditions_as_get() {
    let site = site();
    let tag = tag();
    on_each_runtime!(site, |server| {
        for (name, value, status) in [
            ("If-None-Match", tag.as_str(), 304),
            ("If-Modified-Since", MODIFIED, 304),
            ("If-Match", "\"nope\"", 412),
            ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT", 412),
        ] {
            let mut client = server.connect();
            let get = client.request("GET", "/a.txt", &[(name, value)]);
            let head = client.request("HEAD", "/a.txt", &[(name, value)]);
            assert_eq!((get.status, head.status), (status, status), "{name}");
            assert_eq!(get.header_names(), head.header_names(), "{name}");
            assert_eq!(get.header("content-length"), head.header("content-length"), "{name}");
        }
    });
}

#[test]
fn conditions_do_not_apply_to_other_methods() {
    let site = site();
    on_each_runtime!(site, |server| {
        for (method, status) in [("OPTIONS", 204), ("TRACE", 405), ("POST", 405)] {
            for fields in [[("If-Match", "\"nope\"")], [("If-None-Match", "*")]] {
                assert_eq!(server.connect().request(method, "/a.txt", &fields).status, status, "{method}");
            }
        }
    });
}

#[test]
fn a_change_of_length_or_time_changes_the_tag() {
    let site = site();
    on_each_runtime!(site, |server| {
        let tag = |_: &str| server.get("/b.txt").header("etag").unwrap().to_owned();
        let at = |nanoseconds| UNIX_EPOCH + Duration::new(1_600_000_000, nanoseconds);
        site.file_modified("b.txt", "1", at(0));
        let first = tag("first");
        site.file_modified("b.txt", "2", at(1_000));
        let second = tag("within the same second");
        site.file_modified("b.txt", "22", at(1_000));
        let third = tag("longer");
        assert!(first != second && second != third && first != third, "{first} {second} {third}");
    });
}

#[test]
fn a_tag_is_weak_for_one_second() {
    let site = site();
    on_each_runtime!(site, |server| {
        let tag = || server.get("/fresh.txt").header("etag").unwrap().to_owned();
        site.file_modified("fresh.txt", "x", SystemTime::now() + Duration::from_secs(3));
        let weak = tag();
        assert!(weak.starts_with("W/\""), "{weak}");
        eventually("the tag becomes strong", || !tag().starts_with("W/"));
        assert_eq!(weak.trim_start_matches("W/"), tag(), "the rest of the tag has changed");
    });
}

#[test]
fn last_modified_is_never_in_the_future() {
    let site = site();
    site.file_modified("future.txt", "x", UNIX_EPOCH + Duration::from_secs(4_102_444_800));
    on_each_runtime!(site, |server| {
        let response = server.get("/future.txt");
        let sent = httpdate::parse_http_date(response.header("last-modified").unwrap()).unwrap();
        let date = httpdate::parse_http_date(response.header("date").unwrap()).unwrap();
        assert!(sent <= date, "{sent:?} is later than {date:?}");
    });
}

#[test]
fn a_time_that_tools_set_does_not_tell_contents_apart() {
    let site = site();
    // Nix and container images, zip, npm, and any reproducible build.
    for seconds in [0, 1, 315_532_800, 499_162_500, 1_700_000_000] {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        on_each_runtime!(site, |server| {
            let tag = |content: &str| {
                // As sites are published: a new file takes the place of the old one.
                site.file_modified("staged", content, time);
                std::fs::rename(site.path("staged"), site.path("a.js")).unwrap();
                let response = server.get("/a.js");
                assert_eq!(response.header("last-modified").is_some(), seconds == 1_700_000_000);
                assert_eq!(response.text(), content);
                response.header("etag").unwrap().to_owned()
            };
            let first = tag("one");
            site.wait_for_later_changes("a.js");
            let second = tag("two");
            assert_ne!(first, second, "{seconds}");
            assert_eq!(server.get_with("/a.js", &[("If-None-Match", &first)]).status, 200);
            assert_eq!(server.get_with("/a.js", &[("If-None-Match", &second)]).status, 304);
            eventually("the tag is strong", || {
                !server.get("/a.js").header("etag").unwrap().starts_with("W/")
            });
        });
    }
}

#[test]
fn replicas_agree_where_the_modification_time_is_trusted() {
    let site = site().with("FILES_ETAG", "mtime");
    site.file_modified("a.js", "one", UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    on_each_runtime!(site, |server| {
        assert_eq!(server.get("/a.js").header("etag"), Some("\"17979cfe362a0000-3\""));
    });
}

#[test]
fn a_time_before_1970_is_no_time() {
    let site = site();
    site.file_modified("old.txt", "old", UNIX_EPOCH - Duration::from_secs(1_000_000));
    on_each_runtime!(site, |server| {
        let response = server.get("/old.txt");
        assert_eq!((response.status, response.text()), (200, "old"));
        assert_eq!(response.header("last-modified"), None);
    });
}
