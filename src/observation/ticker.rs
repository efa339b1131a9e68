//! The one writer of windows: differences the workers' totals and publishes what they say per route.
//!
//! Only routes whose windows are not empty yet cost anything; one that is calm and was not touched is
//! looked at when a second ends, because nothing about it changes before. Once a minute every route
//! that was ever used is looked at: silence teaches what is usual, too.
//! The ticker has no clock: the shell calls it every 100 ms, a simulation with virtual time.
//! It judges nothing: how bad the published numbers are it is told by its caller.

use std::collections::HashMap;

use crate::observation::burn::{BURN_WINDOW_COUNT, BurnSums, OBSERVED_MAX};
use crate::observation::load::Load;
use crate::observation::route_windows::{RouteWindows, SETTLED_MINUTES};
use crate::observation::snapshot::{RouteSnapshot, Snapshot};
use crate::observation::transitions::{Transition, Transitions};
use crate::observation::{
    Board, CircuitReading, CircuitState, Counts, Histogram, Limit, Mode, RouteState, Share,
    ShortView,
};
use crate::units::{Band, Bands, BasisPoints, Moment};

/// The time between two ticks.
pub const TICK_NS: u64 = 100_000_000;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_MINUTE: u64 = 60;
const NANOS_PER_MINUTE: u64 = SECONDS_PER_MINUTE * NANOS_PER_SECOND;

/// What a tick learns about a route from whoever judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickVerdict {
    /// The route's distress.
    pub distress: BasisPoints,
    /// Nothing is wrong with its latency and its errors.
    pub healthy: bool,
    /// The mode of the circuit that most requests meet.
    pub mode: Mode,
    /// That circuit, after what was published has been judged.
    pub circuit: CircuitReading,
    /// Neither of its circuits was ever open: nothing about them changes as time passes.
    pub untried: bool,
}

impl TickVerdict {
    /// Whether the next tick would find the same, where nothing is counted and no second ends.
    fn lasts(&self) -> bool {
        self.untried && self.healthy && self.distress == BasisPoints::ZERO
    }
}

/// What the ticker knows of a route, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteView {
    /// The last 10 s.
    pub short: Counts,
    /// The last 60 s.
    pub long: Counts,
    /// Latencies of the last closed minute.
    pub last_minute: Histogram,
    /// Requests that asked for the route in the last closed minute.
    pub last_minute_offered: u32,
    /// Whole minutes that the route was observed.
    pub observed_minutes: u64,
    /// Failed of completed and overdue, in the long windows.
    pub burn: BurnSums,
    /// The usual p95, microseconds; `None` while it is not known.
    pub baseline_us: Option<u32>,
    /// Healthy minutes that the baseline was learned from, as far as they are counted.
    pub healthy_minutes: usize,
    /// The usual load.
    pub load: Load,
    /// The circuit that most requests meet.
    pub circuit: CircuitReading,
}

/// One route, used or not.
#[derive(Debug)]
struct Slot {
    /// The first minute that was observed from its beginning.
    first_whole: u64,
    /// Minutes observed before that, by an earlier process.
    observed_before: u64,
    windows: Option<Box<RouteWindows>>,
}

/// Ticks that look at a route after it was touched. A worker marks a route after it counted there, so
/// one look finds it all; where it marks before (rare events do), the end of the second does.
const LOOKS: u8 = 1;

/// The windows of all routes of one board.
#[derive(Debug, Default)]
pub struct Ticker {
    slots: Vec<Slot>,
    active: Vec<usize>,
    /// How many ticks still look at each route before its second is over. Apart from the slots,
    /// because with thousands of busy contracts only this is in a cache.
    looks: Vec<u8>,
    /// The rulebook of the last tick, and the second of it.
    serial: Option<u32>,
    second: u64,
    /// The numbers of the routes on the board that the windows belong to.
    numbers: Vec<u32>,
    generation: Option<u32>,
    ticked: Moment,
    minute: u64,
    /// The last minute in which any route was active.
    busy_minute: u64,
    transitions: Transitions,
}

