//! A day of the calendar: what a file says of the future is said in days.

use std::fmt;

const SECS_PER_DAY: u64 = 86_400;
const MICROS_PER_DAY: u64 = SECS_PER_DAY * 1_000_000;

/// A day of the Gregorian calendar in the years 1970 to 9999, in UTC. Earlier days are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day of a text such as `2026-12-31`; `None` where there is no such day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let year = digits(parts.next()?, 4)?;
        let month = u8::try_from(digits(parts.next()?, 2)?).ok()?;
        let day = u8::try_from(digits(parts.next()?, 2)?).ok()?;
        let is_day = (1_970..=9_999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of(year, month)).contains(&day);
        (is_day && parts.next().is_none()).then_some(Self { year, month, day })
    }

    /// The day of a wall-clock time in microseconds since 1970; the last one beyond the year 9999.
    #[must_use]
    pub fn of_unix_us(wall_us: u64) -> Self {
        let mut days = wall_us / MICROS_PER_DAY;
        let mut year = 1_970_u16;
        while year < 9_999 && days >= days_of_year(year) {
            days -= days_of_year(year);
            year += 1;
        }
        let mut month = 1_u8;
        while month < 12 && days >= u64::from(days_of(year, month)) {
            days -= u64::from(days_of(year, month));
            month += 1;
        }
        let day = days.min(u64::from(days_of(year, month)) - 1) as u8 + 1;
        Self { year, month, day }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// A number of exactly so many decimal digits.
fn digits(text: &str, count: usize) -> Option<u16> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

const fn days_of_year(year: u16) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn days_of(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::{Date, MICROS_PER_DAY};

    #[test]
    fn a_day_is_written_in_one_way_and_exists() {
        let check = |text: &str, expected: bool| {
            let date = Date::parse(text);
            assert_eq!(date.is_some(), expected, "{text}");
            if let Some(date) = date {
                assert_eq!(date.to_string(), text);
            }
        };
        check("2026-12-31", true);
        check("1970-01-01", true);
        check("2024-02-29", true);
        check("2000-02-29", true);
        check("2100-02-29", false);
        check("2026-02-29", false);
        check("2026-04-31", false);
        check("2026-00-01", false);
        check("2026-13-01", false);
        check("2026-01-00", false);
        check("1969-12-31", false);
        check("2026-1-1", false);
        check("26-01-01", false);
        check("2026-01-01-", false);
        check("2026-01-01 ", false);
        check("+026-01-01", false);
        check("", false);
    }

    #[test]
    fn a_time_is_of_its_day() {
        let check = |days: u64, expected: &str| {
            let first = days * MICROS_PER_DAY;
            for wall_us in [first, first + MICROS_PER_DAY - 1] {
                assert_eq!(Date::of_unix_us(wall_us).to_string(), expected, "{wall_us}");
            }
        };
        check(0, "1970-01-01");
        check(58, "1970-02-28");
        check(59, "1970-03-01");
        check(789, "1972-02-29");
        check(11_016, "2000-02-29");
        check(20_454, "2026-01-01");
        check(20_818, "2026-12-31");
        assert_eq!(Date::of_unix_us(u64::MAX).to_string(), "9999-12-31");
        assert!(Date::parse("2026-09-30") < Date::parse("2026-10-01"));
    }
}
