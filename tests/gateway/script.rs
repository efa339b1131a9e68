//! A governor that does what a function says, and remembers what it was told.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate::gateway::governor::{
    Completion, Course, DecisionId, Exchange, Forward, Governor, HeadFacts, RefusedHead,
};
use tidegate::units::Moment;

/// What becomes of a request.
pub(crate) type Rule = Box<dyn Fn(&HeadFacts<'_>) -> Course + Send + Sync>;

/// The shell is tested against this: no contracts, no ledger, every call remembered.
pub(crate) struct Script {
    rule: Rule,
    admitted: AtomicU64,
    abandoned: AtomicU64,
    turns: AtomicU64,
    broke: AtomicBool,
    pushed: Mutex<Vec<Duration>>,
    completions: Mutex<Vec<Completion>>,
    refusals: Mutex<Vec<RefusedHead>>,
}

impl Script {
    /// Forwards everything.
    pub(crate) fn forwarding() -> Arc<Self> {
        Self::scripted(Box::new(|_| {
            Course::Forward(Forward {
                upstream: 0,
                path: None,
                hold: Duration::ZERO,
                case: None,
                timeout: Duration::from_secs(30),
                may_retry: false,
                body_bytes_max: None,
                is_stream: false,
                may_upgrade: true,
                strict: false,
            })
        }))
    }

    /// Does what `rule` says.
    pub(crate) fn scripted(rule: Rule) -> Arc<Self> {
        Arc::new(Self {
            rule,
            admitted: AtomicU64::default(),
            abandoned: AtomicU64::default(),
            turns: AtomicU64::default(),
            broke: AtomicBool::default(),
            pushed: Mutex::default(),
            completions: Mutex::default(),
            refusals: Mutex::default(),
        })
    }

    /// Decisions made so far.
    pub(crate) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Exchanges that did not come to their end.
    pub(crate) fn dropped(&self) -> u64 {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Requests whose turn came.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// From now on there is no budget for retries.
    pub(crate) fn go_broke(&self) {
        self.broke.store(true, Ordering::Relaxed);
    }

    /// For how long upstreams asked for fewer requests.
    pub(crate) fn pushed_back(&self) -> Vec<Duration> {
        self.pushed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All completions so far.
    pub(crate) fn completions(&self) -> Vec<Completion> {
        self.completions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All refusals in parsing so far.
    pub(crate) fn refusals(&self) -> Vec<RefusedHead> {
        self.refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Governor for Script {
    fn admit(&self, facts: &HeadFacts<'_>) -> Exchange {
        let n = self.admitted.fetch_add(1, Ordering::Relaxed);
        Exchange::new((self.rule)(facts), id_of(facts.worker, n), n)
    }

    fn turn_came(&self, _exchange: &Exchange, _at: Moment) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    fn may_retry(&self, _exchange: &Exchange, _at: Moment) -> bool {
        !self.broke.load(Ordering::Relaxed)
    }

    fn pushed_back(&self, _exchange: &Exchange, _at: Moment, quiet: Duration) {
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        pushed.push(quiet);
    }

    fn body_read(&self, _exchange: &Exchange, _at: Moment) {}

    fn head_received(&self, _exchange: &Exchange, _at: Moment, _status: u16) {}

    fn complete(&self, _exchange: Exchange, completion: Completion) {
        self.completions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(completion);
    }

    fn abandon(&self, _exchange: Exchange) {
        self.abandoned.fetch_add(1, Ordering::Relaxed);
    }

    fn refused_in_parsing(&self, refused: &RefusedHead) -> DecisionId {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.push(*refused);
        id_of(refused.worker, refusals.len() as u64)
    }

    fn tick(&self, _now: Moment) {}
}

fn id_of(worker: usize, n: u64) -> DecisionId {
    let mut text = String::with_capacity(22);
    _ = write!(text, "00000000{worker:02x}{n:012x}");
    let mut digits = [b'0'; 22];
    for (digit, byte) in digits.iter_mut().zip(text.bytes()) {
        *digit = byte;
    }
    DecisionId::new(digits)
}