impl Ticker {
    /// Moves all windows on to `now` and publishes them; `judge` is told what was published.
    pub fn tick(
        &mut self,
        board: &Board,
        now: Moment,
        bands: &Bands,
        mut judge: impl FnMut(usize, &RouteState, &ShortView) -> TickVerdict,
    ) {
        let second = now.monotonic_ns / NANOS_PER_SECOND;
        self.begin(board, now);
        let moves_on = std::mem::replace(&mut self.second, second) != second;
        let Self {
            slots,
            active,
            looks,
            transitions,
            ..
        } = self;
        active.retain(|&route| {
            let mut unknown = LOOKS;
            let looks = looks.get_mut(route).unwrap_or(&mut unknown);
            if *looks == 0 && !moves_on {
                return true;
            }
            let windows = slots.get_mut(route).and_then(|slot| slot.windows.as_mut());
            let (Some(windows), Some(state)) = (windows, board.route(route)) else {
                return false;
            };
            let shared = state.published();
            let advanced = windows.advance(board, route, shared, second);
            let view = windows.short_view(advanced.overdue);
            shared.publish(&view, now.monotonic_ns);
            if advanced.burns {
                windows.publish_burn(shared);
            }
            let verdict = judge(route, state, &view);
            let held = windows.hold_band(shared.band(), verdict.distress, bands);
            shared.publish_distress(verdict.distress, held);
            let changes = windows.follow(&verdict);
            if changes != [0; 3] {
                note_changes(transitions, route, state, &verdict, changes);
            }
            let busy = advanced.overdue > 0
                || held > Band::Low
                || verdict.circuit.state != CircuitState::Closed;
            let lasts = !busy && verdict.lasts() && windows.holds_any();
            *looks = if lasts {
                looks.saturating_sub(1)
            } else {
                LOOKS
            };
            windows.stays_active(busy)
        });
    }

    /// Says which rulebook the next tick judges by: under another one every route is looked at.
    pub fn heed(&mut self, serial: u32) {
        if self.serial.replace(serial) != Some(serial) {
            self.looks.fill(LOOKS);
        }
    }

    /// Whether nothing is left to move on before the next minute: until then time may pass
    /// without a tick.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// The next instant, on the monotonic clock, at which an idle ticker has something to do;
    /// `None` where even the longest windows are empty, or nothing was ever counted.
    #[must_use]
    pub const fn next_minute_ns(&self) -> Option<u64> {
        if self.slots.is_empty() || self.minute - self.busy_minute > SETTLED_MINUTES {
            return None;
        }
        Some((self.minute + 1) * NANOS_PER_MINUTE)
    }

    /// Whether the windows are those of that board; they follow it at the next tick.
    #[must_use]
    pub fn knows(&self, board: &Board) -> bool {
        self.generation == Some(board.generation())
    }

    /// When the last tick was.
    #[must_use]
    pub const fn ticked(&self) -> Moment {
        self.ticked
    }

    /// What is known of a route; `None` where it was never used.
    #[must_use]
    pub fn view(&self, route: usize) -> Option<RouteView> {
        let windows = self.slots.get(route)?.windows.as_ref()?;
        Some(windows.view())
    }

    /// Moves the changes of circuits since the last call behind `into`, and returns how many more
    /// there were than fit.
    pub fn take_transitions(&mut self, into: &mut Vec<Transition>) -> u64 {
        self.transitions.take(into)
    }

    /// What is worth keeping over a restart.
    #[must_use]
    pub fn snapshot(&self, board: &Board, now: Moment) -> Snapshot {
        let routes = self.slots.iter().enumerate().filter_map(|(route, slot)| {
            let state = board.route(route)?;
            let mut saved = saved_words(state, now.monotonic_ns);
            match &slot.windows {
                Some(windows) => windows.save(&mut saved),
                None => saved.burn.observed_minutes = slot.observed(self.minute),
            }
            Some(saved)
        });
        Snapshot {
            wall_us: now.wall_us,
            routes: routes.collect(),
        }
    }

