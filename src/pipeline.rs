//! The way of a request through all stages: [`admit`] before the upstream, [`complete`] after it.
//!
//! This is the only file that names every stage. It has no clock, no socket and no file: the
//! gateway calls it with real time, the simulation with virtual time, and [`judge`] alone is what
//! a replay calls with the inputs of a record.

mod takes;

use crate::contract::{Contract, Pairing, Quarantine, Terms, Throttle};
use crate::decision::{Decision, decide, numbered_hash, only_shedding_refuses, shed_hash};
use crate::enforcement::{Measure, Permit, permit};
use crate::observation::{
    ALL_ORDINARY_BP, ALWAYS_KNOWN, Arrival, Backoff, Circuit, CircuitReading, CircuitState,
    ClientSlot, Completion, Ending, Lateness, Mode, Offered, RequestKey, RetryKind, RouteShared,
    RouteState, SLOW_START_MAX_BP, Share, ShortView, Signals, Standing, Take, TickVerdict, Ticker,
};
use crate::policy::rules::{Rules, Severity};
use crate::risk::{Assessment, assess};
use crate::rulebook::Rulebook;
use crate::units::{Action, BasisPoints, Factor, Moment, Tier};
use takes::Taken;

/// The classes of requests, lowest first.
const CLASS_RETRY: u8 = 0;
const CLASS_ORDINARY: u8 = 1;
const CLASS_PRIVILEGED: u8 = 2;

/// The draw of a client that sends more than this share of a route's requests changes with each.
const HEAVY_CLIENT_TENTHS: u64 = 1;

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
    /// Where it goes.
    pub way: Way,
    /// How long until the limit or circuit that refused it would not, nanoseconds.
    pub wait_ns: u64,
    mode: Mode,
    epoch: u32,
    request: RequestKey,
    holds: Holds,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To its upstream.
    Forward,
    /// To its upstream, marked: it is set apart and watched.
    Shadow,
    /// To the upstream for those that are set apart.
    Divert,
    /// Nowhere.
    Refuse,
}

/// What a request has taken and must give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Holds {
    place: bool,
    probe: bool,
    held: bool,
}

impl Admission {
    /// How long it waits for its turn before it is sent, nanoseconds.
    #[must_use]
    pub const fn hold_ns(&self) -> u64 {
        self.signals.hold_ns
    }

    /// Whether the request is sent on, wherever.
    #[must_use]
    pub const fn is_forwarded(&self) -> bool {
        !matches!(self.way, Way::Refuse)
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
    let (index, standing) = match pairing {
        Pairing::Contracted(index) => (index.get(), Standing::Contracted),
        Pairing::MethodNotAllowed(index) => (index.get(), Standing::MethodNotAllowed),
        Pairing::Unknown => (board.unmatched(), Standing::Unknown),
        Pairing::Ambiguous(_) => (board.unmatched(), Standing::Ambiguous),
    };
    let contract = rulebook.contract_of(index);
    let terms = contract.map(crate::contract::Contract::terms);
    let tier = effective_tier(rulebook, terms, arrival);
    let site = Site {
        rulebook,
        index,
        route: rulebook.route(index),
        terms,
        tier,
        mode: mode_of(tier),
        arrival,
    };
    let circuit = site.route.circuit(site.mode).read(arrival.at.monotonic_ns);
    let mut signals = at_rest();
    signals.tier = tier;
    signals.standing = standing;
    observe(&site, &circuit, &mut signals);
    // A factor on canary needs the draw for the score; shedding needs it only where there is any.
    if rulebook.needs_canary_hash() {
        draw(&site, &mut signals);
    }
    let assessment = assess(rulebook.rules(), terms, &signals);
    if !rulebook.needs_canary_hash() && sheds(rulebook, &assessment, &signals) {
        draw(&site, &mut signals);
    }
    let mut judgement = conclude(rulebook.rules(), assessment, &signals);
    let mut taken = Taken::default();
    if asks_limits(&judgement, terms, &signals) {
        taken = takes::ask(&site, judgement.decision.severity(), &mut signals);
        if taken.is_limited() {
            judgement = conclude(rulebook.rules(), assessment, &signals);
        }
    }
    let way = way_of(&judgement.permit, terms, &signals);
    let overdue_at_ns = note_arrival(&site, worker, &judgement.assessment, &signals, way);
    // Built where it is returned: it is too large to be moved about.
    Admission {
        route: index,
        signals,
        judgement,
        contracted: terms.is_some(),
        overdue_at_ns,
        way,
        wait_ns: taken.wait_ns.max(circuit.wait_ns),
        mode: site.mode,
        epoch: circuit.epoch,
        request: arrival.request,
        holds: taken.holds,
    }
}

/// One request where it is judged.
pub(crate) struct Site<'a> {
    rulebook: &'a Rulebook,
    index: usize,
    route: &'a RouteState,
    terms: Option<&'a Terms>,
    tier: Tier,
    mode: Mode,
    arrival: &'a Arrival,
}

