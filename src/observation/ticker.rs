//! The one writer of windows: differences the workers' totals and publishes a snapshot per route.
//!
//! Only routes touched since the last tick, or whose windows are not empty yet, cost anything.
//! The ticker has no clock: the shell calls it every 100 ms, a simulation with virtual time.
//! It judges nothing: how bad the published numbers are it is told by its caller.

use std::collections::HashMap;

use crate::observation::totals::TotalsReading;
use crate::observation::{
    Board, CircuitReading, CircuitState, Counts, Histogram, RouteState, SecondWindow, Share,
    ShortView,
};
use crate::units::{Band, Bands, BasisPoints, Moment};

/// The time between two ticks.
pub const TICK_NS: u64 = 100_000_000;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_MINUTE: u64 = 60;

/// A band is lowered only after this many ticks in a row clearly below its bound.
const HOLD_TICKS: u32 = 100;

/// How far below its bound "clearly" is, basis points.
const HOLD_MARGIN_BP: u64 = 500;

/// A worker marks a route before it counts there; a second look finds what came in between.
const IDLE_TICKS: u32 = 2;

#[derive(Debug, Default)]
struct RouteWindows {
    active: bool,
    idle_ticks: u32,
    seen: TotalsReading,
    seconds: SecondWindow,
    minute: u64,
    minute_start: Histogram,
    last_minute: Histogram,
    calm_ticks: u32,
    circuit: CircuitReading,
}

/// What a tick learns about a route from whoever judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickVerdict {
    /// The route's distress.
    pub distress: BasisPoints,
    /// Nothing is wrong with its latency and its errors.
    pub healthy: bool,
    /// Its circuit, after what was published has been judged.
    pub circuit: CircuitReading,
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
}

/// The windows of all routes of one board.
#[derive(Debug, Default)]
pub struct Ticker {
    routes: Vec<Option<Box<RouteWindows>>>,
    active: Vec<usize>,
    /// The numbers of the routes on the board that the windows belong to.
    numbers: Vec<u32>,
    generation: Option<u32>,
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
        self.activate_touched(board, second / SECONDS_PER_MINUTE);
        let Self { routes, active, .. } = self;
        active.retain(|&route| {
            let windows = routes.get_mut(route).and_then(Option::as_mut);
            let (Some(windows), Some(state)) = (windows, board.route(route)) else {
                return false;
            };
            let shared = state.published();
            let overdue = windows.advance(board, route, second);
            let view = windows.short_view(overdue);
            shared.publish(&view, now.monotonic_ns);
            let verdict = judge(route, state, &view);
            let held = windows.hold_band(shared.band(), verdict.distress, bands);
            shared.publish_distress(verdict.distress, held);
            windows.follow_circuit(verdict.circuit);
            let busy = overdue > 0
                || held > Band::Low
                || verdict.circuit.state != CircuitState::Closed
                || !windows.seconds.long().is_zero();
            windows.idle_ticks = if busy { 0 } else { windows.idle_ticks + 1 };
            windows.active = windows.idle_ticks < IDLE_TICKS;
            if !windows.active {
                // Nothing comes until the route is touched again: what comes then is new.
                (windows.minute_start, _) = board.latencies(route);
            }
            windows.active
        });
    }

    /// Whether the windows are those of that board; they follow it at the next tick.
    #[must_use]
    pub fn knows(&self, board: &Board) -> bool {
        self.generation == Some(board.generation())
    }

    /// The windows go with their contracts to a new board; those of removed ones are dropped.
    fn follow(&mut self, board: &Board) {
        if self.knows(board) {
            return;
        }
        let left = self.numbers.drain(..).zip(self.routes.drain(..));
        let mut left: HashMap<u32, _> = left.collect();
        self.numbers.extend(board.numbers());
        let numbers = self.numbers.iter();
        self.routes = numbers
            .map(|number| left.remove(number).flatten())
            .collect();
        let is_active = |windows: &Option<Box<RouteWindows>>| {
            windows.as_ref().is_some_and(|windows| windows.active)
        };
        let routes = self.routes.iter().enumerate();
        self.active = routes
            .filter_map(|(route, windows)| is_active(windows).then_some(route))
            .collect();
        self.generation = Some(board.generation());
    }

    /// Whether nothing is left to move on: then time may pass without a tick.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// What is known of a route; `None` where it was never used.
    #[must_use]
    pub fn view(&self, route: usize) -> Option<RouteView> {
        let windows = self.routes.get(route)?.as_ref()?;
        Some(RouteView {
            short: windows.seconds.short(),
            long: windows.seconds.long(),
            last_minute: windows.last_minute.clone(),
        })
    }

    fn activate_touched(&mut self, board: &Board, minute: u64) {
        self.follow(board);
        for word in 0..board.routes().div_ceil(64) {
            let mut bits = board.take_touched(word);
            while bits != 0 {
                self.activate(word * 64 + bits.trailing_zeros() as usize, minute);
                bits &= bits - 1;
            }
        }
    }

    fn activate(&mut self, route: usize, minute: u64) {
        if let Some(slot) = self.routes.get_mut(route) {
            let windows = slot.get_or_insert_default();
            if !windows.active {
                windows.active = true;
                windows.minute = minute;
                windows.last_minute = Histogram::default();
                self.active.push(route);
            }
        }
    }
}

