//! What the ticker published about a route: written by the ticker alone, read by every request.
//!
//! The short windows come first, and fit on one cache line where the whole begins at one, as in the
//! state of a route. What the long windows say lies behind them, where a request looks only if a flag
//! of the first says that something is out of the ordinary.
//! Words of one factor are read one by one: in the instant in which a minute closes a reader may
//! see some of the old minute and some of the new one, which is no further off than either. The
//! record holds what was read.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::observation::burn::{BURN_WINDOW_COUNT, BurnSums, burn_pair, burn_pair_known};
use crate::observation::{
    BurnPair, CircuitReading, CircuitState, Regression, Share, Signals, Traffic,
};
use crate::units::{Band, BasisPoints, Factor, FactorSet};

/// What the ticker published about a route.
#[derive(Debug, Default)]
#[repr(C)]
pub struct RouteShared {
    slow: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    class_shares: AtomicU64,
    ticked_ns: AtomicU64,
    /// Factors of the long windows that are known, and from [`REGRESSION`] on, what to read.
    long_flags: AtomicU32,
    overdue: AtomicU32,
    distress_and_band: AtomicU32,
    pub(super) long: LongWords,
}

/// What the long windows say, and what is only shown.
#[derive(Debug, Default)]
pub(super) struct LongWords {
    regression: AtomicU64,
    offered: AtomicU32,
    mean_1024: AtomicU64,
    variance_1024: AtomicU64,
    burn: [AtomicU64; BURN_WINDOW_COUNT],
    transitions: [AtomicU32; 3],
}

/// Factors whose windows are short, or that need none.
pub const ALWAYS_KNOWN: FactorSet = FactorSet::ALL
    .without(Factor::LatencyRegression)
    .without(Factor::TrafficAnomaly)
    .without(Factor::ErrorBudgetBurn);

/// The tail is longer than the baseline.
const REGRESSION: u32 = 1 << 16;
/// More was offered than usual.
const TRAFFIC: u32 = 1 << 17;
/// The first pair of windows burns; the others follow.
const BURN: u32 = 1 << 18;
const BURN_ALL: u32 = BURN | BURN << 1 | BURN << 2;
const LOUD: u32 = REGRESSION | TRAFFIC | BURN_ALL;

const fn bit(factor: Factor) -> u32 {
    FactorSet::EMPTY.with(factor).bits() as u32
}

/// What one tick publishes of the short windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShortView {
    /// Slow or overdue of completed and overdue, 60 s.
    pub slow: Share,
    /// Failed of ended and overdue, 10 s.
    pub failed: Share,
    /// Retries that count of offered, 10 s.
    pub retries: Share,
    /// Shares of what shedding could meet per class, 10 s, basis points.
    pub class_share_bp: [u16; 3],
    /// Slow of completed, 10 s; not published, it only opens circuits.
    pub slow_short: Share,
    /// Requests overdue now.
    pub overdue: u32,
    /// The circuits, dry and real, as they were when last looked at: the outcomes counted here are
    /// those of the epoch of the one that most requests met.
    pub as_of: [CircuitReading; 2],
}

/// Of a route that nobody asks for.
pub const ALL_ORDINARY_BP: [u16; 3] = [0, 10_000, 0];

/// Numerator and denominator in one word, so that no reader sees one without the other; in the order
/// in which they lie in a [`Share`], so that a reader only copies the word.
const fn pack(share: Share) -> u64 {
    (share.whole as u64) << 32 | share.part as u64
}

const fn unpack(word: u64) -> Share {
    Share {
        part: word as u32,
        whole: (word >> 32) as u32,
    }
}

impl RouteShared {
    /// Slow or overdue of completed and overdue, 60 s.
    #[inline]
    pub fn slow(&self) -> Share {
        unpack(self.slow.load(Ordering::Relaxed))
    }

    /// Retries that count of offered, 10 s.
    #[inline]
    pub fn retries(&self) -> Share {
        unpack(self.retries.load(Ordering::Relaxed))
    }

    /// Shares of what shedding could meet per class, 10 s, basis points.
    #[inline]
    pub fn class_share_bp(&self) -> [u16; 3] {
        let word = self.class_shares.load(Ordering::Relaxed);
        if word == 0 {
            return ALL_ORDINARY_BP;
        }
        [word as u16, (word >> 16) as u16, (word >> 32) as u16]
    }