impl<'a> Site<'a> {
    fn client_slot(&self) -> &'a ClientSlot {
        let (client, now_ns) = (self.arrival.client, self.arrival.at.monotonic_ns);
        let clients = self.rulebook.board().clients();
        let overflow = self.route.client_overflow();
        clients.slot(client, self.route.salt(), overflow, now_ns)
    }

    /// Of the address behind a client that goes by a field.
    fn address_slot(&self) -> Option<&'a ClientSlot> {
        let now_ns = self.arrival.at.monotonic_ns;
        let clients = self.rulebook.board().clients();
        let overflow = self.route.address_overflow();
        let address = self.arrival.address?;
        Some(clients.slot(address, self.route.salt(), overflow, now_ns))
    }

    /// Whose requests are counted together: a field can be changed at will, the address cannot.
    fn sender_slot(&self) -> &'a ClientSlot {
        self.address_slot().unwrap_or_else(|| self.client_slot())
    }

    fn allows(&self, action: Action) -> bool {
        let allowed = self.rulebook.rules().allowed(self.tier);
        allowed.contains(action)
    }
}

/// Whether the limits are asked about a request that is so judged without them: where it would go
/// to its own upstream, also as one that is set apart; that one meets no limit of its client.
#[must_use]
pub fn asks_limits(judgement: &Judgement, terms: Option<&Terms>, signals: &Signals) -> bool {
    match judgement.decision.severity() {
        Severity::Allow => signals.standing != Standing::Ambiguous,
        _ => way_of(&judgement.permit, terms, signals) == Way::Shadow,
    }
}

/// Where a request goes that is permitted so much.
#[must_use]
pub const fn way_of(permit: &Permit, terms: Option<&Terms>, signals: &Signals) -> Way {
    match (permit.measure(), terms) {
        (Measure::Forward, _) => Way::Forward,
        (Measure::Throttle, _) if signals.hold_ns > 0 => Way::Forward,
        (Measure::Quarantine, Some(terms)) => match terms.quarantine {
            Quarantine::Reject => Way::Refuse,
            Quarantine::Divert => Way::Divert,
            Quarantine::Shadow if refuses(signals.take) => Way::Refuse,
            Quarantine::Shadow => Way::Shadow,
        },
        (Measure::Throttle | Measure::Quarantine | Measure::Drop, _) => Way::Refuse,
    }
}

const fn refuses(take: Take) -> bool {
    !matches!(take, Take::NotAsked | Take::Granted)
}

/// Counts the arrival, and says from when on the request is overdue.
fn note_arrival(
    site: &Site<'_>,
    worker: usize,
    assessment: &Assessment,
    signals: &Signals,
    way: Way,
) -> u64 {
    let arrival = site.arrival;
    let board = site.rulebook.board();
    let forwarded = !matches!(way, Way::Refuse);
    if let Some(totals) = board.touch(worker, site.index) {
        totals.note_offered(offered_as(site, signals));
        if only_shedding_refuses(site.rulebook.rules(), assessment, signals) {
            totals.note_class(signals.class);
        }
        if forwarded {
            totals.note_forwarded();
            site.route.note_served(site.mode);
        }
    }
    // A body is the client's time: the clock of the route starts when it has been sent.
    match site.terms {
        Some(terms) if forwarded && !arrival.has_body => {
            overdue_at(terms, arrival.at).saturating_add(signals.hold_ns)
        }
        _ => u64::MAX,
    }
}

