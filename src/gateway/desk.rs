//! What one worker owns: its numbers, its ring, its open requests.
//!
//! A desk belongs to one thread and takes no lock: the hooks of a worker all run on it. It calls
//! the pipeline, hands finished events to the ring, and looks every 100 ms after the requests
//! that take long.

mod ending;
mod opening;

use std::sync::Arc;
use std::time::Duration;

use super::books::Books;
use super::clock;
use super::governor::{Completion, DecisionId, Exchange, HeadFacts, RefusedHead};
use super::retry_budget::RetryBudgets;
use super::routes::UpstreamNumbers;
use crate::config::OnUnavailable;
use crate::ledger::Producer;
use crate::observation::{
    ClientHasher, Lateness, LedgerStanding, OpenRequests, OpenToken, WRITE_OPEN_AFTER_NS,
};
use crate::pipeline::{self, Admission};
use crate::record::{self, DecisionEvent, Event};
use crate::rulebook::Registry;
use crate::telemetry::WorkerTally;
use crate::units::{Moment, Tier};
use ending::{observed, write_end};

/// The status behind which a connection is a tunnel.
const SWITCHING_PROTOCOLS: u16 = 101;

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
    /// What holds while the ledger keeps no records.
    pub on_unavailable: OnUnavailable,
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
    /// The request that is being opened: nobody but the desk knows of it yet.
    opening: Option<OpenToken>,
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
            opening: None,
            tally,
        }
    }

    /// Judges one request; the ticket of the exchange is its place among the open ones.
    pub fn admit(&mut self, facts: &HeadFacts<'_>) -> Exchange {
        self.clear_up(facts.at);
        if !self.tally.times_next() {
            return self.decide(facts);
        }
        let started = clock::now();
        let exchange = self.decide(facts);
        self.tally.decision_took(clock::now().nanos_since(started));
        exchange
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
        let Some(request) = self.open.get_mut(token) else {
            return;
        };
        let pending = &mut request.about;
        pending.head_at = Some(at);
        pending.upstream_status = status;
        let rulebook = self.books.of(pending.event.rulebook);
        let overdue_at_ns = std::mem::replace(&mut request.overdue_at_ns, u64::MAX);
        pipeline::head_came(rulebook, &mut pending.admission, overdue_at_ns, status, at);
        if request.lateness == Lateness::Overdue {
            // What follows may take as long as it wants: overdue is who has no head.
            request.lateness = Lateness::HeadCame;
            pipeline::note_overdue_ended(rulebook, self.worker, request.route);
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
        let lateness = request.lateness;
        pipeline::complete(rulebook, *worker, &pending.admission, lateness, &observed);
        let (number, method) = (rulebook.route(request.route).number(), pending.event.method);
        let whole_us = completion.at.micros_since(request.since);
        let status = completion.status_sent;
        tally.ended(number, &pending.admission, method, status, whole_us);
        let retries = u64::from(completion.attempts.saturating_sub(1));
        let never_sent = u64::from(completion.never_sent) + u64::from(pending.waits);
        let unanswered = u64::from(completion.unanswered);
        tally.attempts(number, retries, never_sent, unanswered);
        if let Some(cut) = ending::cut(rulebook, request, completion) {
            tally.cut(cut);
        }
        if completion.upstream_status == SWITCHING_PROTOCOLS {
            let (received, sent) = (
                completion.request_body_bytes,
                completion.response_body_bytes,
            );
            tally.tunnel_ended(received, sent);
        }
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
            request.lateness,
        );
        let observed = ending::broken_off(&request, at);
        let (admission, method) = (&request.about.admission, request.about.event.method);
        let whole_us = at.micros_since(request.since);
        self.tally.ended(number, admission, method, 0, whole_us);
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
        self.producer
            .push(event.class(), Some(n), Event::Decision(event));
        id_of(self.boot, self.worker, n)
    }

    /// Writes decisions that have waited long enough, and counts the overdue ones.
    pub fn tick(&mut self, now: Moment) {
        self.clear_up(now);
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
            if request.overdue_at_ns < now.monotonic_ns {
                let pending = &mut request.about;
                let rulebook = books.of(pending.event.rulebook);
                if request.lateness == Lateness::InTime {
                    request.lateness = Lateness::Overdue;
                    pipeline::note_overdue(rulebook, *worker, request.route);
                }
                let overdue_at_ns = request.overdue_at_ns;
                pipeline::watch_overdue(rulebook, &mut pending.admission, overdue_at_ns, now);
            }
            if !request.written && now.nanos_since(request.since) >= WRITE_OPEN_AFTER_NS {
                request.written = true;
                let event = request.about.event;
                producer.push(event.class(), Some(event.n), Event::Decision(event));
            }
        }
        producer.settle();
    }

    /// Ends the request that a panic broke off while it was being opened, if there is one.
    #[inline]
    fn clear_up(&mut self, now: Moment) {
        if let Some(token) = self.opening.take() {
            self.abandon(token, now);
        }
    }

    /// What the settings say while no records are kept.
    #[cold]
    fn without_ledger(&self) -> LedgerStanding {
        match self.settings.on_unavailable {
            OnUnavailable::Continue => LedgerStanding::Unavailable,
            OnUnavailable::ObserveOnly => LedgerStanding::ObserveOnly,
            OnUnavailable::FailClosed => LedgerStanding::FailClosed,
        }
    }

    fn listener_tier(&self, listener: u16) -> Tier {
        let tiers = &self.settings.listener_tiers;
        tiers
            .get(usize::from(listener))
            .copied()
            .unwrap_or(Tier::ObserveOnly)
    }
}

fn id_of(boot: u32, worker: usize, n: u64) -> DecisionId {
    let worker = worker as u8;
    DecisionId::new(record::DecisionId { boot, worker, n }.digits())
}

#[cfg(test)]
mod tests;
