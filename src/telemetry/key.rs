//! The name of one counted series, packed into a word so that a table can compare it at once.
//!
//! 5 bits family, 24 bits number of the route, then three small label values of 10, 8 and 8 bits.
//! The number is the one that a route keeps from rulebook to rulebook and that no other one ever
//! gets. The upper 9 bits are 0. A key is never 0, for 0 marks an empty slot.

const ROUTE_SHIFT: u32 = 5;
const A_SHIFT: u32 = 29;
const B_SHIFT: u32 = 39;
const C_SHIFT: u32 = 47;
const ROUTE_MASK: u64 = 0xff_ffff;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Family {
    /// Decisions: a = reason, b = severity, c = tier and two facts.
    Decision = 1,
    /// Ended exchanges: a = status class, b = method, c = severity.
    Request,
    /// Durations of exchanges: a = status, b = method, c = bucket or the sum in microseconds.
    Duration,
    /// Durations of decisions: c = bucket or the sum in nanoseconds. No route.
    DecisionDuration,
    /// Heads refused in parsing: a = reason. No route.
    Refused,
    /// Actions asked for and not allowed: a = action, b = tier. No route.
    Suppressed,
    /// Further attempts to reach an upstream.
    Retry,
    /// Attempts that no upstream got.
    NeverSent,
    /// Attempts on kept connections that closed before a byte came back.
    Unanswered,
    /// Answers by which an upstream asked for fewer requests.
    Pushback,
    /// Requests that were cut off, the upstream not to blame: a = reason. No route.
    Cut,
    /// Tunnels that ended. No route.
    Tunnel,
    /// Bytes through tunnels that ended: a = direction. No route.
    TunnelBytes,
}

impl Family {
    const ALL: [Self; 13] = [
        Self::Decision,
        Self::Request,
        Self::Duration,
        Self::DecisionDuration,
        Self::Refused,
        Self::Suppressed,
        Self::Retry,
        Self::NeverSent,
        Self::Unanswered,
        Self::Pushback,
        Self::Cut,
        Self::Tunnel,
        Self::TunnelBytes,
    ];
}

/// A route that stands for all routes for which there was no room.
pub const OTHER_ROUTE: u32 = ROUTE_MASK as u32;

/// One series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// The series of a family and route; no label values yet.
    ///
    /// A route beyond 24 bits is counted with [`OTHER_ROUTE`].
    #[must_use]
    #[inline]
    pub const fn of(family: Family, route: u32) -> Self {
        let route = if route < OTHER_ROUTE {
            route
        } else {
            OTHER_ROUTE
        };
        Self(family as u64 | (route as u64) << ROUTE_SHIFT)
    }

    /// The series of a family that knows no routes.
    #[must_use]
    #[inline]
    pub const fn unrouted(family: Family) -> Self {
        Self::of(family, 0)
    }

    /// The same with its first label value, 0..=1023.
    #[must_use]
    #[inline]
    pub const fn a(self, value: u16) -> Self {
        Self(self.0 | (value as u64 & 0x3ff) << A_SHIFT)
    }

    /// The same with its second label value.
    #[must_use]
    #[inline]
    pub const fn b(self, value: u8) -> Self {
        Self(self.0 | (value as u64) << B_SHIFT)
    }

    /// The same with its third label value.
    #[must_use]
    #[inline]
    pub const fn c(self, value: u8) -> Self {
        Self(self.0 | (value as u64) << C_SHIFT)
    }

    /// The series that counts for this one where there is no room for it.
    #[must_use]
    pub fn overflow(self) -> Self {
        match self.family() {
            Some(
                Family::Decision
                | Family::Request
                | Family::Duration
                | Family::Retry
                | Family::NeverSent
                | Family::Unanswered
                | Family::Pushback,
            ) => Self(self.0 | ROUTE_MASK << ROUTE_SHIFT),
            _ => self,
        }
    }

    /// The family; `None` for a word that is no key.
    #[must_use]
    pub fn family(self) -> Option<Family> {
        let number = self.0 & 0x1f;
        Family::ALL
            .into_iter()
            .find(|family| *family as u64 == number)
    }

    /// Whether it is of that family.
    #[must_use]
    pub const fn is_of(self, family: Family) -> bool {
        self.0 & 0x1f == family as u64
    }

    /// The number of the route.
    #[must_use]
    pub const fn route(self) -> u32 {
        (self.0 >> ROUTE_SHIFT & ROUTE_MASK) as u32
    }

    /// The first label value.
    #[must_use]
    pub const fn first(self) -> u16 {
        (self.0 >> A_SHIFT & 0x3ff) as u16
    }

    /// The second label value.
    #[must_use]
    pub const fn second(self) -> u8 {
        (self.0 >> B_SHIFT) as u8
    }

    /// The third label value.
    #[must_use]
    pub const fn third(self) -> u8 {
        (self.0 >> C_SHIFT) as u8
    }

    /// What all series of its route have in common.
    pub(super) const fn of_route(self) -> u64 {
        self.0 & ROUTE_MASK << ROUTE_SHIFT
    }

    /// A number below 4 that tells the series apart in which nearly every request counts: decision,
    /// request, bucket and sum of its duration. The first three are families 1 to 3; of the last label
    /// values of such series that of the sum alone has bits 3 and 4.
    pub(super) const fn place_of_route(self) -> usize {
        let is_sum = self.0 >> (C_SHIFT + 3) & self.0 >> (C_SHIFT + 4) & 1;
        ((self.0 ^ (is_sum * 3)) & 3) as usize
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    pub(super) const fn from_word(word: u64) -> Self {
        Self(word)
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Key, OTHER_ROUTE};

    #[test]
    fn a_key_gives_back_what_was_packed() {
        for (route, a, b, c) in [(0, 0, 0, 0), (1, 599, 9, 15), (99_999, 1_023, 255, 255)] {
            for family in Family::ALL {
                let key = Key::of(family, route).a(a).b(b).c(c);
                assert_eq!(key.family(), Some(family));
                assert_eq!((key.route(), key.first()), (route, a));
                assert_eq!((key.second(), key.third()), (b, c));
                assert_eq!(key.word() >> 55, 0, "not used");
            }
        }
        assert_eq!(Key::of(Family::Retry, u32::MAX).route(), OTHER_ROUTE);
        assert_eq!(Key::of(Family::Retry, 7).overflow().route(), OTHER_ROUTE);
        assert_eq!(Key::unrouted(Family::Refused).overflow().route(), 0);
    }
}