fn offered_as(site: &Site<'_>, signals: &Signals) -> Offered {
    match signals.retry {
        RetryKind::First => Offered::Ordinary,
        RetryKind::Declared | RetryKind::Seen => {
            let (arrival, counted) = (site.arrival, site.route.published().retries().part);
            let slot = site.sender_slot();
            Offered::Retry {
                counts: slot.note_retry(counted, arrival.at.monotonic_ns),
            }
        }
    }
}

/// Whether some requests of the route are shed: mostly not, and a draw costs a hash.
fn sheds(rulebook: &Rulebook, assessment: &Assessment, signals: &Signals) -> bool {
    signals.slow_start_bp > 0 || assessment.distress() >= rulebook.rules().bands.medium()
}

/// The same for a client's requests of one minute, so that a retry keeps its fate; but a client
/// that is a large part of the traffic is shed by parts, or shedding him would be all or nothing.
fn draw(site: &Site<'_>, signals: &mut Signals) {
    let (arrival, name) = (site.arrival, site.route.name());
    let own = site.sender_slot().note_offered(arrival.at.monotonic_ns);
    let all = site.route.published().retries().whole;
    if own > 1 && u64::from(own) * 10 > u64::from(all) * HEAVY_CLIENT_TENTHS {
        signals.draw_number = own;
        signals.shed_hash = numbered_hash(arrival.client, own, name);
    } else {
        signals.shed_hash = shed_hash(arrival.client, arrival.at.wall_us, name);
    }
}

/// From when on a request sent at `sent_at` is overdue, on the monotonic clock.
#[must_use]
pub const fn overdue_at(terms: &Terms, sent_at: Moment) -> u64 {
    sent_at.monotonic_ns + terms.max_latency.as_nanos()
}

/// A request that waited for its turn is sent on: another one may wait.
pub fn turn_came(rulebook: &Rulebook, admission: &mut Admission) {
    if std::mem::take(&mut admission.holds.held) {
        rulebook.route(admission.route).release_held();
    }
}

/// Whether the promised time ends at the response head: of a stream, or of another protocol.
#[must_use]
pub fn ends_at_head(terms: Option<&Terms>, upstream_status: u16) -> bool {
    const SWITCHING_PROTOCOLS: u16 = 101;
    upstream_status == SWITCHING_PROTOCOLS || terms.is_some_and(|terms| terms.stream)
}

/// The response head of a forwarded request came. A probe whose time ends there is judged now: its
/// body may run for hours, and no other probe would get its place.
pub fn head_came(
    rulebook: &Rulebook,
    admission: &mut Admission,
    overdue_at_ns: u64,
    upstream_status: u16,
    at: Moment,
) {
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    if !admission.holds.probe || !ends_at_head(terms, upstream_status) {
        return;
    }
    let head = Completion {
        at,
        status: upstream_status,
        upstream_status,
        latency_us: 0,
        ending: Ending::Answered,
    };
    if head.speaks_about_route() {
        let fails_at_ns = probe_fails_at(rulebook, admission, overdue_at_ns);
        let late = fails_at_ns.is_some_and(|fails_at_ns| fails_at_ns < at.monotonic_ns);
        judge_probe(rulebook, admission, head.is_failure() || late, at);
    }
}

/// Looks after an overdue request without a response head: a probe that stays without one for as
/// long again has failed. The time of a body, or of a turn, is none of the upstream's, so the
/// caller tells from when on the request is overdue.
pub fn watch_overdue(
    rulebook: &Rulebook,
    admission: &mut Admission,
    overdue_at_ns: u64,
    now: Moment,
) {
    let fails_at_ns = probe_fails_at(rulebook, admission, overdue_at_ns);
    if fails_at_ns.is_some_and(|fails_at_ns| fails_at_ns < now.monotonic_ns) {
        judge_probe(rulebook, admission, true, now);
    }
}

