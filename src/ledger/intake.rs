//! What comes in from one worker, and the accounts of it: lines, counts, losses.
//!
//! Invariant: each number that leaves a ring is a line, or waits to be one, or to be counted in a `rollup`
//! record; each number that did not fit stands in a `loss` record. Events that are held while another
//! process still has the ledger come before those in the ring, and count as queued. Not here: when
//! which happens (the writer).

use std::collections::VecDeque;
use std::sync::Arc;

use super::clock::wall_us;
use super::output::Output;
use super::pressure::Bounds;
use super::ranges::RangeSet;
use super::ring::{Consumer, Counts, Lane, Source};
use super::rollup::{Encode, Rollups};

/// Ranges in one loss record: keeps its line near 1,000 bytes even where the numbers are long.
const LOSS_RANGES: usize = 24;

/// The rings of one worker with the writer's accounts of them.
pub(super) struct Intake<E> {
    ring: Consumer<E>,
    /// Lines that account for a number.
    lines: u64,
    rollups: Rollups,
    /// Numbers in `rollup` records.
    rolled_up: u64,
    losses: RangeSet,
    reported_numbered: u64,
    reported_others: u64,
    held_ordinary: VecDeque<E>,
    held_refusals: VecDeque<E>,
}

impl<E> Intake<E> {
    pub(super) fn new(ring: Consumer<E>) -> Self {
        Self {
            ring,
            lines: 0,
            rollups: Rollups::default(),
            rolled_up: 0,
            losses: RangeSet::default(),
            reported_numbered: 0,
            reported_others: 0,
            held_ordinary: VecDeque::new(),
            held_refusals: VecDeque::new(),
        }
    }

    /// Moves events out of the rings into memory, so that the worker has room while another process has
    /// the ledger. Beyond the bound ordinary ones become counts, up to a bound of their own; what
    /// has no room then stays in the ring, and a full ring loses with exact counts.
    pub(super) fn hold(&mut self, bounds: &Bounds, encode: &mut impl Encode<E>) {
        for class in [Lane::Refusal, Lane::Ordinary] {
            while self.held(class).len() < bounds.held_max {
                let Ok(event) = self.ring.events(class).pop() else {
                    break;
                };
                self.held_mut(class).push_back(event);
            }
        }
        self.count_what_is_not_held(bounds.pending_max, encode);
    }

    fn count_what_is_not_held(&mut self, pending_max: usize, encode: &mut impl Encode<E>) {
        let source = self.ring.source;
        while self.rollups.len() < pending_max {
            let Ok(event) = self.ring.events(Lane::Ordinary).peek() else {
                return;
            };
            // What may not be counted waits, and so does what comes behind it.
            let Some(summary) = encode.summary(source, event) else {
                return;
            };
            self.rollups.add(summary);
            _ = self.ring.events(Lane::Ordinary).pop();
            self.ring.counts.lane(Lane::Ordinary).note_popped(1);
        }
    }

    const fn held(&self, class: Lane) -> &VecDeque<E> {
        match class {
            Lane::Ordinary => &self.held_ordinary,
            Lane::Refusal => &self.held_refusals,
        }
    }

    const fn held_mut(&mut self, class: Lane) -> &mut VecDeque<E> {
        match class {
            Lane::Ordinary => &mut self.held_ordinary,
            Lane::Refusal => &mut self.held_refusals,
        }
    }

    pub(super) const fn source(&self) -> Source {
        self.ring.source
    }

    pub(super) fn counts(&self) -> (Source, &Counts) {
        (self.ring.source, &self.ring.counts)
    }

    /// The counts, for whoever tells them.
    pub(super) fn shared_counts(&self) -> Arc<Counts> {
        Arc::clone(&self.ring.counts)
    }

    pub(super) fn made(&self) -> u64 {
        self.ring.counts.made()
    }

    /// Numbers that records account for.
    pub(super) const fn accounted(&self) -> u64 {
        self.lines + self.rolled_up + self.reported_numbered
    }

