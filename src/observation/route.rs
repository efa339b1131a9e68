//! The state of one route, kept as long as its contract is, whatever rulebook names it.
//!
//! Three kinds of memory, never on one cache line: totals (each worker its own), the snapshot
//! (written by the ticker, read by all), and what requests write where they count against limits.
//! The last stands beside what every request reads anyway: with thousands of contracts a request
//! waits for each line of its route that it touches, and whoever counts against a limit has to wait
//! for that limit's line, whatever else is on it.

use std::hash::Hasher;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use siphasher::sip::SipHasher24;

use crate::observation::line::Line;
use crate::observation::{
    Circuit, ClientKey, ClientSlot, GcraWord, Limit, RouteShared, RouteTotals,
};

/// Which set of limit words a request counts in.
///
/// A gateway that only observes must not let requests that it would have refused use up the
/// limits that it reports on, and its words must not be the ones a controlling listener obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Would have.
    #[default]
    Dry,
    /// Did.
    Real,
}

impl Mode {
    /// The one of a pair.
    #[must_use]
    #[inline]
    pub const fn of<T>(self, [dry, real]: &[T; 2]) -> &T {
        match self {
            Self::Dry => dry,
            Self::Real => real,
        }
    }
}

/// What decides whether a request may pass: the circuits, and the requests that count against limits
/// of number.
#[derive(Debug)]
struct Gates {
    circuits: [Circuit; 2],
    in_flight: [AtomicU32; 2],
    held: AtomicU32,
}

/// What else every request of the route touches: who it is, where it is counted, and the words of
/// the contract's rate limit.
#[derive(Debug)]
struct Front {
    totals: Box<[Line<RouteTotals>]>,
    salt: u64,
    rate: [GcraWord; 2],
    overflow: OnceLock<Box<[ClientSlot; 2]>>,
    number: u32,
    /// The last request that was sent on counted as dry.
    last_dry: AtomicBool,
}

/// 40 bits of a word are a client's, 24 a time in units of 2^26 ns, 67 ms.
const TIME_MASK: u64 = 0x00ff_ffff;
const TIME_UNIT_SHIFT: u32 = 26;

/// The state of one route.
///
/// In the order in which it lies: three lines that every request reads, beside each other, and then
/// what the long windows and rare refusals need.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct RouteState {
    front: Line<Front>,
    gates: Line<Gates>,
    published: RouteShared,
    name: Box<str>,
    /// The period of the limit that the rate was last counted under, nanoseconds; 0 before the first.
    rate_period_ns: AtomicU64,
    /// Who was refused last by the rate limit, and until when.
    waiting: AtomicU64,
    /// Until when more than one client waits for the rate limit, on the monotonic clock.
    crowded_until_ns: AtomicU64,
}

impl RouteState {
    /// The state of a route of which nothing was seen.
    #[must_use]
    pub fn new(name: &str, workers: usize) -> Self {
        Self::numbered(name, workers, 0)
    }

