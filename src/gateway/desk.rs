//! What one worker owns: its numbers, its ring, its open requests.
//!
//! A desk belongs to one thread and takes no lock: the hooks of a worker all run on it. It calls
//! the pipeline, hands finished events to the ring, and looks every 100 ms after the requests
//! that take long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::books::Books;
use super::forwarding::{canonical_target, forward};
use super::governor::{
    Completion, Course, DecisionId, Exchange, Exposed, Failure, HeadFacts, RefusedHead,
};
use super::quota::Quotas;
use super::retry_budget::RetryBudgets;
use super::routes::UpstreamNumbers;
use super::{arrival, clock, forwarding, quota, refusal};
use crate::contract::{Contract, Method, Pairing, canonicalise, split_query};
use crate::ledger::Producer;
use crate::observation::{
    self, ClientHasher, Ending, OpenRequest, OpenRequests, OpenToken, RequestKey, UpstreamError,
    WRITE_OPEN_AFTER_NS,
};
use crate::pipeline::{self, Admission};
use crate::record::{
    self, DecisionEvent, Event, EventEnding, InlineText, OutcomeEvent, unmatched_shape,
};
use crate::rulebook::{Registry, Rulebook};
use crate::telemetry::WorkerTally;
use crate::units::{Moment, Tier};

/// What waits for the end of a request.
struct Pending {
    admission: Admission,
    event: DecisionEvent,
    /// The number of the upstream group that it went to.
    upstream: usize,
    /// Whether it waits for its turn, and when that came.
    waits: bool,
    turn_at: Option<Moment>,
    body_read_at: Option<Moment>,
    head_at: Option<Moment>,
    upstream_status: u16,
}

/// What all desks of a gateway have in common.
#[derive(Debug)]
pub struct DeskSettings {
    /// The tier of each listener, by its number.
    pub listener_tiers: Vec<Tier>,
    /// The secret of client identities.
    pub clients: ClientHasher,
    /// Networks whose forwarded-for fields are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// The names of the upstream groups, in the order of the gateway's settings.
    pub upstream_names: Vec<String>,
    /// Whether responses tell contract, decision and risk.
    pub expose: bool,
}

/// One worker's desk.
pub struct Desk {
    worker: usize,
    boot: u32,
    settings: Arc<DeskSettings>,
    books: Books,
    upstreams: UpstreamNumbers,
    producer: Producer<Event>,
    open: OpenRequests<Pending>,
    budgets: RetryBudgets,
    tally: WorkerTally,
}

impl Desk {
    /// A desk for one worker. `boot` stands in its decision ids.
    #[must_use]
    pub fn new(
        worker: usize,
        boot: u32,
        settings: Arc<DeskSettings>,
        registry: &Registry,
        producer: Producer<Event>,
        tally: WorkerTally,
    ) -> Self {
        let settings_groups = settings.upstream_names.len();
        Self {
            worker,
            boot,
            settings,
            books: Books::new(Arc::clone(registry.active())),
            budgets: RetryBudgets::new(settings_groups),
            upstreams: UpstreamNumbers::default(),
            producer,
            open: OpenRequests::with_capacity(256),
            tally,
        }
    }

    /// Judges one request; the ticket of the exchange is its place among the open ones.
    pub fn admit(&mut self, facts: &HeadFacts<'_>) -> Exchange {
        if !self.tally.times_next() {
            return self.decide(facts);
        }
        let started = clock::now();
        let exchange = self.decide(facts);
        self.tally.decision_took(clock::now().nanos_since(started));
        exchange
    }