    /// Failed of ended and overdue, 10 s.
    #[inline]
    pub fn failed(&self) -> Share {
        unpack(self.failed.load(Ordering::Relaxed))
    }

    /// Requests overdue now.
    #[inline]
    pub fn overdue(&self) -> u32 {
        self.overdue.load(Ordering::Relaxed)
    }

    /// When that was, on the monotonic clock.
    pub fn ticked_ns(&self) -> u64 {
        self.ticked_ns.load(Ordering::Relaxed)
    }

    /// Distress at the last tick.
    #[inline]
    pub fn distress(&self) -> BasisPoints {
        let word = self.distress_and_band.load(Ordering::Relaxed);
        BasisPoints::saturating(u64::from(word >> 8))
    }

    /// The held band of that distress.
    #[inline]
    pub fn band(&self) -> Band {
        let word = self.distress_and_band.load(Ordering::Relaxed);
        Band::ALL
            .get((word & 0xff) as usize)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn publish(&self, view: &ShortView, now_ns: u64) {
        self.ticked_ns.store(now_ns, Ordering::Relaxed);
        self.slow.store(pack(view.slow), Ordering::Relaxed);
        self.failed.store(pack(view.failed), Ordering::Relaxed);
        self.retries.store(pack(view.retries), Ordering::Relaxed);
        let [retries, ordinary, privileged] = view.class_share_bp.map(u64::from);
        let shares = retries | ordinary << 16 | privileged << 32;
        self.class_shares.store(shares, Ordering::Relaxed);
        self.overdue.store(view.overdue, Ordering::Relaxed);
    }

    pub(super) fn publish_distress(&self, distress: BasisPoints, band: Band) {
        let word = u32::from(distress.get()) << 8 | band as u32;
        self.distress_and_band.store(word, Ordering::Relaxed);
    }
}

impl RouteShared {
    /// The factors that enough was seen of.
    #[inline]
    pub fn known(&self) -> FactorSet {
        let known = self.long_flags.load(Ordering::Relaxed) as u16;
        FactorSet::from_bits(ALWAYS_KNOWN.bits() | known)
    }

    /// Adds what the long windows say; mostly nothing, and then it costs one load.
    #[inline]
    pub fn read_long(&self, signals: &mut Signals) {
        let flags = self.long_flags.load(Ordering::Relaxed);
        if flags & LOUD != 0 {
            self.read_loud(flags, signals);
        }
    }

    #[cold]
    fn read_loud(&self, flags: u32, signals: &mut Signals) {
        let long = &self.long;
        if flags & REGRESSION != 0 {
            let words = unpack(long.regression.load(Ordering::Relaxed));
            signals.regression = Regression {
                p95_us: words.part,
                baseline_us: words.whole,
            };
        }
        if flags & TRAFFIC != 0 {
            signals.traffic = Traffic {
                offered: long.offered.load(Ordering::Relaxed),
                mean_1024: long.mean_1024.load(Ordering::Relaxed),
                variance_1024: long.variance_1024.load(Ordering::Relaxed),
            };
        }
        if flags & BURN_ALL != 0 {
            let sums = self.burn_sums();
            for (pair, read) in signals.burn.iter_mut().enumerate() {
                if flags & BURN << pair != 0 {
                    *read = burn_pair(&sums, pair);
                }
            }
        }
    }

    /// Whether the long windows say anything at all.
    #[must_use]
    pub(super) fn is_loud(&self) -> bool {
        self.long_flags.load(Ordering::Relaxed) & LOUD != 0
    }

    /// Failed of completed and overdue in the five long windows, shortest first. As of the last
    /// closed minute where nothing fails.
    #[must_use]
    pub fn burn_sums(&self) -> BurnSums {
        let load = |word: &AtomicU64| unpack(word.load(Ordering::Relaxed));
        self.long.burn.each_ref().map(load)
    }

