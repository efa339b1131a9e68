//! The writer thread: takes events from the rings, lets the caller's encoder write their members,
//! and keeps the accounts.
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
use super::output::Output;
use super::ranges::RangeSet;
use super::ring::{Consumer, Source};
use super::stats::Stats;

/// Events taken from one ring before the next one has its turn.
const TURN: usize = 256;
/// Ranges in one loss record: keeps its line near 1,000 bytes even where the numbers are long.
const LOSS_RANGES: usize = 24;
/// Losses are collected this long, so that an overload is a few records and not thousands.
const LOSS_INTERVAL: Duration = Duration::from_millis(100);
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

/// One ring with the writer's accounts of it.
struct Intake<E> {
    ring: Consumer<E>,
    /// Lines that account for a number.
    lines: u64,
    losses: RangeSet,
    reported_numbered: u64,
    reported_others: u64,
}

pub(super) struct Writer<E, F> {
    boot: BootId,
    intakes: Vec<Intake<E>>,
    encode: F,
    output: Output,
    control: Receiver<Control>,
    stats: Arc<Stats>,
    /// Asked to flush; what is in the rings is not taken in yet.
    flushes: Vec<Ack>,
    /// Answered when the records below the number are durable.
    waiting: Vec<(u64, Ack)>,
    /// Answered when a note of at least this size is kept.
    unsigned: Vec<(u64, Ack)>,
    /// The size of the newest note that is kept.
    signed: u64,
    closing: Option<(Option<Ack>, Duration)>,
    losses_at: Duration,
}

