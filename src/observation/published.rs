//! What the ticker published about a route: written by the ticker alone, read by every request.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::observation::{CircuitReading, Share, Signals};
use crate::units::{Band, BasisPoints, Factor, FactorSet};

/// What the ticker published about a route.
#[derive(Debug, Default)]
pub struct RouteShared {
    slow: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    class_shares: AtomicU64,
    overdue: AtomicU32,
    ticked_ns: AtomicU64,
    distress_and_band: AtomicU32,
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
    /// Shares of the offered per class, 10 s, basis points.
    pub class_share_bp: [u16; 3],
    /// Slow of completed, 10 s; not published, it only opens circuits.
    pub slow_short: Share,
    /// Requests overdue now.
    pub overdue: u32,
    /// The circuit as it was at the last tick: the outcomes counted here are those of its epoch.
    pub as_of: CircuitReading,
}

/// Of a route that nobody asks for.
pub const ALL_ORDINARY_BP: [u16; 3] = [0, 10_000, 0];

/// Numerator and denominator in one word, so that no reader sees one without the other.
const fn pack(share: Share) -> u64 {
    (share.part as u64) << 32 | share.whole as u64
}

const fn unpack(word: u64) -> Share {
    Share {
        part: (word >> 32) as u32,
        whole: word as u32,
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

    /// Shares of the offered per class, 10 s, basis points.
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
        FactorSet::ALL
            .without(Factor::LatencyRegression)
            .without(Factor::TrafficAnomaly)
            .without(Factor::ErrorBudgetBurn)
    }

    /// Adds what the long windows say; mostly nothing.
    #[inline]
    pub fn read_long(&self, _signals: &mut Signals) {}
}
