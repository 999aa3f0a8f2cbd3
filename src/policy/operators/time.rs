//! Operators `inside`, `outside` and `schedule`, which test windows of the week; and `not_before` and `not_after`, which
//! test moments.
//!
//! A window is a span of the day on some days, in the local time of a zone: `09:00-17:00` on `mon-fri`. It includes its
//! start, but not its end. A span that ends before it begins goes over midnight and belongs to the day on which it begins;
//! `24:00` is the end of a day. In the hour that the end of summer time repeats, the same local time occurs twice and both
//! count. The hour that its beginning skips never occurs.
//!
//! A moment is written with its offset (RFC 3339): `2026-01-31T09:00:00+01:00`. `not_before` matches from this moment on,
//! `not_after` up to and including it. Leap seconds are not supported: `23:59:60` is the second after `23:59:59`.

use super::TestResult;
use crate::policy::zones::OffsetChanges;
use crate::wire::letter_case;

const DAY: i64 = 86_400;
const NANOSECONDS: u64 = 1_000_000_000;

/// Test of the current time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TimeTest {
    /// In one of these windows if `true`, in none of them if `false`.
    Within(Vec<(TimeWindow, Zone)>, bool),
    /// Moment in nanoseconds since 1970.
    NotBefore(i128),
    NotAfter(i128),
}

/// Time zone of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// Seconds from UTC.
    Fixed(i32),
    /// Table of offsets.
    Changing(OffsetChanges),
}

/// Span of the day on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeWindow {
    days: Days,
    /// Seconds of the day.
    start: i64,
    end: i64,
}

/// Days of the week; bit 0 is Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days(u8);

/// Window as a text has it. Missing parts come from the keys beside the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeWindowText {
    pub(crate) days: Option<Days>,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) zone: Option<Box<str>>,
}

impl TimeTest {
    /// Evaluates a time in nanoseconds since 1970.
    pub(crate) fn evaluate(&self, time: u64) -> TestResult {
        match self {
            TimeTest::NotBefore(moment) => (i128::from(time) >= *moment).into(),
            TimeTest::NotAfter(moment) => (i128::from(time) <= *moment).into(),
            TimeTest::Within(windows, inside) => {
                let second = i64::try_from(time.div_euclid(NANOSECONDS)).unwrap_or(i64::MAX);
                let mut is_known = true;
                for (window, zone) in windows {
                    match zone.offset(second) {
                        Some(offset) if window.holds(second.saturating_add(offset)) => {
                            return (*inside).into();
                        }
                        Some(_) => {}
                        None => is_known = false,
                    }
                }
                if is_known {
                    (!inside).into()
                } else {
                    TestResult::Unreadable
                }
            }
        }
    }
}

impl Zone {
    fn offset(&self, second: i64) -> Option<i64> {
        match self {
            Zone::Fixed(offset) => Some(i64::from(*offset)),
            Zone::Changing(changes) => changes.offset(second).map(i64::from),
        }
    }

    /// Parses `UTC`, `Z` or `+02:00`; `None` for a name.
    pub(crate) fn fixed(text: &str) -> Option<Zone> {
        if matches!(text, "UTC" | "Z") {
            return Some(Zone::Fixed(0));
        }
        let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(digits), _) => (1, digits),
            (_, Some(digits)) => (-1, digits),
            _ => return None,
        };
        let seconds = clock(digits).filter(|seconds| *seconds < DAY)?;
        i32::try_from(seconds.saturating_mul(sign))
            .ok()
            .map(Zone::Fixed)
    }
}

impl TimeWindow {
    pub(crate) fn new(text: &TimeWindowText, days: Days) -> TimeWindow {
        TimeWindow {
            days,
            start: text.start,
            end: text.end,
        }
    }

    /// Returns whether a local time, in seconds since 1970 by the local clock, is in the window.
    fn holds(self, local: i64) -> bool {
        let day = local.div_euclid(DAY);
        let second = local.rem_euclid(DAY);
        if self.start < self.end {
            return self.days.has(day) && (self.start..self.end).contains(&second);
        }
        (self.days.has(day) && second >= self.start)
            || (self.days.has(day.saturating_sub(1)) && second < self.end)
    }
}

