//! The way of a request through all stages: [`admit`] before the upstream, [`complete`] after it.
//!
//! This is the only file that names every stage. It has no clock, no socket and no file: the
//! gateway calls it with real time, the simulation with virtual time, and [`judge`] alone is what
//! a replay calls with the inputs of a record.

use crate::contract::{Pairing, Terms};
use crate::decision::{Decision, decide, shed_hash};
use crate::enforcement::{Measure, Permit, permit};
use crate::observation::{
    Arrival, Board, Completion, Mode, RetryKind, RouteShared, Share, Signals, Standing, Take,
    Ticker,
};
use crate::policy::rules::{Rules, Severity};
use crate::risk::{self, Assessment, assess};
use crate::rulebook::Rulebook;
use crate::units::{BasisPoints, Factor, FactorSet, Moment, Tier};

/// The factors whose state this gateway keeps; the others read `insufficient`.
///
/// Rate limit and retry storm are here although no file can set a limit per client yet and no
/// retries are counted: without a limit nothing is exceeded, a first attempt is no retry, and a
/// declared retry reads `insufficient` for want of a count.
pub const KNOWN_FACTORS: FactorSet = FactorSet::EMPTY
    .with(Factor::Latency)
    .with(Factor::ErrorRate)
    .with(Factor::Concurrency)
    .with(Factor::RateLimit)
    .with(Factor::RetryStorm)
    .with(Factor::UnknownEndpoint)
    .with(Factor::MethodDisallowed);

/// The standing class of a request that is neither a retry nor privileged.
const CLASS_ORDINARY: u8 = 1;
const CLASS_RETRY: u8 = 0;

/// Everything that follows from rules and signals: the part of a decision that replays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// How risky, and why.
    pub assessment: Assessment,
    /// What that warrants.
    pub decision: Decision,
    /// What the tier allows of it.
    pub permit: Permit,
}

/// A request that has been judged and counted as arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Its route on the board.
    pub route: usize,
    /// What it was judged by.
    pub signals: Signals,
    /// The judgement.
    pub judgement: Judgement,
    /// A contract of its path claims it, whatever the method.
    pub contracted: bool,
    /// From when on it is overdue, on the monotonic clock; `u64::MAX` = never.
    pub overdue_at_ns: u64,
    mode: Mode,
    holds_place: bool,
}

impl Admission {
    /// Whether the request is sent on.
    #[must_use]
    pub const fn is_forwarded(&self) -> bool {
        matches!(self.judgement.permit.measure(), Measure::Forward)
    }
}

/// Assess, decide and permit, from recorded or fresh signals.
#[must_use]
pub fn judge(rules: &Rules, terms: Option<&Terms>, signals: &Signals) -> Judgement {
    let assessment = assess(rules, terms, signals);
    conclude(rules, assessment, signals)
}

fn conclude(rules: &Rules, assessment: Assessment, signals: &Signals) -> Judgement {
    let decision = decide(rules, &assessment, signals);
    Judgement {
        assessment,
        decision,
        permit: permit(&decision, rules.allowed(signals.tier), signals.tier),
    }
}

/// Judges one request and counts its arrival.
///
/// Whoever gets an [`Admission`] must end it once, with [`complete`] or [`abandon`].
#[must_use]
pub fn admit(rulebook: &Rulebook, worker: usize, pairing: Pairing, arrival: &Arrival) -> Admission {
    let board = rulebook.board();
    let (route, standing) = match pairing {
        Pairing::Contracted(index) => (index.get(), Standing::Contracted),
        Pairing::MethodNotAllowed(index) => (index.get(), Standing::MethodNotAllowed),
        Pairing::Unknown => (board.unmatched(), Standing::Unknown),
        Pairing::Ambiguous(_) => (board.unmatched(), Standing::Ambiguous),
    };
    let contract = rulebook.contract_of(route);
    let terms = contract.map(crate::contract::Contract::terms);
    let tier = effective_tier(rulebook, terms, arrival);
    let mode = mode_of(tier);
    let mut signals = observe(board, route, standing, mode, arrival);
    signals.tier = tier;
    if rulebook.needs_canary_hash() {
        signals.shed_hash = hash_of(rulebook, route, arrival);
    }
    let assessment = assess(rulebook.rules(), terms, &signals);
    if assessment.distress() >= rulebook.rules().bands.medium() {
        signals.shed_hash = hash_of(rulebook, route, arrival);
    }
    let mut judgement = conclude(rulebook.rules(), assessment, &signals);
    let mut holds_place = false;
    if judgement.decision.severity() == Severity::Allow && terms.is_some() {
        signals.take = take_limits(
            rulebook,
            route,
            terms,
            mode,
            arrival,
            &mut signals.contract_tat_ns,
        );
        holds_place = signals.take == Take::Granted && counts_places(terms);
        if signals.take != Take::Granted {
            judgement = conclude(rulebook.rules(), assessment, &signals);
        }
    }
    let mut admission = Admission {
        route,
        signals,
        judgement,
        contracted: terms.is_some(),
        overdue_at_ns: u64::MAX,
        mode,
        holds_place,
    };
    if let Some(totals) = board.worker(worker).and_then(|totals| totals.touch(route)) {
        totals.note_offered(signals.retry != RetryKind::First);
        if admission.is_forwarded() {
            totals.note_forwarded();
            // A body is the client's time: the clock of the route starts when it has been sent.
            if let Some(terms) = terms.filter(|_| !arrival.has_body) {
                admission.overdue_at_ns = overdue_at(terms, arrival.at);
            }
        }
    }
    admission
}

