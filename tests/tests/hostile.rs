//! Hostile guests: what a guest passes to a function of WASI, the component runtime and the direct path do the same with it, in
//! new instances and in restored ones. Either all of them trap, or all of them leave the same bytes in the guest's memory.
//!
//! `FUZZ_SECONDS` has the random programs run for longer, and `FUZZ_SEED` chooses others.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Weak};
use std::time::{Duration, Instant};
use tests::hostile::compare::Servers;
use tests::hostile::functions::{Function, functions};
use tests::hostile::generate::{Case, Plan, case, prepared};
use tests::hostile::program::Argument::{self, At, Value};
use tests::hostile::program::{DATA, KNOWN, RESULTS, Realloc, handle_of, texts};
use tests::programs;

/// How long random programs run if the environment does not say so.
const FUZZ_TIME: Duration = Duration::from_secs(3);

/// Programs for each function, of one call each.
const CALLS_EACH: u64 = 16;

/// Programs in a row, before the time is looked at.
const BATCH: u32 = 50;

/// Threads that run programs.
const THREADS: u64 = 2;

static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(functions);

/// Servers for all tests that run at the same time. The last of these tests ends them.
fn servers() -> Arc<Servers> {
    static RUNNING: Mutex<Weak<Servers>> = Mutex::new(Weak::new());
    let mut running = RUNNING.lock().unwrap();
    running.upgrade().unwrap_or_else(|| {
        let servers = Arc::new(Servers::start(programs!(), &FUNCTIONS));
        *running = Arc::downgrade(&servers);
        servers
    })
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn no_server_has_panicked(servers: &Servers) {
    let panics: Vec<String> = servers.lines().into_iter().filter(|line| line.contains("panicked")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn each_function_does_the_same_on_each_executor() {
    let servers = servers();
    let mut connections = servers.connect();
    let mut answered = 0;
    for index in 0..FUNCTIONS.len() {
        for number in 0..CALLS_EACH {
            let entropy = u64::try_from(index).unwrap() * 1_000 + number;
            let index = u16::try_from(index).unwrap();
            // Every fourth time, the allocator behaves in another way.
            let realloc = if number % 4 == 3 { u8::try_from(7 + number / 4).unwrap() } else { 0 };
            let plan =
                Plan { calls: vec![(index, entropy)], realloc, prepared: u8::from(number % 3 == 2) * 15 };
            let answer = connections.answer(&case(&FUNCTIONS, &plan));
            let answer = answer.unwrap_or_else(|difference| panic!("{plan:?}\n{difference}"));
            answered += usize::from(answer.status == 200);
        }
    }
    let programs = FUNCTIONS.len() * usize::try_from(CALLS_EACH).unwrap();
    no_server_has_panicked(&servers);
    println!(
        "{programs} programs of one call to {} functions, {answered} of which were answered",
        FUNCTIONS.len()
    );
    assert!(answered * 4 > programs, "only {answered} of {programs} programs came to their end");
}

#[test]
fn what_programs_have_handles_for_is_there() {
    let plan = Plan { calls: Vec::new(), realloc: 0, prepared: 0 };
    let servers = servers();
    let answer = servers.connect().answer(&case(&FUNCTIONS, &plan)).unwrap();
    assert_eq!(answer.status, 200, "{:?}", servers.lines());
    let memory = answer.rest.unwrap().1;
    for (what, _) in KNOWN {
        let at = handle_of(what) as usize;
        assert_ne!(memory[at..at + 4], [0; 4], "{what}");
    }
}

/// Runs a program that ends with these calls, and gives the status of the answer.
fn status(servers: &Servers, calls: &[(&str, &[Argument])]) -> u16 {
    let mut program = prepared(&FUNCTIONS);
    for (name, arguments) in calls {
        program.call_named(&FUNCTIONS, name, arguments, RESULTS);
    }
    let calls = calls.iter().map(|call| format!("{call:?}")).collect();
    let case = Case { path: program.path(true), is_exact: false, calls };
    servers.connect().answer(&case).unwrap_or_else(|difference| panic!("{difference}")).status
}

#[test]
fn request_options_that_were_given_away_are_gone() {
    let servers = servers();
    let [options, request, fields] =
        ["options", "outgoing request", "fields"].map(|what| At(handle_of(what)));
    let to = Value(RESULTS.into());
    let timeout = "[method]request-options.connect-timeout";
    assert_eq!(status(&servers, &[("handle", &[request, Value(1), options, to])]), 200);
    assert_eq!(
        status(&servers, &[("handle", &[request, Value(0), options, to]), (timeout, &[options, to])]),
        200
    );
    assert_eq!(
        status(&servers, &[("handle", &[request, Value(1), options, to]), (timeout, &[options, to])]),
        500
    );
    // Options that are none.
    assert_eq!(status(&servers, &[("handle", &[request, Value(1), fields, to])]), 500);
}

#[test]
fn a_list_is_in_memory_and_is_text_even_behind_an_invalid_field() {
    let servers = servers();
    let list = Value(DATA.into());
    let (first, second) = (DATA, DATA + 16);
    let bad_name = texts().nth(9).unwrap();
    let broken = texts().nth(14).unwrap();
    for (name, length, expected) in
        [(1024, 5, 200), (broken.0, broken.1.len(), 500), (65_535, 2, 500), (0, usize::MAX, 500)]
    {
        let mut program = prepared(&FUNCTIONS);
        let length = length as u64;
        for (to, value) in [
            (first, bad_name.0.into()),
            (first + 4, bad_name.1.len() as u64),
            (second, u64::from(name)),
            (second + 4, length),
        ] {
            program.copy(&FUNCTIONS, to, Value(value));
        }
        program.call_named(
            &FUNCTIONS,
            "[static]fields.from-list",
            &[list, Value(2), Value(RESULTS.into())],
            0,
        );
        let case = Case { path: program.path(true), is_exact: true, calls: vec![format!("{name} {length}")] };
        let answer = servers.connect().answer(&case).unwrap_or_else(|difference| panic!("{difference}"));
        assert_eq!(answer.status, expected, "{name} {length}");
    }
}

#[test]
fn a_pollable_is_made_for_streams_and_futures_only() {
    let servers = servers();
    let wrong = At(handle_of("fields"));
    for (resource, right) in [
        ("output-stream", "stdout"),
        ("input-stream", "stdin"),
        ("future-trailers", ""),
        ("future-incoming-response", ""),
    ] {
        let subscribe = format!("[method]{resource}.subscribe");
        let ready = "[method]pollable.ready";
        assert_eq!(status(&servers, &[(&subscribe, &[wrong]), (ready, &[At(RESULTS)])]), 500, "{resource}");
        if !right.is_empty() {
            assert_eq!(
                status(&servers, &[(&subscribe, &[At(handle_of(right))]), (ready, &[At(RESULTS)])]),
                200
            );
        }
    }
    no_server_has_panicked(&servers);
}

#[test]
fn a_splice_of_nothing_needs_a_stream_to_read_from_as_well() {
    let servers = servers();
    let [stdout, stdin, fields] = ["stdout", "stdin", "fields"].map(|what| At(handle_of(what)));
    for splice in ["[method]output-stream.splice", "[method]output-stream.blocking-splice"] {
        let splice = |from| status(&servers, &[(splice, &[stdout, from, Value(0), Value(RESULTS.into())])]);
        assert_eq!([splice(stdin), splice(fields), splice(Value(999))], [200, 500, 500]);
    }
}

#[test]
fn what_overlaps_is_written_in_the_same_order() {
    let servers = servers();
    // The name of an entry lies where its type and the address of its name come, before and after them.
    let to = RESULTS + 256;
    for number in to - 8..to + 16 {
        let mut program = prepared(&FUNCTIONS);
        program.realloc(&FUNCTIONS, Realloc::Fixed, number);
        let arguments = [At(handle_of("entries")), Value(to.into())];
        program.call_named(&FUNCTIONS, "[method]directory-entry-stream.read-directory-entry", &arguments, 0);
        let arguments = [At(handle_of("file")), Value(3), Value(2), Value(to.into())];
        program.call_named(&FUNCTIONS, "[method]descriptor.read", &arguments, 0);
        program.call_named(&FUNCTIONS, "get-environment", &[Value(to.into())], 0);
        let case = Case { path: program.path(true), is_exact: true, calls: vec![number.to_string()] };
        servers.connect().answer(&case).unwrap_or_else(|difference| panic!("{difference}"));
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let calls = vec((any::<u16>(), any::<u64>()), 1..10);
    (calls, any::<u8>(), any::<u8>()).prop_map(|(calls, realloc, prepared)| Plan { calls, realloc, prepared })
}

/// Runs random programs, and gives the number of those that were answered.
fn fuzz(servers: &Servers, seed: u64, until: Instant, ran: &AtomicUsize, answered: &AtomicUsize) {
    let connections = std::cell::RefCell::new(servers.connect());
    for batch in 0.. {
        if Instant::now() > until {
            break;
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..16].copy_from_slice(&u64::to_le_bytes(batch));
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config { cases: BATCH, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new_with_rng(config, random).run(&plans(), |plan| {
            let answer =
                connections.borrow_mut().answer(&case(&FUNCTIONS, &plan)).map_err(TestCaseError::fail)?;
            ran.fetch_add(1, Ordering::Relaxed);
            answered.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
            Ok(())
        });
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(why, plan)) => panic!("seed {seed}, batch {batch}: {plan:?}\n{why}"),
            Err(TestError::Abort(why)) => panic!("{why}"),
        }
    }
}

#[test]
fn random_programs_do_the_same_on_each_executor() {
    let seed = variable("FUZZ_SEED").unwrap_or(1);
    let time = variable("FUZZ_SECONDS").map_or(FUZZ_TIME, Duration::from_secs);
    println!("FUZZ_SEED={seed}");
    let servers = servers();
    let start = Instant::now();
    let (ran, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (servers, ran, answered) = (&servers, &ran, &answered);
            scope.spawn(move || fuzz(servers, seed.wrapping_add(thread << 32), start + time, ran, answered));
        }
    });
    let (ran, answered) = (ran.into_inner(), answered.into_inner());
    #[allow(clippy::cast_precision_loss)]
    let rate = ran as f64 / start.elapsed().as_secs_f64();
    no_server_has_panicked(&servers);
    println!("{ran} programs, {rate:.0} each second on each of three executors; {answered} were answered");
    assert!(answered * 20 > ran, "only {answered} of {ran} programs came to their end");
}
