//! What failed of a request, in the terms of `wasi:http`.

use std::error::Error as _;
use std::io;
use wasmtime_wasi_http::Error;

/// Linux's numbers for too many open files, of the process and of the system.
const TOO_MANY_FILES: [i32; 2] = [libc::EMFILE, libc::ENFILE];

/// Why there is no connection.
pub(super) fn of_connecting(error: &io::Error) -> Error {
    if error.raw_os_error().is_some_and(|number| TOO_MANY_FILES.contains(&number)) {
        return Error::ConnectionLimitReached;
    }
    match error.kind() {
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationUnavailable,
        _ => Error::ConnectionRefused,
    }
}

/// Why an exchange failed before the head of the response.
pub(super) fn of_exchange(error: &hyper::Error) -> Error {
    if error.is_incomplete_message() || is_of_connection(error) {
        return Error::ConnectionTerminated;
    }
    of_message(error)
}

/// Why the body of a response ended early.
pub(super) fn of_body(error: &hyper::Error) -> Error {
    if error.is_incomplete_message() || is_of_connection(error) {
        return Error::HttpResponseIncomplete;
    }
    of_message(error)
}

fn of_message(error: &hyper::Error) -> Error {
    if error.is_parse_too_large() {
        Error::HttpResponseHeaderSectionSize(None)
    } else if error.is_timeout() {
        Error::HttpResponseTimeout
    } else {
        Error::HttpProtocolError
    }
}

/// Whether the connection has ended, and not what was said on it was wrong.
pub(super) fn is_of_connection(error: &hyper::Error) -> bool {
    let is_io = |error: &hyper::Error| {
        let h2_is_io = of_http2(error).is_some_and(h2::Error::is_io);
        h2_is_io || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>)
    };
    error.is_canceled() || error.is_closed() || is_io(error)
}

/// Whether the peer says that it has not processed the request (RFC 9113 §8.7).
pub(super) fn was_not_processed(error: &hyper::Error) -> bool {
    of_http2(error).is_some_and(|error| {
        let leaves = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
        let refuses = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (leaves || refuses)
    })
}

fn of_http2(error: &hyper::Error) -> Option<&h2::Error> {
    error.source()?.downcast_ref()
}