/// From when on a request sent at `sent_at` is overdue, on the monotonic clock.
#[must_use]
pub const fn overdue_at(terms: &Terms, sent_at: Moment) -> u64 {
    sent_at.monotonic_ns + terms.max_latency.as_nanos()
}

/// Ends a request: counts its outcome and gives back what it held.
pub fn complete(
    rulebook: &Rulebook,
    worker: usize,
    admission: &Admission,
    was_overdue: bool,
    completion: &Completion,
) {
    if !completion.speaks_about_route() {
        return abandon(rulebook, worker, admission, was_overdue);
    }
    release(rulebook.board(), admission);
    if !admission.is_forwarded() {
        return;
    }
    let slow = rulebook
        .contract_of(admission.route)
        .is_some_and(|contract| completion.latency_us > contract.terms().max_latency.as_micros());
    let totals = rulebook.board().worker(worker);
    if let Some(totals) = totals.and_then(|totals| totals.touch(admission.route)) {
        let failed = completion.is_failure();
        totals.note_outcome(completion.latency_us, slow, failed, was_overdue);
    }
}

/// Ends a request that says nothing about its route: the client left, the upstream pushed back,
/// or a hook panicked.
pub fn abandon(rulebook: &Rulebook, worker: usize, admission: &Admission, was_overdue: bool) {
    release(rulebook.board(), admission);
    if !admission.is_forwarded() {
        return;
    }
    let totals = rulebook.board().worker(worker);
    if let Some(totals) = totals.and_then(|totals| totals.touch(admission.route)) {
        totals.note_abandoned(was_overdue);
    }
}

/// A forwarded request is late and has no response head: it counts as slow from now on.
pub fn note_overdue(rulebook: &Rulebook, worker: usize, route: usize) {
    let totals = rulebook.board().worker(worker);
    if let Some(totals) = totals.and_then(|totals| totals.touch(route)) {
        totals.note_overdue();
    }
}

/// Moves all windows on to `now` and publishes what the next decisions will read.
pub fn tick(rulebook: &Rulebook, ticker: &mut Ticker, now: Moment) {
    let rules = rulebook.rules();
    ticker.tick(rulebook.board(), now, &rules.bands, |route, shared| {
        let (signals, terms) = signals_at_rest(rulebook, route, shared);
        risk::distress_at_tick(rules, terms, &signals)
    });
}

/// What is known of a route without a request, and the terms to read it by.
///
/// No client falls on a canary here: a factor on canary is no part of the route's distress.
#[must_use]
pub fn signals_at_rest<'r>(
    rulebook: &'r Rulebook,
    route: usize,
    shared: &RouteShared,
) -> (Signals, Option<&'r Terms>) {
    let terms = rulebook
        .contract_of(route)
        .map(crate::contract::Contract::terms);
    let tier = rulebook.tier().min(tier_of(terms));
    let mut signals = route_signals(shared);
    signals.in_flight = rulebook.board().in_flight(route, mode_of(tier));
    signals.shed_hash = BasisPoints::FULL.get();
    (signals, terms)
}