    /// Takes over a snapshot of an earlier process, before the first tick. Routes that the
    /// snapshot does not know begin with nothing; routes that are no more are forgotten. Of a rate
    /// limit no more is taken over than `limit_of` the route can be used up now. Returns how many
    /// routes were taken over.
    pub fn restore(
        &mut self,
        board: &Board,
        snapshot: &Snapshot,
        now: Moment,
        limit_of: impl Fn(usize) -> Option<Limit>,
    ) -> usize {
        let age_us = now.wall_us.saturating_sub(snapshot.wall_us);
        let known: HashMap<&str, &RouteSnapshot> = snapshot
            .routes
            .iter()
            .map(|saved| (&*saved.contract, saved))
            .collect();
        self.meet(board, now);
        let mut restored = 0;
        for route in 0..board.routes() {
            let (Some(state), Some(slot)) = (board.route(route), self.slots.get_mut(route)) else {
                continue;
            };
            let Some(saved) = known.get(state.name()) else {
                continue;
            };
            restored += 1;
            let furthest_ns = limit_of(route).map_or(0, |limit| limit.furthest_ns());
            let saved_at = (age_us, now.monotonic_ns);
            restore_words(state, saved, furthest_ns, saved_at);
            slot.observed_before = saved.burn.observed_minutes.min(OBSERVED_MAX);
            if saved.is_used() {
                let mut windows = RouteWindows::restored(saved, self.minute, slot.first_whole);
                windows.rest_until(self.minute, state.published());
                windows.wake();
                slot.windows = Some(Box::new(windows));
                self.active.push(route);
            }
        }
        restored
    }

