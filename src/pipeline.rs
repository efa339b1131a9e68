//! The way of a request through all stages: [`admit`] before the upstream, [`complete`] after it.
//!
//! This file and its parts alone name every stage. They have no clock, no socket and no file: the
//! gateway calls them with real time, the simulation with virtual time, and [`judge`] alone is what
//! a replay calls with the inputs of a record.

mod ending;
mod observing;
mod resting;
mod staging;
mod takes;

use crate::contract::{Pairing, Quarantine, Stage, Terms};
use crate::decision::{Decision, decide, numbered_hash, only_shedding_refuses, shed_hash};
use crate::enforcement::{Measure, Permit, permit};
use crate::observation::{
    Arrival, ClientSlot, LedgerStanding, Mode, Offered, RequestKey, RetryKind, RouteState, Signals,
    Standing, Take,
};
use crate::policy::rules::{Rules, Severity};
use crate::risk::{Assessment, assess};
use crate::rulebook::Rulebook;
use crate::units::{Action, ActionSet, Tier};
use observing::observe;
use staging::{is_outside_canary, is_retired};

pub use ending::{
    abandon, complete, ends_at_head, head_came, note_overdue, note_overdue_ended, overdue_at,
    probe_fails_at, turn_came, watch_overdue,
};
pub use observing::{at_rest, reads_route};
pub use resting::{mode_at_rest, signals_at_rest, tick};
pub use staging::contract_ceiling;

/// The class of retries, which are shed first.
pub const CLASS_RETRY: u8 = 0;
/// The class of ordinary requests.
pub const CLASS_ORDINARY: u8 = 1;
/// The class of requests of high priority, which are shed last.
pub const CLASS_PRIVILEGED: u8 = 2;

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

impl Judgement {
    /// What stands in an admission until it has been judged: nothing is wrong, nothing may be done.
    const PENDING: Self = Self {
        assessment: Assessment::CALM,
        decision: Decision::UNREMARKABLE,
        permit: permit(&Decision::UNREMARKABLE, ActionSet::EMPTY, Tier::ObserveOnly),
    };
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
    /// What [`admit_into`] fills: nothing is known of the request, and it holds nothing.
    #[must_use]
    #[inline]
    pub fn at_rest(arrival: &Arrival) -> Self {
        Self {
            route: 0,
            signals: at_rest(),
            judgement: Judgement::PENDING,
            contracted: false,
            overdue_at_ns: u64::MAX,
            way: Way::Refuse,
            wait_ns: 0,
            mode: Mode::Dry,
            epoch: 0,
            request: arrival.request,
            holds: Holds::default(),
        }
    }

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
    let mut judgement = Judgement {
        assessment: assess(rules, terms, signals),
        ..Judgement::PENDING
    };
    judgement.conclude(rules, terms, signals);
    judgement
}

impl Judgement {
    /// Decides and permits what has been assessed.
    #[inline(always)]
    fn conclude(&mut self, rules: &Rules, terms: Option<&Terms>, signals: &Signals) {
        self.decision = decide(rules, &self.assessment, signals);
        if signals.ledger != LedgerStanding::Available && needs_ledger(terms, signals) {
            self.decision = self.decision.without_ledger();
        }
        self.permit = permit(&self.decision, rules.allowed(signals.tier), signals.tier);
    }

    /// The same after a limit said no, or not yet.
    #[cold]
    #[inline(never)]
    fn conclude_again(&mut self, rules: &Rules, terms: Option<&Terms>, signals: &Signals) {
        self.conclude(rules, terms, signals);
    }
}

/// Whether a request may not be forwarded while its decision cannot be recorded.
#[cold]
fn needs_ledger(terms: Option<&Terms>, signals: &Signals) -> bool {
    signals.ledger == LedgerStanding::FailClosed || terms.is_some_and(|terms| terms.ledger_required)
}

/// Judges one request and counts its arrival.
///
/// Whoever gets an [`Admission`] must end it once, with [`complete`] or [`abandon`].
#[must_use]
#[inline]
pub fn admit(rulebook: &Rulebook, worker: usize, pairing: Pairing, arrival: &Arrival) -> Admission {
    let mut admission = Admission::at_rest(arrival);
    admit_into(&mut admission, rulebook, worker, pairing, arrival);
    admission
}

