//! Amounts: basis points, parts per million, milliseconds, per minute.

use std::num::NonZeroU32;

/// A share in basis points, 0..=10000 (10000 = 100 %).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// 0 %.
    pub const ZERO: Self = Self(0);
    /// 100 %.
    pub const FULL: Self = Self(10_000);

    /// `Some` for 0..=10000.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= 10_000 {
            Some(Self(value as u16))
        } else {
            None
        }
    }

    /// The value, or 10000 where it is larger.
    #[must_use]
    pub const fn saturating(value: u64) -> Self {
        if value > 10_000 {
            Self::FULL
        } else {
            Self(value as u16)
        }
    }

    /// The number, 0..=10000.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number, widened for arithmetic.
    #[must_use]
    pub const fn wide(self) -> u64 {
        self.0 as u64
    }

    /// `self * other / 10000`, truncated.
    #[must_use]
    pub const fn times(self, other: Self) -> Self {
        Self((self.wide() * other.wide() / 10_000) as u16)
    }

    /// `10000 - self`.
    #[must_use]
    pub const fn complement(self) -> Self {
        Self(10_000 - self.0)
    }
}

/// 0 up to `lo`, 10000 from `hi` on, linear and truncated between them.
///
/// With `hi <= lo` it is a step at `lo`.
#[must_use]
pub const fn ramp(x: u64, lo: u64, hi: u64) -> BasisPoints {
    if x <= lo {
        return BasisPoints::ZERO;
    }
    if x >= hi {
        return BasisPoints::FULL;
    }
    let (above, range) = (x - lo, hi - lo);
    let share = match above.checked_mul(10_000) {
        Some(product) => product / range,
        // The result is below 10000 in any case; only the product may need more digits.
        None => (above as u128 * 10_000 / range as u128) as u64,
    };
    BasisPoints::saturating(share)
}

/// A share in parts per million, 0..=1000000; finer than basis points, for error budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartsPerMillion(u32);

impl PartsPerMillion {
    /// `Some` for 0..=1000000.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= 1_000_000 {
            Some(Self(value as u32))
        } else {
            None
        }
    }

    /// The value, or 1000000 where it is larger.
    #[must_use]
    pub const fn saturating(value: u64) -> Self {
        if value > 1_000_000 {
            Self(1_000_000)
        } else {
            Self(value as u32)
        }
    }

    /// The number, 0..=1000000.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A duration in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(u32);

impl Millis {
    /// Any number of milliseconds up to 49 days.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The number of milliseconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The same duration in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0 as u64 * 1_000
    }

    /// The same duration in nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0 as u64 * 1_000_000
    }
}

/// A rate per minute, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerMinute(NonZeroU32);

impl PerMinute {
    /// The least.
    pub const MIN: Self = Self(NonZeroU32::MIN);

    /// `Some` for 1 and more.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        match NonZeroU32::new(value) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The number per minute.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::{BasisPoints, ramp};

    #[test]
    fn ramp_is_flat_outside_and_linear_inside() {
        let table = [
            (0, 0),
            (100, 0),
            (101, 20),
            (350, 5_000),
            (600, 10_000),
            (u64::MAX, 10_000),
        ];
        for (x, want) in table {
            assert_eq!(ramp(x, 100, 600).get(), want, "ramp({x}, 100, 600)");
        }
    }

    #[test]
    fn ramp_without_width_is_a_step() {
        assert_eq!(ramp(5, 5, 5), BasisPoints::ZERO);
        assert_eq!(ramp(6, 5, 5), BasisPoints::FULL);
    }

    #[test]
    fn basis_points_refuse_more_than_the_whole() {
        assert_eq!(BasisPoints::new(10_001), None);
        assert_eq!(BasisPoints::saturating(70_000), BasisPoints::FULL);
    }
}
