//! How much detail the ledger can keep at the moment, and when that changes.
//!
//! A pure state machine: the writer tells it what it sees, it says in which state the ledger is.
//! From state to state less is kept: FULL every line; ROLLUP counts in place of the lines of
//! admitted requests; LOSSY no more than which numbers were lost; UNAVAILABLE means that nothing
//! became durable for so long that the gateway must know. Not here: rings, files, clocks.

use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// How much detail the ledger keeps. The order is that of the distress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Pressure {
    /// Every line is written.
    #[default]
    Full,
    /// Admitted requests are counted, everything else is written.
    Rollup,
    /// Events are lost, and their numbers are recorded.
    Lossy,
    /// Nothing could be made durable for a while, or the writer has ended.
    Unavailable,
}

impl Pressure {
    /// All states, calmest first.
    pub const ALL: [Self; 4] = [Self::Full, Self::Rollup, Self::Lossy, Self::Unavailable];

    /// The name in the status and in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Rollup => "ROLLUP",
            Self::Lossy => "LOSSY",
            Self::Unavailable => "UNAVAILABLE",
        }
    }

    /// The state of a number written by `as u8`; the worst for any other.
    pub(super) fn from_number(number: u8) -> Self {
        let found = Self::ALL.get(usize::from(number));
        found.copied().unwrap_or(Self::Unavailable)
    }
}

/// What bounds the memory of the writer, and its patience. "Kept" are bytes that are not durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// ROLLUP begins with more kept bytes than these, and ends below half of them.
    pub(super) rollup_bytes: usize,
    /// The lines of admitted requests are taken in below so many kept bytes.
    pub(super) ordinary_bytes: usize,
    /// The lines of refusals are taken in below so many.
    pub(super) refusal_bytes: usize,
    /// `rollup` and `loss` records are written below so many; nothing is taken in beyond.
    pub(super) record_bytes: usize,
    /// Counted requests of one worker that wait for their `rollup` records.
    pub(super) pending_max: usize,
    /// Events of one worker and lane that are held while another process has the ledger: with what the
    /// ring takes, some seconds of a busy worker. What comes beyond is counted.
    pub(super) held_max: usize,
    /// UNAVAILABLE when so long nothing became durable while something waited for the disk.
    pub(super) unavailable_after: Duration,
    /// ROLLUP lasts at least so long, so that a flutter is one period and not hundreds.
    pub(super) rollup_min: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rollup_bytes: 32 * MIB,
            ordinary_bytes: 64 * MIB,
            refusal_bytes: 88 * MIB,
            record_bytes: 96 * MIB,
            pending_max: 65_536,
            held_max: 32_768,
            unavailable_after: Duration::from_secs(10),
            rollup_min: Duration::from_secs(1),
        }
    }
}

/// A ring that is this full begins ROLLUP, percent.
const RING_HALF: usize = 50;
/// Rings below this let it end, percent.
const RING_QUARTER: usize = 25;

/// What the writer sees after a round.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading<'a> {
    /// The time, on the monotonic clock and on the wall's.
    pub(super) at: Duration,
    pub(super) wall_us: u64,
    /// How full the fullest ordinary ring is, percent.
    pub(super) fill_percent: usize,
    /// Bytes that are not durable.
    pub(super) kept_bytes: usize,
    /// Why the disk takes nothing at the moment.
    pub(super) stalled: Option<&'a str>,
    /// The disk budget is exceeded.
    pub(super) over_budget: bool,
    /// Events that the rings have lost so far.
    pub(super) lost: u64,
    /// Lines below this number are durable.
    pub(super) durable: u64,
    /// A sync is under way.
    pub(super) is_syncing: bool,
}

/// A state that began and has ended or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) began_us: u64,
    pub(super) why: String,
    began: Duration,
}

impl Period {
    /// One that began before there was a writer to see it.
    pub(super) const fn before(began_us: u64, why: String, began: Duration) -> Self {
        Self {
            began_us,
            why,
            began,
        }
    }
}

/// Periods that a reading has ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) rollup: Option<Period>,
    pub(super) unavailable: Option<Period>,
}

/// The state machine.
#[derive(Debug)]
pub(super) struct Valve {
    bounds: Bounds,
    rollup: Option<Period>,
    unavailable: Option<Period>,
    is_lossy: bool,
    lost: u64,
    durable: u64,
    progressed: Duration,
    /// The reading before.
    seen: Duration,
    seen_us: u64,
}

impl Valve {
    pub(super) fn new(bounds: Bounds, at: Duration) -> Self {
        Self {
            bounds,
            rollup: None,
            unavailable: None,
            is_lossy: false,
            lost: 0,
            durable: 0,
            progressed: at,
            seen: at,
            seen_us: 0,
        }
    }

    pub(super) const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Whether admitted requests are counted in place of their lines.
    pub(super) const fn rolls_up(&self) -> bool {
        self.rollup.is_some()
    }