    pub(super) const fn rolled_up(&self) -> u64 {
        self.rolled_up
    }

    /// Requests that wait to be written as counts.
    pub(super) const fn pending(&self) -> usize {
        self.rollups.len()
    }

    pub(super) fn slots(&self, class: Lane) -> usize {
        self.held(class).len() + self.ring.slots(class)
    }

    pub(super) fn waiting(&self) -> usize {
        self.held_ordinary.len() + self.held_refusals.len() + self.ring.waiting()
    }

    pub(super) fn fill_percent(&self) -> usize {
        self.ring.fill_percent()
    }

    /// Takes up to `max` events from one ring: as counts where `counts` and the event allows it, else
    /// as lines while fewer bytes than `lines_below` are kept, and no more than a group at once.
    pub(super) fn take(
        &mut self,
        class: Lane,
        max: usize,
        counts: bool,
        lines_below: usize,
        output: &mut Output,
        encode: &mut impl Encode<E>,
    ) -> usize {
        let mut place = Placing {
            source: self.ring.source,
            counts,
            lines_below,
            lines: &mut self.lines,
            rollups: &mut self.rollups,
            output,
            encode,
        };
        let mut turn = 0;
        // Older than what is in the ring.
        let held = match class {
            Lane::Ordinary => &mut self.held_ordinary,
            Lane::Refusal => &mut self.held_refusals,
        };
        while turn < max
            && let Some(event) = held.front()
            && place.event(event)
        {
            _ = held.pop_front();
            turn += 1;
        }
        if held.is_empty() {
            turn += from_ring(&mut self.ring, class, max - turn, &mut place);
        }
        self.ring.counts.lane(class).note_popped(turn as u64);
        turn
    }

    /// Writes everything that was counted.
    pub(super) fn note_rollups(&mut self, output: &mut Output) {
        if self.rollups.is_empty() {
            return;
        }
        let source = self.ring.source;
        for record in self.rollups.take() {
            self.rolled_up += record.count;
            output.append(|entry| record.members(entry, source));
        }
    }

    /// `last` also reports losses whose numbers found no room on the way.
    pub(super) fn note_losses(&mut self, output: &mut Output, last: bool) {
        // Asked first: once the producer is gone, its last ranges are in the ring.
        let abandoned = last || self.ring.is_abandoned();
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

/// Takes up to `max` events out of one ring while there is a place for them.
fn from_ring<E, F: Encode<E>>(
    ring: &mut Consumer<E>,
    class: Lane,
    max: usize,
    place: &mut Placing<'_, F>,
) -> usize {
    let waiting = ring.slots(class).min(max);
    // Encoded where they lie: an event is large, and a pop would move it.
    let Ok(events) = ring.events(class).read_chunk(waiting) else {
        return 0;
    };
    let (front, back) = events.as_slices();
    let all = front.iter().chain(back);
    let taken = all.take_while(|event| place.event(event)).count();
    events.commit(taken);
    taken
}

/// Where events go in one turn.
struct Placing<'a, F> {
    source: Source,
    counts: bool,
    lines_below: usize,
    lines: &'a mut u64,
    rollups: &'a mut Rollups,
    output: &'a mut Output,
    encode: &'a mut F,
}

impl<F> Placing<'_, F> {
    /// False where there is no place for it now.
    fn event<E>(&mut self, event: &E) -> bool
    where
        F: Encode<E>,
    {
        let summary = if self.counts {
            self.encode.summary(self.source, event)
        } else {
            None
        };
        if let Some(summary) = summary {
            self.rollups.add(summary);
            return true;
        }
        let group_full = self.output.group_full() && !self.output.is_stalled();
        let waits = group_full || self.output.is_one_by_one();
        if waits || self.output.kept_bytes() >= self.lines_below {
            return false;
        }
        let (source, encode, lines) = (self.source, &mut *self.encode, &mut *self.lines);
        self.output.append(|entry| {
            encode.line(entry, source, event);
            *lines += u64::from(entry.is_decision());
        });
        true
    }
}