/// The same in its caller's place, since an admission is too large to be moved about: `admission` is
/// that of this arrival at rest.
pub fn admit_into(
    admission: &mut Admission,
    rulebook: &Rulebook,
    worker: usize,
    pairing: Pairing,
    arrival: &Arrival,
) {
    debug_assert!(
        admission.holds == Holds::default(),
        "one that was used holds what another request took"
    );
    let board = rulebook.board();
    let (index, standing) = match pairing {
        Pairing::Contracted(index) => (index.get(), Standing::Contracted),
        Pairing::MethodNotAllowed(index) => (index.get(), Standing::MethodNotAllowed),
        Pairing::Unknown => (board.unmatched(), Standing::Unknown),
        Pairing::Ambiguous(_) => (board.unmatched(), Standing::Ambiguous),
        Pairing::Alias { fault: None, .. } => (board.unmatched(), Standing::Unknown),
        Pairing::Alias { fault: Some(_), .. } => (board.unmatched(), Standing::Ambiguous),
    };
    let around = rulebook.tier().min(arrival.listener_tier);
    let site = Site::at(rulebook, index, around, arrival);
    let terms = site.terms;
    let circuit = site.route.circuit(site.mode).read(arrival.at.monotonic_ns);
    admission.route = index;
    admission.contracted = terms.is_some();
    admission.wait_ns = circuit.wait_ns;
    admission.mode = site.mode;
    admission.epoch = circuit.epoch;
    let signals = &mut admission.signals;
    signals.tier = site.tier;
    signals.standing = standing;
    signals.ledger = arrival.ledger;
    signals.undeclared = arrival.undeclared;
    observe(&site, &circuit, signals);
    if let Pairing::Alias {
        contract, folds, ..
    } = pairing
    {
        signals.alias = folds.bits();
        // No contract has the path; who may call the one that is meant says who is charged.
        signals.undeclared = false;
        takes::charge(rulebook, contract, around, arrival);
    }
    // A factor on canary needs the draw for the score; shedding needs it only where there is any.
    if rulebook.needs_canary_hash() {
        draw(&site, signals);
    }
    let (rules, judgement) = (rulebook.rules(), &mut admission.judgement);
    judgement.assessment.rise(rules, terms, signals);
    if !rulebook.needs_canary_hash() && sheds(rulebook, &judgement.assessment, signals) {
        draw(&site, signals);
    }
    judgement.conclude(rules, terms, signals);
    if asks_limits(judgement, terms, signals) {
        let taken = takes::ask(&site, judgement.decision.severity(), signals);
        if taken.is_limited() {
            judgement.conclude_again(rules, terms, signals);
        }
        admission.wait_ns = taken.wait_ns.max(circuit.wait_ns);
        admission.holds = taken.holds;
    }
    admission.way = way_of(&judgement.permit, terms, signals);
    admission.overdue_at_ns =
        note_arrival(&site, worker, &judgement.assessment, signals, admission.way);
}

/// One request where it is judged.
pub(crate) struct Site<'a> {
    rulebook: &'a Rulebook,
    index: usize,
    route: &'a RouteState,
    terms: Option<&'a Terms>,
    /// The contract is not enforced upon everybody: what that means is looked at aside.
    is_staged: bool,
    tier: Tier,
    mode: Mode,
    arrival: &'a Arrival,
}

impl<'a> Site<'a> {
    /// On the route of that place, where no more than the tier `around` is granted.
    #[inline(always)]
    fn at(rulebook: &'a Rulebook, index: usize, around: Tier, arrival: &'a Arrival) -> Self {
        let contract = rulebook.contract_of(index);
        let terms = contract.map(crate::contract::Contract::terms);
        let route = rulebook.route(index);
        let mut tier = effective_tier(around, terms, arrival.ledger);
        let is_staged = terms.is_some_and(|terms| terms.stage != Stage::Enforced);
        if is_staged {
            tier = staging::lowered(tier, terms, arrival.client, route);
        }
        Self {
            rulebook,
            index,
            route,
            terms,
            is_staged,
            tier,
            mode: mode_of(tier),
            arrival,
        }
    }

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
        Severity::Allow => signals.standing != Standing::Ambiguous && !is_retired(terms),
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
    let forwarded = !matches!(way, Way::Refuse);
    if let Some(totals) = site.route.totals_of(worker) {
        totals.note_offered(offered_as(site, signals));
        if only_shedding_refuses(site.rulebook.rules(), assessment, signals) {
            totals.note_class(signals.class);
        }
        if forwarded {
            totals.note_forwarded();
            if !(site.is_staged && is_outside_canary(site)) {
                site.route.note_served(site.mode);
            }
        }
        site.rulebook.board().mark(worker, site.index);
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

/// The tier of a request: the lowest of those around it (process and listener) and its contract.
#[must_use]
#[inline]
pub fn effective_tier(around: Tier, terms: Option<&Terms>, ledger: LedgerStanding) -> Tier {
    if ledger == LedgerStanding::ObserveOnly {
        return Tier::ObserveOnly;
    }
    around.min(tier_of(terms))
}

/// What the contract allows; one that says nothing allows whatever the process may.
fn tier_of(terms: Option<&Terms>) -> Tier {
    terms
        .and_then(|terms| terms.tier)
        .unwrap_or(Tier::Autonomous)
}
