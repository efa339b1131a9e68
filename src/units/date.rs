//! A day of the calendar in UTC, as files write it: `2026-01-31`.
//!
//! Days from 1970-01-01 to 9999-12-31. There is no "today" here: whoever compares with it says it.

use std::fmt;

/// A day; the order is that of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

const FIRST_YEAR: u32 = 1970;
const LAST_YEAR: u32 = 9999;
const SECONDS_OF_DAY: u64 = 86_400;

impl Date {
    /// A day written as `YYYY-MM-DD`; `None` for any other spelling and for days that do not exist.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_shaped = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        if !is_shaped {
            return None;
        }
        let mut parts = text.split('-').map(|part| part.parse::<u32>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        let exists = (FIRST_YEAR..=LAST_YEAR).contains(&year)
            && (1..=12).contains(&month)
            && (1..=month_length(year, month)).contains(&day);
        let years: u32 = (FIRST_YEAR..year).map(year_length).sum();
        let months: u32 = (1..month).map(|month| month_length(year, month)).sum();
        exists.then_some(Self(years + months + day.saturating_sub(1)))
    }

    /// The day that a second since 1970 belongs to; the last one of the calendar beyond it.
    #[must_use]
    pub fn of_unix_seconds(seconds: u64) -> Self {
        let last: u32 = (FIRST_YEAR..=LAST_YEAR).map(year_length).sum();
        let day = u32::try_from(seconds / SECONDS_OF_DAY).unwrap_or(u32::MAX);
        Self(day.min(last - 1))
    }

    /// The day of a wall-clock time in microseconds since 1970.
    #[must_use]
    pub fn of_unix_us(wall_us: u64) -> Self {
        Self::of_unix_seconds(wall_us / 1_000_000)
    }

    /// Its first second, since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        u64::from(self.0) * SECONDS_OF_DAY
    }

    /// How many days later this is than `earlier`; negative where it is before.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i64 {
        i64::from(self.0) - i64::from(earlier.0)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut year, mut rest) = (FIRST_YEAR, self.0);
        while rest >= year_length(year) {
            rest -= year_length(year);
            year += 1;
        }
        let mut month = 1;
        while rest >= month_length(year, month) {
            rest -= month_length(year, month);
            month += 1;
        }
        write!(f, "{year:04}-{month:02}-{:02}", rest + 1)
    }
}

const fn year_length(year: u32) -> u32 {
    if is_leap(year) { 366 } else { 365 }
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn month_length(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (text, expected) in [
            ("1970-01-01", Some(0)),
            // date -u -d 2024-02-29 +%s
            ("2024-02-29", Some(1_709_164_800)),
            ("2026-11-20", Some(1_795_132_800)),
            ("2100-03-01", Some(4_107_542_400)),
            ("9999-12-31", Some(253_402_214_400)),
            ("2023-02-29", None),
            ("2100-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-1-1", None),
            ("2026-01-00", None),
            ("2026-01-32", None),
            ("1969-12-31", None),
            ("+026-01-01", None),
            ("2026/01/01", None),
            ("tomorrow", None),
            ("", None),
        ] {
            let day = Date::parse(text);
            assert_eq!(day.map(Date::unix_seconds), expected, "{text}");
            if let Some(day) = day {
                assert_eq!(day.to_string(), text);
                assert_eq!(Date::of_unix_seconds(day.unix_seconds() + 86_399), day);
            }
        }
    }

    #[test]
    fn days_between_dates_count_leap_days() {
        let days = |from: &str, to: &str| {
            Date::parse(to).map(|to| to.days_since(Date::parse(from).expect("a day")))
        };
        assert_eq!(days("2024-01-01", "2024-06-29"), Some(180));
        assert_eq!(days("2025-01-01", "2025-06-30"), Some(180));
        assert_eq!(days("2025-01-02", "2025-01-01"), Some(-1));
        let last = Date::of_unix_seconds(u64::MAX);
        assert_eq!(last.to_string(), "9999-12-31");
    }
}
