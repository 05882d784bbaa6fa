//! Components that answer requests as bytes in their memory: what the host sends of it, what it leaves to the handler of
//! `wasi:http`, and what it takes for a fault.

use guest::exchange::{Answer, Content};
use tests::guests::{self, GuestFile};
use tests::programs;

/// Where the guest has its answer, the list of its fields, and the text for names, values and contents.
const ANSWER_AT: u32 = 4096;
const FIELDS_AT: u32 = 4160;
const TEXT_AT: u32 = 4352;

/// What the handler of `wasi:http` answers.
const HANDLED: &str = "half an answer";

/// Bytes, as the text format of modules has them.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A guest that gives an answer, which stands in its memory with these fields, for each request.
fn guest(answer: Answer, fields: &[(&str, &str)]) -> GuestFile {
    guest_of(&answer.to_bytes(), fields, &format!("(i32.const {ANSWER_AT})"))
}

/// A guest that has bytes in the place of an answer, and whose export ends with this.
fn guest_of(answer: &[u8], fields: &[(&str, &str)], end: &str) -> GuestFile {
    let mut text = String::from("content");
    let mut list = Vec::new();
    for part in fields.iter().flat_map(|(name, value)| [name, value]) {
        let [start, length] = [text.len(), part.len()].map(|number| u32::try_from(number).unwrap());
        list.extend([TEXT_AT + start, length].map(u32::to_le_bytes));
        text.push_str(part);
    }
    let data = [(ANSWER_AT, answer), (FIELDS_AT, list.as_flattened()), (TEXT_AT, text.as_bytes())];
    let data: String =
        data.iter().map(|(at, bytes)| format!("(data (i32.const {at}) \"{}\")", escaped(bytes))).collect();
    let answer = format!("(func (export \"wasi-httpd:answer\") (param i32 i32) (result i32) {end}) {data}");
    GuestFile::new(guests::handler_and("", &answer, guests::ANSWER))
}

fn answer(content: Content, field_count: u32) -> Answer {
    Answer { status: 203, fields: FIELDS_AT, field_count, content }
}

const CONTENT: Content = Content::Bytes { address: TEXT_AT, length: 7 };