    fn decide(&mut self, facts: &HeadFacts<'_>) -> Exchange {
        // Borrowed and not cloned: the count of references is one cache line for all workers.
        let Self {
            worker,
            boot,
            settings,
            books,
            upstreams,
            producer,
            open,
            budgets,
            tally,
            ..
        } = self;
        let rulebook: &Rulebook = books.active();
        let method = Method::from_token(facts.method);
        let (raw_path, query) = split_query(facts.raw_target);
        let path = canonicalise(raw_path);
        let pairing = rulebook
            .catalogue()
            .pair(method, path.as_ref().map_err(|fault| *fault));
        let declared = arrival::declared(facts.headers, &rulebook.rules().retry.headers);
        let mut arrival = arrival::of(facts, method, &declared, settings);
        let contract = contract_of(rulebook, pairing);
        arrival::name_client(&mut arrival, contract, facts.headers, &settings.clients);
        let same = path.as_ref().map_or(raw_path, |path| path.as_bytes());
        arrival.request = RequestKey::of(arrival.client, method, same, query);
        let admission = pipeline::admit(rulebook, *worker, pairing, &arrival);
        tally.decision(rulebook.route(admission.route).number(), &admission);

        let n = producer.next_number();
        let mut event = DecisionEvent::of(n, arrival.at.wall_us, rulebook.serial(), &admission);
        event.method = method;
        if method == Method::Other {
            event.other_method = InlineText::new(facts.method);
        }
        event.client = arrival.client;
        event.retry_count = arrival.declared_retries;
        event.trace_id = declared.trace_id;
        if let (false, Ok(path)) = (admission.contracted, &path) {
            event.shape = unmatched_shape(path.as_str());
        }
        let mut upstream = 0;
        let course = if admission.is_forwarded() {
            let names = &settings.upstream_names;
            upstream = forwarding::upstream(rulebook, &admission, upstreams, names);
            let target = canonical_target(rulebook, &admission, pairing, &path, raw_path, query)
                .or_else(|| (!facts.origin_form).then(|| Bytes::copy_from_slice(facts.raw_target)));
            let mut forward = forward(rulebook, &admission, upstream, target);
            forward.case = forwarding::case(rulebook, &admission, &event);
            if forward.may_retry {
                budgets.note_first(upstream, arrival.at);
            }
            Course::Forward(forward)
        } else {
            refusal::course(rulebook, &admission, pairing, &event, arrival.at)
        };
        let (told, waits) = match &course {
            Course::Forward(forward) => (true, !forward.hold.is_zero()),
            Course::Answer(answer) => (answer.tells_of_limits(), false),
            Course::Close => (false, false),
        };
        let quotas = if told {
            quota::quotas(rulebook, &admission, arrival.at)
        } else {
            Quotas::default()
        };
        let token = open.open(OpenRequest {
            route: admission.route,
            since: arrival.at,
            overdue_at_ns: admission.overdue_at_ns,
            overdue: false,
            written: false,
            about: Pending {
                admission,
                event,
                upstream,
                waits,
                turn_at: None,
                body_read_at: None,
                head_at: None,
                upstream_status: 0,
            },
        });
        let exposed = settings.expose.then(|| exposed(rulebook, &admission));
        books.opened();
        Exchange::new(course, id_of(*boot, *worker, n), token.number())
            .exposing(exposed)
            .telling(quotas)
    }

    /// A request that waited is sent on: from here on the upstream's time counts.
    pub fn turn_came(&mut self, token: OpenToken, at: Moment) {
        let Some(request) = self.open.get_mut(token) else {
            return;
        };
        let pending = &mut request.about;
        let rulebook = self.books.of(pending.event.rulebook);
        pipeline::turn_came(rulebook, &mut pending.admission);
        pending.waits = false;
        pending.turn_at = Some(at);
        if request.overdue_at_ns != u64::MAX
            && let Some(contract) = rulebook.contract_of(request.route)
        {
            request.overdue_at_ns = pipeline::overdue_at(contract.terms(), at);
        }
    }

    /// Takes one more attempt from the budget of the request's upstream. The budget is that of the
    /// active rulebook: it protects the upstream as it is now, whoever the request was judged by.
    pub fn may_retry(&mut self, token: OpenToken, at: Moment) -> bool {
        let share = self.books.active().rules().retry.budget;
        let Some(request) = self.open.get_mut(token) else {
            return false;
        };
        self.budgets.take(request.about.upstream, at, share)
    }

    /// The upstream asked for fewer requests: none of ours is sent twice for so long.
    pub fn pushed_back(&mut self, token: OpenToken, at: Moment, quiet: Duration) {
        if let Some(request) = self.open.get_mut(token) {
            self.budgets.pushed_back(request.about.upstream, at, quiet);
            let rulebook = self.books.of(request.about.event.rulebook);
            self.tally
                .pushed_back(rulebook.route(request.route).number());
        }
    }