    /// Meets new routes, closes the minute of idle ones, and wakes those that were touched.
    fn begin(&mut self, board: &Board, now: Moment) {
        let minute = now.monotonic_ns / NANOS_PER_MINUTE;
        self.ticked = now;
        self.meet(board, now);
        if minute > self.minute {
            self.minute = minute;
            self.close_idle_minutes(board);
        }
        for word in 0..board.routes().div_ceil(64) {
            let mut bits = board.take_touched(word);
            while bits != 0 {
                self.activate(word * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
        if !self.active.is_empty() {
            self.busy_minute = minute;
        }
    }

    fn meet(&mut self, board: &Board, now: Moment) {
        if self.slots.is_empty() {
            self.minute = now.monotonic_ns / NANOS_PER_MINUTE;
            self.busy_minute = self.minute;
        }
        self.follow(board, now);
    }

    /// The windows go with their contracts to a new board; those of removed ones are dropped.
    fn follow(&mut self, board: &Board, now: Moment) {
        if self.knows(board) {
            return;
        }
        let left = self.numbers.drain(..).zip(self.slots.drain(..));
        let mut left: HashMap<u32, Slot> = left.collect();
        self.numbers.extend(board.numbers());
        let slot = |number| left.remove(number).unwrap_or_else(|| Slot::new(now));
        self.slots = self.numbers.iter().map(slot).collect();
        self.looks = vec![LOOKS; self.slots.len()];
        let is_active = |slot: &Slot| slot.windows.as_ref().is_some_and(|windows| windows.active);
        let slots = self.slots.iter().enumerate();
        self.active = slots
            .filter_map(|(route, slot)| is_active(slot).then_some(route))
            .collect();
        self.generation = Some(board.generation());
    }

    /// A route about which something was said is looked at again: its distress may have changed.
    fn close_idle_minutes(&mut self, board: &Board) {
        for (route, slot) in self.slots.iter_mut().enumerate() {
            let Some(state) = board.route(route) else {
                continue;
            };
            let shared = state.published();
            match &mut slot.windows {
                Some(windows) if !windows.active => {
                    let was_loud = shared.is_loud();
                    windows.rest_until(self.minute, shared);
                    if was_loud || shared.is_loud() {
                        // A minute ends with a second, at which all that is active is looked at.
                        windows.wake();
                        self.active.push(route);
                    }
                }
                Some(_) => {}
                None => shared.publish_burn(
                    &[Share::default(); BURN_WINDOW_COUNT],
                    slot.observed(self.minute),
                ),
            }
        }
    }

    fn activate(&mut self, route: usize) {
        if let Some(looks) = self.looks.get_mut(route) {
            *looks = LOOKS;
        }
        let Some(slot) = self.slots.get_mut(route) else {
            return;
        };
        let (minute, first, before) = (self.minute, slot.first_whole, slot.observed_before);
        let windows = slot
            .windows
            .get_or_insert_with(|| Box::new(RouteWindows::new(minute, first, before)));
        if !windows.active {
            windows.wake();
            self.active.push(route);
        }
    }
}

impl Slot {
    const fn new(now: Moment) -> Self {
        Self {
            first_whole: now.monotonic_ns.div_ceil(NANOS_PER_MINUTE),
            observed_before: 0,
            windows: None,
        }
    }

    const fn observed(&self, minute: u64) -> u64 {
        minute.saturating_sub(self.first_whole) + self.observed_before
    }
}

/// Counts the changes, and says each kind once, in the order in which a circuit goes.
fn note_changes(
    transitions: &mut Transitions,
    route: usize,
    state: &RouteState,
    TickVerdict { mode, circuit, .. }: &TickVerdict,
    [closed, open, half_open]: [u32; 3],
) {
    for (to, count) in [
        (CircuitState::Open, open),
        (CircuitState::HalfOpen, half_open),
        (CircuitState::Closed, closed),
    ] {
        state.published().note_transitions(to, count);
        // Open again after a probe: that it was half open in between is old news.
        let is_last = to == circuit.state || circuit.state == CircuitState::Closed;
        if count > 0 && (is_last || to == CircuitState::Open) {
            transitions.push(Transition {
                route,
                mode: *mode,
                to,
                epoch: circuit.epoch,
                wait_ns: if to == circuit.state {
                    circuit.wait_ns
                } else {
                    0
                },
            });
        }
    }
}

fn saved_words(state: &RouteState, now_ns: u64) -> RouteSnapshot {
    let circuit = |mode| Some(state.circuit(mode).saved(now_ns)).filter(|saved| saved.epoch > 0);
    let tat_ns = |mode| u64::try_from(state.rate(mode).ahead(now_ns)).unwrap_or(0);
    let rate_tat_ns = [tat_ns(Mode::Dry), tat_ns(Mode::Real)];
    let is_used = rate_tat_ns != [0, 0];
    RouteSnapshot {
        contract: state.name().into(),
        circuits: [circuit(Mode::Dry), circuit(Mode::Real)],
        rate_tat_ns,
        rate_period_ns: if is_used { state.rate_period_ns() } else { 0 },
        ..RouteSnapshot::default()
    }
}

fn restore_words(
    state: &RouteState,
    saved: &RouteSnapshot,
    furthest_ns: u64,
    (age_us, now_ns): (u64, u64),
) {
    for (mode, circuit) in [Mode::Dry, Mode::Real].into_iter().zip(&saved.circuits) {
        if let Some(circuit) = circuit {
            state
                .circuit(mode)
                .restore(*circuit, age_us / 1_000, now_ns);
        }
    }
    let age_ns = age_us.saturating_mul(1_000);
    let ahead_ns = saved
        .rate_tat_ns
        .map(|tat_ns| tat_ns.saturating_sub(age_ns));
    state.restore_rate(ahead_ns, saved.rate_period_ns, furthest_ns, now_ns);
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{TICK_NS, TickVerdict, Ticker};
    use crate::observation::{
        Backoff, Board, BurnPair, CircuitReading, CircuitState, Limit, Mode, Offered, Regression,
        RouteState, Share, ShortView, Signals, Traffic,
    };
    use crate::units::{Band, Bands, BasisPoints, Factor, Millis, Moment, PerMinute};

    fn calm(_: usize, _: &RouteState, _: &ShortView) -> TickVerdict {
        TickVerdict::default()
    }

    fn at(tick: u64) -> Moment {
        Moment::default().plus_nanos(tick * TICK_NS)
    }

    #[test]
    fn windows_go_with_their_contract_to_a_new_board() {
        let before = Board::new(["a", "b"], 1);
        let mut ticker = Ticker::default();
        for route in [0, 1, 1] {
            let totals = before.touch(0, route).expect("there");
            totals.note_offered(Offered::Ordinary);
        }
        ticker.tick(&before, at(10), &Bands::default(), calm);
        let after = before.successor(["b", "c"]);
        assert!(ticker.knows(&before) && !ticker.knows(&after));
        ticker.tick(&after, at(11), &Bands::default(), calm);
        let offered = |ticker: &Ticker, route| ticker.view(route).map(|view| view.short.offered);
        assert_eq!(offered(&ticker, 0), Some(2), "b");
        assert_eq!(offered(&ticker, 1), None, "c was never asked for");
        assert_eq!(ticker.active, [0]);
        ticker.tick(&after, at(11 + 700), &Bands::default(), calm);
        assert_eq!(offered(&ticker, 0), Some(0), "its windows move on");
    }

    #[test]
    fn windows_publish_what_workers_counted() {
        let board = Board::new(["a", "b"], 2);
        let mut ticker = Ticker::default();
        for worker in 0..board.workers() {
            let route = board.touch(worker, 1).expect("route 1 is there");
            for latency in 0..10 {
                route.note_offered(Offered::Ordinary);
                route.note_forwarded();
                route.note_outcome(1_000, latency % 2 == 0, latency == 0, false);
            }
        }
        ticker.tick(&board, at(10), &Bands::default(), calm);
        let shared = board.published(1).expect("route 1 is there");
        assert_eq!(
            shared.slow(),
            Share {
                part: 10,
                whole: 20
            }
        );
        assert_eq!(shared.failed(), Share { part: 2, whole: 20 });
        ticker.tick(&board, at(10 + 111), &Bands::default(), calm);
        assert_eq!(shared.failed(), Share::default(), "10 s are over");
        assert_eq!(shared.slow().whole, 20, "60 s are not");
        ticker.tick(&board, at(10 + 611), &Bands::default(), calm);
        assert_eq!(shared.slow(), Share::default());
        ticker.tick(&board, at(10 + 612), &Bands::default(), calm);
        assert!(ticker.active.is_empty(), "a silent route costs nothing");
    }

    /// A board with one contract, and a clock that ticks.
    struct Bench {
        board: Board,
        ticker: Ticker,
        tick: u64,
        verdict: TickVerdict,
    }

    impl Bench {
        /// From the beginning of a minute on.
        fn start() -> Self {
            Self {
                board: Board::new(["a"], 1),
                ticker: Ticker::default(),
                tick: 6_000_000,
                verdict: TickVerdict {
                    healthy: true,
                    ..TickVerdict::default()
                },
            }
        }

        fn tick(&mut self) {
            let verdict = self.verdict;
            let judge = |_: usize, _: &RouteState, _: &ShortView| verdict;
            self.ticker
                .tick(&self.board, at(self.tick), &Bands::default(), judge);
            self.tick += 1;
        }

        /// A whole minute with so many requests in its middle, `failed` of them failures.
        fn minute(&mut self, requests: u32, failed: u32, latency_us: u64) {
            for tick in 0..600 {
                if tick == 300 {
                    let route = self.board.touch(0, 0).expect("route 0 is there");
                    for request in 0..requests {
                        route.note_offered(Offered::Ordinary);
                        route.note_outcome(latency_us, false, request < failed, false);
                    }
                }
                self.tick();
            }
        }

        /// What a request reads now.
        fn signals(&self) -> Signals {
            let shared = self.board.published(0).expect("route 0 is there");
            let mut signals = Signals {
                known: shared.known(),
                ..Signals::default()
            };
            shared.read_long(&mut signals);
            signals
        }

        /// All that is published to requests.
        fn told(&self) -> (Signals, [Share; 3], [u16; 3], u32, BasisPoints, Band) {
            let shared = self.board.published(0).expect("route 0 is there");
            (
                self.signals(),
                [shared.slow(), shared.failed(), shared.retries()],
                shared.class_share_bp(),
                shared.overdue(),
                shared.distress(),
                shared.band(),
            )
        }

        fn knows(&self, factor: Factor) -> bool {
            self.signals().known.contains(factor)
        }
    }

    #[test]
    fn a_longer_tail_than_in_healthy_minutes_is_told() {
        // R041
        let mut bench = Bench::start();
        for minute in 0..12 {
            bench.minute(99, 0, 900_000);
            bench.verdict.healthy = false;
            bench.minute(100, 0, 900_000);
            bench.verdict.healthy = true;
            assert!(!bench.knows(Factor::LatencyRegression), "minute {minute}");
            bench.minute(100, 0, 10_000);
        }
        bench.minute(100, 0, 30_000);
        assert!(bench.knows(Factor::LatencyRegression));
        assert!(
            bench.signals().regression == Regression::default(),
            "still open"
        );
        bench.minute(99, 0, 30_000);
        let Regression {
            p95_us,
            baseline_us,
        } = bench.signals().regression;
        assert!(baseline_us.abs_diff(10_000) < 2_500, "{baseline_us}");
        assert!(p95_us.abs_diff(30_000) < 7_500, "{p95_us}");
        bench.minute(0, 0, 0);
        assert!(!bench.knows(Factor::LatencyRegression), "99 say nothing");
        let view = bench.ticker.view(0).expect("it was used");
        assert_eq!(view.baseline_us, Some(baseline_us));
    }

    #[test]
    fn more_than_usual_is_told_after_thirty_minutes() {
        // R036: steady 100 per minute, then 400; what a circuit caused does not count as usual.
        let mut bench = Bench::start();
        for minute in 0..30 {
            assert!(!bench.knows(Factor::TrafficAnomaly), "minute {minute}");
            bench.minute(100, 0, 1_000);
        }
        bench.minute(400, 0, 1_000);
        assert!(bench.knows(Factor::TrafficAnomaly));
        assert_eq!(bench.signals().traffic, Traffic::default());
        bench.verdict.circuit.state = CircuitState::HalfOpen;
        bench.minute(9_000, 0, 1_000);
        let traffic = bench.signals().traffic;
        assert_eq!((traffic.offered, traffic.mean_1024), (400, 102_400));
        bench.verdict.circuit.state = CircuitState::Closed;
        bench.minute(100, 0, 1_000);
        let usual = bench.signals().traffic.mean_1024;
        assert_eq!(bench.signals().traffic.offered, 9_000);
        bench.minute(0, 0, 0);
        assert_eq!(bench.signals().traffic, Traffic::default());
        let load = bench.ticker.view(0).expect("it was used").load;
        assert!(load.mean_1024 <= usual, "frozen: {load:?}");
    }

    #[test]
    fn a_burning_budget_is_told_once_half_an_hour_was_observed() {
        // R040
        let mut bench = Bench::start();
        for _ in 0..29 {
            bench.tick();
            bench.tick += 599;
        }
        bench.minute(1_000, 100, 1_000);
        assert!(!bench.knows(Factor::ErrorBudgetBurn));
        bench.tick();
        assert!(bench.knows(Factor::ErrorBudgetBurn));
        let hot = Share {
            part: 100,
            whole: 1_000,
        };
        let pair = BurnPair {
            short: hot,
            long: hot,
        };
        let none = BurnPair::default();
        assert_eq!(bench.signals().burn, [pair, none, none]);
        bench.tick += 599;
        for _ in 0..6 {
            bench.tick();
            bench.tick += 599;
        }
        let [BurnPair { short, long }, ..] = bench.signals().burn;
        assert_eq!((short, long), (Share::default(), hot), "silence counts");
    }

    #[test]
    fn leaving_out_quiet_ticks_changes_nothing() {
        let table = [1, 2, 29, 31, 400, 4_500, 6_000];
        for silent in table {
            let read = |skips: bool| {
                let mut bench = Bench::start();
                (0..35).for_each(|_| bench.minute(50, 3, 2_000));
                let until = bench.tick + silent * 600;
                while bench.tick < until {
                    bench.tick();
                    if skips && bench.ticker.is_idle() {
                        let next = bench.ticker.next_minute_ns();
                        let next = next.map_or(until, |at_ns| at_ns / TICK_NS);
                        bench.tick = bench.tick.max(next.min(until));
                    }
                }
                bench.minute(7, 0, 1_000);
                bench.minute(100, 0, 1_000);
                (bench.signals(), bench.ticker.view(0))
            };
            if silent < 500 {
                assert_eq!(read(true), read(false), "{silent} minutes");
            }
            let (_, view) = read(true);
            let observed = view.map(|view| view.observed_minutes);
            assert_eq!(observed, Some(36 + silent), "{silent} minutes");
        }
    }

    #[test]
    fn a_circuit_that_opened_and_closed_between_two_ticks_is_told() {
        let mut bench = Bench::start();
        bench.minute(10, 0, 1_000);
        bench.verdict.circuit = CircuitReading {
            epoch: 1,
            ..CircuitReading::default()
        };
        let route = bench.board.touch(0, 0).expect("route 0 is there");
        route.note_offered(Offered::Ordinary);
        bench.tick();
        let mut told = Vec::new();
        assert_eq!(bench.ticker.take_transitions(&mut told), 0);
        let told: Vec<_> = told.iter().map(|told| (told.to, told.epoch)).collect();
        let states = [
            CircuitState::Open,
            CircuitState::HalfOpen,
            CircuitState::Closed,
        ];
        assert_eq!(told, states.map(|state| (state, 1)));
        let shared = bench.board.published(0).expect("route 0 is there");
        assert_eq!(states.map(|state| shared.transitions(state)), [1, 1, 1]);
    }

    #[test]
    fn a_restart_keeps_what_was_learned() {
        let mut bench = Bench::start();
        (0..35).for_each(|_| bench.minute(200, 2, 10_000));
        let backoff = Backoff {
            first: Millis::new(60_000),
            longest: Millis::new(60_000),
        };
        let now = at(bench.tick);
        let state = bench.board.route(0).expect("route 0 is there");
        assert!(state.circuit(Mode::Real).trip(0, now.monotonic_ns, backoff));
        let limit = Limit::new(PerMinute::new(60).expect("a rate"), NonZeroU32::new(1));
        assert!(state.rate(Mode::Real).take(&limit, now.monotonic_ns));
        let snapshot = bench.ticker.snapshot(&bench.board, now);
        // Another process, half a second later, whose clock began anew and whose contracts moved.
        let board = Board::new(["new", "a"], 1);
        let mut ticker = Ticker::default();
        let then = Moment {
            monotonic_ns: 90_000_000_000,
            wall_us: now.wall_us + 500_000,
        };
        assert_eq!(
            ticker.restore(&board, &snapshot, then, |route| (route == 1)
                .then_some(limit)),
            2,
            "a and the unmatched"
        );
        let state = board.route(1).expect("route 1 is there");
        let circuit = state.circuit(Mode::Real).read(then.monotonic_ns);
        assert_eq!((circuit.state, circuit.epoch), (CircuitState::Open, 1));
        assert!(circuit.wait_ns > 59_000_000_000, "{circuit:?}");
        assert!(!state.rate(Mode::Real).take(&limit, then.monotonic_ns));
        assert_eq!(state.rate(Mode::Real).ahead(then.monotonic_ns), 500_000_000);
        ticker.tick(&board, then, &Bands::default(), |_, state, _| TickVerdict {
            circuit: state.circuit(Mode::Real).read(then.monotonic_ns),
            ..TickVerdict::default()
        });
        let mut told = Vec::new();
        let _ = ticker.take_transitions(&mut told);
        assert_eq!(told, [], "it was open before");
        let (was, is) = (
            bench.ticker.view(0).expect("used"),
            ticker.view(1).expect("used"),
        );
        assert_eq!(
            (is.baseline_us, is.load, is.burn),
            (was.baseline_us, was.load, was.burn)
        );
        assert!(was.baseline_us.is_some() && was.load.is_known());
        assert_eq!(is.observed_minutes, was.observed_minutes);
        let known = board.published(1).expect("there").known();
        assert!(known.contains(Factor::TrafficAnomaly) && known.contains(Factor::ErrorBudgetBurn));
        let known = board.published(0).expect("there").known();
        assert!(!known.contains(Factor::ErrorBudgetBurn), "a new contract");
        assert_eq!(ticker.snapshot(&board, then).routes.len(), 3);
    }

    #[test]
    fn a_restart_uses_up_no_more_of_a_limit_than_it_has() {
        // A burst of 3000 in 60 a minute, all used up, and what the contract says after the start.
        let limit = |burst| {
            let rate = PerMinute::new(60).expect("a rate");
            Limit::new(rate, NonZeroU32::new(burst))
        };
        let table = [
            (Some(3_000), 3_000_000_000_000),
            (Some(20), 20_000_000_000),
            (None, 0),
        ];
        let used = Board::new(["a"], 1);
        let mut ticker = Ticker::default();
        ticker.tick(&used, at(0), &Bands::default(), calm);
        let rate = used.route(0).expect("there").rate(Mode::Real);
        while rate.take(&limit(3_000), 0) {}
        let snapshot = ticker.snapshot(&used, at(0));
        for (burst, ahead_ns) in table {
            let board = Board::new(["a"], 1);
            let mut ticker = Ticker::default();
            ticker.restore(&board, &snapshot, at(0), |_| burst.map(limit));
            let rate = board.route(0).expect("there").rate(Mode::Real);
            assert_eq!(rate.ahead(0), ahead_ns, "{burst:?}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_last_closed_minute() {
        let board = Board::new(["a"], 1);
        let mut ticker = Ticker::default();
        let route = board.touch(0, 0).expect("route 0 is there");
        for _ in 0..100 {
            route.note_outcome(5_000, false, false, false);
        }
        ticker.tick(&board, at(599), &Bands::default(), calm);
        assert_eq!(ticker.view(0).map(|view| view.last_minute.total()), Some(0));
        ticker.tick(&board, at(600), &Bands::default(), calm);
        assert_eq!(
            ticker.view(0).map(|view| view.last_minute.total()),
            Some(100)
        );
    }

    #[test]
    fn a_minute_before_the_first_request_had_none() {
        let board = Board::new(["a"], 1);
        let mut ticker = Ticker::default();
        let mut last_minute = |tick: u64, requests: usize| {
            let route = board.touch(0, 0).expect("route 0 is there");
            (0..requests).for_each(|_| route.note_outcome(5_000, false, false, false));
            ticker.tick(&board, at(tick), &Bands::default(), calm);
            ticker.view(0).map(|view| view.last_minute.total())
        };
        // First in minute 5, then again in minute 9 after the route was forgotten.
        for minute in [5, 9] {
            assert_eq!(
                last_minute(minute * 600 + 10, 30),
                Some(0),
                "minute {minute}"
            );
            assert_eq!(
                last_minute((minute + 1) * 600, 0),
                Some(30),
                "minute {minute}"
            );
            for tick in 1..1_300 {
                let _ = last_minute((minute + 1) * 600 + tick, 0);
            }
        }
    }

    /// A route that rests between the ends of seconds says at every tick what one says that is looked at
    /// at every tick.
    #[test]
    fn resting_changes_nothing() {
        let mut benches = [false, true].map(|untried| {
            let mut bench = Bench::start();
            bench.verdict.untried = untried;
            bench
        });
        let (mut number, mut rested) = (7_u64, 0);
        for tick in 0..3_000_u64 {
            number = number.wrapping_mul(6_364_136_223_846_793_005) + 1;
            let requests = (number >> 33) % 24;
            for bench in &mut benches {
                if requests < 3 && tick % 900 < 700 {
                    let route = bench.board.touch(0, 0).expect("route 0 is there");
                    for request in 0..=requests {
                        route.note_offered(Offered::Ordinary);
                        route.note_outcome(900 + requests, request == 1, request == 2, false);
                    }
                }
                bench.tick();
            }
            let [always, resting] = &benches;
            assert_eq!(always.told(), resting.told(), "tick {tick}");
            assert_eq!(always.ticker.view(0), resting.ticker.view(0), "tick {tick}");
            assert_eq!(always.ticker.active, resting.ticker.active, "tick {tick}");
            assert_ne!(always.ticker.looks.first(), Some(&0), "tick {tick}");
            rested += u32::from(resting.ticker.looks.first() == Some(&0));
        }
        assert!(rested > 1_000, "{rested}");
    }

    #[test]
    fn another_rulebook_is_judged_by_at_once() {
        let mut bench = Bench::start();
        bench.verdict.untried = true;
        let route = bench.board.touch(0, 0).expect("route 0 is there");
        route.note_offered(Offered::Ordinary);
        for serial in [1, 1, 1, 1, 2] {
            let distress = BasisPoints::saturating(if serial == 2 { 7_000 } else { 0 });
            bench.verdict.distress = distress;
            bench.ticker.heed(serial);
            bench.tick();
            let shared = bench.board.published(0).expect("route 0 is there");
            assert_eq!(shared.distress(), distress);
        }
    }

    #[test]
    fn a_band_rises_at_once_and_falls_after_a_long_calm() {
        let board = Board::new(["a"], 1);
        let mut ticker = Ticker::default();
        let route = board.touch(0, 0).expect("route 0 is there");
        route.note_outcome(1, false, false, false);
        let band = |ticker: &mut Ticker, tick: u64, score: u64| {
            let score = BasisPoints::saturating(score);
            ticker.tick(&board, at(tick), &Bands::default(), |_, _, _| TickVerdict {
                distress: score,
                ..TickVerdict::default()
            });
            board.published(0).map(|shared| shared.band())
        };
        assert_eq!(band(&mut ticker, 1, 7_000), Some(Band::High));
        assert_eq!(
            band(&mut ticker, 2, 6_600),
            Some(Band::High),
            "inside the margin"
        );
        for tick in 3..102 {
            assert_eq!(
                band(&mut ticker, tick, 6_400),
                Some(Band::High),
                "tick {tick}"
            );
        }
        assert_eq!(band(&mut ticker, 102, 6_400), Some(Band::Medium));
    }
}