/// When a probe that is overdue from `overdue_at_ns` on has failed, on the monotonic clock: twice
/// the promised time after the upstream's time began. `None` where the request is no probe, or one
/// that has been judged.
#[must_use]
pub fn probe_fails_at(
    rulebook: &Rulebook,
    admission: &Admission,
    overdue_at_ns: u64,
) -> Option<u64> {
    if !admission.holds.probe {
        return None;
    }
    let terms = rulebook.contract_of(admission.route)?.terms();
    Some(overdue_at_ns.saturating_add(terms.max_latency.as_nanos()))
}

fn judge_probe(rulebook: &Rulebook, admission: &mut Admission, failed: bool, at: Moment) {
    admission.holds.probe = false;
    let circuit = rulebook.route(admission.route).circuit(admission.mode);
    let backoff = backoff(rulebook.rules());
    circuit.probe_ended(admission.epoch, failed, at.monotonic_ns, backoff);
}

/// Ends a request: counts its outcome and gives back what it held.
pub fn complete(
    rulebook: &Rulebook,
    worker: usize,
    admission: &Admission,
    lateness: Lateness,
    completion: &Completion,
) {
    let now_ns = completion.at.monotonic_ns;
    let route = rulebook.route(admission.route);
    let circuit = route.circuit(admission.mode);
    // What comes again now is a retry. A refusal of ours does not make it one: else refusing
    // retries would make every later request a retry, and nobody would ever get through again.
    let silent = lateness == Lateness::Overdue;
    let lost_patience = silent && completion.ending == Ending::ClientAbort;
    if admission.is_forwarded() && (completion.is_failure() || lost_patience) {
        let retries = rulebook.board().clients().retries();
        retries.note(admission.request, now_ns);
    } else if admission.signals.retry == RetryKind::Seen && completion.is_success() {
        let retries = rulebook.board().clients().retries();
        retries.forget(admission.request, now_ns);
    }
    // What another upstream does, or did before the circuit opened, says nothing about the route.
    // Nor does a refusal: whatever it may hold it gives back.
    if !admission.is_forwarded()
        || !completion.speaks_about_route()
        || admission.way == Way::Divert
        || circuit.read(now_ns).epoch != admission.epoch
    {
        return abandon(rulebook, worker, admission, lateness);
    }
    release_places(route, admission);
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    let slow = terms.is_some_and(|terms| completion.latency_us > terms.max_latency.as_micros());
    if let Some(totals) = rulebook.board().touch(worker, admission.route) {
        let (failed, was_overdue) = (completion.is_failure(), lateness.was_overdue());
        totals.note_outcome(completion.latency_us, slow, failed, was_overdue);
        if lateness == Lateness::Overdue {
            totals.note_overdue_ended();
        }
    }
    if let Some(terms) = terms {
        tell_circuit(rulebook.rules(), circuit, terms, admission, completion);
    }
}

fn tell_circuit(
    rules: &Rules,
    circuit: &Circuit,
    terms: &Terms,
    admission: &Admission,
    completion: &Completion,
) {
    let (now_ns, epoch) = (completion.at.monotonic_ns, admission.epoch);
    let backoff = backoff(rules);
    if admission.holds.probe {
        let late = completion.latency_us > terms.max_latency.as_micros().saturating_mul(2);
        return circuit.probe_ended(epoch, completion.is_failure() || late, now_ns, backoff);
    }
    if !completion.is_broken() {
        return circuit.note_whole();
    }
    if circuit.note_broken(epoch, now_ns, rules.circuit.broken_in_a_row.get()) {
        circuit.trip(epoch, now_ns, backoff);
    }
}

/// A probe that was heard of for no longer than this may still be on its way: its body is read,
/// it waits for its turn, and then for the upstream.
const fn lost_ns(terms: &Terms) -> u64 {
    const BODY_NS: u64 = 60_000_000_000;
    let turn_ns = match terms.throttle {
        Throttle::Delay { wait_max, .. } => wait_max.as_nanos(),
        Throttle::Reject => 0,
    };
    let upstream_ns = terms.timeout.as_nanos() + 2 * terms.max_latency.as_nanos();
    BODY_NS + turn_ns + upstream_ns
}

const fn backoff(rules: &Rules) -> Backoff {
    Backoff {
        first: rules.circuit.open,
        longest: rules.circuit.open_max,
    }
}

