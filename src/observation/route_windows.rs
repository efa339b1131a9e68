//! The windows of one route, written by the ticker alone.
//!
//! What one tick reads and writes stands together at the front: with thousands of busy contracts
//! a tick waits for memory, not for arithmetic.

use crate::observation::baseline::{BASELINE_SAMPLES_MIN, Baseline};
use crate::observation::burn::{BurnWindows, LONGEST_MINUTES};
use crate::observation::load::Load;
use crate::observation::packed::PackedHistogram;
use crate::observation::snapshot::RouteSnapshot;
use crate::observation::totals::TotalsReading;
use crate::observation::transitions::changes;
use crate::observation::{
    Board, CLASS_COUNT, CircuitReading, CircuitState, Counts, Histogram, Mode, Regression,
    RouteShared, RouteView, SecondWindow, Share, ShortView, TickVerdict, Traffic,
};
use crate::units::{Band, Bands, BasisPoints};

/// After so many silent minutes nothing is left in any window, and nothing moves any more.
pub(super) const SETTLED_MINUTES: u64 = LONGEST_MINUTES + 80;

const SECONDS_PER_MINUTE: u64 = 60;

/// A band is lowered only after this many ticks in a row clearly below its bound.
const HOLD_TICKS: u32 = 100;

/// How far below its bound "clearly" is, basis points.
const HOLD_MARGIN_BP: u64 = 500;

/// A worker marks a route before it counts there; a second look finds what came in between.
const IDLE_TICKS: u32 = 2;

const P95_BP: u64 = 9_500;

/// All windows of one route, in the order in which they lie: what is looked at once a minute is last.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct RouteWindows {
    seconds: SecondWindow,
    minute: u64,
    seen: TotalsReading,
    idle_ticks: u32,
    calm_ticks: u32,
    pub(super) active: bool,
    /// No tick of the current minute found anything wrong with latency and errors.
    healthy: bool,
    /// The circuit was closed at every tick of the current minute, and never open in between.
    closed: bool,
    /// The mode of the circuit that most requests met at the last tick.
    mode: Mode,
    /// Dry and real, each as of the last tick at which most requests met it. `None`: whatever it is
    /// was so before these windows began.
    circuits: [Option<CircuitReading>; 2],
    burn: BurnWindows,
    /// The first minute that was observed from its beginning.
    first_whole: u64,
    start: MinuteStart,
    load: Load,
    baseline: Baseline,
    last_completed: u64,
    start_latencies: PackedHistogram,
    last_latencies: PackedHistogram,
    last_offered: u32,
    /// The last minute against the usual one, where both are known.
    last_tail: Option<Regression>,
    last_load: Option<Traffic>,
}

/// Totals at the beginning of the current minute.
#[derive(Debug, Clone, Copy, Default)]
struct MinuteStart {
    offered: u32,
    outcomes: u32,
}

/// What a tick found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Advanced {
    pub(super) overdue: u32,
    /// Something failed not long ago, or a minute is over: the long windows have to be said.
    pub(super) burns: bool,
}

impl RouteWindows {
    /// Windows of a route that was silent since `first_whole`, or that nobody looked at before.
    pub(super) fn new(minute: u64, first_whole: u64, observed_before: u64) -> Self {
        let observed = minute.saturating_sub(first_whole) + observed_before;
        Self {
            active: false,
            healthy: true,
            closed: true,
            mode: Mode::default(),
            circuits: [Some(CircuitReading::default()); 2],
            idle_ticks: 0,
            calm_ticks: 0,
            minute,
            first_whole,
            start: MinuteStart::default(),
            seen: TotalsReading::default(),
            seconds: SecondWindow::default(),
            burn: BurnWindows::observed_for(observed),
            load: Load::default(),
            baseline: Baseline::default(),
            last_offered: 0,
            last_completed: 0,
            last_tail: None,
            last_load: None,
            start_latencies: PackedHistogram::default(),
            last_latencies: PackedHistogram::default(),
        }
    }

    /// The windows of a snapshot. Its circuits are what they are: nothing changed here.
    pub(super) fn restored(saved: &RouteSnapshot, minute: u64, first_whole: u64) -> Self {
        let load = Load::restored(&saved.load);
        Self {
            circuits: [None; 2],
            burn: BurnWindows::restored(&saved.burn),
            last_load: load.is_known().then(Traffic::default),
            load,
            baseline: Baseline::restored(&saved.baseline),
            ..Self::new(minute, first_whole, 0)
        }
    }

    /// Adds what is worth keeping to `saved`.
    pub(super) fn save(&self, saved: &mut RouteSnapshot) {
        saved.baseline = self.baseline.saved();
        saved.load = self.load;
        saved.burn = self.burn.saved();
    }

