//! The bounded rings from one worker to the writer, with exact accounts of what did not fit.
//!
//! Each worker has two: one for admitted requests, and a smaller one for refusals, which are the
//! last to go: the writer serves it first, a flood of admitted requests takes none of its room, and what
//! does not fit there may still fit among the others.
//! Invariants: [`Producer::push`] never waits, locks, allocates or enters the kernel. For each
//! worker made = pushed + lost + still in flight; each count has a single writer: the worker, and
//! for what was taken out the ledger's writer.
//! A full ring loses events until an eighth of it is free again: the losses of one overload are
//! then a few long ranges and not every second number. Once the consumer is gone, as after a panic
//! of the ledger's writer, everything is lost and counted, what lies in the ring included.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::counters::Slot;
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

/// Which of a worker's two rings an event goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Requests that were let through, and their ends.
    Ordinary,
    /// Everything that was refused, or would have been.
    Refusal,
}

/// The counts of one worker, readable from any thread.
#[derive(Debug, Default)]
pub(super) struct Counts {
    made: AtomicU64,
    /// The same count in the file that survives the process, once there is one.
    survivor: OnceLock<Slot>,
    /// Set while no record can be kept; read by the worker for each request.
    is_unavailable: AtomicBool,
    lost_numbered: AtomicU64,
    lost_others: AtomicU64,
    ordinary: LaneCounts,
    refusals: LaneCounts,
}

/// The counts of one of its rings.
#[derive(Debug, Default)]
pub(super) struct LaneCounts {
    pushed: AtomicU64,
    popped: AtomicU64,
    /// Pushed, but the consumer ended without taking them.
    stranded: AtomicU64,
}

/// A single-writer increment: plain load and store, no locked instruction.
fn bump(count: &AtomicU64) {
    count.store(count.load(Relaxed) + 1, Relaxed);
}

impl LaneCounts {
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Relaxed)
    }
    /// Taken by the writer, or lost with it.
    pub(super) fn gone(&self) -> u64 {
        self.popped.load(Relaxed) + self.stranded.load(Relaxed)
    }
    fn queued(&self) -> u64 {
        self.pushed().saturating_sub(self.gone())
    }
    pub(super) fn note_popped(&self, events: u64) {
        self.popped
            .store(self.popped.load(Relaxed) + events, Relaxed);
    }
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
    /// Everything that did not fit, with and without a number.
    pub(super) fn overflowed(&self) -> u64 {
        self.lost_numbered() + self.lost_others()
    }
    /// Everything that was lost.
    pub(super) fn lost(&self) -> u64 {
        let stranded = |lane: &LaneCounts| lane.stranded.load(Relaxed);
        self.overflowed() + stranded(&self.ordinary) + stranded(&self.refusals)
    }
    pub(super) fn queued(&self) -> u64 {
        self.ordinary.queued() + self.refusals.queued()
    }
    pub(super) const fn lane(&self, class: Lane) -> &LaneCounts {
        match class {
            Lane::Ordinary => &self.ordinary,
            Lane::Refusal => &self.refusals,
        }
    }
    pub(super) fn set_unavailable(&self, is_unavailable: bool) {
        self.is_unavailable.store(is_unavailable, Relaxed);
    }
    /// From here on the worker also counts in `slot`. To be called before it counts at all; a number
    /// that it takes at this very moment is made good by the next one.
    pub(super) fn survive_in(&self, slot: Slot) {
        slot.store(self.made());
        // A second slot would mean a second ledger on one ring: the first one stays.
        let _ = self.survivor.set(slot);
    }
}

/// The worker's end. Not shared: one per worker thread.
#[derive(Debug)]
pub struct Producer<E> {
    ordinary: LaneEnd<E>,
    refusals: LaneEnd<E>,
    losses: rtrb::Producer<(u64, u64)>,
    held: HeldRanges,
    counts: Arc<Counts>,
    source: Source,
    /// The consumer is gone, and what it left in the rings is counted.
    stranded: bool,
}

/// The worker's end of one ring.
#[derive(Debug)]
struct LaneEnd<E> {
    events: rtrb::Producer<E>,
    lossy: bool,
    resume_free: usize,
}

/// The writer's end. Handed to [`super::Ledger::start`].
#[derive(Debug)]
pub struct Consumer<E> {
    ordinary: rtrb::Consumer<E>,
    refusals: rtrb::Consumer<E>,
    pub(super) losses: rtrb::Consumer<(u64, u64)>,
    pub(super) counts: Arc<Counts>,
    pub(super) source: Source,
}

