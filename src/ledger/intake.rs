//! What comes in from one worker, and the accounts of it: lines, counts, losses.
//!
//! Invariant: each number that leaves a ring is a line, or waits to be counted in a `rollup` record;
//! each number that did not fit stands in a `loss` record. Not here: when which happens (the writer).

use super::clock::wall_us;
use super::output::Output;
use super::ranges::RangeSet;
use super::ring::{Consumer, Lane, Source};
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
        }
    }

    pub(super) const fn source(&self) -> Source {
        self.ring.source
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
        self.ring.slots(class)
    }

    pub(super) fn waiting(&self) -> usize {
        self.ring.waiting()
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
        let source = self.ring.source;
        let waiting = self.ring.slots(class).min(max);
        // Encoded where they lie: an event is large, and a pop would move it.
        let Ok(events) = self.ring.events(class).read_chunk(waiting) else {
            return 0;
        };
        let (front, back) = events.as_slices();
        let mut turn = 0;
        for event in front.iter().chain(back) {
            let summary = if counts {
                encode.summary(source, event)
            } else {
                None
            };
            if let Some(summary) = summary {
                self.rollups.add(summary);
            } else {
                let group_full = output.group_full() && !output.is_stalled();
                let waits = group_full || output.is_one_by_one();
                if waits || output.kept_bytes() >= lines_below {
                    break;
                }
                output.append(|entry| {
                    encode.line(entry, source, event);
                    self.lines += u64::from(entry.is_decision());
                });
            }
            turn += 1;
        }
        events.commit(turn);
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