    /// For people.
    pub(super) fn view(&self) -> RouteView {
        RouteView {
            short: self.seconds.short(),
            long: self.seconds.long(),
            last_minute: self.last_latencies.unpack(),
            last_minute_offered: self.last_offered,
            observed_minutes: self.burn.observed_minutes(),
            burn: self.burn.sums(),
            baseline_us: self.baseline.p95_us(),
            healthy_minutes: self.baseline.learned(),
            load: self.load,
            circuit: self.mode.of(&self.circuits).unwrap_or_default(),
        }
    }

    /// Wakes windows that were left alone since nothing came.
    pub(super) fn wake(&mut self) {
        self.active = true;
        self.idle_ticks = 0;
    }

    /// Takes over what the totals rose by.
    pub(super) fn advance(
        &mut self,
        board: &Board,
        route: usize,
        shared: &RouteShared,
        second: u64,
    ) -> Advanced {
        let now = board.totals(route);
        let counts = rise(&now, &self.seen);
        self.seen = now;
        let ended = Share {
            part: counts.failed,
            whole: counts.completed,
        };
        self.burn.add(ended);
        let minute = second / SECONDS_PER_MINUTE;
        let is_over = minute > self.minute;
        if is_over {
            self.close_minute(board, route);
            self.pass_silence(minute);
            self.publish_minute(shared);
        }
        self.seconds.add(second, counts);
        Advanced {
            overdue: now.overdue_began.wrapping_sub(now.overdue_ended),
            burns: is_over || ended != Share::default() && self.burn.has_failures(),
        }
    }

    /// Lets minutes pass in which nothing came.
    pub(super) fn rest_until(&mut self, minute: u64, shared: &RouteShared) {
        self.pass_silence(minute);
        self.publish_minute(shared);
        self.publish_burn(shared);
    }

    /// Says what the long windows of failures hold.
    pub(super) fn publish_burn(&self, shared: &RouteShared) {
        shared.publish_burn(&self.burn.sums(), self.burn.observed_minutes());
    }

    fn close_minute(&mut self, board: &Board, route: usize) {
        self.last_offered = self.seen.offered.wrapping_sub(self.start.offered);
        let completed = self.seen.outcomes.wrapping_sub(self.start.outcomes);
        if completed > 0 || self.last_completed > 0 {
            let mut last = Histogram::default();
            if completed > 0 {
                let (now, _) = board.latencies(route);
                last.add_rise(&now, &self.start_latencies.unpack());
                self.start_latencies = PackedHistogram::new(&now);
            }
            // Counted where they are: a worker may have added one since the totals were read.
            self.last_completed = last.total();
            self.last_latencies = PackedHistogram::new(&last);
        }
        self.start = MinuteStart {
            offered: self.seen.offered,
            outcomes: self.seen.outcomes,
        };
        self.compare_and_learn();
        let whole = self.minute >= self.first_whole;
        self.burn.close_minute(whole);
        self.minute += 1;
        self.healthy = true;
        self.closed = true;
    }

    /// Compares the minute that is over with the usual as it was before, and learns from it.
    fn compare_and_learn(&mut self) {
        let (usual_tail, usual_load) = (self.baseline.p95_us(), self.load);
        let p95_us = self.last_p95_us();
        let is_enough = self.last_completed >= BASELINE_SAMPLES_MIN;
        // A circuit that refuses makes clients come again, or stay away.
        if self.closed && self.minute >= self.first_whole {
            self.load.note(self.last_offered);
        }
        if self.closed && self.healthy && is_enough {
            self.baseline.note(p95_us);
        }
        // The minute that made the usual known is compared with it, too.
        let usual_tail = usual_tail.or(self.baseline.p95_us());
        let usual_load = if usual_load.is_known() {
            usual_load
        } else {
            self.load
        };
        self.last_tail = usual_tail.filter(|_| is_enough).map(|baseline_us| {
            let tail = Regression {
                p95_us,
                baseline_us,
            };
            if p95_us > baseline_us {
                tail
            } else {
                Regression::default()
            }
        });
        self.last_load = usual_load
            .is_known()
            .then(|| usual_load.compare(self.last_offered));
    }

    fn last_p95_us(&self) -> u32 {
        u32::try_from(self.last_latencies.unpack().quantile_us(P95_BP)).unwrap_or(u32::MAX)
    }

    /// Closes minutes without a request until `minute` is the current one.
    fn pass_silence(&mut self, minute: u64) {
        if self.minute >= minute {
            return;
        }
        self.last_offered = 0;
        self.last_tail = None;
        if self.last_completed > 0 {
            self.last_completed = 0;
            self.last_latencies = PackedHistogram::default();
        }
        let is_closed = |circuit: CircuitReading| circuit.state == CircuitState::Closed;
        let learns = self.mode.of(&self.circuits).is_none_or(is_closed);
        let first = minute - (minute - self.minute).min(SETTLED_MINUTES);
        self.burn.skip(first - self.minute);
        for passing in first..minute {
            let whole = passing >= self.first_whole;
            self.burn.close_minute(whole);
            if whole && learns {
                self.load.note(0);
            }
        }
        self.last_load = self.load.is_known().then(Traffic::default);
        self.minute = minute;
        self.healthy = true;
        self.closed = true;
    }

