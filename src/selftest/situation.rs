//! A self-test as the pipeline sees it: paired, with signals, judged.

use super::report::{Found, Mismatch};
use super::{Subject, takes};
use crate::contract::{Contract, Method, Pairing, canonicalise, split_query};
use crate::decision::band_of;
use crate::gateway::{PRIORITY, refusal};
use crate::observation::{
    BurnPair, Regression, RetryKind, Share, Signals, Standing, Traffic, declared_retries,
};
use crate::pipeline::{
    CLASS_PRIVILEGED, CLASS_RETRY, Judgement, Way, asks_limits, at_rest, effective_tier, judge,
    reads_route, way_of,
};
use crate::policy::self_tests::{BurnShares, Course, SelfTest, TestRequest, TestState};
use crate::units::Factor;

/// The draw that is shed first, and the one that is shed last.
const DRAWS: (u16, u16) = (0, 9_999);

/// One self-test, judged.
pub(super) struct Situation<'a> {
    subject: Subject<'a>,
    pub(super) test: &'a SelfTest,
    pub(super) contract: Option<&'a Contract>,
    pub(super) signals: Signals,
    judged: Judgement,
}

impl<'a> Situation<'a> {
    pub(super) fn of(subject: Subject<'a>, test: &'a SelfTest) -> Self {
        let (contract, standing, alias) = pair(subject, test.request());
        let terms = contract.map(Contract::terms);
        let state = test.state();
        let mut signals = Signals {
            standing,
            tier: effective_tier(state.tier, terms, state.ledger),
            ledger: state.ledger,
            undeclared: contract
                .is_some_and(|contract| contract.excludes(test.request().caller.as_deref())),
            shed_hash: state.draw_bp.unwrap_or(DRAWS.0),
            alias,
            ..at_rest()
        };
        if reads_route(subject.rules, terms, standing) {
            read_route(state, contract, &mut signals);
        }
        read_class(subject, test, &mut signals);
        let mut situation = Self {
            subject,
            test,
            contract,
            signals,
            judged: judge(subject.rules, terms, &signals),
        };
        situation.ask_limits();
        situation
    }

    /// The same with another draw.
    fn drawn(&self, shed_hash: u16) -> Self {
        let signals = Signals {
            shed_hash,
            take: crate::observation::Take::NotAsked,
            hold_ns: 0,
            ..self.signals
        };
        let terms = self.contract.map(Contract::terms);
        let mut drawn = Self {
            judged: judge(self.subject.rules, terms, &signals),
            signals,
            ..*self
        };
        drawn.ask_limits();
        drawn
    }

    fn ask_limits(&mut self) {
        let terms = self.contract.map(Contract::terms);
        if asks_limits(&self.judged, terms, &self.signals) {
            let (rules, state) = (self.subject.rules, self.test.state());
            let severity = self.judged.decision.severity();
            takes::ask(rules, terms, state, severity, &mut self.signals);
            self.judged = judge(rules, terms, &self.signals);
        }
    }

    /// Whether the decision depends on a draw that the self-test does not name: then it says nothing.
    pub(super) fn depends_on_draw(&self) -> Option<Mismatch> {
        if self.test.state().draw_bp.is_some() {
            return None;
        }
        let (first, last) = (self.drawn(DRAWS.0), self.drawn(DRAWS.1));
        let decided = |one: &Self| (one.judged.decision, one.judged.permit);
        (decided(&first) != decided(&last)).then(|| Mismatch {
            member: "draw",
            expected: "one that 'state' names".to_owned(),
            actual: format!(
                "none, and the decision depends on it: {} at 0%, {} at 99.99%",
                first.told(),
                last.told(),
            ),
        })
    }

    fn told(&self) -> String {
        let decision = &self.judged.decision;
        let (name, deciding) = (decision.severity().name(), decision.deciding().code());
        format!("{name} because of {deciding}")
    }

    pub(super) fn found(&self) -> Found {
        let terms = self.contract.map(Contract::terms);
        let (rules, signals) = (self.subject.rules, &self.signals);
        let (decision, permit) = (&self.judged.decision, &self.judged.permit);
        let course = match way_of(permit, terms, signals) {
            Way::Forward if signals.hold_ns > 0 => Course::Hold,
            Way::Forward => Course::Forward,
            Way::Shadow => Course::Shadow,
            Way::Divert => Course::Divert,
            Way::Refuse => Course::Refuse,
        };
        let unknown = rules.unknown_endpoint.answer_status;
        let status = || refusal::status_of((&rules.bands, unknown), terms, &self.judged, signals);
        Found {
            contract: self.contract.map(|contract| contract.id().clone()),
            standing: signals.standing,
            decision: decision.severity(),
            reasons: decision.reasons(),
            deciding: decision.deciding(),
            taken: permit.taken(),
            withheld: permit.withheld(),
            course,
            status: (course == Course::Refuse).then(status),
            tier: permit.tier(),
            band: band_of(rules, &self.judged.assessment, signals),
            assessment: self.judged.assessment,
        }
    }
}

