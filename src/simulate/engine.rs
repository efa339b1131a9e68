//! Runs lines of traffic through the pipeline, one virtual instant after the other.
//!
//! At one instant: the tick, then completions in input order, then arrivals in input order.

use std::collections::{BTreeMap, VecDeque};

use crate::contract::{Contract, Method, Pairing, canonicalise, split_query};
use crate::observation::{
    Arrival, ClientKey, Completion, Ending, Lateness, OpenRequest, OpenRequests, OpenToken,
    RequestKey, TICK_NS, Ticker, UpstreamError,
};
use crate::pipeline::{self, Admission};
use crate::record::{DecisionEvent, InlineText, SHAPE_BYTES_MAX, unmatched_shape};
use crate::rulebook::Rulebook;
use crate::simulate::clock::{Origin, SIMULATION};
use crate::simulate::{TrafficLine, virtual_moment};
use crate::units::{Moment, Tier};

/// The worker that all simulated requests run on.
pub const SIMULATED_WORKER: usize = 0;

const NANOS_PER_MS: u64 = 1_000_000;
const MICROS_PER_MS: u64 = 1_000;
const TICK_US: u64 = TICK_NS / 1_000;

/// What becomes of a request that is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The status sent to the client; 0 = none.
    pub status: u16,
    /// The status that the upstream sends; 0 = none.
    pub upstream_status: u16,
    /// How long the upstream takes, microseconds.
    pub latency_us: u64,
    /// What goes wrong, if anything.
    pub ending: Ending,
}

/// What stands in a record and is judged by nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// The method's token.
    pub other_method: InlineText<23>,
    /// The shape of a path that no contract claims.
    pub shape: InlineText<SHAPE_BYTES_MAX>,
}

struct Running {
    admission: Admission,
    event: DecisionEvent,
    line: u64,
    fate: Fate,
    /// Its place among the deadlines.
    deadline_ns: u64,
}

/// The pipeline in virtual time.
pub struct Engine<'a> {
    rulebook: &'a Rulebook,
    refusal_status: fn(&Rulebook, &Admission) -> u16,
    ticker: Ticker,
    open: OpenRequests<Running>,
    /// When open requests end, in microseconds since the origin, as all times but deadlines.
    due: BTreeMap<(u64, u64), OpenToken>,
    /// When requests over a rate that may wait have their turn.
    turns: BTreeMap<(u64, u64), OpenToken>,
    /// When open requests become overdue, and when overdue probes fail, on the monotonic clock.
    deadlines: BTreeMap<(u64, u64), OpenToken>,
    /// Something was counted that no tick has seen.
    is_touched: bool,
    next_tick_us: u64,
    lines: u64,
    origin: Origin,
    finished: VecDeque<Option<DecisionEvent>>,
    first_unfinished: u64,
}

impl<'a> Engine<'a> {
    /// An engine at the origin of virtual time. `refusal_status` is the status that the gateway
    /// answers with when it refuses.
    #[must_use]
    pub fn new(rulebook: &'a Rulebook, refusal_status: fn(&Rulebook, &Admission) -> u16) -> Self {
        Self {
            rulebook,
            refusal_status,
            ticker: Ticker::default(),
            open: OpenRequests::default(),
            due: BTreeMap::new(),
            turns: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            is_touched: true,
            next_tick_us: 0,
            lines: 0,
            origin: SIMULATION,
            finished: VecDeque::new(),
            first_unfinished: 0,
        }
    }