/// Ends a request that says nothing about its route: it was refused, the client left, the upstream
/// pushed back, or a hook panicked.
pub fn abandon(rulebook: &Rulebook, worker: usize, admission: &Admission, lateness: Lateness) {
    let route = rulebook.route(admission.route);
    release_places(route, admission);
    if admission.holds.probe {
        let circuit = route.circuit(admission.mode);
        circuit.probe_given_back(admission.epoch);
    }
    if !admission.is_forwarded() {
        return;
    }
    if let Some(totals) = rulebook.board().touch(worker, admission.route) {
        totals.note_abandoned();
        if lateness == Lateness::Overdue {
            totals.note_overdue_ended();
        }
    }
}

/// A forwarded request is late and has no response head: it counts as slow from now on.
pub fn note_overdue(rulebook: &Rulebook, worker: usize, route: usize) {
    if let Some(totals) = rulebook.board().touch(worker, route) {
        totals.note_overdue();
    }
}

/// The response head of an overdue request came: it is overdue no more.
pub fn note_overdue_ended(rulebook: &Rulebook, worker: usize, route: usize) {
    if let Some(totals) = rulebook.board().touch(worker, route) {
        totals.note_overdue_ended();
    }
}

/// Moves all windows on to `now`, opens the circuits whose time has come, and publishes what the
/// next decisions will read.
pub fn tick(rulebook: &Rulebook, ticker: &mut Ticker, now: Moment) {
    let rules = rulebook.rules();
    ticker.tick(rulebook.board(), now, &rules.bands, |index, route, view| {
        if let Some(contract) = rulebook.contract_of(index) {
            let terms = contract.terms();
            let main = mode_at_rest(rulebook, index);
            watch_circuits(rules, terms, route, main, view, now);
        }
        let (signals, terms) = signals_at_rest(rulebook, index, route, now.monotonic_ns);
        let assessment = assess(rules, terms, &signals);
        let calm = |factor| assessment.reading(factor) == BasisPoints::ZERO;
        let mode = mode_at_rest(rulebook, index);
        TickVerdict {
            distress: assessment.distress(),
            healthy: signals.circuit == CircuitState::Closed
                && calm(Factor::Latency)
                && calm(Factor::ErrorRate),
            mode,
            circuit: route.circuit(mode).read(now.monotonic_ns),
        }
    });
}

/// Opens circuits whose share of failures or of slow requests is too large.
fn watch_circuits(
    rules: &Rules,
    terms: &Terms,
    route: &RouteState,
    main: Mode,
    view: &ShortView,
    now: Moment,
) {
    let (backoff, now_ns) = (backoff(rules), now.monotonic_ns);
    let samples_min = rules.circuit.samples_min.get();
    let reaches = |share: Share, threshold: BasisPoints| {
        share.whole >= samples_min
            && u64::from(share.part) * 10_000 >= threshold.wide() * u64::from(share.whole)
    };
    let trips = reaches(view.failed, terms.circuit_threshold)
        || reaches(view.slow_short, rules.circuit.slow_share);
    for mode in [Mode::Dry, Mode::Real] {
        route.circuit(mode).expire(now_ns, lost_ns(terms));
    }
    // Only the circuit that most requests see: the other one would wait for probes that never come.
    let circuit = route.circuit(main);
    let reading = circuit.read(now_ns);
    let as_of = main.of(&view.as_of);
    // Closed since the last tick: what was counted made it open before, and is forgotten next.
    let is_stale = as_of.state != CircuitState::Closed || as_of.epoch != reading.epoch;
    if trips && !is_stale && reading.state == CircuitState::Closed {
        circuit.trip(reading.epoch, now_ns, backoff);
    }
}

/// What is known of a route without a request, and the terms to read it by.
///
/// No client falls on a canary here: a factor on canary is no part of the route's distress.
#[must_use]
pub fn signals_at_rest<'r>(
    rulebook: &'r Rulebook,
    index: usize,
    route: &RouteState,
    now_ns: u64,
) -> (Signals, Option<&'r Terms>) {
    let terms = rulebook.contract_of(index).map(Contract::terms);
    let mode = mode_at_rest(rulebook, index);
    let mut signals = at_rest();
    read_route(route.published(), &mut signals);
    read_circuit(
        &mut signals,
        rulebook.rules(),
        &route.circuit(mode).read(now_ns),
    );
    signals.in_flight = route.in_flight(mode);
    signals.shed_hash = BasisPoints::FULL.get();
    (signals, terms)
}

