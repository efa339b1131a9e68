//! The bounded ring from one worker to the writer, with exact accounts of what did not fit.
//!
//! Invariants: [`Producer::push`] never waits, locks, allocates or enters the kernel. For each
//! worker made = pushed + lost + still in flight; each count has a single writer: the worker, and
//! for what was taken out the ledger's writer.
//! A full ring loses events until an eighth of it is free again: the losses of one overload are
//! then a few long ranges and not every second number. Once the consumer is gone, as after a panic
//! of the ledger's writer, everything is lost and counted, what lies in the ring included.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::frame::BootId;
use super::ranges::HeldRanges;

/// Ranges of lost numbers on their way to the writer.
const LOSS_RING: usize = 4_096;

/// Who made an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// The start of the process that made it; another one than the writer's during a handover.
    pub boot: BootId,
    /// The worker thread.
    pub worker: u8,
}

/// The counts of one ring, readable from any thread.
#[derive(Debug, Default)]
pub(super) struct Counts {
    made: AtomicU64,
    pushed: AtomicU64,
    lost_numbered: AtomicU64,
    lost_others: AtomicU64,
    /// Pushed, but the consumer ended without taking them.
    stranded: AtomicU64,
    popped: AtomicU64,
}

/// A single-writer increment: plain load and store, no locked instruction.
fn bump(count: &AtomicU64) {
    count.store(count.load(Relaxed) + 1, Relaxed);
}

impl Counts {
    pub(super) fn made(&self) -> u64 {
        self.made.load(Relaxed)
    }
    pub(super) fn lost_numbered(&self) -> u64 {
        self.lost_numbered.load(Relaxed)
    }
    pub(super) fn lost_others(&self) -> u64 {
        self.lost_others.load(Relaxed)
    }
    /// Everything that was lost, with and without a number.
    pub(super) fn lost(&self) -> u64 {
        self.lost_numbered() + self.lost_others() + self.stranded.load(Relaxed)
    }
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Relaxed)
    }
    /// Taken by the writer, or lost with it.
    pub(super) fn gone(&self) -> u64 {
        self.popped.load(Relaxed) + self.stranded.load(Relaxed)
    }
    pub(super) fn queued(&self) -> u64 {
        self.pushed().saturating_sub(self.gone())
    }
    pub(super) fn note_popped(&self, events: u64) {
        self.popped
            .store(self.popped.load(Relaxed) + events, Relaxed);
    }
}

/// The worker's end. Not shared: one per worker thread.
#[derive(Debug)]
pub struct Producer<E> {
    events: rtrb::Producer<E>,
    losses: rtrb::Producer<(u64, u64)>,
    held: HeldRanges,
    counts: Arc<Counts>,
    source: Source,
    lossy: bool,
    /// The consumer is gone, and what it left in the ring is counted.
    stranded: bool,
    resume_free: usize,
}

/// The writer's end. Handed to [`super::Ledger::start`].
#[derive(Debug)]
pub struct Consumer<E> {
    pub(super) events: rtrb::Consumer<E>,
    pub(super) losses: rtrb::Consumer<(u64, u64)>,
    pub(super) counts: Arc<Counts>,
    pub(super) source: Source,
}

/// A ring for `capacity` events (at least 1) of one worker. All its memory is taken here.
#[must_use]
pub fn ring<E: Send + 'static>(source: Source, capacity: usize) -> (Producer<E>, Consumer<E>) {
    let capacity = capacity.max(1);
    let (events_in, events_out) = rtrb::RingBuffer::new(capacity);
    let (losses_in, losses_out) = rtrb::RingBuffer::new(LOSS_RING);
    let counts = Arc::new(Counts::default());
    let producer = Producer {
        events: events_in,
        losses: losses_in,
        held: HeldRanges::new(),
        counts: Arc::clone(&counts),
        source,
        lossy: false,
        stranded: false,
        resume_free: (capacity / 8).max(1),
    };
    let consumer = Consumer {
        events: events_out,
        losses: losses_out,
        counts,
        source,
    };
    (producer, consumer)
}

impl<E> Producer<E> {
    /// Takes the next number and counts it as made. To be called when a decision is made; its
    /// event follows with [`Self::push`], or the number shows up as unaccounted.
    pub fn next_number(&mut self) -> u64 {
        let number = self.counts.made.load(Relaxed);
        self.counts.made.store(number + 1, Relaxed);
        number
    }