    /// How often the circuit was seen to become closed, open and half open.
    #[must_use]
    pub fn transitions(&self, to: CircuitState) -> u32 {
        let count = self.long.transitions.get(to as usize);
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// What the last closed minute says; `None` where too little is known to say anything. All 0
    /// where it says nothing.
    pub(super) fn publish_minute(&self, regression: Option<Regression>, traffic: Option<Traffic>) {
        let long = &self.long;
        let (tail, load) = (regression.unwrap_or_default(), traffic.unwrap_or_default());
        let words = Share {
            part: tail.p95_us,
            whole: tail.baseline_us,
        };
        long.regression.store(pack(words), Ordering::Relaxed);
        long.offered.store(load.offered, Ordering::Relaxed);
        long.mean_1024.store(load.mean_1024, Ordering::Relaxed);
        long.variance_1024
            .store(load.variance_1024, Ordering::Relaxed);
        self.set_flags(&[
            (bit(Factor::LatencyRegression), regression.is_some()),
            (bit(Factor::TrafficAnomaly), traffic.is_some()),
            (REGRESSION, tail != Regression::default()),
            (TRAFFIC, load != Traffic::default()),
        ]);
    }

    /// What the long windows of failures hold.
    pub(super) fn publish_burn(&self, sums: &BurnSums, observed_minutes: u64) {
        for (word, sum) in self.long.burn.iter().zip(sums) {
            word.store(pack(*sum), Ordering::Relaxed);
        }
        let known = |pair| burn_pair_known(observed_minutes, pair);
        let burns = |pair| known(pair) && burn_pair(sums, pair) != BurnPair::default();
        self.set_flags(&[
            (bit(Factor::ErrorBudgetBurn), known(0)),
            (BURN, burns(0)),
            (BURN << 1, burns(1)),
            (BURN << 2, burns(2)),
        ]);
    }

    pub(super) fn note_transitions(&self, to: CircuitState, count: u32) {
        if let Some(word) = self.long.transitions.get(to as usize) {
            word.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// There is one writer, and mostly nothing changes: then the line stays shared.
    fn set_flags(&self, changes: &[(u32, bool)]) {
        let before = self.long_flags.load(Ordering::Relaxed);
        let after = changes.iter().fold(
            before,
            |flags, (bit, set)| {
                if *set { flags | bit } else { flags & !bit }
            },
        );
        if after != before {
            self.long_flags.store(after, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ALWAYS_KNOWN, RouteShared};
    use crate::observation::{BurnPair, Regression, Share, Signals, Traffic};
    use crate::units::{Factor, FactorSet};

    const TAIL: Regression = Regression {
        p95_us: 30_000,
        baseline_us: 10_000,
    };
    const LOAD: Traffic = Traffic {
        offered: 400,
        mean_1024: 102_400,
        variance_1024: 7,
    };
    const HOT: Share = Share {
        part: 50,
        whole: 500,
    };

    fn read(shared: &RouteShared) -> Signals {
        let mut signals = Signals {
            known: shared.known(),
            ..Signals::default()
        };
        shared.read_long(&mut signals);
        signals
    }

    #[test]
    fn what_is_quiet_is_known_and_zero() {
        let shared = RouteShared::default();
        assert_eq!(shared.known(), ALWAYS_KNOWN);
        shared.publish_minute(Some(Regression::default()), Some(Traffic::default()));
        shared.publish_burn(&[Share::default(); 5], 30);
        let quiet = Signals {
            known: FactorSet::ALL,
            ..Signals::default()
        };
        assert_eq!(read(&shared), quiet);
        assert!(!shared.is_loud());
    }

    #[test]
    fn each_factor_speaks_for_itself_and_falls_silent_again() {
        let shared = RouteShared::default();
        shared.publish_minute(Some(TAIL), None);
        assert_eq!(read(&shared).regression, TAIL);
        assert!(!shared.known().contains(Factor::TrafficAnomaly));
        shared.publish_minute(None, Some(LOAD));
        let signals = read(&shared);
        assert_eq!(
            (signals.regression, signals.traffic),
            (Regression::default(), LOAD)
        );
        assert!(!shared.known().contains(Factor::LatencyRegression));
        shared.publish_burn(&[HOT; 5], 200);
        let burns = BurnPair {
            short: HOT,
            long: HOT,
        };
        let signals = read(&shared);
        assert_eq!(
            signals.burn,
            [burns, burns, BurnPair::default()],
            "3 d are not known yet"
        );
        assert_eq!(signals.traffic, LOAD);
        shared.publish_burn(&[Share::default(); 5], 201);
        shared.publish_minute(None, None);
        assert!(!shared.is_loud());
        assert_eq!(
            read(&shared).known,
            ALWAYS_KNOWN.with(Factor::ErrorBudgetBurn)
        );
    }
}