fn pair<'a>(subject: Subject<'a>, request: &TestRequest) -> (Option<&'a Contract>, Standing, u16) {
    let (raw_path, _) = split_query(request.url.as_bytes());
    let path = canonicalise(raw_path);
    let path = path.as_ref().map_err(|fault| *fault);
    let method = Method::from_token(&request.method);
    let catalogue = subject.catalogue;
    let pairing = catalogue.pair(method, raw_path, path);
    let alias = match pairing {
        Pairing::Alias { folds, .. } => folds.bits(),
        _ => 0,
    };
    match pairing {
        Pairing::Contracted(index) => (Some(catalogue.get(index)), Standing::Contracted, alias),
        Pairing::MethodNotAllowed(index) => {
            let contract = Some(catalogue.get(index));
            (contract, Standing::MethodNotAllowed, alias)
        }
        Pairing::Unknown | Pairing::Alias { fault: None, .. } => (None, Standing::Unknown, alias),
        Pairing::Ambiguous(_) | Pairing::Alias { fault: Some(_), .. } => {
            (None, Standing::Ambiguous, alias)
        }
    }
}

/// What is supposed of the route and of the client's own limit.
fn read_route(state: &TestState, contract: Option<&Contract>, signals: &mut Signals) {
    signals.class_share_bp = state.class_mix_bp;
    signals.retries = state.retries.unwrap_or_default();
    signals.slow = state.slow.unwrap_or_default();
    signals.failed = state.failed.unwrap_or_default();
    signals.route_band = state.band;
    signals.in_flight = state.in_flight;
    signals.circuit = state.circuit;
    signals.slow_start_bp = state.slow_start.get();
    if let Some(tail) = state.latency {
        signals.known = signals.known.with(Factor::LatencyRegression);
        signals.regression = Regression {
            p95_us: tail.p95_us,
            baseline_us: tail.baseline_us,
        };
    }
    if let Some(load) = state.traffic {
        signals.known = signals.known.with(Factor::TrafficAnomaly);
        let spread = u64::from(load.spread);
        signals.traffic = Traffic {
            offered: load.offered,
            mean_1024: u64::from(load.usual) * 1_024,
            variance_1024: spread * spread * 1_024,
        };
    }
    if !state.burn.is_empty() {
        signals.known = signals.known.with(Factor::ErrorBudgetBurn);
        signals.burn = burn(&state.burn);
    }
    let is_limited = contract.is_some_and(|c| c.terms().client_rate_limit.is_some());
    if is_limited && state.client_limit.is_some() {
        signals.client_over = true;
        signals.client_refusals = state.client_refusals;
    }
}

fn burn(shares: &BurnShares) -> [BurnPair; 3] {
    let pair = |short: Option<Share>, long: Option<Share>| BurnPair {
        short: short.unwrap_or_default(),
        long: long.unwrap_or_default(),
    };
    [
        pair(shares.m5, shares.h1),
        pair(shares.m30, shares.h6),
        pair(shares.h6, shares.d3),
    ]
}

/// Whether it is a retry, and its class.
fn read_class(subject: Subject<'_>, test: &SelfTest, signals: &mut Signals) {
    let fields = &test.request().headers;
    let known = &subject.rules.retry.headers;
    let is_declared = fields.iter().any(|(name, value)| {
        known.contains(name) && declared_retries(name, value).is_some_and(|count| count > 0)
    });
    let is_high = |(name, value): &(Box<str>, Box<str>)| {
        **name == *PRIORITY && value.trim_ascii().eq_ignore_ascii_case("high")
    };
    signals.retry = match is_declared {
        true => RetryKind::Declared,
        false => test.state().retry,
    };
    if signals.retry != RetryKind::First {
        signals.class = CLASS_RETRY;
    } else if test.request().trusted && fields.iter().any(is_high) {
        signals.class = CLASS_PRIVILEGED;
    }
}