    /// Hands an event to the writer. `number` is the one from [`Self::next_number`] for the event
    /// that accounts for it (its record is of kind `decision`), and `None` for any event that
    /// follows later on the same number.
    /// False where the ring was full: the event is gone, counted, and will be chained as lost. False
    /// also when the consumer is gone: then it is counted, and there is no chain to say so.
    #[inline]
    pub fn push(&mut self, number: Option<u64>, event: E) -> bool {
        if self.lossy && !self.recovered() {
            self.lose(number);
            return false;
        }
        // A ring without a consumer takes events until it is full, and nobody would count them.
        if self.events.is_abandoned() || self.events.push(event).is_err() {
            self.lossy = true;
            self.count_stranded();
            self.lose(number);
            return false;
        }
        bump(&self.counts.pushed);
        true
    }

    /// Passes on ranges that could not be passed on before. `push` does so by itself after an
    /// overload; a worker without traffic calls this from a timer (each second is enough).
    pub fn settle(&mut self) {
        self.count_stranded();
        while !self.held.is_empty() && !self.losses.is_full() {
            if let Some(range) = self.held.pop() {
                // Cannot fail: only this thread fills the ring, and it has just seen room.
                let _ = self.losses.push(range);
            }
        }
    }

    /// The boot and worker that this ring speaks for.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Numbers taken so far.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.counts.made()
    }

    /// Events lost so far, with and without a number.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.counts.lost()
    }

    #[cold]
    fn recovered(&mut self) -> bool {
        if self.events.is_abandoned() || self.events.slots() < self.resume_free {
            return false;
        }
        // Only now: while losses went on, neighbours merged into long ranges.
        self.settle();
        self.lossy = false;
        true
    }

    /// Counts what a consumer that is gone has left in the ring, once.
    #[cold]
    fn count_stranded(&mut self) {
        if self.stranded || !self.events.is_abandoned() {
            return;
        }
        self.stranded = true;
        let left = self.counts.queued();
        self.counts.stranded.store(left, Relaxed);
    }

    #[cold]
    fn lose(&mut self, number: Option<u64>) {
        let Some(number) = number else {
            bump(&self.counts.lost_others);
            return;
        };
        // Counted first: the writer never sees a range that the count does not cover. A number
        // for which there is no room stays in the count alone ("unplaced" in the loss record).
        bump(&self.counts.lost_numbered);
        if !self.held.insert(number) {
            self.settle();
            let _ = self.held.insert(number);
        }
    }
}

impl<E> Consumer<E> {
    /// Takes the oldest event out: for whoever reads a ring without a ledger behind it.
    pub fn pop(&mut self) -> Option<E> {
        let event = self.events.pop().ok()?;
        self.counts.note_popped(1);
        Some(event)
    }
}

impl<E> Drop for Producer<E> {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            boot: BootId::from_u32(1),
            worker: 0,
        }
    }

    fn placed(consumer: &mut Consumer<u64>) -> u64 {
        std::iter::from_fn(|| consumer.losses.pop().ok())
            .map(|(first, last)| last - first + 1)
            .sum()
    }

    #[test]
    fn a_full_ring_counts_each_loss_with_its_number() {
        let (mut producer, mut consumer) = ring::<u64>(source(), 4);
        for _ in 0..10 {
            let n = producer.next_number();
            producer.push(Some(n), n);
        }
        assert!(!producer.push(None, 99));
        assert_eq!((producer.made(), producer.lost()), (10, 7));
        assert_eq!(consumer.counts.queued(), 4);
        producer.settle();
        assert_eq!(consumer.losses.pop(), Ok((4, 9)));
        assert_eq!(consumer.pop(), Some(0));
        assert!(producer.push(Some(10), 10), "room again");
    }

    #[test]
    fn without_a_consumer_everything_is_lost_and_counted() {
        let (mut producer, mut consumer) = ring::<u64>(source(), 8);
        for n in 0..5 {
            assert!(producer.push(Some(n), n));
        }
        assert_eq!(consumer.pop(), Some(0));
        let counts = Arc::clone(&consumer.counts);
        drop(consumer);
        // A worker without traffic notices on its timer.
        producer.settle();
        assert_eq!((producer.lost(), counts.queued()), (4, 0));
        for n in 5..8 {
            assert!(!producer.push(Some(n), n), "{n}");
        }
        assert!(!producer.push(None, 0));
        assert_eq!((producer.lost(), counts.queued()), (8, 0));
    }

    #[test]
    fn losses_beyond_every_bound_keep_an_exact_count() {
        let (mut producer, mut consumer) = ring::<u64>(source(), 1);
        assert!(producer.push(Some(0), 0));
        let scattered = 3 * LOSS_RING as u64;
        for n in 1..=scattered {
            assert!(!producer.push(Some(n * 2), 0));
        }
        assert_eq!(consumer.counts.lost_numbered(), scattered);
        drop(producer);
        assert_eq!(
            placed(&mut consumer),
            LOSS_RING as u64,
            "the rest is unplaced"
        );
    }
}