    fn publish_minute(&self, shared: &RouteShared) {
        shared.publish_minute(self.last_tail, self.last_load);
    }

    /// What the short windows say.
    pub(super) fn short_view(&self, overdue: u32) -> ShortView {
        let long = self.seconds.long();
        let short = self.seconds.short();
        ShortView {
            slow: Share {
                part: long.slow,
                whole: long.completed,
            },
            // Both of the same ten seconds: an overdue request fails long after it became so.
            failed: Share {
                part: short.failed,
                whole: short.outcomes.saturating_add(overdue),
            },
            retries: Share {
                part: short.retries_counted,
                whole: short.offered,
            },
            class_share_bp: class_shares(&short),
            slow_short: Share {
                part: short.slow,
                whole: short.completed,
            },
            overdue,
            as_of: self.circuits.map(Option::unwrap_or_default),
        }
    }

    /// Follows the circuit, and returns how often it became closed, open and half open.
    ///
    /// A circuit that closes starts anew: what made it open must not open it again. The error
    /// budget does not: what was spent stays spent.
    pub(super) fn follow(&mut self, verdict: &TickVerdict) -> [u32; 3] {
        let circuit = verdict.circuit;
        self.mode = verdict.mode;
        let [dry, real] = &mut self.circuits;
        let seen = match verdict.mode {
            Mode::Dry => dry,
            Mode::Real => real,
        };
        let before = seen.replace(circuit).unwrap_or(circuit);
        let changes = changes(&before, &circuit);
        let is_closed = circuit.state == CircuitState::Closed;
        let changed = changes != [0; 3];
        if changed && is_closed {
            self.seconds.forget_outcomes();
        }
        self.healthy &= verdict.healthy;
        self.closed &= is_closed && !changed;
        changes
    }

    /// Raised at once, lowered only after a long calm: a route on the edge must not flicker.
    pub(super) fn hold_band(&mut self, held: Band, score: BasisPoints, bands: &Bands) -> Band {
        let margin = BasisPoints::saturating(score.wide() + HOLD_MARGIN_BP);
        if bands.band(margin) >= held {
            self.calm_ticks = 0;
            return held.max(bands.band(score));
        }
        self.calm_ticks += 1;
        if self.calm_ticks < HOLD_TICKS {
            return held;
        }
        self.calm_ticks = 0;
        bands.band(score)
    }

    /// Whether anything is in the windows of seconds.
    pub(super) fn holds_any(&self) -> bool {
        !self.seconds.long().is_zero()
    }

    /// Whether the next tick has to look again.
    pub(super) fn stays_active(&mut self, busy: bool) -> bool {
        let busy = busy || self.holds_any();
        self.idle_ticks = if busy { 0 } else { self.idle_ticks + 1 };
        self.active = self.idle_ticks < IDLE_TICKS;
        self.active
    }
}

fn rise(now: &TotalsReading, seen: &TotalsReading) -> Counts {
    Counts {
        offered: now.offered.wrapping_sub(seen.offered),
        retries_counted: now.retries_counted.wrapping_sub(seen.retries_counted),
        classes: rise_of_each(&now.classes, &seen.classes),
        outcomes: now.outcomes.wrapping_sub(seen.outcomes),
        completed: now.completed.wrapping_sub(seen.completed),
        failed: now.failed.wrapping_sub(seen.failed),
        slow: now.slow.wrapping_sub(seen.slow),
    }
}

fn rise_of_each(
    [a, b, c]: &[u32; CLASS_COUNT],
    [d, e, f]: &[u32; CLASS_COUNT],
) -> [u32; CLASS_COUNT] {
    [a.wrapping_sub(*d), b.wrapping_sub(*e), c.wrapping_sub(*f)]
}

/// Retries, ordinary and privileged requests of all that shedding could meet, basis points.
fn class_shares(counts: &Counts) -> [u16; CLASS_COUNT] {
    let [retries, ordinary, privileged] = counts.classes.map(u64::from);
    let all = (retries + ordinary + privileged).max(1);
    let share = |part: u64| BasisPoints::saturating(part * 10_000 / all);
    let (retries, privileged) = (share(retries), share(privileged));
    let others = BasisPoints::saturating(retries.wide() + privileged.wide()).complement();
    [retries.get(), others.get(), privileged.get()]
}

#[cfg(test)]
mod tests {
    use super::RouteWindows;

    #[test]
    fn the_windows_of_a_contract_are_small() {
        // What docs/performance.md says under "Growth".
        assert!(
            size_of::<RouteWindows>() <= 640,
            "{}",
            size_of::<RouteWindows>()
        );
    }
}
