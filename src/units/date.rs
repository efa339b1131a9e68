//! A day of the calendar, in UTC, as files write it: `2027-01-31`.
//!
//! Only compared, shown and read: nothing is added to a day. What day it is comes from the shell.

use std::fmt;

/// A day of the years 0000 to 9999. The order is that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

const MICROS_PER_DAY: u64 = 86_400_000_000;
/// Days of 400 years: the calendar repeats after them.
const DAYS_PER_ERA: u64 = 146_097;

impl Date {
    /// `Some` where the text is a day that exists, as `YYYY-MM-DD` with all its digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut number = |digits: usize| {
            let part = parts.next()?;
            let is_plain = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
            is_plain.then(|| part.parse::<u16>().ok()).flatten()
        };
        let (year, month, day) = (number(4)?, number(2)?, number(2)?);
        let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
        let exists = (1..=12).contains(&month) && (1..=days_of(year, month)).contains(&day);
        (exists && parts.next().is_none()).then_some(Self { year, month, day })
    }

    /// The day of a time in microseconds since 1970; the last one of 9999 for all later times.
    #[must_use]
    pub fn of_unix_us(time_us: u64) -> Self {
        // Years are counted from March, so that the leap day is the last of its year.
        let days = time_us / MICROS_PER_DAY + 719_468;
        let (era, day) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let from_march = (5 * day + 2) / 153;
        let day = day - (153 * from_march + 2) / 5 + 1;
        let (month, later) = match from_march {
            0..=9 => (from_march + 3, 0),
            _ => (from_march - 9, 1),
        };
        let last = Self {
            year: 9_999,
            month: 12,
            day: 31,
        };
        let of = |year: u64| {
            Some(Self {
                year: u16::try_from(year).ok().filter(|year| *year <= 9_999)?,
                month: u8::try_from(month).ok()?,
                day: u8::try_from(day).ok()?,
            })
        };
        of(era * 400 + year + later).unwrap_or(last)
    }
}

const fn days_of(year: u16, month: u8) -> u8 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::{Date, MICROS_PER_DAY};

    #[test]
    fn days_are_read_as_they_are_shown_and_only_where_they_exist() {
        for text in [
            "2026-11-20",
            "0000-01-01",
            "2024-02-29",
            "2000-02-29",
            "9999-12-31",
        ] {
            let shown = Date::parse(text).map(|date| date.to_string());
            assert_eq!(shown.as_deref(), Some(text));
        }
        for text in [
            "",
            "2026",
            "2026-1-01",
            "2026-02-29",
            "1900-02-29",
            "2026-00-10",
            "2026-13-01",
            "2026-04-31",
            "2026-01-00",
            "2026-01-01-",
            "2026-01-01T",
            "+026-01-01",
            "26-01-01",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert!(Date::parse("2026-09-30") < Date::parse("2026-10-01"));
    }

    #[test]
    fn days_follow_each_other_without_a_gap() {
        let mut text = "1970-01-01".to_owned();
        assert_eq!(Date::of_unix_us(0).to_string(), text);
        for day in 1..100_000_u64 {
            let date = Date::of_unix_us(day * MICROS_PER_DAY);
            assert_eq!(
                date,
                Date::of_unix_us(day * MICROS_PER_DAY + MICROS_PER_DAY - 1)
            );
            assert!(Some(date) > Date::parse(&text), "{date} after {text}");
            text = date.to_string();
            assert_eq!(Date::parse(&text), Some(date));
        }
        // 100,000 existing days in rising order that end where they should left none out.
        assert_eq!(text, "2243-10-16");
        assert_eq!(Date::of_unix_us(u64::MAX).to_string(), "9999-12-31");
    }
}