impl RouteWindows {
    /// Takes over what the totals rose by, and returns how many requests are overdue now.
    fn advance(&mut self, board: &Board, route: usize, second: u64) -> u32 {
        self.close_minute(board, route, second / SECONDS_PER_MINUTE);
        let now = board.totals(route);
        let counts = Counts {
            offered: now.offered.wrapping_sub(self.seen.offered),
            retries: now.retries.wrapping_sub(self.seen.retries),
            retries_counted: now.retries_counted.wrapping_sub(self.seen.retries_counted),
            privileged: now.privileged.wrapping_sub(self.seen.privileged),
            outcomes: now.outcomes.wrapping_sub(self.seen.outcomes),
            completed: now.completed.wrapping_sub(self.seen.completed),
            failed: now.failed.wrapping_sub(self.seen.failed),
            slow: now.slow.wrapping_sub(self.seen.slow),
        };
        self.seconds.add(second, counts);
        self.seen = now;
        now.overdue_began.wrapping_sub(now.overdue_ended)
    }

    fn close_minute(&mut self, board: &Board, route: usize, minute: u64) {
        if minute == self.minute {
            return;
        }
        let (now, _) = board.latencies(route);
        self.last_minute = Histogram::default();
        self.last_minute.add_rise(&now, &self.minute_start);
        self.minute_start = now;
        self.minute = minute;
    }

    fn short_view(&self, overdue: u32) -> ShortView {
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
        }
    }

    /// A circuit that closes starts anew: what made it open must not open it again.
    fn follow_circuit(&mut self, circuit: CircuitReading) {
        let was_closed = self.circuit.state == CircuitState::Closed;
        if circuit.state == CircuitState::Closed
            && (!was_closed || circuit.epoch != self.circuit.epoch)
        {
            self.seconds.forget_outcomes();
        }
        self.circuit = circuit;
    }

    /// Raised at once, lowered only after a long calm: a route on the edge must not flicker.
    fn hold_band(&mut self, held: Band, score: BasisPoints, bands: &Bands) -> Band {
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
}

/// Retries, ordinary and privileged requests of the offered, basis points.
fn class_shares(counts: &Counts) -> [u16; 3] {
    let share = |part: u32| {
        let share = u64::from(part) * 10_000 / u64::from(counts.offered.max(1));
        BasisPoints::saturating(share)
    };
    let (retries, privileged) = (share(counts.retries), share(counts.privileged));
    let others = BasisPoints::saturating(retries.wide() + privileged.wide()).complement();
    [retries.get(), others.get(), privileged.get()]
}

#[cfg(test)]
mod tests {
    use super::{TICK_NS, TickVerdict, Ticker};
    use crate::observation::{Board, Offered, RouteState, Share, ShortView};
    use crate::units::{Band, Bands, BasisPoints, Moment};

    fn calm(_: usize, _: &RouteState, _: &ShortView) -> TickVerdict {
        TickVerdict::default()
    }

    fn at(tick: u64) -> Moment {
        Moment::default().plus_nanos(tick * TICK_NS)
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
