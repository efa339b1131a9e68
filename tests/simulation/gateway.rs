//! The shell of this world: calls the pipeline as a worker's desk does, and keeps the accounts.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Pairing, Terms, canonicalise,
};
use tidegate::enforcement::Measure;
use tidegate::ledger::{Chain, Record};
use tidegate::observation::{
    Arrival, ClientKey, Completion, Ending, Mode, RequestKey, Ticker, UpstreamError,
};
use tidegate::pipeline::{self, Admission};
use tidegate::policy::rules::Rules;
use tidegate::record::{Comparison, DecisionEvent, DecisionLine, Encoder, Event};
use tidegate::replay::RuleSet;
use tidegate::rulebook::{Registry, Rulebook, RulebookParts};
use tidegate::units::{Millis, PerMinute, Tier};

use crate::world::{PLACES, Report, WORKERS, moment};

struct Open {
    worker: usize,
    since_us: u64,
    overdue: bool,
    admission: Admission,
    event: DecisionEvent,
}

pub(crate) struct Gateway {
    tier: Tier,
    registry: Arc<Registry>,
    rulebook: Arc<Rulebook>,
    rule_set: RuleSet,
    ticker: Ticker,
    open: BTreeMap<u64, Open>,
    numbers: [u64; WORKERS],
    encoder: Encoder,
    chain: Chain,
    comparison: Comparison,
    report: Report,
}

fn contracts() -> Vec<Contract> {
    let contract = |id: &str, endpoint: &str, terms| {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let id = ContractId::new(id).unwrap();
        Contract::new(ContractParts::new(id, endpoint, methods, terms))
    };
    let api = Terms {
        max_latency: Millis::new(60),
        max_in_flight: std::num::NonZeroU32::new(PLACES),
        rate_limit: PerMinute::new(9_000),
        ..Terms::default()
    };
    let observed = Terms {
        tier: Some(Tier::ObserveOnly),
        ..api
    };
    vec![
        contract("api", "GET /api/{id}", api),
        contract("observed", "GET /observed", observed),
    ]
}

impl Gateway {
    pub(crate) fn new(tier: Tier) -> Self {
        let registry = Arc::new(Registry::new(RulebookParts {
            catalogue: Catalogue::build(contracts()).unwrap(),
            rules: Rules::default(),
            tier,
            content_digest: [7; 32],
            default_upstream: "api".into(),
            workers: WORKERS,
        }));
        Self {
            tier,
            rulebook: registry.active().load_full(),
            rule_set: RuleSet::new(Rules::default(), contracts()),
            ticker: Ticker::default(),
            open: BTreeMap::new(),
            numbers: [0; WORKERS],
            encoder: Encoder::new(Arc::clone(&registry), "simulation"),
            registry,
            chain: Chain::genesis(),
            comparison: Comparison::default(),
            report: Report::default(),
        }
    }

    /// Judges a request; true where it goes to the upstream.
    pub(crate) fn admit(
        &mut self,
        request: u64,
        (method, path): (Method, &str),
        client: u64,
        retries: u8,
        now: u64,
    ) -> bool {
        let worker = client as usize % WORKERS;
        let arrival = Arrival {
            method,
            client: ClientKey(client),
            at: moment(now),
            listener_tier: Tier::Autonomous,
            address: None,
            request: RequestKey::of(ClientKey(client), method, path.as_bytes(), None),
            privileged: false,
            declared_retries: retries,
            has_body: false,
        };
        let path = canonicalise(path.as_bytes());
        let path = path.as_ref().map_err(|fault| *fault);
        let pairing: Pairing = self.rulebook.catalogue().pair(method, path);
        let admission = pipeline::admit(&self.rulebook, worker, pairing, &arrival);
        let number = self.numbers[worker];
        self.numbers[worker] += 1;
        let serial = self.rulebook.serial();
        let mut event = DecisionEvent::of(number, arrival.at.wall_us, serial, &admission);
        event.method = method;
        event.client = arrival.client;
        let open = Open {
            worker,
            since_us: now,
            overdue: false,
            admission,
            event,
        };
        let forwarded = self.note_decision(&open, now);
        self.open.insert(request, open);
        if !forwarded {
            self.end(request, now, 503, 0, Ending::Refused);
        }
        forwarded
    }

