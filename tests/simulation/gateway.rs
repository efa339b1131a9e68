//! The shell of a world: calls the pipeline as a worker's desk does, and keeps the accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate::contract::{Contract, Method, Pairing, canonicalise};
use tidegate::observation::{
    Arrival, CircuitState, ClientKey, Completion, Ending, Lateness, RequestKey, Take, Ticker,
    UpstreamError,
};
use tidegate::pipeline::{self, Admission, mode_at_rest};
use tidegate::policy::rules::{Rules, Severity};
use tidegate::record::DecisionEvent;
use tidegate::units::{Millis, Moment, Tier};

use crate::era::{Era, WORKERS};
use crate::judge::Judge;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::upstream::Outcome;

/// One half-open time: which contract's, whether it is a dry one, and its epoch.
type Probing = (String, bool, u32);

struct Open {
    era: usize,
    worker: usize,
    since_us: u64,
    lateness: Lateness,
    probe: Option<Probing>,
    admission: Admission,
    event: DecisionEvent,
}

/// Who asks for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) client: u64,
    pub(crate) method: Method,
    pub(crate) path: &'a str,
    pub(crate) declared_retries: u8,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            client: 1,
            method: Method::Get,
            path: "/",
            declared_retries: 0,
        }
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) forwarded: bool,
    /// How long it waits before it is sent.
    pub(crate) hold_us: u64,
    /// What a refusal asks the client to wait, whole seconds.
    pub(crate) retry_after_us: Option<u64>,
    /// How long the gateway waits for the upstream.
    pub(crate) timeout_us: Option<u64>,
    pub(crate) severity: Severity,
    pub(crate) take: Take,
}

pub(crate) struct Gateway {
    tier: Tier,
    rules: Rules,
    eras: Vec<Era>,
    ticker: Ticker,
    open: BTreeMap<u64, Open>,
    numbers: [u64; WORKERS],
    wall_step_us: i64,
    /// Per route, mode and epoch: probes let pass, and given back unjudged.
    probes: BTreeMap<Probing, (u32, u32)>,
    last_circuits: BTreeMap<String, (CircuitState, u32)>,
    judge: Judge,
    report: Report,
}

const fn hold_ns(admission: &Admission) -> u64 {
    admission.hold_ns()
}