    pub(super) const fn state(&self) -> Pressure {
        if self.unavailable.is_some() {
            Pressure::Unavailable
        } else if self.is_lossy {
            Pressure::Lossy
        } else if self.rollup.is_some() {
            Pressure::Rollup
        } else {
            Pressure::Full
        }
    }

    /// Takes a reading in, and says which periods it ends.
    pub(super) fn observe(&mut self, reading: &Reading<'_>) -> Ended {
        self.note_losses(reading);
        let hung = self.note_silence(reading);
        Ended {
            rollup: self.note_rollup(reading),
            unavailable: self.note_progress(reading).or(hung),
        }
    }

    /// A writer that hung in the system could not say so: it tells of it afterwards.
    fn note_silence(&mut self, reading: &Reading<'_>) -> Option<Period> {
        let silent = reading.at.saturating_sub(self.seen);
        let began_us = std::mem::replace(&mut self.seen_us, reading.wall_us);
        let began = std::mem::replace(&mut self.seen, reading.at);
        let hung = silent >= self.bounds.unavailable_after && self.unavailable.is_none();
        (hung && began_us > 0).then(|| Period {
            began_us,
            why: "the system did not answer the writer".to_owned(),
            began,
        })
    }

    /// The end of the process ends every period.
    pub(super) fn end(&mut self) -> Ended {
        Ended {
            rollup: self.rollup.take(),
            unavailable: self.unavailable.take(),
        }
    }

    fn note_losses(&mut self, reading: &Reading<'_>) {
        let is_losing = reading.lost > self.lost;
        self.lost = reading.lost;
        let holds_back = reading.kept_bytes >= self.bounds.record_bytes;
        self.is_lossy =
            is_losing || holds_back || (self.is_lossy && reading.fill_percent >= RING_QUARTER);
    }

    fn note_rollup(&mut self, reading: &Reading<'_>) -> Option<Period> {
        let Some(period) = &self.rollup else {
            self.rollup = self.reason(reading).map(|why| period(reading, why));
            return None;
        };
        let is_over = reading.fill_percent < RING_QUARTER
            && reading.kept_bytes < self.bounds.rollup_bytes / 2
            && reading.stalled.is_none()
            && !reading.over_budget
            && !self.is_lossy
            && reading.at.saturating_sub(period.began) >= self.bounds.rollup_min;
        if is_over { self.rollup.take() } else { None }
    }

    fn reason(&self, reading: &Reading<'_>) -> Option<String> {
        if let Some(trouble) = reading.stalled {
            return Some(trouble.to_owned());
        }
        if self.is_lossy {
            return Some("a ring was full".to_owned());
        }
        if reading.over_budget {
            return Some("the ledger has used up its disk budget".to_owned());
        }
        if reading.fill_percent >= RING_HALF {
            return Some("a ring was half full".to_owned());
        }
        let kept = reading.kept_bytes;
        (kept > self.bounds.rollup_bytes).then(|| format!("{kept} bytes waited for the disk"))
    }

    fn note_progress(&mut self, reading: &Reading<'_>) -> Option<Period> {
        // A stall alone holds nobody up: the next segment may lack room while this one takes lines.
        let is_held = reading.stalled.is_some() && reading.kept_bytes > 0;
        let waits = is_held || reading.is_syncing;
        if !waits || reading.durable > self.durable {
            self.durable = reading.durable;
            self.progressed = reading.at;
            return self.unavailable.take();
        }
        let waited = reading.at.saturating_sub(self.progressed);
        if self.unavailable.is_none() && waited >= self.bounds.unavailable_after {
            let why = reading.stalled.unwrap_or("the disk does not answer a sync");
            self.unavailable = Some(period(reading, why.to_owned()));
        }
        None
    }
}

