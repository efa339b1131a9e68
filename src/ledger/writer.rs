//! The writer thread: takes events from the rings, lets the caller's encoder write their members,
//! or counts them where it cannot keep up, and keeps the accounts.
//!
//! It goes on taking events while the disk stalls, up to the bounds of `pressure`: lines wait in memory,
//! admitted requests become counts, refusals keep their lines longest.
//!
//! It polls: a push must not cost a system call, so nobody wakes it. Unless a full turn waits it
//! sleeps 10 ms ([`NAP`]: at most 100 wake-ups a second without traffic); a ring must hold what a
//! worker makes in that time. Whoever waits for an answer, and the sync thread, wake it earlier. A
//! panic in here shows as `ok == false`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use super::clock::{elapsed, wall_us};
use super::entry::EntryBuilder;
use super::frame::BootId;
use super::intake::Intake;
use super::output::Output;
use super::pressure::{Ended, Period, Reading, Valve};
use super::ring::Lane;
use super::rollup::Encode;
use super::stats::{RingMark, Stats};

/// Events taken from one ring before the next one has its turn.
const TURN: usize = 256;
/// Turns of a ring of refusals before others have theirs: it is the last to overflow.
const REFUSAL_TURNS: usize = 16;
/// Losses are collected this long, so that an overload is a few records and not thousands.
const LOSS_INTERVAL: Duration = Duration::from_millis(100);
/// Counted requests become `rollup` records this often.
const ROLLUP_INTERVAL: Duration = Duration::from_secs(1);
/// Sleep while no ring holds a full turn. Short against the usual sync interval, so it adds little
/// to the time that a record waits; long enough that many records share one wake-up and one write.
const NAP: Duration = Duration::from_millis(10);
/// The same while a record is to be durable at once.
const URGENT_NAP: Duration = Duration::from_millis(1);
/// A close that cannot be made durable in this time is given up.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Pushes the members of a record, `kind` among them.
pub(super) type Members = Box<dyn FnOnce(&mut EntryBuilder<'_>) + Send>;
/// Confirms that all records below the number are durable.
pub(super) type Ack = Sender<Result<u64, String>>;

/// Rare requests to the writer.
pub(super) enum Control {
    /// Append a record that is not a request's; confirm when it is durable.
    Record(Members, Ack),
    /// Confirm when everything pushed so far is durable.
    Flush(Ack),
    /// Confirm when a signed checkpoint covers the record.
    AwaitSigned(u64, Ack),
    /// Drain, write `close`, confirm, end.
    Close(Ack),
}

pub(super) struct Writer<E, F> {
    boot: BootId,
    intakes: Vec<Intake<E>>,
    encode: F,
    output: Output,
    valve: Valve,
    control: Receiver<Control>,
    stats: Arc<Stats>,
    /// Asked to flush, oldest first, with what was in the rings then and is not taken in yet.
    flushes: Vec<(RingMark, Ack)>,
    /// Answered when the records below the number are durable.
    waiting: Vec<(u64, Ack)>,
    /// Answered when a note of at least this size is kept.
    unsigned: Vec<(u64, Ack)>,
    /// The size of the newest note that is kept.
    signed: u64,
    closing: Option<(Option<Ack>, Duration)>,
    losses_at: Duration,
    rollups_at: Duration,
    /// Requests counted in the ROLLUP that goes on: one without any leaves no record.
    rolled_up_before: u64,
}

impl<E, F: Encode<E>> Writer<E, F> {
    pub(super) fn new(
        boot: BootId,
        intakes: Vec<Intake<E>>,
        encode: F,
        output: Output,
        valve: Valve,
        control: Receiver<Control>,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            boot,
            intakes,
            encode,
            output,
            valve,
            control,
            stats,
            flushes: Vec::new(),
            waiting: Vec::new(),
            unsigned: Vec::new(),
            signed: 0,
            closing: None,
            losses_at: elapsed(),
            rollups_at: elapsed(),
            rolled_up_before: 0,
        }
    }

    /// The thread's life; it begins with what had to be counted before the ledger was had.
    pub(super) fn run(mut self, before: Option<Period>) {
        let guard = EndGuard(Arc::clone(&self.stats));
        self.record_ended(Ended {
            rollup: before,
            unavailable: None,
        });
        loop {
            self.hear();
            if self.closing.is_some() {
                break;
            }
            self.take_turns();
            self.watch();
            self.note_rollups(false);
            self.note_losses(false, false);
            self.serve_flushes();
            let asked = !self.waiting.is_empty() || !self.unsigned.is_empty();
            self.output.drive(asked);
            self.sign();
            self.report();
            if !self.has_backlog() {
                thread::park_timeout(self.nap());
            }
        }
        self.finish();
        drop(guard);
    }

    fn hear(&mut self) {
        loop {
            match self.control.try_recv() {
                Ok(Control::Record(members, ack)) => {
                    self.output.append(members);
                    self.waiting.push((self.output.next_seq(), ack));
                }
                Ok(Control::Flush(ack)) => self.flushes.push((self.stats.mark(), ack)),
                Ok(Control::AwaitSigned(seq, ack)) => self.await_signed(seq, ack),
                Ok(Control::Close(ack)) => {
                    self.closing = Some((Some(ack), elapsed() + CLOSE_PATIENCE));
                    return;
                }
                Err(TryRecvError::Empty) => return,
                // The handle is gone: end in order, nobody waits for the answer.
                Err(TryRecvError::Disconnected) => {
                    self.closing = Some((None, elapsed() + CLOSE_PATIENCE));
                    return;
                }
            }
        }
    }

    /// Short while something is to be durable at once.
    fn nap(&self) -> Duration {
        if self.output.is_urgent() {
            URGENT_NAP
        } else {
            NAP
        }
    }

    fn await_signed(&mut self, seq: u64, ack: Ack) {
        if self.output.signs() {
            let size = self.output.size_to_cover(seq);
            self.output.force_checkpoint(size);
            self.unsigned.push((size, ack));
        } else {
            let _ = ack.send(Err("this ledger has no key".to_owned()));
        }
    }

    /// Signs what is durable, if it is time.
    fn sign(&mut self) {
        if let Some(state) = self.output.checkpoint_due() {
            let accounted = self.accounted();
            self.output.sign(&state, &accounted);
        }
    }

    /// The values of `n` of this boot that the records chained so far account for, by worker.
    fn accounted(&self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self
            .intakes
            .iter()
            .filter(|intake| intake.source().boot == self.boot)
            .map(|intake| {
                let worker = format!("{:02x}", intake.source().worker);
                (worker, intake.accounted())
            })
            .collect();
        all.sort();
        all
    }

    /// Whether a ring holds a full turn that could be taken now. Never while an event waits for the
    /// one before to be synced: the sync thread wakes the writer.
    fn has_backlog(&self) -> bool {
        if self.output.is_one_by_one() {
            return false;
        }
        let class = |intake: &Intake<E>, class, bound| {
            self.output.kept_bytes() < bound && intake.slots(class) >= TURN
        };
        let bounds = self.valve.bounds();
        self.intakes.iter().any(|intake| {
            class(intake, Lane::Refusal, bounds.refusal_bytes)
                || class(intake, Lane::Ordinary, bounds.ordinary_bytes)
        })
    }

    /// A turn for each ring, refusals first; gives how many events were taken.
    fn take_turns(&mut self) -> usize {
        let mut taken = 0;
        for at in 0..self.intakes.len() {
            for _ in 0..REFUSAL_TURNS {
                match self.take_turn(at, Lane::Refusal) {
                    0 => break,
                    turn => taken += turn,
                }
            }
        }
        for at in 0..self.intakes.len() {
            taken += self.take_turn(at, Lane::Ordinary);
        }
        taken
    }

    fn take_turn(&mut self, at: usize, class: Lane) -> usize {
        let Some(intake) = self.intakes.get_mut(at) else {
            return 0;
        };
        let (output, encode) = (&mut self.output, &mut self.encode);
        let bounds = self.valve.bounds();
        let counts = class == Lane::Ordinary && self.valve.rolls_up();
        if counts && intake.pending() + TURN > bounds.pending_max {
            if output.kept_bytes() >= bounds.record_bytes {
                return 0;
            }
            intake.note_rollups(output);
        }
        let lines_below = match class {
            Lane::Ordinary => bounds.ordinary_bytes,
            Lane::Refusal => bounds.refusal_bytes,
        };
        let turn = intake.take(class, TURN, counts, lines_below, output, encode);
        if output.group_full() {
            output.drive(false);
        }
        turn
    }

    /// Tells the valve how things stand, and records what has ended by that.
    fn watch(&mut self) {
        let trouble = self.output.trouble();
        let fill = |intake: &Intake<E>| intake.fill_percent();
        let ended = self.valve.observe(&Reading {
            at: elapsed(),
            wall_us: wall_us(),
            fill_percent: self.intakes.iter().map(fill).max().unwrap_or(0),
            kept_bytes: self.output.kept_bytes(),
            stalled: trouble.as_deref(),
            over_budget: self.stats.is_over_budget(),
            lost: self.stats.overflowed(),
            durable: self.output.durable_seq(),
            is_syncing: self.output.is_syncing(),
        });
        self.record_ended(ended);
    }

    fn record_ended(&mut self, ended: Ended) {
        if let Some(period) = ended.rollup {
            self.note_rollups(true);
            let rolled_up = self.rolled_up();
            if rolled_up > self.rolled_up_before {
                self.record_fault("LEDGER_ROLLUP", &period);
            }
            self.rolled_up_before = rolled_up;
        }
        if let Some(period) = ended.unavailable {
            self.record_fault("LEDGER_UNAVAILABLE", &period);
        }
    }

    fn record_fault(&mut self, code: &str, period: &Period) {
        self.output.append(|entry| {
            entry.uint("began_us", period.began_us);
            entry.text("code", code);
            entry.text("error", &period.why);
            entry.text("kind", "fault");
            entry.uint("ts_us", wall_us());
        });
    }

    /// Decisions that stand in `rollup` records.
    fn rolled_up(&self) -> u64 {
        self.intakes.iter().map(Intake::rolled_up).sum()
    }

    /// Writes what was counted, at most every [`ROLLUP_INTERVAL`] unless `now`.
    fn note_rollups(&mut self, now: bool) {
        let at = elapsed();
        let is_due = now || at.saturating_sub(self.rollups_at) >= ROLLUP_INTERVAL;
        if !is_due || !self.has_room_for_records() {
            return;
        }
        self.rollups_at = at;
        for intake in &mut self.intakes {
            intake.note_rollups(&mut self.output);
        }
    }

    /// At the end of the process there is always room: nothing follows.
    fn has_room_for_records(&self) -> bool {
        self.closing.is_some() || self.output.kept_bytes() < self.valve.bounds().record_bytes
    }

    /// Takes in what was in the rings when a flush was asked for; what does not fit waits for the
    /// next round. What came since does not count: steady traffic would hold the answer up for ever.
    fn serve_flushes(&mut self) {
        while let Some((newest, _)) = self.flushes.last()
            && !self.stats.has_taken(newest)
            && self.take_turns() > 0
        {}
        let taken = self
            .flushes
            .extract_if(.., |(mark, _)| self.stats.has_taken(mark));
        let taken: Vec<Ack> = taken.map(|(_, ack)| ack).collect();
        if taken.is_empty() {
            return;
        }
        self.note_rollups(true);
        self.note_losses(true, false);
        let seq = self.output.next_seq();
        self.waiting.extend(taken.into_iter().map(|ack| (seq, ack)));
    }

    /// Chains what the workers lost, at most every [`LOSS_INTERVAL`] unless `now`. `last` is
    /// for the end alone: numbers that a live worker still holds count without their place then,
    /// and would count twice if they came later.
    fn note_losses(&mut self, now: bool, last: bool) {
        let at = elapsed();
        let is_due = now || at.saturating_sub(self.losses_at) >= LOSS_INTERVAL;
        if !is_due || !self.has_room_for_records() {
            return;
        }
        self.losses_at = at;
        for intake in &mut self.intakes {
            intake.note_losses(&mut self.output, last);
        }
    }

    fn report(&mut self) {
        let durable = self.output.durable_seq();
        let oldest = self.output.oldest_undurable();
        self.stats.publish(self.output.next_seq(), durable, oldest);
        self.stats.set_head(self.output.head());
        self.stats.set_trouble(self.output.trouble().as_deref());
        self.stats.set_notice(self.output.notice());
        let state = self.valve.state();
        self.stats.set_pressure(state, self.rolled_up());
        for (_, ack) in self.waiting.extract_if(.., |(seq, _)| *seq <= durable) {
            // Whoever asked may have stopped waiting; that is no concern of the writer.
            let _ = ack.send(Ok(durable));
        }
        if let Some((size, note)) = self.output.take_kept_note() {
            self.stats.set_signed(size, note);
            self.signed = size;
        }
        let signed = self.signed;
        for (_, ack) in self.unsigned.extract_if(.., |(size, _)| *size <= signed) {
            let _ = ack.send(Ok(signed));
        }
    }

    /// Drains, writes `close`, makes it durable or gives up.
    fn finish(&mut self) {
        let (ack, deadline) = self.closing.take().unwrap_or((None, elapsed()));
        self.closing = Some((None, deadline));
        // Half of the patience is for the disk: a worker that goes on pushing is left behind.
        while elapsed() + CLOSE_PATIENCE / 2 < deadline {
            let taken = self.take_turns();
            if taken == 0 && self.intakes.iter().all(|intake| intake.waiting() == 0) {
                break;
            }
            self.watch();
            self.output.drive(false);
            if taken == 0 {
                thread::park_timeout(NAP);
            }
        }
        let ended = self.valve.end();
        self.record_ended(ended);
        self.serve_flushes();
        self.note_losses(true, true);
        self.write_close();
        let settled = self.settle(deadline);
        self.output.leave();
        let left = self.output.next_seq() - self.output.durable_seq();
        let answer = if settled {
            Ok(self.output.next_seq())
        } else {
            let trouble = self.output.trouble();
            let trouble = trouble
                .as_deref()
                .or(self.output.notice())
                .unwrap_or_default();
            let text = if left > 0 {
                format!("{left} records could not be made durable before the end; {trouble}")
            } else {
                format!("the last checkpoint or tree file could not be kept; {trouble}")
            };
            self.stats.set_trouble(Some(&text));
            Err(text)
        };
        if let Some(ack) = ack {
            let _ = ack.send(answer);
        }
    }

    /// Until the `close` is durable and signed, and its note kept. False where time ran out.
    fn settle(&mut self, deadline: Duration) -> bool {
        loop {
            self.output.drive(true);
            self.output.sign_last();
            self.report();
            let settled = self.output.is_settled();
            if settled || elapsed() >= deadline {
                return settled;
            }
            thread::park_timeout(NAP);
        }
    }

    fn write_close(&mut self) {
        let accounts: Vec<(String, u64, u64)> = self
            .intakes
            .iter()
            .filter(|intake| intake.source().boot == self.boot)
            .map(|intake| {
                // From the writer's own counts: a worker may still be pushing, and what it pushes
                // from here on is unaccounted, not a line.
                let known = intake.accounted();
                let made = intake.made().max(known);
                let worker = format!("{:02x}", intake.source().worker);
                (worker, made, made - known)
            })
            .collect();
        let boot = self.boot.to_string();
        self.output.append_last(move |entry| {
            entry.text("boot", &boot);
            entry.text("kind", "close");
            entry.counts(
                "made",
                accounts.iter().map(|(w, made, _)| (w.as_str(), *made)),
            );
            entry.uint("ts_us", wall_us());
            let open = accounts.iter().filter(|(_, _, open)| *open > 0);
            entry.counts("unaccounted", open.map(|(w, _, open)| (w.as_str(), *open)));
        });
    }
}

/// Says that the ledger takes nothing any more when the writer ends, and why if by a panic.
pub(super) struct EndGuard(pub(super) Arc<Stats>);

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end();
        if thread::panicking() {
            self.0
                .set_trouble(Some("the ledger's writer thread panicked"));
        }
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