impl Gateway {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let (rules, tier) = (scenario.rules.clone(), scenario.tier);
        Self {
            tier,
            eras: vec![Era::new(None, &scenario.contracts, &rules, tier)],
            rules,
            ticker: Ticker::default(),
            open: BTreeMap::new(),
            numbers: [0; WORKERS],
            wall_step_us: 0,
            probes: BTreeMap::new(),
            last_circuits: BTreeMap::new(),
            judge: Judge::new(scenario.records_every),
            report: Report::default(),
        }
    }

    /// New contracts; what is under way ends under the old ones.
    pub(crate) fn swap(&mut self, contracts: &[Contract], now_us: u64) {
        let before = &self.era().rulebook;
        let era = Era::new(Some(before), contracts, &self.rules, self.tier);
        era.rulebook.limit_rates(self.moment(now_us).monotonic_ns);
        self.eras.push(era);
    }

    /// The wall clock jumps.
    pub(crate) const fn step(&mut self, by_us: i64) {
        self.wall_step_us += by_us;
    }

    fn era(&self) -> &Era {
        self.eras.last().unwrap()
    }

    const fn moment(&self, now_us: u64) -> Moment {
        let wall_us = 1_767_225_600_000_000 + now_us;
        Moment {
            monotonic_ns: 1_000_000_000_000 + now_us * 1_000,
            wall_us: wall_us.saturating_add_signed(self.wall_step_us),
        }
    }

    /// Judges a request.
    pub(crate) fn admit(&mut self, request: u64, ask: &Ask<'_>, now: u64) -> Course {
        let worker = ask.client as usize % WORKERS;
        let client = ClientKey(ask.client.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let arrival = Arrival {
            method: ask.method,
            client,
            at: self.moment(now),
            listener_tier: Tier::Autonomous,
            address: None,
            request: RequestKey::of(client, ask.method, ask.path.as_bytes(), None),
            privileged: false,
            declared_retries: ask.declared_retries,
            has_body: false,
            ledger: tidegate::observation::LedgerStanding::Available,
            undeclared: false,
        };
        let path = canonicalise(ask.path.as_bytes());
        let path = path.as_ref().map_err(|fault| *fault);
        let rulebook = &self.eras.last().unwrap().rulebook;
        let pairing: Pairing = rulebook
            .catalogue()
            .pair(ask.method, ask.path.as_bytes(), path);
        let admission = pipeline::admit(rulebook, worker, pairing, &arrival);
        let number = self.numbers[worker];
        self.numbers[worker] += 1;
        let serial = rulebook.serial();
        let mut event = DecisionEvent::of(number, arrival.at.wall_us, serial, &admission);
        event.method = ask.method;
        event.client = arrival.client;
        let open = Open {
            era: self.eras.len() - 1,
            worker,
            since_us: now,
            lateness: Lateness::InTime,
            probe: self.note_probe(&admission),
            admission,
            event,
        };
        let course = self.course(&open.admission);
        let rulebook = &self.eras[open.era].rulebook;
        let (tier, admission) = (self.tier, &open.admission);
        self.report.note_decision(tier, rulebook, admission, now);
        self.open.insert(request, open);
        if !course.forwarded {
            self.end(request, now, 503, 0, Ending::Refused);
        }
        course
    }

    fn course(&self, admission: &Admission) -> Course {
        let rulebook = &self.era().rulebook;
        let terms = rulebook.contract_of(admission.route).map(Contract::terms);
        let acts = admission.judgement.permit.tier() > Tier::ObserveOnly;
        let timeout = terms.map(|terms| terms.timeout).filter(|_| acts);
        // A client that insists is refused by its score, before its limit is asked; it is told
        // the time of that limit all the same.
        let own = rulebook.client_limits_of(admission.route);
        let signals = &admission.signals;
        let own_ns = own.map_or(0, |limits| limits.own.wait_ns(signals.client_tat_ns));
        let wait_s = admission.wait_ns.max(own_ns).div_ceil(1_000_000_000);
        Course {
            forwarded: admission.is_forwarded(),
            hold_us: hold_ns(admission) / 1_000,
            retry_after_us: (wait_s > 0).then_some(wait_s * 1_000_000),
            timeout_us: timeout.map(Millis::as_micros),
            severity: admission.judgement.decision.severity(),
            take: admission.signals.take,
        }
    }

    fn note_probe(&mut self, admission: &Admission) -> Option<Probing> {
        let signals = &admission.signals;
        let passed = signals.take == Take::Granted || hold_ns(admission) > 0;
        if signals.circuit != CircuitState::HalfOpen || !passed {
            return None;
        }
        let dry = signals.tier == Tier::ObserveOnly;
        let name = self.era().rulebook.route(admission.route).name();
        let key = (name.to_owned(), dry, signals.circuit_epoch);
        let (issued, given_back) = self.probes.entry(key.clone()).or_default();
        *issued += 1;
        let most = *issued - *given_back;
        self.report.most_probes = self.report.most_probes.max(most);
        Some(key)
    }

    /// A request that was held is sent now.
    pub(crate) fn turn_came(&mut self, request: u64) {
        if let Some(open) = self.open.get_mut(&request) {
            let rulebook = &self.eras[open.era].rulebook;
            pipeline::turn_came(rulebook, &mut open.admission);
        }
    }

    /// The upstream is done with the request, if the client is still there.
    pub(crate) fn answered(&mut self, request: u64, now: u64, outcome: Outcome) {
        match outcome {
            Outcome::Answer(status) => self.end(request, now, status, status, Ending::Answered),
            Outcome::Broken(error) => self.end(request, now, 502, 0, Ending::Upstream(error)),
        }
    }

    /// The upstream was silent for too long.
    pub(crate) fn timed_out(&mut self, request: u64, now: u64) {
        let ending = Ending::Upstream(UpstreamError::Timeout);
        self.end(request, now, 504, 0, ending);
    }

    /// The client has given up.
    pub(crate) fn aborted(&mut self, request: u64, now: u64) {
        self.end(request, now, 0, 0, Ending::ClientAbort);
    }

    fn end(&mut self, request: u64, now: u64, status: u16, upstream: u16, ending: Ending) {
        let Some(open) = self.open.remove(&request) else {
            return;
        };
        let completion = Completion {
            at: self.moment(now),
            status,
            upstream_status: upstream,
            // From forwarding: what a request waited for its turn is not the route's time.
            latency_us: now.saturating_sub(open.since_us + hold_ns(&open.admission) / 1_000),
            ending,
        };
        if let Some(key) = open
            .probe
            .clone()
            .filter(|_| !completion.speaks_about_route())
        {
            self.probes.entry(key).or_default().1 += 1;
        }
        let rulebook = &self.eras[open.era].rulebook;
        let admission = &open.admission;
        pipeline::complete(rulebook, open.worker, admission, open.lateness, &completion);
        let era = &mut self.eras[open.era];
        let event = open.event.ended(&completion);
        let differences = self.judge.check(era, open.worker, event);
        self.report.differences.extend(differences);
    }

    pub(crate) fn tick(&mut self, now_us: u64) {
        let now = self.moment(now_us);
        for open in self.open.values_mut() {
            let overdue_at_ns = open.admission.overdue_at_ns;
            if overdue_at_ns >= now.monotonic_ns {
                continue;
            }
            let rulebook = &self.eras[open.era].rulebook;
            if open.lateness == Lateness::InTime {
                open.lateness = Lateness::Overdue;
                pipeline::note_overdue(rulebook, open.worker, open.admission.route);
            }
            pipeline::watch_overdue(rulebook, &mut open.admission, overdue_at_ns, now);
        }
        let rulebook = &self.eras.last().unwrap().rulebook;
        pipeline::tick(rulebook, &mut self.ticker, now);
        for (route, contract) in rulebook.catalogue().contracts().iter().enumerate() {
            let mode = mode_at_rest(rulebook, route);
            let circuit = rulebook.route(route).circuit(mode).read(now.monotonic_ns);
            let seen = (circuit.state, circuit.epoch);
            let name = contract.id().as_str().to_owned();
            let before = self.last_circuits.insert(name.clone(), seen);
            if before.unwrap_or_default() != seen {
                let change = (now_us, name, circuit.state, circuit.epoch);
                self.report.circuits.push(change);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn report(mut self, now_us: u64) -> Report {
        let now = self.moment(now_us);
        let report = &mut self.report;
        for (place, era) in self.eras.iter().enumerate() {
            let (board, later) = (era.rulebook.board(), self.eras.get(place + 1));
            for number in 0..board.routes() {
                let route = board.route(number).unwrap();
                let lives_on = later.is_some_and(|later| {
                    let board = later.rulebook.board();
                    (0..board.routes()).any(|at| Arc::ptr_eq(route, board.route(at).unwrap()))
                });
                if !lives_on {
                    report.note_left(route, board.totals(number), now.monotonic_ns);
                }
            }
        }
        report.head = self.judge.head();
        self.report
    }
}
