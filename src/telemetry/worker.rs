//! What a worker calls to be counted: four moments of a request, nothing to look up.
//!
//! The accounts that must agree, over all workers:
//! complete heads = decisions + refused in parsing; decisions = forwarded + answered by us;
//! requests an upstream got = forwarded + retries - never sent, less at most the unanswered.

use std::cell::Cell;
use std::sync::Arc;

use crate::contract::Method;
use crate::observation::ClientKey;
use crate::pipeline::Admission;
use crate::telemetry::buckets::{DECISION_BOUNDS_NS, REQUEST_BOUNDS_US, SUM, bucket};
use crate::telemetry::callers::CallerBook;
use crate::telemetry::cut::Cut;
use crate::telemetry::key::{Family, Key};
use crate::telemetry::tally::{Tally, TallyWriter};

/// One decision of so many is timed: reading the clock twice costs as much as a tenth of one.
pub const DECISIONS_PER_TIMING: u32 = 64;

pub(super) const FORWARDED: u8 = 1 << 4;
pub(super) const CONTRACTED: u8 = 1 << 5;

/// The counters of one worker. Belongs to the worker's thread: it is `Send`, not `Sync`.
#[derive(Debug)]
pub struct WorkerTally {
    writer: TallyWriter,
    decisions: Cell<u32>,
    callers: CallerBook,
}

impl WorkerTally {
    /// The writer's side of a table for `series_max` series, and the reader's.
    #[must_use]
    pub fn new(series_max: usize) -> (Self, Arc<Tally>) {
        let (tally, writer) = Tally::new(series_max);
        let worker = Self {
            writer,
            decisions: Cell::new(0),
            callers: CallerBook::default(),
        };
        (worker, tally)
    }

    /// Whether the decision about to be made is one of those that are timed.
    #[must_use]
    #[inline]
    pub fn times_next(&self) -> bool {
        self.decisions.get().is_multiple_of(DECISIONS_PER_TIMING)
    }

    /// A decision was made: once per admission, when it is made. `number` is that of its route
    /// ([`crate::observation::RouteState::number`]): its place on the board means something under
    /// one rulebook only.
    #[inline]
    pub fn decision(&self, number: u32, admission: &Admission) {
        self.decisions.set(self.decisions.get().wrapping_add(1));
        let (decision, permit) = (&admission.judgement.decision, &admission.judgement.permit);
        let mut facts = permit.tier() as u8;
        if admission.is_forwarded() {
            facts |= FORWARDED;
        }
        if admission.contracted {
            facts |= CONTRACTED;
        }
        let key = Key::of(Family::Decision, number)
            .a(decision.deciding() as u16)
            .b(decision.severity() as u8)
            .c(facts);
        self.writer.add(key, 1);
        if !permit.withheld().is_empty() {
            self.suppressed(admission);
        }
    }

    fn suppressed(&self, admission: &Admission) {
        let permit = &admission.judgement.permit;
        for action in permit.withheld().iter() {
            let key = Key::unrouted(Family::Suppressed)
                .a(action as u16)
                .b(permit.tier() as u8);
            self.writer.add(key, 1);
        }
    }

    /// A decision for which [`Self::times_next`] was true took so long.
    pub fn decision_took(&self, nanos: u64) {
        let key = Key::unrouted(Family::DecisionDuration);
        self.writer
            .add(key.c(bucket(&DECISION_BOUNDS_NS, nanos)), 1);
        self.writer.add(key.c(SUM), nanos);
    }

    /// An exchange ended: once per admission, also when the client left (`status` 0 = none sent).
    ///
    /// `duration_us` is from the complete head to the last byte of the answer.
    #[inline]
    pub fn ended(
        &self,
        number: u32,
        admission: &Admission,
        method: Method,
        status: u16,
        duration_us: u64,
    ) {
        let status = if status < 1_000 { status } else { 0 };
        let key = Key::of(Family::Request, number)
            .a(status / 100)
            .b(method as u8)
            .c(admission.judgement.decision.severity() as u8);
        self.writer.add(key, 1);
        let key = Key::of(Family::Duration, number).a(status).b(method as u8);
        let place = bucket(&REQUEST_BOUNDS_US, duration_us);
        self.writer.add(key.c(place), 1);
        self.writer.add(key.c(SUM), duration_us);
    }

    /// What it took to reach the upstream: further attempts, attempts that no upstream got, and
    /// those of which nobody knows.
    #[inline]
    pub fn attempts(&self, number: u32, retries: u64, never_sent: u64, unanswered: u64) {
        if retries > 0 {
            self.writer.add(Key::of(Family::Retry, number), retries);
        }
        if never_sent > 0 {
            self.writer
                .add(Key::of(Family::NeverSent, number), never_sent);
        }
        if unanswered > 0 {
            self.writer
                .add(Key::of(Family::Unanswered, number), unanswered);
        }
    }

    /// An upstream asked for fewer requests: 429, or 503 with Retry-After.
    pub fn pushed_back(&self, number: u32) {
        self.writer.add(Key::of(Family::Pushback, number), 1);
    }

    /// A request was cut off, and its upstream is not to blame.
    pub fn cut(&self, cut: Cut) {
        let key = Key::unrouted(Family::Cut).a(cut as u16);
        self.writer.add(key, 1);
    }

    /// A tunnel ended; its bytes from the client, and to it.
    pub fn tunnel_ended(&self, received: u64, sent: u64) {
        self.writer.add(Key::unrouted(Family::Tunnel), 1);
        for (direction, bytes) in [(0, received), (1, sent)] {
            let key = Key::unrouted(Family::TunnelBytes).a(direction);
            self.writer.add(key, bytes);
        }
    }

    /// A client asked for a deprecated contract.
    pub fn deprecated(&self, number: u32, client: ClientKey) {
        let callers = self.writer.tally().callers();
        callers.count(&self.callers, number, client.0);
    }

    /// A head was refused before it could be judged; `reason` is its place in the table of names
    /// given to [`crate::telemetry::Telemetry`]. Not a decision.
    pub fn refused(&self, reason: u16) {
        self.writer.add(Key::unrouted(Family::Refused).a(reason), 1);
    }
}