#[test]
fn an_answer_in_memory_is_sent() {
    let fields = [("x-one", "1"), ("content-length", "7"), ("x-two", "2")];
    let guest = guest(answer(CONTENT, 3), &fields);
    for (options, status, text) in [
        (&[][..], 203, "content"),
        (&["--instances", "new"], 203, "content"),
        // An instance that keeps its memory may have decided about an earlier request.
        (&["--reuse", "100"], 200, HANDLED),
        (&["--executor", "component"], 200, HANDLED),
    ] {
        let server = programs!().ours_with_guest(&guest.path, options);
        let mut client = server.connect();
        for _ in 0..3 {
            let response = client.request("GET", "/", &[]);
            assert_eq!(
                (response.status, response.text(), response.complete),
                (status, text, true),
                "{options:?}"
            );
            for (name, value) in fields.iter().filter(|_| status == 203) {
                assert_eq!(response.header(name), Some(*value), "{name}");
            }
        }
        let response = client.request("HEAD", "/", &[]);
        assert_eq!((response.status, response.text()), (status, ""), "{options:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
}

#[test]
fn an_answer_without_a_body_may_have_a_length() {
    let guest = guest(answer(Content::None, 1), &[("content-length", "7")]);
    let server = programs!().ours_with_guest(&guest.path, &[]);
    let response = server.connect().request("HEAD", "/", &[]);
    assert_eq!((response.status, response.header("content-length")), (203, Some("7")));
}

#[test]
fn what_is_not_sent_as_it_stands_is_left_to_the_handler() {
    let shorter = Content::Bytes { address: TEXT_AT, length: 6 };
    let length = ("content-length", "7");
    for (answer, fields) in [
        (answer(CONTENT, 1), [("connection", "close")]),
        (answer(CONTENT, 1), [("a name", "1")]),
        (answer(CONTENT, 1), [("x-one", "line\nline")]),
        (answer(CONTENT, 1), [("content-length", "+7")]),
        (answer(shorter, 1), [length]),
        (Answer { status: 99, ..answer(CONTENT, 1) }, [length]),
    ] {
        let guest = guest(answer, &fields);
        let server = programs!().ours_with_guest(&guest.path, &[]);
        let response = server.get("/");
        assert_eq!((response.status, response.text()), (200, HANDLED), "{answer:?} {fields:?}");
        assert_eq!(server.errors(), Vec::<String>::new());
    }
    let guest = guest_of(&[], &[], "(i32.const 0)");
    assert_eq!(programs!().ours_with_guest(&guest.path, &[]).get("/").text(), HANDLED);
}

#[test]
fn bytes_that_the_connection_has_no_room_for_are_left_to_the_handler() {
    for (length, status, text) in [(65_536, 203, None), (65_537, 200, Some(HANDLED))] {
        let answer = answer(Content::Bytes { address: 0, length }, 0).to_bytes();
        let end = format!("(drop (memory.grow (i32.const 1))) (i32.const {ANSWER_AT})");
        let guest = guest_of(&answer, &[], &end);
        let server = programs!().ours_with_guest(&guest.path, &[]);
        let response = server.get("/");
        assert_eq!(response.status, status, "{length}");
        match text {
            Some(text) => assert_eq!(response.text(), text),
            None => assert_eq!(response.body.len(), length as usize),
        }
    }
}

#[test]
fn what_is_no_answer_is_a_fault() {
    let far = u32::MAX - 3;
    let answer_at = |address: u32| format!("(i32.const {})", address.cast_signed());
    let mut unknown = answer(CONTENT, 0).to_bytes();
    unknown[12] = 3;
    let faults = [
        (guest_of(&[], &[], &answer_at(65_536)), "pointer out of bounds of memory"),
        (guest_of(&[], &[], &answer_at(65_536 - 35)), "pointer out of bounds of memory"),
        (guest_of(&[], &[], &answer_at(u32::MAX)), "pointer out of bounds of memory"),
        (guest_of(&unknown, &[], &answer_at(ANSWER_AT)), "what the guest gave as its answer is none"),
        (guest(Answer { fields: far, ..answer(CONTENT, 1) }, &[]), "pointer out of bounds of memory"),
        (guest(Answer { fields: FIELDS_AT + 1, ..answer(CONTENT, 1) }, &[]), "list pointer is not aligned"),
        (
            guest(Answer { field_count: u32::MAX, ..answer(CONTENT, 1) }, &[]),
            "pointer out of bounds of memory",
        ),
        (
            guest(answer(Content::Bytes { address: far, length: 7 }, 0), &[]),
            "pointer out of bounds of memory",
        ),
        (
            guest(answer(Content::Bytes { address: 0, length: far }, 0), &[]),
            "pointer out of bounds of memory",
        ),
        (
            guest(answer(Content::File { descriptor: 0, offset: 0, length: 1 }, 0), &[]),
            "unknown handle index 0",
        ),
        (
            guest(answer(Content::File { descriptor: 9, offset: 0, length: 1 }, 0), &[]),
            "resource not present",
        ),
        (guest_of(&[], &[], "unreachable"), "`unreachable`"),
        (guest_of(&[], &[], "(loop $forever (br $forever)) unreachable"), "--timeout allows more"),
    ];
    for (guest, why) in faults {
        let server = programs!().ours_with_guest(&guest.path, &["--timeout", "1"]);
        for _ in 0..2 {
            assert_eq!(server.get("/").status, 500, "{why}");
        }
        server.wait_for_error(|line| line.contains(why));
    }
}

#[test]
fn a_function_of_another_type_is_none() {
    let definitions = "(func (export \"wasi-httpd:answer\") (param i32) (result i32) (i32.const 0))";
    let guest = GuestFile::new(guests::handler_and("", definitions, guests::ANSWER));
    let server = programs!().ours_with_guest(&guest.path, &[]);
    let line = server.wait_for_error(|line| line.starts_with("Running "));
    assert!(line.contains(" on the component runtime: its `wasi-httpd:answer` has another type"), "{line}");
    assert_eq!(server.get("/").text(), HANDLED);
}
