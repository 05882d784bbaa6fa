//! HTTP dates: the three formats of RFC 9110 §5.6.7, and the calendar that they need.
//!
//! They are parsed here because the crates for it refuse dates that RFC 9110 allows: those before 1970, leap seconds,
//! and two-digit years, which mean the past if they seem to be more than fifty years ahead.

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const SECONDS_PER_DAY: i64 = 86_400;

/// The days from 1 March of the year 0 to 1970-01-01.
const DAYS_BEFORE_1970: u32 = 719_468;

/// The first second of the year 10000, which none of the formats can express.
const END_OF_DATES: u64 = 253_402_300_800;

/// A two-digit year that seems to be more than this many years ahead means the past (RFC 9110 §5.6.7).
const MAX_YEARS_AHEAD: i64 = 50;

/// A second in the proleptic Gregorian calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    year: i64,
    /// From 1.
    month: i64,
    /// From 1.
    day: i64,
    hour: i64,
    minute: i64,
    /// 60 in a leap second.
    second: i64,
}

impl Date {
    /// The date of a time in seconds since 1970; `None` after the year 9999.
    pub fn of(seconds: u64) -> Option<Self> {
        if seconds >= END_OF_DATES {
            return None;
        }
        // Until then both numbers fit into 32 bits, whose division by a constant is a multiplication.
        let rest = u32::try_from(seconds % 86_400).ok()?;
        let days = u32::try_from(seconds / 86_400).ok()?;
        // Eras of 400 years start on 1 March of the year 0. Within one, the leap days of 4, 100 and 400 years are taken out,
        // and within a year that starts on 1 March, the months before a day average 30.6 days.
        let (era, day_of_era) = ((days + DAYS_BEFORE_1970) / 146_097, (days + DAYS_BEFORE_1970) % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = 400 * era + year_of_era + u32::from(month <= 2);
        let [year, month, day, hour, minute, second] =
            [year, month, day, rest / 3600, rest / 60 % 60, rest % 60].map(i64::from);
        Some(Self { year, month, day, hour, minute, second })
    }

    /// Seconds since 1970; negative before that.
    pub fn seconds(self) -> i64 {
        let days = days_before(self.year, self.month, self.day);
        days * SECONDS_PER_DAY + self.hour * 3600 + self.minute * 60 + self.second
    }

    /// Whether this day and this time exist.
    fn is_real(self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
    }

    /// ISO 8601, to the second: `2023-11-14T22:13:20Z`.
    pub fn iso(self) -> String {
        let mut text = *b"0000-00-00T00:00:00Z";
        text[..4].copy_from_slice(&four_digits(self.year));
        text[5..7].copy_from_slice(&two_digits(self.month));
        text[8..10].copy_from_slice(&two_digits(self.day));
        self.write_time(&mut text[11..19]);
        str::from_utf8(&text).unwrap_or_default().to_owned()
    }

    /// IMF-fixdate, the only format that may be sent (RFC 9110 §5.6.7): `Tue, 14 Nov 2023 22:13:20 GMT`.
    ///
    /// It is written digit by digit: nearly every answer has a date, and the standard library's formatting takes
    /// several times as long.
    pub fn imf_fixdate(self) -> String {
        let mut text = *b"Day, 00 Mon 0000 00:00:00 GMT";
        // The first day of 1970 was a Thursday.
        let weekday = (days_before(self.year, self.month, self.day) + 4).rem_euclid(7);
        text[..3].copy_from_slice(short_name(&DAYS, weekday));
        text[5..7].copy_from_slice(&two_digits(self.day));
        text[8..11].copy_from_slice(short_name(&MONTHS, self.month - 1));
        text[12..16].copy_from_slice(&four_digits(self.year));
        self.write_time(&mut text[17..25]);
        str::from_utf8(&text).unwrap_or_default().to_owned()
    }

    /// Writes `00:00:00`.
    fn write_time(self, text: &mut [u8]) {
        for (at, number) in [self.hour, self.minute, self.second].into_iter().enumerate() {
            text[3 * at..3 * at + 2].copy_from_slice(&two_digits(number));
        }
    }
}

/// The last two digits of a number.
fn two_digits(number: i64) -> [u8; 2] {
    let number = u8::try_from(number.rem_euclid(100)).unwrap_or(0);
    [b'0' + number / 10, b'0' + number % 10]
}

/// The last four digits of a number.
fn four_digits(number: i64) -> [u8; 4] {
    let ([a, b], [c, d]) = (two_digits(number.div_euclid(100)), two_digits(number));
    [a, b, c, d]
}

/// The first three letters of the name of a day or month.
fn short_name(names: &[&'static str], at: i64) -> &'static [u8] {
    usize::try_from(at).ok().and_then(|at| names.get(at)).map_or(b"???", |name| &name.as_bytes()[..3])
}

/// The number of days from 1970-01-01 to this one.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // In years that start on 1 March, the leap day is the last day, and the months before it average 30.6 days.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (month * 306 + 5) / 10 + day - 1 - 719_468
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_before(next_year, next_month, 1) - days_before(year, month, 1)
}

/// Parses an HTTP-date in any of the three formats into seconds since 1970; `None` if it is invalid. `now`, in seconds
/// since 1970, determines the century of a two-digit year.
pub fn parse(text: &[u8], now: u64) -> Option<i64> {
    let date = match text.iter().position(|&byte| byte == b',') {
        Some(3) => imf_fixdate(text)?,
        Some(_) => rfc850_date(text, now)?,
        None => asctime_date(text)?,
    };
    date.is_real().then(|| date.seconds())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(text: &[u8]) -> Option<Date> {
    let rest = day_name(text, true)?.strip_prefix(b", ")?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = month(rest.strip_prefix(b" ")?)?;
    let (year, rest) = number(rest.strip_prefix(b" ")?, 4)?;
    let (hour, minute, second, rest) = time(rest.strip_prefix(b" ")?)?;
    (rest == b" GMT").then_some(Date { year, month, day, hour, minute, second })
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(text: &[u8], now: u64) -> Option<Date> {
    let rest = day_name(text, false)?.strip_prefix(b", ")?;
    let (day, rest) = number(rest, 2)?;
    let (month, rest) = month(rest.strip_prefix(b"-")?)?;
    let (year, rest) = number(rest.strip_prefix(b"-")?, 2)?;
    let (hour, minute, second, rest) = time(rest.strip_prefix(b" ")?)?;
    if rest != b" GMT" {
        return None;
    }
    let now = Date::of(now.min(END_OF_DATES - 1))?;
    let mut date = Date { year: now.year / 100 * 100 + year, month, day, hour, minute, second };
    if date.seconds() > (Date { year: now.year + MAX_YEARS_AHEAD, ..now }).seconds() {
        date.year -= 100;
    }
    Some(date)
}

/// `Sun Nov  6 08:49:37 1994`
fn asctime_date(text: &[u8]) -> Option<Date> {
    let rest = day_name(text, true)?.strip_prefix(b" ")?;
    let (month, rest) = month(rest)?;
    let rest = rest.strip_prefix(b" ")?;
    let (day, rest) = match rest.strip_prefix(b" ") {
        Some(rest) => number(rest, 1)?,
        None => number(rest, 2)?,
    };
    let (hour, minute, second, rest) = time(rest.strip_prefix(b" ")?)?;
    let (year, rest) = number(rest.strip_prefix(b" ")?, 4)?;
    rest.is_empty().then_some(Date { year, month, day, hour, minute, second })
}

/// The text after the name of a day, short or long. The name is not compared with the date.
fn day_name(text: &[u8], short: bool) -> Option<&[u8]> {
    DAYS.iter()
        .find_map(|name| text.strip_prefix(if short { &name.as_bytes()[..3] } else { name.as_bytes() }))
}

fn month(text: &[u8]) -> Option<(i64, &[u8])> {
    MONTHS.iter().zip(1..).find_map(|(name, month)| Some((month, text.strip_prefix(name.as_bytes())?)))
}

/// `08:49:37`
fn time(text: &[u8]) -> Option<(i64, i64, i64, &[u8])> {
    let (hour, rest) = number(text, 2)?;
    let (minute, rest) = number(rest.strip_prefix(b":")?, 2)?;
    let (second, rest) = number(rest.strip_prefix(b":")?, 2)?;
    Some((hour, minute, second, rest))
}

/// A number of exactly `digits` digits, and the text after it.
fn number(text: &[u8], digits: usize) -> Option<(i64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    let value = number
        .iter()
        .try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::{Date, parse};
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    /// 2026-11-23T00:00:00Z
    const NOW: u64 = 1_795_392_000;

    fn read(text: &str) -> Option<i64> {
        parse(text.as_bytes(), NOW)
    }

    #[test]
    fn the_three_formats_give_the_same_second() {
        for text in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(read(text), Some(784_111_777), "{text}");
        }
        assert_eq!(read("Tue Jan 11 00:00:00 2030"), read("Fri, 11 Jan 2030 00:00:00 GMT"));
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        let full = |year| read(&format!("Sun, 23 Nov {year} 00:00:00 GMT"));
        assert_eq!(read("Tuesday, 01-Jan-30 00:00:00 GMT"), read("Tue, 01 Jan 2030 00:00:00 GMT"));
        assert_eq!(read("Sunday, 23-Nov-76 00:00:00 GMT"), full(2076));
        assert_eq!(
            read("Sunday, 23-Nov-76 00:00:01 GMT"),
            full(1976).map(|seconds| seconds + 1),
            "one second more than fifty years ahead"
        );
        assert_eq!(read("Sunday, 23-Nov-77 00:00:00 GMT"), full(1977));
        assert_eq!(read("Sunday, 23-Nov-99 00:00:00 GMT"), full(1999));
    }

    #[test]
    fn the_first_and_last_dates_are_parsed() {
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("Wed, 31 Dec 1969 23:59:59 GMT"), Some(-1));
        assert_eq!(read("Sat, 01 Jan 0000 00:00:00 GMT"), Some(-62_167_219_200));
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
        assert_eq!(read("Sat, 31 Dec 2016 23:59:60 GMT"), read("Sun, 01 Jan 2017 00:00:00 GMT"));
        assert_eq!(read("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
    }

    #[test]
    fn invalid_dates_are_none() {
        for text in [
            "",
            "yesterday",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Thu, 29 Feb 1900 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 94",
            "784111777",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_written_as_imf_fixdate_and_as_iso_8601() {
        let date = Date::of(1_700_000_000).unwrap();
        assert_eq!(date.imf_fixdate(), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(date.iso(), "2023-11-14T22:13:20Z");
        assert_eq!(Date::of(253_402_300_799).unwrap().imf_fixdate(), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(Date::of(253_402_300_800), None);
        assert_eq!(Date::of(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn every_second_is_written_like_httpdate_and_read_back(seconds in 0..253_402_300_800_u64) {
            let ours = Date::of(seconds).unwrap().imf_fixdate();
            let theirs = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(read(&ours), i64::try_from(seconds).ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic(text: Vec<u8>, now: u64) {
            let _ = parse(&text, now);
        }

        #[test]
        fn near_dates_stay_in_range(text in "(Sun|Sunday),? [0-9]{2}[ -]Nov[ -][0-9]{2,4} [0-9:]{8} GMT", now: u64) {
            if let Some(seconds) = parse(text.as_bytes(), now) {
                prop_assert!(seconds < 253_402_300_801);
            }
        }
    }
}