    /// The same at another origin of time.
    #[must_use]
    pub const fn starting_at(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Runs one request at its time, which must not lie before the last one's.
    pub fn run(&mut self, line: &TrafficLine) {
        let method = Method::from_token(&line.method);
        let (raw_path, query) = split_query(line.target().unwrap_or_default().as_bytes());
        let path = canonicalise(raw_path);
        let pairing =
            self.rulebook
                .catalogue()
                .pair(method, raw_path, path.as_ref().map_err(|fault| *fault));
        let (client, address) = self.identity(line, pairing);
        let same = path.as_ref().map_or(raw_path, |path| path.as_bytes());
        let arrival = Arrival {
            method,
            client,
            address,
            request: RequestKey::of(client, method, same, query),
            privileged: false,
            at: virtual_moment(line.at_ms),
            listener_tier: Tier::Autonomous,
            declared_retries: line.declared_retries(&self.rulebook.rules().retry.headers),
            has_body: false,
            ledger: crate::observation::LedgerStanding::Available,
            undeclared: self.excludes(line, pairing),
        };
        let mut told = Told {
            other_method: InlineText::new(&line.method),
            shape: InlineText::default(),
        };
        if let (Pairing::Unknown | Pairing::Ambiguous(_) | Pairing::Alias { .. }, Ok(path)) =
            (pairing, &path)
        {
            told.shape = unmatched_shape(path.as_str());
        }
        self.offer(pairing, &arrival, fate_of(line), &told);
    }

    /// Runs one request that is paired already. Its time must not lie before the last one's, nor
    /// before the origin; `told` goes into its event.
    pub fn offer(
        &mut self,
        pairing: Pairing,
        arrival: &Arrival,
        fate: Fate,
        told: &Told,
    ) -> Admission {
        let at_us = arrival.at.wall_us.saturating_sub(self.origin.wall_us());
        self.advance(at_us);
        let number = self.lines;
        self.lines += 1;
        self.is_touched = true;
        self.finished.push_back(None);
        let admission = pipeline::admit(self.rulebook, SIMULATED_WORKER, pairing, arrival);
        let serial = self.rulebook.serial();
        let mut event = DecisionEvent::of(number, arrival.at.wall_us, serial, &admission);
        event.method = arrival.method;
        event.client = arrival.client;
        event.retry_count = arrival.declared_retries;
        event.other_method = told.other_method;
        event.shape = told.shape;
        if let Pairing::Alias { contract, .. } = pairing {
            event.alias_of = Some(contract);
        }
        let running = Running {
            admission,
            event,
            line: number,
            fate,
            deadline_ns: admission.overdue_at_ns,
        };
        self.start(running, at_us);
        admission
    }

    /// Runs on until every request has ended.
    pub fn finish(&mut self) {
        while let Some((&(at_us, _), _)) = self.due.last_key_value() {
            self.advance(at_us);
        }
    }

    /// The next event in input order, if it has ended. What ended before an earlier request waits
    /// for it, so memory is bounded by what arrives while one request is open.
    pub fn next_ended(&mut self) -> Option<DecisionEvent> {
        let event = self.finished.front().copied().flatten()?;
        self.finished.pop_front();
        self.first_unfinished += 1;
        Some(event)
    }

    /// The contract that claims the path, whatever the method.
    fn contract_of(&self, pairing: Pairing) -> Option<&Contract> {
        match pairing {
            Pairing::Contracted(index) | Pairing::MethodNotAllowed(index) => {
                self.rulebook.contract_of(index.get())
            }
            Pairing::Unknown | Pairing::Ambiguous(_) | Pairing::Alias { .. } => None,
        }
    }

    /// Whether the contract, or the one that another spelling would reach, names callers, and the
    /// one of the line is none of them.
    fn excludes(&self, line: &TrafficLine, pairing: Pairing) -> bool {
        let contract = match pairing {
            Pairing::Alias { contract, .. } => self.rulebook.contract_of(contract.get()),
            pairing => self.contract_of(pairing),
        };
        contract.is_some_and(|contract| contract.excludes(line.caller.as_deref()))
    }

    /// Who asks: the client of the line, or what the field says that its contract names.
    fn identity(&self, line: &TrafficLine, pairing: Pairing) -> (ClientKey, Option<ClientKey>) {
        let address = line.client_key();
        let field = self
            .contract_of(pairing)
            .and_then(|contract| contract.client_header());
        match field.and_then(|field| line.named_client(field)) {
            Some(client) => (client, Some(address.behind_names())),
            None => (address, None),
        }
    }

    fn start(&mut self, running: Running, at_us: u64) {
        if !running.admission.is_forwarded() {
            let fate = Fate {
                status: (self.refusal_status)(self.rulebook, &running.admission),
                upstream_status: 0,
                latency_us: 0,
                ending: Ending::Refused,
            };
            self.end(&running, Lateness::InTime, at_us, fate);
            return;
        }
        // Turns come at whole milliseconds after the arrival.
        let hold_ms = running.admission.hold_ns().div_ceil(NANOS_PER_MS);
        let turn_us = at_us + hold_ms * MICROS_PER_MS;
        let (due_us, line) = (turn_us + running.fate.latency_us, running.line);
        let overdue_at_ns = running.admission.overdue_at_ns;
        let token = self.open.open(OpenRequest {
            route: running.admission.route,
            since: self.moment(at_us),
            overdue_at_ns,
            lateness: Lateness::InTime,
            written: false,
            about: running,
        });
        self.due.insert((due_us, line), token);
        if turn_us > at_us {
            self.turns.insert((turn_us, line), token);
        }
        if overdue_at_ns < self.moment(due_us).monotonic_ns {
            self.deadlines.insert((overdue_at_ns, line), token);
        }
    }

    /// Lets time pass up to and including `at_us`, all but the arrivals of that instant.
    fn advance(&mut self, at_us: u64) {
        loop {
            let due_us = self.due.first_key_value().map(|((due, _), _)| *due);
            self.give_turns(due_us.map_or(at_us, |due| due.min(at_us)));
            self.skip_quiet_ticks(due_us.map_or(at_us, |due| due.min(at_us)));
            let tick =
                self.next_tick_us <= at_us && due_us.is_none_or(|due| self.next_tick_us <= due);
            if tick {
                self.tick();
            } else if let Some(due_us) = due_us.filter(|due| *due <= at_us) {
                self.complete_first(due_us);
            } else {
                return;
            }
        }
    }

    /// Sends on the requests whose turn has come; it changes nothing that a tick would see.
    fn give_turns(&mut self, until_us: u64) {
        while let Some(first) = self.turns.first_entry() {
            if first.key().0 > until_us {
                return;
            }
            if let Some(request) = self.open.get_mut(first.remove()) {
                pipeline::turn_came(self.rulebook, &mut request.about.admission);
            }
        }
    }

    /// Passes over the ticks before `until_us` that would change nothing: no window moves, no minute
    /// ends, nothing was counted, and nothing becomes overdue.
    fn skip_quiet_ticks(&mut self, until_us: u64) {
        if self.is_touched || !self.ticker.is_idle() {
            return;
        }
        let origin_ns = self.moment(0).monotonic_ns;
        let deadline_us = self
            .deadlines
            .first_key_value()
            .map(|((at_ns, _), _)| at_ns.saturating_sub(origin_ns) / 1_000);
        let minute_us = self
            .ticker
            .next_minute_ns()
            .map(|at_ns| at_ns.saturating_sub(origin_ns) / 1_000);
        let earlier = [deadline_us, minute_us].into_iter().flatten().min();
        let until_us = earlier.map_or(until_us, |earlier| earlier.min(until_us));
        self.next_tick_us = self.next_tick_us.max(until_us - until_us % TICK_US);
    }

    fn tick(&mut self) {
        let now = self.moment(self.next_tick_us);
        while let Some(first) = self.deadlines.first_entry() {
            if first.key().0 >= now.monotonic_ns {
                break;
            }
            let ((_, line), token) = first.remove_entry();
            let Some(request) = self.open.get_mut(token) else {
                continue;
            };
            let (since_ns, running) = (request.overdue_at_ns, &mut request.about);
            if request.lateness == Lateness::InTime {
                request.lateness = Lateness::Overdue;
                pipeline::note_overdue(self.rulebook, SIMULATED_WORKER, request.route);
            }
            let admission = &mut running.admission;
            pipeline::watch_overdue(self.rulebook, admission, since_ns, now);
            // A probe that has not failed yet is looked after once more.
            let fails_at_ns = pipeline::probe_fails_at(self.rulebook, admission, since_ns);
            if let Some(fails_at_ns) = fails_at_ns {
                running.deadline_ns = fails_at_ns;
                self.deadlines.insert((fails_at_ns, line), token);
            }
        }
        pipeline::tick(self.rulebook, &mut self.ticker, now);
        self.is_touched = false;
        self.next_tick_us += TICK_US;
    }

    fn complete_first(&mut self, at_us: u64) {
        let Some((_, token)) = self.due.pop_first() else {
            return;
        };
        let Some(request) = self.open.close(token) else {
            return;
        };
        let running = request.about;
        self.is_touched = true;
        self.deadlines.remove(&(running.deadline_ns, running.line));
        self.end(&running, request.lateness, at_us, running.fate);
    }

    fn end(&mut self, running: &Running, lateness: Lateness, at_us: u64, fate: Fate) {
        let completion = Completion {
            at: self.moment(at_us),
            status: fate.status,
            upstream_status: fate.upstream_status,
            latency_us: fate.latency_us,
            ending: fate.ending,
        };
        let (rulebook, worker) = (self.rulebook, SIMULATED_WORKER);
        pipeline::complete(rulebook, worker, &running.admission, lateness, &completion);
        let place = running.line - self.first_unfinished;
        let slot = usize::try_from(place)
            .ok()
            .and_then(|place| self.finished.get_mut(place));
        if let Some(slot) = slot {
            *slot = Some(running.event.ended(&completion));
        }
    }

    const fn moment(&self, at_us: u64) -> Moment {
        self.origin.moment(at_us)
    }
}

/// What the line says of its upstream.
fn fate_of(line: &TrafficLine) -> Fate {
    let (status, ending) = match line.status {
        0 => (502, Ending::Upstream(UpstreamError::Connect)),
        status => (status, Ending::Answered),
    };
    Fate {
        status,
        upstream_status: line.status,
        latency_us: u64::from(line.latency_ms) * MICROS_PER_MS,
        ending,
    }
}