const NAMES: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

impl Days {
    pub(crate) const ALL: Days = Days(0x7F);

    /// Returns whether the set has a day, counted from 1970-01-01, which was a Thursday.
    fn has(self, day: i64) -> bool {
        let weekday = u32::try_from(day.saturating_add(3).rem_euclid(7)).unwrap_or(0);
        self.0
            .checked_shr(weekday)
            .is_some_and(|bits| bits & 1 == 1)
    }

    /// Parses `mon`, `Monday`, `mon-fri`, `sat-mon` or `mon,wed`.
    pub(crate) fn parse(text: &str) -> Option<Days> {
        let mut days = 0u8;
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (weekday(first)?, weekday(last)?);
            let mut at = first;
            loop {
                days |= 1u8.checked_shl(at)?;
                if at == last {
                    break;
                }
                at = if at == 6 { 0 } else { at.saturating_add(1) };
            }
        }
        Some(Days(days))
    }

    pub(crate) fn and(self, other: Days) -> Days {
        Days(self.0 | other.0)
    }
}

fn weekday(text: &str) -> Option<u32> {
    let lower = letter_case::ascii_lower(text.trim());
    let at = NAMES
        .iter()
        .position(|name| *name == lower || (lower.len() == 3 && name.starts_with(&*lower)))?;
    u32::try_from(at).ok()
}

/// Parses `9:00`, `09:00` or `24:00` to seconds of the day.
fn clock(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str, lengths: std::ops::RangeInclusive<usize>| {
        let fits = lengths.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| fits)
    };
    let (hours, minutes) = (number(hours, 1..=2)?, number(minutes, 2..=2)?);
    let fits = minutes < 60 && (hours < 24 || (hours == 24 && minutes == 0));
    let seconds = hours
        .checked_mul(3_600)?
        .checked_add(minutes.checked_mul(60)?)?;
    fits.then_some(seconds)
}

impl TimeWindowText {
    /// Parses `09:00-17:00`, `mon-fri 09:00-17:00` or `mon-fri 09:00-17:00 Europe/Berlin`.
    pub(crate) fn parse(text: &str) -> Option<TimeWindowText> {
        let mut window = None;
        let mut days = None;
        let mut zone = None;
        for word in text.split_whitespace() {
            match (span(word), &window) {
                (Some(span), None) => window = Some(span),
                (None, None) if days.is_none() => days = Some(Days::parse(word)?),
                (None, Some(_)) if zone.is_none() => zone = Some(word.into()),
                _ => return None,
            }
        }
        let (start, end) = window?;
        Some(TimeWindowText {
            days,
            start,
            end,
            zone,
        })
    }
}

/// Parses `09:00-17:00`. A span without length is rejected, since it could mean nothing or the whole day.
fn span(text: &str) -> Option<(i64, i64)> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (clock(start)?, clock(end)?);
    (start < DAY && start != end && !(end == 0 && start == DAY)).then_some((start, end))
}

/// Parses a moment of RFC 3339 to nanoseconds since 1970. Digits beyond nanoseconds are cut off.
pub(crate) fn moment(text: &str) -> Option<i128> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, zone) = rest.split_at_checked(length)?;
            (nanoseconds(digits)?, zone)
        }
        None => (0, rest),
    };
    let fits = hour < 24 && minute < 60 && second <= 60;
    let days = days_of(year, month, day).filter(|_| fits)?;
    let offset = match zone {
        "Z" | "z" => 0,
        _ => match Zone::fixed(zone)? {
            Zone::Fixed(offset) if zone.len() == 6 => i64::from(offset),
            _ => return None,
        },
    };
    let of_day = hour
        .checked_mul(3_600)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?;
    let seconds = days
        .checked_mul(DAY)?
        .checked_add(of_day)?
        .checked_sub(offset)?;
    i128::from(seconds)
        .checked_mul(i128::from(NANOSECONDS))?
        .checked_add(i128::from(fraction))
}