    /// Notes the end of the request's body: from here on the upstream's time counts.
    pub fn body_read(&mut self, token: OpenToken, at: Moment) {
        let Some(request) = self.open.get_mut(token) else {
            return;
        };
        request.about.body_read_at = Some(at);
        let rulebook = self.books.of(request.about.event.rulebook);
        let contract = rulebook.contract_of(request.route);
        if let Some(contract) = contract.filter(|_| request.about.head_at.is_none()) {
            request.overdue_at_ns = pipeline::overdue_at(contract.terms(), at);
        }
    }

    /// Notes the head of the upstream's answer: a streamed answer is never overdue after it.
    pub fn head_received(&mut self, token: OpenToken, at: Moment, status: u16) {
        if let Some(request) = self.open.get_mut(token) {
            request.about.head_at = Some(at);
            request.about.upstream_status = status;
            if !request.overdue {
                // Overdue is for a request without a response head.
                request.overdue_at_ns = u64::MAX;
            }
        }
    }

    /// Ends a request.
    pub fn complete(&mut self, token: OpenToken, completion: &Completion) {
        let Self {
            worker,
            books,
            producer,
            open,
            tally,
            ..
        } = self;
        // In place: what is kept of a request is too large to be moved about.
        let Some(request) = open.get_mut(token) else {
            return;
        };
        let pending = &request.about;
        let serial = pending.event.rulebook;
        let rulebook = books.of(serial);
        let observed = observed(rulebook, request, completion);
        let overdue = request.overdue;
        pipeline::complete(rulebook, *worker, &pending.admission, overdue, &observed);
        let (number, method) = (rulebook.route(request.route).number(), pending.event.method);
        let whole_us = completion.at.micros_since(request.since);
        let status = completion.status_sent;
        tally.ended(number, &pending.admission, method, status, whole_us);
        let retries = u64::from(completion.attempts.saturating_sub(1));
        let never_sent = u64::from(completion.never_sent) + u64::from(pending.waits);
        let unanswered = u64::from(completion.unanswered);
        tally.attempts(number, retries, never_sent, unanswered);
        write_end(producer, request, &observed);
        open.forget(token);
        books.ended(serial);
    }

    /// Ends a request whose connection, hook or process broke off.
    pub fn abandon(&mut self, token: OpenToken, at: Moment) {
        let Some(mut request) = self.open.close(token) else {
            return;
        };
        let serial = request.about.event.rulebook;
        let rulebook = self.books.of(serial);
        let number = rulebook.route(request.route).number();
        pipeline::abandon(
            rulebook,
            self.worker,
            &request.about.admission,
            request.overdue,
        );
        let observed = observation::Completion {
            at,
            status: 0,
            upstream_status: request.about.upstream_status,
            latency_us: at.micros_since(request.since),
            ending: Ending::ClientAbort,
        };
        let (admission, method) = (&request.about.admission, request.about.event.method);
        let latency_us = observed.latency_us;
        self.tally.ended(number, admission, method, 0, latency_us);
        if request.about.waits {
            self.tally.attempts(number, 0, 1, 0);
        }
        write_end(&mut self.producer, &mut request, &observed);
        self.books.ended(serial);
    }

    /// Records a head that could not be read.
    pub fn refused_in_parsing(&mut self, refused: &RefusedHead) -> DecisionId {
        let tier = self.listener_tier(refused.listener);
        let rulebook = self.books.active();
        let (signals, judgement) = pipeline::judge_malformed(rulebook, tier);
        let n = self.producer.next_number();
        let client = refused
            .peer
            .map(|peer| self.settings.clients.of_address(peer.ip()))
            .unwrap_or_default();
        let event = DecisionEvent::unread(
            n,
            refused.at.wall_us,
            rulebook,
            client,
            signals,
            judgement,
            refused.status,
        );
        self.tally.refused(refused.reason as u16);
        self.producer.push(Some(n), Event::Decision(event));
        id_of(self.boot, self.worker, n)
    }

    /// Writes decisions that have waited long enough, and counts the overdue ones.
    pub fn tick(&mut self, now: Moment) {
        let Self {
            open,
            producer,
            books,
            worker,
            ..
        } = self;
        // A worker without traffic must not keep an old rulebook from being forgotten.
        books.active();
        for request in open.iter_mut() {
            if !request.overdue && request.overdue_at_ns < now.monotonic_ns {
                request.overdue = true;
                let rulebook = books.of(request.about.event.rulebook);
                pipeline::note_overdue(rulebook, *worker, request.route);
            }
            if !request.written && now.nanos_since(request.since) >= WRITE_OPEN_AFTER_NS {
                request.written = true;
                let event = request.about.event;
                producer.push(Some(event.n), Event::Decision(event));
            }
        }
        producer.settle();
    }

