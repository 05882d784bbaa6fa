//! Times as the formats of the access log have them, in UTC. The text of the last second is kept, because a busy server
//! writes many lines in each.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `10/Oct/2000:13:55:36 +0000`
pub(super) type Common = [u8; 26];

/// `2000-10-10T13:55:36.123Z`
pub(super) type Iso = [u8; 24];

/// A time as the Common and the Combined format have it.
pub(super) fn common(time: SystemTime) -> Common {
    thread_local! {
        static LAST: Cell<Option<(u64, Common)>> = const { Cell::new(None) };
    }
    let second = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match LAST.get() {
        Some((known, date)) if known == second => date,
        _ => {
            let date = format_common(second);
            LAST.set(Some((second, date)));
            date
        }
    }
}

/// A time with its milliseconds, as RFC 3339 has it.
pub(super) fn iso(time: SystemTime) -> Iso {
    thread_local! {
        static LAST: Cell<Option<(u64, Iso)>> = const { Cell::new(None) };
    }
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let second = since.as_secs();
    let mut date = match LAST.get() {
        Some((known, date)) if known == second => date,
        _ => {
            let date = format_iso(second);
            LAST.set(Some((second, date)));
            date
        }
    };
    let mut rest = since.subsec_millis();
    for digit in date[20..23].iter_mut().rev() {
        let [.., last] = (rest % 10).to_be_bytes();
        *digit = b'0' + last;
        rest /= 10;
    }
    date
}

/// A time in seconds since 1970 as an HTTP-date, such as `Sun, 06 Nov 1994 08:49:37 GMT`. A later year than 9999 has none.
fn http_date(second: u64) -> String {
    let latest = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    httpdate::fmt_http_date((UNIX_EPOCH + Duration::from_secs(second)).min(latest))
}

/// An HTTP-date in another order.
fn format_common(second: u64) -> Common {
    let http = http_date(second);
    let http = http.as_bytes();
    let mut date = *b"10/Oct/2000:13:55:36 +0000";
    for (to, from) in [(0..2, 5..7), (3..6, 8..11), (7..11, 12..16), (12..20, 17..25)] {
        date[to].copy_from_slice(&http[from]);
    }
    date
}

/// An HTTP-date in another order, and with a number for the month.
fn format_iso(second: u64) -> Iso {
    const MONTHS: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    let http = http_date(second);
    let http = http.as_bytes();
    let mut date = *b"2000-10-10T13:55:36.000Z";
    for (to, from) in [(0..4, 12..16), (8..10, 5..7), (11..19, 17..25)] {
        date[to].copy_from_slice(&http[from]);
    }
    for (number, name) in (1..=12).zip(MONTHS) {
        if name == &http[8..11] {
            date[5..7].copy_from_slice(&[b'0' + number / 10, b'0' + number % 10]);
        }
    }
    date
}

#[cfg(test)]
mod tests {
    use super::{common, format_common, iso};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_time_is_written_as_the_format_has_it() {
        for _ in 0..2 {
            let time = UNIX_EPOCH + Duration::from_millis(784_111_777_045);
            assert_eq!(common(time).as_slice(), b"06/Nov/1994:08:49:37 +0000");
            assert_eq!(iso(time).as_slice(), b"1994-11-06T08:49:37.045Z");
        }
    }

    #[test]
    fn the_date_that_is_kept_is_that_of_the_time() {
        const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
        let parts = |second: u64| {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            http.split(' ').map(str::to_owned).collect::<Vec<_>>()
        };
        let expected = |second: u64| {
            let parts = parts(second);
            format!("{}/{}/{}:{} +0000", parts[1], parts[2], parts[3], parts[4])
        };
        let expected_iso = |second: u64, millis: u32| {
            let parts = parts(second);
            let month = MONTHS.find(&parts[2]).unwrap() / 3 + 1;
            format!("{}-{month:02}-{}T{}.{millis:03}Z", parts[3], parts[1], parts[4])
        };
        // Ends of minutes, hours, days, months and years, among them leap years, and of seconds between them.
        let ends =
            [0, 59, 3_599, 86_399, 951_782_399, 951_868_799, 1_709_164_799, 4_107_542_399, 4_102_444_799];
        let others = (0..20_000).map(|at| at * 12_345_677);
        for second in ends.into_iter().chain(others) {
            for (second, nanos) in [(second, 0), (second, 999_999_999), (second + 1, 0), (second, 1_000_000)]
            {
                let time = UNIX_EPOCH + Duration::new(second, nanos);
                assert_eq!(String::from_utf8_lossy(&common(time)), expected(second));
                assert_eq!(String::from_utf8_lossy(&iso(time)), expected_iso(second, nanos / 1_000_000));
            }
        }
        assert_eq!(common(UNIX_EPOCH - Duration::from_secs(5)), format_common(0));
        assert_eq!(format_common(u64::from(u32::MAX) << 20).as_slice(), b"31/Dec/9999:23:59:59 +0000");
    }
}