fn period(reading: &Reading<'_>, why: String) -> Period {
    Period {
        began_us: reading.wall_us,
        why,
        began: reading.at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Reading<'static> = Reading {
        at: Duration::ZERO,
        wall_us: 0,
        fill_percent: 0,
        kept_bytes: 0,
        stalled: None,
        over_budget: false,
        lost: 0,
        durable: 0,
        is_syncing: false,
    };

    fn at(seconds: u64, reading: Reading<'static>) -> Reading<'static> {
        Reading {
            at: Duration::from_secs(seconds),
            wall_us: seconds * 1_000_000,
            ..reading
        }
    }

    /// The state after each reading, one a second, and the periods that ended on the way.
    fn run(readings: &[Reading<'static>]) -> (Vec<Pressure>, Vec<(u64, String)>) {
        let mut valve = Valve::new(Bounds::default(), Duration::ZERO);
        let mut ended = Vec::new();
        let states = readings.iter().zip(0..).map(|(reading, second)| {
            let over = valve.observe(&at(second, *reading));
            let both = [over.rollup, over.unavailable];
            let told = |period: Period| (period.began_us / 1_000_000, period.why);
            ended.extend(both.into_iter().flatten().map(told));
            valve.state()
        });
        (states.collect(), ended)
    }

    fn check(readings: &[Reading<'static>], states: &[Pressure], ended: &[(u64, &str)]) {
        let found = run(readings);
        let wanted = ended.iter().map(|(at, why)| (*at, (*why).to_owned()));
        assert_eq!(found, (states.to_vec(), wanted.collect()));
    }

    #[test]
    fn a_half_full_ring_rolls_up_until_it_is_below_a_quarter() {
        // R090
        use Pressure::*;
        let fill = |fill_percent| Reading {
            fill_percent,
            ..CALM
        };
        check(
            &[fill(49), fill(50), fill(30), fill(25), fill(24), fill(49)],
            &[Full, Rollup, Rollup, Rollup, Full, Full],
            &[(1, "a ring was half full")],
        );
    }

    #[test]
    fn kept_bytes_stall_and_budget_roll_up_as_well() {
        use Pressure::*;
        let kept = |mib: usize| Reading {
            kept_bytes: mib * MIB,
            ..CALM
        };
        check(
            &[kept(32), kept(33), kept(16), kept(15)],
            &[Full, Rollup, Rollup, Full],
            &[(1, "34603008 bytes waited for the disk")],
        );
        let stalled = Reading {
            stalled: Some("LEDGER_DISK_FULL: no space"),
            ..CALM
        };
        check(
            &[stalled, stalled, CALM],
            &[Rollup, Rollup, Full],
            &[(0, "LEDGER_DISK_FULL: no space")],
        );
        let over = Reading {
            over_budget: true,
            ..CALM
        };
        check(
            &[over, CALM],
            &[Rollup, Full],
            &[(0, "the ledger has used up its disk budget")],
        );
    }

    #[test]
    fn losses_and_a_full_memory_are_lossy() {
        use Pressure::*;
        let lost = |lost, fill_percent| Reading {
            lost,
            fill_percent,
            ..CALM
        };
        check(
            &[
                lost(1, 100),
                lost(2, 100),
                lost(2, 60),
                lost(2, 10),
                lost(2, 10),
            ],
            &[Lossy, Lossy, Lossy, Full, Full],
            &[(0, "a ring was full")],
        );
        let kept = Reading {
            kept_bytes: 96 * MIB,
            ..CALM
        };
        check(&[kept, CALM], &[Lossy, Full], &[(0, "a ring was full")]);
    }

    #[test]
    fn ten_seconds_without_progress_are_unavailable() {
        use Pressure::*;
        let hangs = |durable| Reading {
            is_syncing: true,
            durable,
            ..CALM
        };
        let mut readings = vec![hangs(5)];
        readings.extend([hangs(5); 11]);
        readings.push(hangs(6));
        let mut states = vec![Full; 10];
        states.extend([Unavailable, Unavailable, Full]);
        check(
            &readings,
            &states,
            &[(10, "the disk does not answer a sync")],
        );
        // Records that wait for no more than the next sync are no reason.
        let waits = Reading {
            kept_bytes: 100,
            ..CALM
        };
        check(&[waits; 20], &[Full; 20], &[]);
    }

    #[test]
    fn a_stall_that_holds_no_record_up_is_not_unavailable() {
        // R090, R199
        use Pressure::*;
        let no_room = |kept_bytes| Reading {
            stalled: Some("LEDGER_DISK_FULL: no space"),
            kept_bytes,
            ..CALM
        };
        check(&[no_room(0); 20], &[Rollup; 20], &[]);
        // The patience begins with the first record that waits.
        let mut readings = vec![no_room(0); 15];
        readings.extend([no_room(100); 11]);
        readings.push(no_room(0));
        let mut states = vec![Rollup; 24];
        states.extend([Unavailable, Unavailable, Rollup]);
        check(&readings, &states, &[(24, "LEDGER_DISK_FULL: no space")]);
    }

    #[test]
    fn a_writer_that_hung_tells_of_it_afterwards() {
        let mut valve = Valve::new(Bounds::default(), Duration::ZERO);
        assert_eq!(valve.observe(&at(1, CALM)), Ended::default());
        assert_eq!(valve.observe(&at(10, CALM)), Ended::default());
        let told = valve.observe(&at(20, CALM)).unavailable.unwrap();
        assert_eq!(told.began_us, 10_000_000);
        assert_eq!(told.why, "the system did not answer the writer");
        assert_eq!(valve.state(), Pressure::Full, "it is over");
    }

    #[test]
    fn a_flutter_is_one_period() {
        let mut valve = Valve::new(Bounds::default(), Duration::ZERO);
        let mut ended = 0;
        for tenth in 0..10 {
            let reading = Reading {
                at: Duration::from_millis(100 * tenth),
                fill_percent: if tenth % 2 == 0 { 60 } else { 0 },
                ..CALM
            };
            ended += usize::from(valve.observe(&reading).rollup.is_some());
        }
        assert_eq!((ended, valve.state()), (0, Pressure::Rollup));
        assert!(valve.end().rollup.is_some());
        assert_eq!(valve.state(), Pressure::Full);
    }
}