    fn listener_tier(&self, listener: u16) -> Tier {
        let tiers = &self.settings.listener_tiers;
        tiers
            .get(usize::from(listener))
            .copied()
            .unwrap_or(Tier::ObserveOnly)
    }
}

/// The contract that claims the path, whatever the method.
fn contract_of(rulebook: &Rulebook, pairing: Pairing) -> Option<&Contract> {
    match pairing {
        Pairing::Contracted(index) | Pairing::MethodNotAllowed(index) => {
            rulebook.contract_of(index.get())
        }
        Pairing::Unknown | Pairing::Ambiguous(_) => None,
    }
}

fn id_of(boot: u32, worker: usize, n: u64) -> DecisionId {
    let worker = worker as u8;
    DecisionId::new(record::DecisionId { boot, worker, n }.digits())
}

/// The end that a completion tells, in the words of the pipeline.
fn observed(
    rulebook: &Rulebook,
    request: &OpenRequest<Pending>,
    completion: &Completion,
) -> observation::Completion {
    const SWITCHING_PROTOCOLS: u16 = 101;
    let streams = completion.upstream_status == SWITCHING_PROTOCOLS
        || rulebook
            .contract_of(request.route)
            .is_some_and(|contract| contract.terms().stream);
    let end = match request.about.head_at {
        Some(head_at) if streams => head_at,
        _ => completion.upstream_ended_at.unwrap_or(completion.at),
    };
    // The route is not to blame for a client that takes its time, neither with its own body nor
    // in reading the answer. An answer before the body's end counts from the head.
    let start = match request.about.body_read_at {
        Some(read_at) if read_at.monotonic_ns <= end.monotonic_ns => read_at,
        _ => request.about.turn_at.unwrap_or(request.since),
    };
    let forwarded = request.about.event.is_forwarded();
    observation::Completion {
        at: completion.at,
        status: completion.status_sent,
        upstream_status: completion.upstream_status,
        latency_us: if forwarded {
            end.micros_since(start)
        } else {
            0
        },
        ending: ending_of(completion, forwarded),
    }
}

fn write_end(
    producer: &mut Producer<Event>,
    request: &mut OpenRequest<Pending>,
    observed: &observation::Completion,
) {
    let event = &mut request.about.event;
    if request.written {
        let outcome = OutcomeEvent {
            n: event.n,
            wall_us: observed.at.wall_us,
            ending: EventEnding::of(observed),
        };
        producer.push(None, Event::Outcome(outcome));
    } else {
        event.end(observed);
        producer.push(Some(event.n), Event::Decision(*event));
    }
}

fn exposed(rulebook: &Rulebook, admission: &Admission) -> Box<Exposed> {
    let contract = rulebook.contract_of(admission.route);
    Box::new(Exposed {
        contract: contract.map(|contract| contract.id().as_str().to_owned()),
        decision: admission.judgement.decision.severity().name(),
        risk_bp: admission.judgement.assessment.risk().get(),
    })
}

fn ending_of(completion: &Completion, forwarded: bool) -> Ending {
    let Some(failure) = completion.failure else {
        return if forwarded {
            Ending::Answered
        } else {
            Ending::Refused
        };
    };
    match failure {
        Failure::NoAddress | Failure::Connect => Ending::Upstream(UpstreamError::Connect),
        Failure::Tls => Ending::Upstream(UpstreamError::Tls),
        Failure::ConnectTimeout | Failure::Timeout => Ending::Upstream(UpstreamError::Timeout),
        Failure::Write | Failure::Reset => Ending::Upstream(UpstreamError::Reset),
        Failure::Garbage => Ending::Upstream(UpstreamError::Garbage),
        // None of these says anything about the upstream.
        Failure::ClientAbort
        | Failure::BodyMalformed
        | Failure::NotForwardable
        | Failure::Internal => {
            if forwarded {
                Ending::ClientAbort
            } else {
                Ending::Refused
            }
        }
    }
}