/// The rings of one worker: one for `capacity` events (at least 1), one for half as many refusals.
/// All their memory is taken here.
#[must_use]
pub fn ring<E: Send + 'static>(source: Source, capacity: usize) -> (Producer<E>, Consumer<E>) {
    let (ordinary_in, ordinary_out) = lane(capacity.max(1));
    let (refusals_in, refusals_out) = lane((capacity / 2).max(1));
    let (losses_in, losses_out) = rtrb::RingBuffer::new(LOSS_RING);
    let counts = Arc::new(Counts::default());
    let producer = Producer {
        ordinary: ordinary_in,
        refusals: refusals_in,
        losses: losses_in,
        held: HeldRanges::new(),
        counts: Arc::clone(&counts),
        source,
        stranded: false,
    };
    let consumer = Consumer {
        ordinary: ordinary_out,
        refusals: refusals_out,
        losses: losses_out,
        counts,
        source,
    };
    (producer, consumer)
}

fn lane<E>(capacity: usize) -> (LaneEnd<E>, rtrb::Consumer<E>) {
    let (events, out) = rtrb::RingBuffer::new(capacity);
    let lane = LaneEnd {
        events,
        lossy: false,
        resume_free: (capacity / 8).max(1),
    };
    (lane, out)
}

impl<E> LaneEnd<E> {
    /// Whether an event may be pushed again after the ring was full.
    fn has_room_again(&self) -> bool {
        self.events.slots() >= self.resume_free
    }
}

impl<E> Producer<E> {
    /// Takes the next number and counts it as made. To be called when a decision is made; its
    /// event follows with [`Self::push`], or the number shows up as unaccounted.
    #[inline]
    pub fn next_number(&mut self) -> u64 {
        let number = self.counts.made.load(Relaxed);
        // What survives is counted first: no number is used that a next start would not know.
        if let Some(survivor) = self.counts.survivor.get() {
            survivor.store(number + 1);
        }
        self.counts.made.store(number + 1, Relaxed);
        number
    }

    /// Hands an event to the writer. `number` is the one from [`Self::next_number`] for the event
    /// that accounts for it (its record is of kind `decision`), and `None` for any event that
    /// follows later on the same number, which is of the same class.
    /// A refusal without room in its own ring takes what room there is among the others.
    /// False where nothing had room: the event is gone, counted, and will be chained as lost. False
    /// also when the consumer is gone: then it is counted, and there is no chain to say so.
    #[inline]
    pub fn push(&mut self, class: Lane, number: Option<u64>, event: E) -> bool {
        let lane = match class {
            Lane::Ordinary => &mut self.ordinary,
            Lane::Refusal => &mut self.refusals,
        };
        // A ring without a consumer takes events until it is full, and nobody would count them.
        if lane.lossy || lane.events.is_abandoned() {
            return self.push_again(class, number, event);
        }
        if let Err(rtrb::PushError::Full(event)) = lane.events.push(event) {
            lane.lossy = true;
            return self.did_not_fit(class, number, event);
        }
        bump(&self.counts.lane(class).pushed);
        true
    }

    /// Pushes into a ring that was full, or that nobody empties any more.
    #[cold]
    fn push_again(&mut self, class: Lane, number: Option<u64>, event: E) -> bool {
        let lane = match class {
            Lane::Ordinary => &mut self.ordinary,
            Lane::Refusal => &mut self.refusals,
        };
        if lane.events.is_abandoned() {
            lane.lossy = true;
            self.count_stranded();
            self.lose(number);
            return false;
        }
        if !lane.has_room_again() {
            return self.did_not_fit(class, number, event);
        }
        lane.lossy = false;
        // Only now: while losses went on, neighbours merged into long ranges.
        self.settle();
        self.push(class, number, event)
    }

    #[cold]
    fn did_not_fit(&mut self, class: Lane, number: Option<u64>, event: E) -> bool {
        // An end stays behind its decision, so only decisions may overtake by the other ring.
        if class == Lane::Refusal && number.is_some() {
            return self.push(Lane::Ordinary, number, event);
        }
        self.lose(number);
        false
    }