/// The mode that most requests of a route count in: that of the last one that was sent on, for a
/// listener may only observe what process and contract would control.
#[must_use]
pub fn mode_at_rest(rulebook: &Rulebook, index: usize) -> Mode {
    let terms = rulebook.contract_of(index).map(Contract::terms);
    match mode_of(rulebook.tier().min(tier_of(terms))) {
        Mode::Real => rulebook.route(index).served(),
        Mode::Dry => Mode::Dry,
    }
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

/// Reads every number once, into signals at rest. After this nothing shared is looked at but the
/// limits.
fn observe(site: &Site<'_>, circuit: &CircuitReading, signals: &mut Signals) {
    // Distress is about a contract's route, and only a request that may go there would use it.
    if may_use_route(site, signals.standing) {
        read_route(site.route.published(), signals);
        signals.in_flight = site.route.in_flight(site.mode);
        read_circuit(signals, site.rulebook.rules(), circuit);
        if site
            .terms
            .is_some_and(|terms| terms.client_rate_limit.is_some())
        {
            takes::peek(site, signals);
        }
    }
    let arrival = site.arrival;
    let retries = site.rulebook.board().clients().retries();
    if arrival.declared_retries > 0 {
        signals.retry = RetryKind::Declared;
        signals.class = CLASS_RETRY;
    } else if retries.knows(arrival.request, arrival.at.monotonic_ns) {
        signals.retry = RetryKind::Seen;
        signals.class = CLASS_RETRY;
    } else if arrival.privileged {
        signals.class = CLASS_PRIVILEGED;
    }
}

/// Also a method that the contract has not, where it would be forwarded: marked, or as it is.
fn may_use_route(site: &Site<'_>, standing: Standing) -> bool {
    match standing {
        Standing::Contracted => true,
        Standing::MethodNotAllowed => {
            let method = site.rulebook.rules().method_disallowed;
            let is_shadowed = |terms: &Terms| terms.quarantine == Quarantine::Shadow;
            method == Severity::Allow || site.terms.is_some_and(is_shadowed)
        }
        Standing::Unknown | Standing::Ambiguous | Standing::Malformed => false,
    }
}

/// The signals of a route of which nothing was seen. Its long windows are not known to be quiet: a
/// path without a contract has none, and those of the path are not read for a wrong method.
fn at_rest() -> Signals {
    Signals {
        known: ALWAYS_KNOWN,
        class: CLASS_ORDINARY,
        class_share_bp: ALL_ORDINARY_BP,
        ..Signals::default()
    }
}

fn read_route(shared: &RouteShared, signals: &mut Signals) {
    signals.known = shared.known();
    signals.class_share_bp = shared.class_share_bp();
    signals.retries = shared.retries();
    signals.slow = shared.slow();
    signals.failed = shared.failed();
    signals.overdue = shared.overdue();
    signals.route_band = shared.band();
    shared.read_long(signals);
}

/// State and epoch, and how much is still shed because the circuit closed a moment ago.
fn read_circuit(signals: &mut Signals, rules: &Rules, circuit: &CircuitReading) {
    if circuit.epoch == 0 {
        // It never opened, and the signals at rest say so.
        return;
    }
    signals.circuit = circuit.state;
    signals.circuit_epoch = circuit.epoch;
    let slow_start_ns = rules.circuit.slow_start.as_nanos();
    if let Some(closed_ns) = circuit.closed_for_ns
        && let Some(left_ns) = slow_start_ns.checked_sub(closed_ns)
    {
        let share = u64::from(SLOW_START_MAX_BP) * (left_ns / 1_000_000);
        signals.slow_start_bp = (share / u64::from(rules.circuit.slow_start.get()).max(1)) as u16;
    }
}

fn release_places(route: &RouteState, admission: &Admission) {
    if admission.holds.place {
        route.release_in_flight(admission.mode);
    }
    if admission.holds.held {
        route.release_held();
    }
}