    /// The same with its number among all routes that a process has had.
    #[must_use]
    pub(super) fn numbered(name: &str, workers: usize, number: u32) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(name.as_bytes());
        Self {
            front: Line::new(Front {
                totals: (0..workers).map(|_| Line::default()).collect(),
                salt: hasher.finish(),
                rate: Default::default(),
                overflow: OnceLock::new(),
                number,
                last_dry: AtomicBool::new(false),
            }),
            gates: Line::new(Gates {
                circuits: [Circuit::new(name), Circuit::new(name)],
                in_flight: Default::default(),
                held: AtomicU32::new(0),
            }),
            published: RouteShared::default(),
            name: name.into(),
            rate_period_ns: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            crowded_until_ns: AtomicU64::new(0),
        }
    }

    /// The id of its contract.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number: the same on the boards of all rulebooks that have its contract, and never that
    /// of another one, also not after its contract was removed. 0 is the unmatched route.
    #[must_use]
    #[inline]
    pub fn number(&self) -> u32 {
        self.front.number
    }

    /// A number of its own among all contracts, for tables that several share.
    #[must_use]
    #[inline]
    pub fn salt(&self) -> u64 {
        self.front.salt
    }

    /// What the ticker last published.
    #[must_use]
    #[inline]
    pub fn published(&self) -> &RouteShared {
        &self.published
    }

    /// A request that counts in `mode` was sent on. Mostly it is the mode of the one before.
    #[inline]
    pub fn note_served(&self, mode: Mode) {
        let dry = mode == Mode::Dry;
        if self.front.last_dry.load(Ordering::Relaxed) != dry {
            self.front.last_dry.store(dry, Ordering::Relaxed);
        }
    }

    /// The mode of the last request that was sent on; real where none was.
    #[must_use]
    pub fn served(&self) -> Mode {
        if self.front.last_dry.load(Ordering::Relaxed) {
            Mode::Dry
        } else {
            Mode::Real
        }
    }

    /// The totals of each worker.
    pub fn totals(&self) -> impl Iterator<Item = &RouteTotals> {
        self.front.totals.iter().map(|padded| &**padded)
    }

    /// The totals of one worker.
    #[must_use]
    #[inline]
    pub fn totals_of(&self, worker: usize) -> Option<&RouteTotals> {
        self.front.totals.get(worker).map(|padded| &**padded)
    }

    /// The word of the contract's rate limit.
    #[must_use]
    #[inline]
    pub fn rate(&self, mode: Mode) -> &GcraWord {
        mode.of(&self.front.rate)
    }

    /// What was used up counts under this limit from now on. Without a limit it stays what it is
    /// until there is one again.
    pub fn limit_rate(&self, limit: Option<&Limit>, now_ns: u64) {
        let Some(limit) = limit else { return };
        let before = self
            .rate_period_ns
            .swap(limit.period_ns(), Ordering::Relaxed);
        if before != 0 {
            for word in &self.front.rate {
                word.rescale(before, limit, now_ns);
            }
        }
    }

    /// The period of the limit that its rate words are counted under, nanoseconds; 0 = none yet.
    #[must_use]
    pub(super) fn rate_period_ns(&self) -> u64 {
        self.rate_period_ns.load(Ordering::Relaxed)
    }

    /// Takes over the rate words of an earlier process, so far ahead under this period (0 where
    /// nobody knows: then they are taken as they are), at most `furthest_ns` under the present one.
    pub(super) fn restore_rate(
        &self,
        ahead_ns: [u64; 2],
        period_ns: u64,
        furthest_ns: u64,
        now_ns: u64,
    ) {
        let current = self.rate_period_ns();
        for (word, ahead_ns) in self.front.rate.iter().zip(ahead_ns) {
            let measured = if period_ns == 0 || current == 0 {
                ahead_ns
            } else {
                let wide = u128::from(ahead_ns) * u128::from(current);
                let wide = wide.div_ceil(u128::from(period_ns));
                u64::try_from(wide).unwrap_or(u64::MAX)
            };
            word.restore(measured.min(furthest_ns), now_ns);
        }
        if current == 0 {
            self.rate_period_ns.store(period_ns, Ordering::Relaxed);
        }
    }

    /// The circuit.
    #[must_use]
    #[inline]
    pub fn circuit(&self, mode: Mode) -> &Circuit {
        mode.of(&self.gates.circuits)
    }

    /// What its clients share that find no slot of their own: a limit of one contract never
    /// counts in the word of another, of which each request is worth more or less.
    #[must_use]
    pub fn client_overflow(&self) -> &ClientSlot {
        let [clients, _] = self.overflow();
        clients
    }

    /// The same of the addresses behind clients that go by a field: they have another limit.
    #[must_use]
    pub fn address_overflow(&self) -> &ClientSlot {
        let [_, addresses] = self.overflow();
        addresses
    }

    /// Made at first use: few contracts limit their clients.
    fn overflow(&self) -> &[ClientSlot; 2] {
        self.front.overflow.get_or_init(Box::default)
    }

    /// Requests in flight that count against the limit.
    #[must_use]
    #[inline]
    pub fn in_flight(&self, mode: Mode) -> u32 {
        mode.of(&self.gates.in_flight).load(Ordering::Relaxed)
    }

    /// Takes one place in flight if fewer than `max` are taken.
    #[inline]
    pub fn take_in_flight(&self, mode: Mode, max: u32) -> bool {
        take_place(mode.of(&self.gates.in_flight), max)
    }

    /// Gives back a place that was taken.
    #[inline]
    pub fn release_in_flight(&self, mode: Mode) {
        mode.of(&self.gates.in_flight)
            .fetch_sub(1, Ordering::Relaxed);
    }

    /// Requests that wait for their turn.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.gates.held.load(Ordering::Relaxed)
    }

    /// Takes one place among those that wait if fewer than `max` do.
    pub fn take_held(&self, max: u32) -> bool {
        take_place(&self.gates.held, max)
    }

    /// Notes that the rate limit refused a client, and is free again at `free_ns`. Says whether
    /// this client is the only one that waits for it.
    ///
    /// Two words for all clients, written by refusals alone: two refusals at one instant may each
    /// take themselves for the only one.
    pub fn waits_alone(&self, client: ClientKey, now_ns: u64, free_ns: u64) -> bool {
        let units = |ns: u64| ns >> TIME_UNIT_SHIFT;
        // Rounded up, and never 0, which stands for nobody.
        let until = (units(free_ns) + 1) & TIME_MASK;
        let word = client.0 & !TIME_MASK | until;
        let before = self.waiting.swap(word, Ordering::Relaxed);
        let left = before.wrapping_sub(units(now_ns)) & TIME_MASK;
        let waits = before != 0 && left <= TIME_MASK / 2;
        let crowded = &self.crowded_until_ns;
        if waits && (before ^ word) & !TIME_MASK != 0 {
            crowded.fetch_max(free_ns, Ordering::Relaxed);
            return false;
        }
        crowded.load(Ordering::Relaxed) <= now_ns
    }

    /// Gives back a place among those that wait.
    pub fn release_held(&self) {
        self.gates.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Adds first and gives back what was too much, so two workers can never share a place.
#[inline]
fn take_place(word: &AtomicU32, max: u32) -> bool {
    if word.fetch_add(1, Ordering::Relaxed) < max {
        return true;
    }
    word.fetch_sub(1, Ordering::Relaxed);
    false
}

#[cfg(test)]
mod tests {
    use super::{Mode, RouteShared, RouteState};
    use crate::observation::ClientKey;

    #[test]
    fn the_state_of_a_contract_is_small() {
        // What docs/performance.md says under "Growth".
        assert!(
            size_of::<RouteState>() <= 320,
            "{}",
            size_of::<RouteState>()
        );
        // What every request reads takes three lines.
        assert!(std::mem::offset_of!(RouteState, published) <= 128);
        assert!(std::mem::offset_of!(RouteShared, long) <= 64);
        let totals = size_of::<super::Line<super::RouteTotals>>();
        assert!(totals <= 128, "{totals} of each worker");
    }

    #[test]
    fn whoever_waits_with_others_is_not_alone() {
        // R050
        const SECOND: u64 = 1_000_000_000;
        let (a, b) = (ClientKey(1 << 40), ClientKey(2 << 40));
        let route = RouteState::new("a", 1);
        let alone = |client, now, free| route.waits_alone(client, now * SECOND, free * SECOND);
        assert!(alone(a, 100, 160));
        assert!(alone(a, 110, 160), "again the same one");
        assert!(!alone(b, 120, 160));
        assert!(!alone(b, 130, 160), "the other one still waits");
        assert!(!alone(a, 140, 160));
        assert!(alone(a, 161, 220), "nobody waits any more");
        assert!(alone(b, 300, 360), "the other one's time has passed");
    }

    #[test]
    fn places_in_flight_are_limited_and_come_back() {
        // R038
        let route = RouteState::new("a", 1);
        assert!(route.take_in_flight(Mode::Real, 2));
        assert!(route.take_in_flight(Mode::Real, 2));
        assert!(!route.take_in_flight(Mode::Real, 2));
        assert!(route.take_in_flight(Mode::Dry, 2), "dry words are others");
        route.release_in_flight(Mode::Real);
        assert_eq!(route.in_flight(Mode::Real), 1);
        assert!(route.take_in_flight(Mode::Real, 2));
    }
}