/// Parses three numbers of fixed lengths.
fn numbers(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut numbers = [0i64; 3];
    let mut parts = text.split(separator);
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next()?;
        if part.len() != length || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn nanoseconds(digits: &str) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().ok()
}

/// Returns the days from 1970-01-01 to a date of the Gregorian calendar; `None` for a date that does not exist.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap =
        year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    // Years that begin in March have their leap day at the end, so that the months before it are the same in all years.
    let (year, month) = if month > 2 {
        (year, month.checked_sub(3)?)
    } else {
        (year.checked_sub(1)?, month.checked_add(9)?)
    };
    let leap_days = year
        .div_euclid(4)
        .checked_sub(year.div_euclid(100))?
        .checked_add(year.div_euclid(400))?;
    let of_year = month.checked_mul(153)?.checked_add(2)?.div_euclid(5);
    year.checked_mul(365)?
        .checked_add(leap_days)?
        .checked_add(of_year)?
        .checked_add(day)?
        // Days from 0000-03-01 to 1970-01-01, plus one because days count from 1.
        .checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanoseconds_at(time: &str) -> u64 {
        u64::try_from(moment(time).unwrap_or_else(|| panic!("{time}"))).unwrap()
    }

    fn zone(name: &str) -> Zone {
        Zone::fixed(name).unwrap_or_else(|| match crate::policy::zones::find(name) {
            crate::policy::zones::Lookup::Found(changes, ..) => Zone::Changing(changes),
            other => panic!("{name}: {other:?}"),
        })
    }

    fn inside(window: &str, zone_name: &str) -> TimeTest {
        let text = TimeWindowText::parse(window).unwrap_or_else(|| panic!("{window}"));
        let days = text.days.unwrap_or(Days::ALL);
        TimeTest::Within(vec![(TimeWindow::new(&text, days), zone(zone_name))], true)
    }

    fn all(window: &str, zone: &str, samples: &[(&str, bool, &str)]) {
        let test = inside(window, zone);
        for (time, expected, why) in samples {
            assert_eq!(
                test.evaluate(nanoseconds_at(time)),
                TestResult::from(*expected),
                "{time} in {window} {zone}: {why}"
            );
        }
    }

    #[test]
    fn a_window_begins_with_its_first_second_and_ends_before_its_last() {
        all(
            "09:00-17:00",
            "UTC",
            &[
                ("2026-01-05T08:59:59.999999999Z", false, "before"),
                ("2026-01-05T09:00:00Z", true, "the first"),
                ("2026-01-05T16:59:59.999999999Z", true, "the last"),
                ("2026-01-05T17:00:00Z", false, "after"),
                (
                    "2026-01-05T18:30:00+02:00",
                    true,
                    "by the clock of the zone",
                ),
            ],
        );
        all(
            "00:00-24:00",
            "UTC",
            &[
                ("2026-01-05T00:00:00Z", true, "all day"),
                ("2026-01-05T23:59:59Z", true, "all day"),
            ],
        );
    }

    #[test]
    fn days_are_those_of_the_zone() {
        // 2026-01-05 is a Monday.
        all(
            "mon-fri 09:00-17:00",
            "UTC",
            &[
                ("2026-01-04T12:00:00Z", false, "Sunday"),
                ("2026-01-05T12:00:00Z", true, "Monday"),
                ("2026-01-09T12:00:00Z", true, "Friday"),
                ("2026-01-10T12:00:00Z", false, "Saturday"),
            ],
        );
        all(
            "mon 00:00-24:00",
            "+14:00",
            &[
                ("2026-01-04T09:59:59Z", false, "still Sunday there"),
                ("2026-01-04T10:00:00Z", true, "Monday there, Sunday in UTC"),
                ("2026-01-05T10:00:00Z", false, "Tuesday there"),
            ],
        );
        all(
            "fri-mon 09:00-17:00",
            "UTC",
            &[
                ("2026-01-04T12:00:00Z", true, "Sunday"),
                ("2026-01-06T12:00:00Z", false, "Tuesday"),
                ("2026-01-09T12:00:00Z", true, "Friday"),
            ],
        );
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_begins() {
        all(
            "fri 22:00-06:00",
            "UTC",
            &[
                ("2026-01-09T21:59:59Z", false, "Friday before"),
                ("2026-01-09T22:00:00Z", true, "Friday"),
                ("2026-01-10T05:59:59Z", true, "Saturday morning"),
                ("2026-01-10T06:00:00Z", false, "after"),
                (
                    "2026-01-09T03:00:00Z",
                    false,
                    "Friday morning belongs to Thursday",
                ),
                ("2026-01-10T23:00:00Z", false, "Saturday"),
            ],
        );
        all(
            "22:00-00:00",
            "UTC",
            &[
                ("2026-01-31T23:59:59Z", true, "the end of a month"),
                ("2026-02-01T00:00:00Z", false, "the next month"),
            ],
        );
        all(
            "22:00-02:00",
            "UTC",
            &[
                ("2026-02-28T23:00:00Z", true, "February"),
                ("2026-03-01T01:59:59Z", true, "March"),
                ("2024-02-29T23:00:00Z", true, "a leap day"),
            ],
        );
    }

    #[test]
    fn summer_time_moves_the_window_at_both_edges() {
        all(
            "09:00-17:00",
            "America/New_York",
            &[
                ("2026-03-07T14:00:00Z", true, "winter, 9:00"),
                ("2026-03-07T13:59:59Z", false, "winter, before"),
                ("2026-03-09T13:00:00Z", true, "summer, 9:00"),
                ("2026-03-09T12:59:59Z", false, "summer, before"),
                ("2026-11-02T13:59:59Z", false, "winter again"),
            ],
        );
        // On 2026-03-08 clocks go from 01:59:59 to 03:00:00, on 2026-11-01 from 01:59:59 back to 01:00:00.
        all(
            "02:00-03:00",
            "America/New_York",
            &[
                ("2026-03-08T06:59:59Z", false, "1:59:59"),
                ("2026-03-08T07:00:00Z", false, "3:00, the hour never comes"),
                ("2026-11-01T07:00:00Z", true, "2:00 in winter"),
            ],
        );
        all(
            "01:00-02:00",
            "America/New_York",
            &[
                ("2026-11-01T05:30:00Z", true, "1:30 in summer"),
                ("2026-11-01T06:30:00Z", true, "1:30 again, in winter"),
                ("2026-11-01T07:00:00Z", false, "2:00"),
            ],
        );
    }

    #[test]
    fn beyond_the_table_the_time_can_not_be_told() {
        let test = inside("09:00-17:00", "Europe/Berlin");
        let late = nanoseconds_at("2050-01-01T12:00:00Z");
        assert_eq!(test.evaluate(late), TestResult::Unreadable);
        assert_eq!(
            inside("09:00-17:00", "+01:00").evaluate(late),
            TestResult::Holds
        );
    }

    #[test]
    fn outside_is_what_is_in_no_window() {
        let windows = ["mon-fri 09:00-17:00", "sat 10:00-14:00"].map(|window| {
            let text = TimeWindowText::parse(window).unwrap();
            (TimeWindow::new(&text, text.days.unwrap()), zone("UTC"))
        });
        let outside = TimeTest::Within(windows.to_vec(), false);
        for (time, expected) in [
            ("2026-01-05T12:00:00Z", false),
            ("2026-01-05T18:00:00Z", true),
            ("2026-01-10T12:00:00Z", false),
            ("2026-01-10T15:00:00Z", true),
            ("2026-01-11T12:00:00Z", true),
        ] {
            assert_eq!(
                outside.evaluate(nanoseconds_at(time)),
                TestResult::from(expected),
                "{time}"
            );
        }
    }

    #[test]
    fn a_moment_belongs_to_both_sides_of_it() {
        let moment = moment("2026-01-31T23:30:00+01:00").unwrap();
        for (time, not_before, not_after) in [
            ("2026-01-31T22:29:59.999999999Z", false, true),
            ("2026-01-31T22:30:00Z", true, true),
            ("2026-01-31T22:30:00.000000001Z", true, false),
        ] {
            let time = nanoseconds_at(time);
            assert_eq!(
                TimeTest::NotBefore(moment).evaluate(time),
                not_before.into()
            );
            assert_eq!(TimeTest::NotAfter(moment).evaluate(time), not_after.into());
        }
    }

    #[test]
    fn what_is_no_window_no_day_no_zone_and_no_moment_is_refused() {
        for text in [
            "",
            "09:00",
            "9-17",
            "09:00-25:00",
            "09:60-10:00",
            "24:00-09:00",
            "09:00-09:00",
            "9am-5pm",
            "funday 09:00-17:00",
            "mon 09:00-17:00 UTC extra",
            "09:00-17:00 mon 10:00-11:00",
            "09:0-17:00",
            "+9:00-17:00",
        ] {
            assert_eq!(TimeWindowText::parse(text), None, "{text:?}");
        }
        for text in ["", "mo", "mond", "mon-", "mon--fri", "1"] {
            assert_eq!(Days::parse(text), None, "{text:?}");
        }
        for text in [
            "",
            "utc",
            "EST",
            "America/New_York",
            "+2",
            "+25:00",
            "+02:60",
            "02:00",
        ] {
            assert_eq!(Zone::fixed(text), None, "{text:?}");
        }
        for text in [
            "2026-01-31",
            "2026-01-31T09:00:00",
            "2026-02-29T09:00:00Z",
            "2026-13-01T09:00:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T09:00Z",
            "2026-1-31T09:00:00Z",
            "2026-01-31T09:00:00+1:00",
            "2026-01-31T09:00:00.Z",
            "2026-01-31T09:00:00ZZ",
            "20260131T090000Z",
            "2026-01-31T09:00:00 UTC",
        ] {
            assert_eq!(moment(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn moments_agree_with_a_library(second in 0i64..4_000_000_000, nano in 0i32..1_000_000_000, minutes in -840i32..=840) {
            let timestamp = jiff::Timestamp::new(second, nano).unwrap();
            let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
            let text = timestamp.display_with_offset(offset).to_string();
            prop_assert_eq!(moment(&text), Some(timestamp.as_nanosecond()), "{}", text);
        }

        #[test]
        fn a_week_of_windows_agrees_with_a_plain_reading(second in 0i64..4_000_000_000, start in 0i64..24, length in 1i64..24, days in 1u8..0x80, hours in -12i32..=14) {
            let end = (start + length) % 24;
            let text = TimeWindowText { days: None, start: start * 3_600, end: end * 3_600, zone: None };
            prop_assume!(text.start != text.end);
            let window = TimeWindow::new(&text, Days(days));
            let zone = Zone::Fixed(hours * 3_600);
            let result = TimeTest::Within(vec![(window, zone)], true).evaluate(u64::try_from(second).unwrap() * NANOSECONDS);
            // Go back hour by hour to the one in which a window could have begun.
            let local = second + i64::from(hours) * 3_600;
            let hour = local.div_euclid(3_600);
            let held = (0..length).any(|back| {
                let begun = hour - back;
                let (day, of_day) = (begun.div_euclid(24), begun.rem_euclid(24));
                of_day == start && (days >> (day + 3).rem_euclid(7)) & 1 == 1
            });
            prop_assert_eq!(result, TestResult::from(held));
        }

        #[test]
        fn no_text_is_too_odd(text in "[0-9TZ:+. a-z-]{0,30}") {
            let _ = (TimeWindowText::parse(&text), Days::parse(&text), Zone::fixed(&text), moment(&text));
        }
    }
}