/// The judgement of a head that could not be read: it has no route, and its tier is the process's.
#[must_use]
pub fn judge_malformed(rulebook: &Rulebook, listener_tier: Tier) -> (Signals, Judgement) {
    let signals = Signals {
        standing: Standing::Malformed,
        tier: rulebook.tier().min(listener_tier),
        ..at_rest()
    };
    (signals, judge(rulebook.rules(), None, &signals))
}

const fn mode_of(tier: Tier) -> Mode {
    match tier {
        Tier::ObserveOnly => Mode::Dry,
        Tier::Control | Tier::Autonomous => Mode::Real,
    }
}

fn effective_tier(rulebook: &Rulebook, terms: Option<&Terms>, arrival: &Arrival) -> Tier {
    rulebook
        .tier()
        .min(arrival.listener_tier)
        .min(tier_of(terms))
}

/// What the contract allows; one that says nothing allows whatever the process may.
fn tier_of(terms: Option<&Terms>) -> Tier {
    terms
        .and_then(|terms| terms.tier)
        .unwrap_or(Tier::Autonomous)
}

/// Reads every number once. After this nothing shared is looked at but the limits.
fn observe(
    board: &Board,
    route: usize,
    standing: Standing,
    mode: Mode,
    arrival: &Arrival,
) -> Signals {
    // Distress is about a contract's route, and only a contracted request would use it.
    let contracted = standing == Standing::Contracted;
    let published = board.published(route).filter(|_| contracted);
    let mut signals = published.map_or_else(at_rest, route_signals);
    signals.standing = standing;
    if contracted {
        signals.in_flight = board.in_flight(route, mode);
    }
    if arrival.declared_retries > 0 {
        signals.retry = RetryKind::Declared;
        signals.class = CLASS_RETRY;
    }
    signals
}

/// The signals of a route of which nothing was seen.
fn at_rest() -> Signals {
    Signals {
        known: KNOWN_FACTORS,
        class: CLASS_ORDINARY,
        class_share_bp: ALL_ORDINARY,
        ..Signals::default()
    }
}

const ALL_ORDINARY: [u16; 3] = [0, 10_000, 0];

fn route_signals(shared: &RouteShared) -> Signals {
    let retries = shared.retries();
    Signals {
        class_share_bp: class_shares(retries),
        retries,
        slow: shared.slow(),
        failed: shared.failed(),
        overdue: shared.overdue(),
        route_band: shared.band(),
        ..at_rest()
    }
}

/// Retries and the others; nobody is in the high class yet.
fn class_shares(retries: Share) -> [u16; 3] {
    if retries.part == 0 {
        return ALL_ORDINARY;
    }
    let share = u64::from(retries.part) * 10_000 / u64::from(retries.whole.max(1));
    let share = BasisPoints::saturating(share);
    [share.get(), share.complement().get(), 0]
}

fn hash_of(rulebook: &Rulebook, route: usize, arrival: &Arrival) -> u16 {
    let contract = rulebook
        .contract_of(route)
        .map_or(crate::observation::UNMATCHED, |contract| {
            contract.id().as_str()
        });
    shed_hash(arrival.client, arrival.at.wall_us, contract)
}

fn counts_places(terms: Option<&Terms>) -> bool {
    terms.is_some_and(|terms| terms.max_in_flight.is_some())
}

/// Asks the limits in their order; the first refusal decides and undoes the earlier takes.
fn take_limits(
    rulebook: &Rulebook,
    route: usize,
    terms: Option<&Terms>,
    mode: Mode,
    arrival: &Arrival,
    contract_tat_ns: &mut i64,
) -> Take {
    let board = rulebook.board();
    let now_ns = arrival.at.monotonic_ns;
    let rate = rulebook.limit_of(route).zip(board.rate(route, mode));
    if let Some((limit, word)) = rate {
        *contract_tat_ns = word.peek(now_ns);
        if !word.take(limit, now_ns) {
            return Take::ContractRate;
        }
    }
    let max = terms.and_then(|terms| terms.max_in_flight);
    if max.is_some_and(|max| !board.take_in_flight(route, mode, max.get())) {
        if let Some((limit, word)) = rate {
            word.give_back(limit);
        }
        return Take::Concurrency;
    }
    Take::Granted
}

fn release(board: &Board, admission: &Admission) {
    if admission.holds_place {
        board.release_in_flight(admission.route, admission.mode);
    }
}