    fn note_decision(&mut self, open: &Open, now: u64) -> bool {
        let permit = &open.admission.judgement.permit;
        let forwarded = permit.measure() == Measure::Forward;
        let report = &mut self.report;
        report.decisions += 1;
        report.forwarded += u64::from(forwarded);
        report.refused += u64::from(!forwarded);
        report.withheld += u64::from(!permit.withheld().is_empty());
        report.acts_above_tier += u64::from(
            !forwarded && (permit.tier() == Tier::ObserveOnly || self.tier == Tier::ObserveOnly),
        );
        let calm = now > crate::world::CALM_FROM_US;
        report.refused_in_the_calm += u64::from(
            calm && !forwarded
                && open.admission.contracted
                && open.admission.judgement.assessment.abuse().get() == 0,
        );
        let board = self.rulebook.board();
        let most = (0..board.routes())
            .map(|route| board.in_flight(route, Mode::Real))
            .max();
        report.most_in_flight = report.most_in_flight.max(most.unwrap_or(0));
        forwarded
    }

    /// The upstream has answered, if the client is still there; status 0 = it broke off.
    pub(crate) fn answered(&mut self, request: u64, now: u64, status: u16) -> bool {
        let ending = match status {
            0 => Ending::Upstream(UpstreamError::Reset),
            _ => Ending::Answered,
        };
        let sent = if status == 0 { 502 } else { status };
        self.end(request, now, sent, status, ending)
    }

    /// The client has given up, if it was still waiting.
    pub(crate) fn aborted(&mut self, request: u64, now: u64) -> bool {
        self.end(request, now, 0, 0, Ending::ClientAbort)
    }

    fn end(&mut self, request: u64, now: u64, status: u16, upstream: u16, ending: Ending) -> bool {
        let Some(open) = self.open.remove(&request) else {
            return false;
        };
        let completion = Completion {
            at: moment(now),
            status,
            upstream_status: upstream,
            latency_us: now - open.since_us,
            ending,
        };
        let (rulebook, worker) = (&self.rulebook, open.worker);
        pipeline::complete(rulebook, worker, &open.admission, open.overdue, &completion);
        self.write(open.worker, &Event::Decision(open.event.ended(&completion)));
        true
    }

    fn write(&mut self, worker: usize, event: &Event) {
        let (mut line, mut scratch) = (Vec::new(), Vec::new());
        let encoder = &mut self.encoder;
        self.chain.append(&mut line, |entry| {
            encoder.encode(entry, 1, worker as u8, event)
        });
        let record = Record::check(line.trim_ascii_end(), &mut scratch).unwrap();
        let read = DecisionLine::read(&record).unwrap();
        let judged = self.rule_set.judge(&read).unwrap();
        for difference in self.comparison.differences(&read, &judged) {
            self.report
                .differences
                .push(format!("record {}: {difference:?}", record.seq));
        }
    }

    pub(crate) fn tick(&mut self, now: u64) {
        let now = moment(now);
        for open in self.open.values_mut() {
            if !open.overdue && open.admission.overdue_at_ns < now.monotonic_ns {
                open.overdue = true;
                pipeline::note_overdue(&self.rulebook, open.worker, open.admission.route);
            }
        }
        pipeline::tick(&self.rulebook, &mut self.ticker, now);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(crate) fn report(self) -> Report {
        let board = self.rulebook.board();
        let mut report = self.report;
        for route in 0..board.routes() {
            let left = [Mode::Dry, Mode::Real].map(|mode| board.in_flight(route, mode));
            report.left_in_flight += left.iter().sum::<u32>();
            let totals = board.totals(route);
            report.offered += u64::from(totals.offered);
            report.left_overdue += totals.overdue_began.wrapping_sub(totals.overdue_ended);
        }
        report.head = String::from_utf8_lossy(self.chain.head()).into_owned();
        drop(self.registry);
        report
    }
}