impl<E, F> Writer<E, F>
where
    F: FnMut(&mut EntryBuilder<'_>, Source, &E),
{
    pub(super) fn new(
        boot: BootId,
        rings: Vec<Consumer<E>>,
        encode: F,
        output: Output,
        control: Receiver<Control>,
        stats: Arc<Stats>,
    ) -> Self {
        let intakes = rings
            .into_iter()
            .map(|ring| Intake {
                ring,
                lines: 0,
                losses: RangeSet::default(),
                reported_numbered: 0,
                reported_others: 0,
            })
            .collect();
        Self {
            boot,
            intakes,
            encode,
            output,
            control,
            stats,
            flushes: Vec::new(),
            waiting: Vec::new(),
            unsigned: Vec::new(),
            signed: 0,
            closing: None,
            losses_at: elapsed(),
        }
    }

    /// The thread's life.
    pub(super) fn run(mut self) {
        let guard = PanicGuard(Arc::clone(&self.stats));
        loop {
            self.hear();
            if self.closing.is_some() {
                break;
            }
            self.take_turns();
            self.note_losses(false);
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
                Ok(Control::Flush(ack)) => self.flushes.push(ack),
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
            .filter(|intake| intake.ring.source.boot == self.boot)
            .map(|intake| {
                let worker = format!("{:02x}", intake.ring.source.worker);
                (worker, intake.accounted())
            })
            .collect();
        all.sort();
        all
    }

    /// Whether a ring holds a full turn that could be written now.
    fn has_backlog(&self) -> bool {
        let full = |intake: &Intake<E>| intake.ring.events.slots() >= TURN;
        self.output.accepts() && self.intakes.iter().any(full)
    }

    /// One turn for each ring; gives how many events were taken.
    fn take_turns(&mut self) -> usize {
        let mut taken = 0;
        for intake in &mut self.intakes {
            if !self.output.accepts() {
                break;
            }
            let source = intake.ring.source;
            let waiting = intake.ring.events.slots().min(TURN);
            // Encoded where they lie: an event is large, and a pop would move it.
            let Ok(events) = intake.ring.events.read_chunk(waiting) else {
                continue;
            };
            let (front, back) = events.as_slices();
            let mut turn = 0;
            for event in front.iter().chain(back) {
                if self.output.group_full() {
                    break;
                }
                self.output.append(|entry| {
                    (self.encode)(entry, source, event);
                    intake.lines += u64::from(entry.is_decision());
                });
                turn += 1;
            }
            events.commit(turn);
            intake.ring.counts.note_popped(turn as u64);
            taken += turn;
            if self.output.group_full() {
                self.output.drive(false);
            }
        }
        taken
    }

    /// Takes in what is in the rings at this moment; what a stall leaves waits for the next round.
    fn serve_flushes(&mut self) {
        if self.flushes.is_empty() {
            return;
        }
        let mut left: usize = self.intakes.iter().map(|i| i.ring.events.slots()).sum();
        while left > 0 {
            if !self.output.accepts() {
                return;
            }
            left = left.saturating_sub(self.take_turns().max(1));
        }
        self.note_losses(true);
        let seq = self.output.next_seq();
        self.waiting
            .extend(self.flushes.drain(..).map(|ack| (seq, ack)));
    }

    /// Chains what the workers lost, at most every [`LOSS_INTERVAL`] unless `now`.
    fn note_losses(&mut self, now: bool) {
        let at = elapsed();
        if !self.output.can_chain() || (!now && at.saturating_sub(self.losses_at) < LOSS_INTERVAL) {
            return;
        }
        self.losses_at = at;
        for intake in &mut self.intakes {
            intake.note_losses(&mut self.output, self.closing.is_some());
        }
    }

    fn report(&mut self) {
        let durable = self.output.durable_seq();
        let oldest = self.output.oldest_undurable();
        self.stats.publish(self.output.next_seq(), durable, oldest);
        self.stats.set_head(self.output.head());
        self.stats.set_trouble(self.output.trouble().as_deref());
        self.stats.set_notice(self.output.notice());
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
            let empty = self.take_turns() == 0;
            if empty && self.output.accepts() {
                break;
            }
            self.output.drive(false);
            if empty {
                thread::park_timeout(NAP);
            }
        }
        self.serve_flushes();
        self.note_losses(true);
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
            .filter(|intake| intake.ring.source.boot == self.boot)
            .map(|intake| {
                // From the writer's own counts: a worker may still be pushing, and what it pushes
                // from here on is unaccounted, not a line.
                let known = intake.accounted();
                let made = intake.ring.counts.made().max(known);
                let worker = format!("{:02x}", intake.ring.source.worker);
                (worker, made, made - known)
            })
            .collect();
        let boot = self.boot.to_string();
        self.output.append(|entry| {
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

impl<E> Intake<E> {
    /// The values of `n` that records chained so far account for.
    const fn accounted(&self) -> u64 {
        self.lines + self.reported_numbered
    }

    /// `last` also reports losses whose numbers found no room on the way.
    fn note_losses(&mut self, output: &mut Output, last: bool) {
        // Asked first: once the producer is gone, its last ranges are in the ring.
        let abandoned = last || self.ring.events.is_abandoned();
        let lost_numbered = self.ring.counts.lost_numbered();
        let lost_others = self.ring.counts.lost_others();
        while let Ok((first, end)) = self.ring.losses.pop() {
            // Each number is lost once: the ranges never overlap.
            let _ = self.losses.insert(first, end);
        }
        loop {
            let ranges = self.losses.take(LOSS_RANGES);
            let placed: u64 = ranges.iter().map(|(first, end)| end - first + 1).sum();
            let more = !self.losses.is_empty();
            let unplaced = if abandoned && !more {
                lost_numbered.saturating_sub(self.reported_numbered + placed)
            } else {
                0
            };
            let others = lost_others.saturating_sub(self.reported_others);
            if placed + unplaced + others == 0 {
                return;
            }
            self.reported_numbered += placed + unplaced;
            self.reported_others += others;
            let source = self.ring.source;
            output.append(|entry| {
                entry.text("boot", &source.boot.to_string());
                entry.uint("count", placed + unplaced);
                entry.text("kind", "loss");
                entry.uint("others", others);
                entry.pairs("ranges", ranges);
                entry.uint("ts_us", wall_us());
                entry.uint("unplaced", unplaced);
                entry.uint("worker", u64::from(source.worker));
            });
        }
    }
}

/// Marks the ledger as not ok when the writer ends by a panic.
struct PanicGuard(Arc<Stats>);

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0
                .set_trouble(Some("the ledger's writer thread panicked"));
        }
    }
}
