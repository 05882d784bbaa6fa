//! The field `Date` of answers, made once a second (RFC 9110 §6.6.1).

use http::header::HeaderValue;
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time as the value of a field.
pub fn now() -> Option<HeaderValue> {
    thread_local! {
        /// A second, and its text: a busy server sends many answers in each.
        static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    LAST.with_borrow_mut(|last| match last {
        Some((known, value)) if *known == second => Some(value.clone()),
        _ => {
            let value = HeaderValue::from_str(&httpdate::fmt_http_date(now)).ok()?;
            *last = Some((second, value.clone()));
            Some(value)
        }
    })
}
