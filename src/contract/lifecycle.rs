//! How long a contract lives, and what its callers were told about it.
//!
//! Invariants of a [`Lifecycle`], so that notice can be relied on: a deprecated contract says since
//! when; a sunset is at least [`Stability::notice_days`] after that; dates, successor and guide
//! stand only where the contract is deprecated or past its sunset. Whether a date has passed is
//! deliberately not here: whoever asks knows the day.

use std::fmt;

use crate::contract::ContractId;
use crate::units::Date;

/// Where a contract is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Status {
    /// Not promised yet: observed, never enforced.
    Draft,
    /// Promised.
    #[default]
    Active,
    /// Promised still; callers are told to leave.
    Deprecated,
    /// No longer promised after its date; served until it is removed.
    Sunset,
}

impl Status {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Deprecated, Self::Sunset];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Sunset => "sunset",
        }
    }

    /// The status of a file key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.key() == key)
    }

    /// Whether callers are told to leave.
    #[must_use]
    pub const fn is_leaving(self) -> bool {
        matches!(self, Self::Deprecated | Self::Sunset)
    }
}

/// How much notice callers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stability {
    /// Half a year.
    #[default]
    Stable,
    /// A quarter of a year.
    Beta,
}

impl Stability {
    /// Both, the one that is meant by saying nothing first.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Beta];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Beta => "beta",
        }
    }

    /// The stability of a file key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.key() == key)
    }

    /// The fewest days from deprecation to sunset.
    #[must_use]
    pub const fn notice_days(self) -> u32 {
        match self {
            Self::Stable => 180,
            Self::Beta => 90,
        }
    }
}

/// What a lifecycle is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifecycleParts {
    /// Where in its life.
    pub status: Status,
    /// Since when it is deprecated.
    pub deprecated_on: Option<Date>,
    /// From when on it may be removed.
    pub sunset_on: Option<Date>,
    /// The contract that replaces it.
    pub successor: Option<ContractId>,
    /// How much notice callers get.
    pub stability: Stability,
    /// Where callers read how to move: a URL or a path.
    pub migration_guide: Option<Box<str>>,
}

/// A lifecycle, valid by construction. The default is active and stable.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifecycle(LifecycleParts);

/// Why parts are no lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifecycleFault {
    /// A date, successor or guide stands with a status that callers are not told to leave.
    NotLeaving(Status),
    /// A status that needs the date of deprecation has none.
    NoDeprecation(Status),
    /// The status sunset has no date of sunset.
    NoSunset,
    /// The sunset is too soon: days between the dates, and those that the stability asks for.
    ShortNotice {
        /// The days from deprecation to sunset; negative where the order is wrong.
        days: i64,
        /// The fewest.
        needed: u32,
    },
}

impl fmt::Display for LifecycleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeaving(status) => write!(
                f,
                "dates, 'successor' and 'migration_guide' mean nothing with 'status: {}'",
                status.key()
            ),
            Self::NoDeprecation(status) => {
                write!(f, "'status: {}' needs 'deprecated_on'", status.key())
            }
            Self::NoSunset => write!(f, "'status: sunset' needs 'sunset_on'"),
            Self::ShortNotice { days, .. } if *days < 0 => {
                write!(f, "'sunset_on' is before 'deprecated_on'")
            }
            Self::ShortNotice { days, needed } => {
                write!(f, "the notice is {days} days, and callers get {needed}")
            }
        }
    }
}

impl TryFrom<LifecycleParts> for Lifecycle {
    type Error = LifecycleFault;

    fn try_from(parts: LifecycleParts) -> Result<Self, LifecycleFault> {
        let status = parts.status;
        if !status.is_leaving() {
            let says_more = parts.deprecated_on.is_some()
                || parts.sunset_on.is_some()
                || parts.successor.is_some()
                || parts.migration_guide.is_some();
            return match says_more {
                true => Err(LifecycleFault::NotLeaving(status)),
                false => Ok(Self(parts)),
            };
        }
        let Some(deprecated_on) = parts.deprecated_on else {
            return Err(LifecycleFault::NoDeprecation(status));
        };
        let needed = parts.stability.notice_days();
        match parts.sunset_on.map(|day| day.days_since(deprecated_on)) {
            None if status == Status::Sunset => Err(LifecycleFault::NoSunset),
            Some(days) if days < i64::from(needed) => {
                Err(LifecycleFault::ShortNotice { days, needed })
            }
            _ => Ok(Self(parts)),
        }
    }
}

impl Lifecycle {
    /// All that it says.
    #[must_use]
    pub const fn parts(&self) -> &LifecycleParts {
        &self.0
    }

    /// Where in its life the contract is.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.0.status
    }

    /// Whether it says nothing but the defaults.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the day of its sunset has come.
    #[must_use]
    pub fn is_over(&self, today: Date) -> bool {
        self.0.sunset_on.is_some_and(|day| day <= today)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lifecycle, LifecycleFault, LifecycleParts, Stability, Status};
    use crate::units::Date;

    fn parts(status: Status, deprecated: &str, sunset: &str) -> LifecycleParts {
        LifecycleParts {
            status,
            deprecated_on: Date::parse(deprecated),
            sunset_on: Date::parse(sunset),
            ..LifecycleParts::default()
        }
    }

    // R022
    #[test]
    fn notice_is_as_long_as_the_stability_asks_for() {
        use Stability::{Beta, Stable};
        let check = |stability, sunset: &str, expected: Option<LifecycleFault>| {
            let parts = LifecycleParts {
                stability,
                ..parts(Status::Deprecated, "2025-01-01", sunset)
            };
            let fault = Lifecycle::try_from(parts).err();
            assert_eq!(fault, expected, "{stability:?} until {sunset}");
        };
        let short = |days, needed| Some(LifecycleFault::ShortNotice { days, needed });
        check(Stable, "2025-06-30", None);
        check(Stable, "2025-06-29", short(179, 180));
        check(Stable, "2025-01-31", short(30, 180));
        check(Beta, "2025-04-01", None);
        check(Beta, "2025-03-31", short(89, 90));
        check(Beta, "2024-12-31", short(-1, 90));
        check(Stable, "", None);
    }

    #[test]
    fn each_status_has_its_dates() {
        use LifecycleFault::{NoDeprecation, NoSunset, NotLeaving};
        use Status::{Active, Deprecated, Draft, Sunset};
        let check = |status, deprecated: &str, sunset: &str, expected| {
            let fault = Lifecycle::try_from(parts(status, deprecated, sunset)).err();
            assert_eq!(fault, expected, "{status:?} {deprecated} {sunset}");
        };
        check(Draft, "", "", None);
        check(Draft, "2025-01-01", "", Some(NotLeaving(Draft)));
        check(Active, "", "", None);
        check(Active, "", "2025-01-01", Some(NotLeaving(Active)));
        check(Deprecated, "2025-01-01", "", None);
        check(
            Deprecated,
            "",
            "2026-01-01",
            Some(NoDeprecation(Deprecated)),
        );
        check(Sunset, "2025-01-01", "2026-01-01", None);
        check(Sunset, "2025-01-01", "", Some(NoSunset));
        check(Sunset, "", "", Some(NoDeprecation(Sunset)));
    }
}