    /// Whether the ledger keeps no records at the moment. One relaxed load of a word that is written
    /// when that changes.
    #[must_use]
    #[inline]
    pub fn is_ledger_unavailable(&self) -> bool {
        self.counts.is_unavailable.load(Relaxed)
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

    /// Counts what a consumer that is gone has left in the rings, once.
    #[cold]
    fn count_stranded(&mut self) {
        if self.stranded || !self.losses.is_abandoned() {
            return;
        }
        self.stranded = true;
        for lane in [&self.counts.ordinary, &self.counts.refusals] {
            lane.stranded.store(lane.queued(), Relaxed);
        }
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
    /// Takes the oldest event out, refusals first: for whoever reads without a ledger behind it.
    pub fn pop(&mut self) -> Option<E> {
        [Lane::Refusal, Lane::Ordinary]
            .into_iter()
            .find_map(|class| {
                let event = self.events(class).pop().ok()?;
                self.counts.lane(class).note_popped(1);
                Some(event)
            })
    }

    /// One of the two rings.
    pub(super) const fn events(&mut self, class: Lane) -> &mut rtrb::Consumer<E> {
        match class {
            Lane::Ordinary => &mut self.ordinary,
            Lane::Refusal => &mut self.refusals,
        }
    }

    /// Events that wait in one of them.
    pub(super) fn slots(&self, class: Lane) -> usize {
        match class {
            Lane::Ordinary => self.ordinary.slots(),
            Lane::Refusal => self.refusals.slots(),
        }
    }

    /// Events that wait.
    pub(super) fn waiting(&self) -> usize {
        self.ordinary.slots() + self.refusals.slots()
    }

    /// How full the ordinary ring is, percent.
    pub(super) fn fill_percent(&self) -> usize {
        let capacity = self.ordinary.buffer().capacity().max(1);
        self.ordinary.slots().saturating_mul(100) / capacity
    }

    /// Whether the worker is gone. Asked before the losses are read, they are all there then.
    pub(super) fn is_abandoned(&self) -> bool {
        self.losses.is_abandoned()
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
            producer.push(Lane::Ordinary, Some(n), n);
        }
        assert!(!producer.push(Lane::Ordinary, None, 99));
        assert_eq!((producer.made(), producer.lost()), (10, 7));
        assert_eq!(consumer.counts.queued(), 4);
        producer.settle();
        assert_eq!(consumer.losses.pop(), Ok((4, 9)));
        assert_eq!(consumer.pop(), Some(0));
        assert!(producer.push(Lane::Ordinary, Some(10), 10), "room again");
    }

    #[test]
    fn without_a_consumer_everything_is_lost_and_counted() {
        let (mut producer, mut consumer) = ring::<u64>(source(), 8);
        for n in 0..5 {
            assert!(producer.push(Lane::Ordinary, Some(n), n));
        }
        assert_eq!(consumer.pop(), Some(0));
        let counts = Arc::clone(&consumer.counts);
        drop(consumer);
        // A worker without traffic notices on its timer.
        producer.settle();
        assert_eq!((producer.lost(), counts.queued()), (4, 0));
        for n in 5..8 {
            assert!(!producer.push(Lane::Ordinary, Some(n), n), "{n}");
        }
        assert!(!producer.push(Lane::Ordinary, None, 0));
        assert_eq!((producer.lost(), counts.queued()), (8, 0));
    }

    #[test]
    fn a_flood_of_admitted_requests_takes_no_room_of_refusals() {
        // R090
        let (mut producer, mut consumer) = ring::<u64>(source(), 4);
        for n in 0..100 {
            producer.push(Lane::Ordinary, Some(n), n);
        }
        assert_eq!((producer.lost(), consumer.fill_percent()), (96, 100));
        assert!(producer.push(Lane::Refusal, Some(100), 100));
        assert!(producer.push(Lane::Refusal, Some(101), 101));
        assert!(
            !producer.push(Lane::Refusal, Some(102), 102),
            "half as many"
        );
        assert_eq!((consumer.waiting(), consumer.counts.queued()), (6, 6));
        let taken: Vec<u64> = std::iter::from_fn(|| consumer.pop()).collect();
        assert_eq!(taken, [100, 101, 0, 1, 2, 3], "refusals first");
    }

    #[test]
    fn refusals_that_do_not_fit_take_the_room_of_others() {
        // R090
        let (mut producer, mut consumer) = ring::<u64>(source(), 8);
        for n in 0..12 {
            assert!(producer.push(Lane::Refusal, Some(n), n), "{n}");
        }
        assert!(
            !producer.push(Lane::Refusal, None, 99),
            "an end waits for none"
        );
        assert!(!producer.push(Lane::Refusal, Some(12), 12));
        assert_eq!((consumer.waiting(), consumer.fill_percent()), (12, 100));
        let taken: Vec<u64> = std::iter::from_fn(|| consumer.pop()).collect();
        assert_eq!(taken, (0..12).collect::<Vec<_>>());
        assert_eq!(producer.lost(), 2);
    }

    #[test]
    fn the_worker_hears_that_the_ledger_is_unavailable() {
        let (producer, consumer) = ring::<u64>(source(), 4);
        assert!(!producer.is_ledger_unavailable());
        consumer.counts.set_unavailable(true);
        assert!(producer.is_ledger_unavailable());
    }

    #[test]
    fn losses_beyond_every_bound_keep_an_exact_count() {
        let (mut producer, mut consumer) = ring::<u64>(source(), 1);
        assert!(producer.push(Lane::Ordinary, Some(0), 0));
        let scattered = 3 * LOSS_RING as u64;
        for n in 1..=scattered {
            assert!(!producer.push(Lane::Ordinary, Some(n * 2), 0));
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
