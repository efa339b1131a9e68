//! How a request is opened: judged, noted among the open ones, and told its course.
//!
//! It is noted right after it has been judged, so that what it took comes back whatever happens
//! later: should its course panic, the desk finds it and ends it.

use bytes::Bytes;

use super::{Desk, Pending, id_of};
use crate::contract::{
    CanonicalPath, Contract, Method, Pairing, PathFault, canonicalise, split_query,
};
use crate::gateway::forwarding::{canonical_target, forward};
use crate::gateway::governor::{Course, DecisionId, Exchange, Exposed, HeadFacts};
use crate::gateway::quota::Quotas;
use crate::gateway::respond::Answer;
use crate::gateway::{arrival, forwarding, quota, refusal};
use crate::observation::{Arrival, Lateness, OpenRequest, OpenToken, RequestKey};
use crate::pipeline::{self, Admission};
use crate::record::{DecisionEvent, InlineText, SHAPE_BYTES_MAX, unmatched_shape};
use crate::rulebook::Rulebook;
use crate::units::Tier;

/// What a request asks for.
pub(super) struct Target<'a> {
    method: Method,
    raw_path: &'a [u8],
    query: Option<&'a [u8]>,
    path: Result<CanonicalPath<'a>, PathFault>,
    pairing: Pairing,
}

impl<'a> Target<'a> {
    #[inline]
    pub(super) fn of(facts: &HeadFacts<'a>, rulebook: &Rulebook) -> Self {
        let method = Method::from_token(facts.method);
        let (raw_path, query) = split_query(facts.raw_target);
        let path = canonicalise(raw_path);
        let pairing =
            rulebook
                .catalogue()
                .pair(method, raw_path, path.as_ref().map_err(|fault| *fault));
        Self {
            method,
            raw_path,
            query,
            path,
            pairing,
        }
    }

    /// What makes a request of this client the same as another.
    #[inline]
    fn request_of(&self, arrival: &Arrival) -> RequestKey {
        let same = self
            .path
            .as_ref()
            .map_or(self.raw_path, |path| path.as_bytes());
        RequestKey::of(arrival.client, self.method, same, self.query)
    }

    /// The token of a method that is not one of the known ones.
    #[inline]
    fn other_method(&self, facts: &HeadFacts<'_>) -> Option<InlineText<23>> {
        (self.method == Method::Other).then(|| InlineText::new(facts.method))
    }

    /// The shape of a path that no contract claims.
    #[inline]
    fn shape(&self, contract: Option<&Contract>) -> Option<InlineText<SHAPE_BYTES_MAX>> {
        let path = self.path.as_ref().ok().filter(|_| contract.is_none())?;
        Some(unmatched_shape(path.as_str()))
    }
}

impl Desk {
    #[inline]
    pub(super) fn decide(&mut self, facts: &HeadFacts<'_>) -> Exchange {
        let target = Target::of(facts, self.books.active());
        let token = self.judge(facts, &target);
        self.course(token, facts, &target)
    }

    /// Judges a request and notes it. From here on it is open, until somebody ends it.
    #[inline]
    pub(super) fn judge(&mut self, facts: &HeadFacts<'_>, target: &Target<'_>) -> OpenToken {
        // Borrowed and not cloned: the count of references is one cache line for all workers.
        let rulebook: &Rulebook = self.books.current();
        let settings = &self.settings;
        let declared = arrival::declared(facts.headers, &rulebook.rules().retry.headers);
        let mut arrival = arrival::of(facts, target.method, &declared, settings);
        let contract = contract_of(rulebook, target.pairing);
        arrival::name_client(&mut arrival, contract, facts, &settings.clients);
        arrival.undeclared = contract
            .or_else(|| meant(rulebook, target.pairing))
            .is_some_and(|contract| contract.excludes(facts.caller));
        arrival.request = target.request_of(&arrival);
        if self.producer.is_ledger_unavailable() {
            arrival.ledger = self.without_ledger();
        }
        // All that takes any work comes before: a panic behind the judgement would keep its takes.
        let (other_method, shape) = (target.other_method(facts), target.shape(contract));
        let admission = pipeline::admit(rulebook, self.worker, target.pairing, &arrival);
        let n = self.producer.next_number();
        let mut event = DecisionEvent::of(n, arrival.at.wall_us, rulebook.serial(), &admission);
        event.method = target.method;
        if let Some(token) = other_method {
            event.other_method = token;
        }
        event.client = arrival.client;
        event.retry_count = declared.retries;
        event.trace_id = declared.trace_id;
        if let Some(shape) = shape {
            event.shape = shape;
        }
        if let Pairing::Alias { contract, .. } = target.pairing {
            event.alias_of = Some(contract);
        }
        let token = self.open.open(OpenRequest {
            route: admission.route,
            since: arrival.at,
            // The upstream's time counts from the body's end, which may never come.
            overdue_at_ns: match facts.has_body {
                true => u64::MAX,
                false => admission.overdue_at_ns,
            },
            lateness: Lateness::InTime,
            written: false,
            about: Pending {
                admission,
                event,
                upstream: 0,
                waits: false,
                turn_at: None,
                body_read_at: None,
                head_at: None,
                upstream_status: 0,
            },
        });
        self.books.opened();
        self.opening = Some(token);
        token
    }

    /// What becomes of an open request.
    #[inline]
    fn course(&mut self, token: OpenToken, facts: &HeadFacts<'_>, target: &Target<'_>) -> Exchange {
        let rulebook: &Rulebook = self.books.current();
        let Some(request) = self.open.get_mut(token) else {
            return nowhere(token);
        };
        let (since, pending) = (request.since, &mut request.about);
        let Pending {
            admission, event, ..
        } = pending;
        let number = rulebook.route(admission.route).number();
        self.tally.decision(number, admission);
        let notice = rulebook
            .notice_of(admission.route)
            .filter(|_| admission.contracted);
        if notice.is_some() {
            self.tally.deprecated(number, event.client);
        }
        // Where the gateway only observes, an answer is what the upstream made it.
        let observing = admission.signals.tier == Tier::ObserveOnly;
        let notice = notice.filter(|_| !observing).cloned();
        let course = if admission.is_forwarded() {
            let names = &self.settings.upstream_names;
            let upstream = forwarding::upstream(rulebook, admission, &mut self.upstreams, names);
            let mut forward = forward(
                rulebook,
                admission,
                upstream,
                target_of(rulebook, admission, target, facts),
            );
            forward.case = forwarding::case(rulebook, admission, event);
            if forward.may_retry {
                self.budgets.note_first(upstream, since);
            }
            pending.upstream = upstream;
            pending.waits = !forward.hold.is_zero();
            Course::Forward(forward)
        } else {
            refusal::course(rulebook, admission, target.pairing, event, since)
        };
        let told = match &course {
            Course::Forward(_) => true,
            Course::Answer(answer) => answer.tells_of_limits(),
            Course::Close => false,
        };
        let admission = &pending.admission;
        let quotas = if told {
            quota::quotas(rulebook, admission, since)
        } else {
            Quotas::default()
        };
        let exposed = self.settings.expose.then(|| exposed(rulebook, admission));
        let id = id_of(self.boot, self.worker, pending.event.n);
        self.opening = None;
        Exchange::new(course, id, token.number())
            .exposing(exposed)
            .telling(quotas)
            .noticing(notice)
    }
}

/// The target to send instead of the received one, if there is to be another.
#[inline]
fn target_of(
    rulebook: &Rulebook,
    admission: &Admission,
    target: &Target<'_>,
    facts: &HeadFacts<'_>,
) -> Option<Bytes> {
    let Target {
        raw_path,
        query,
        path,
        pairing,
        ..
    } = target;
    canonical_target(rulebook, admission, *pairing, path, raw_path, *query)
        .or_else(|| (!facts.origin_form).then(|| Bytes::copy_from_slice(facts.raw_target)))
}

/// The answer where a request that was just opened is not there, which cannot be.
#[cold]
fn nowhere(token: OpenToken) -> Exchange {
    let id = DecisionId::new([b'0'; 22]);
    Exchange::new(Course::Answer(Answer::internal()), id, token.number())
}

/// The contract that claims the path, whatever the method.
fn contract_of(rulebook: &Rulebook, pairing: Pairing) -> Option<&Contract> {
    match pairing {
        Pairing::Contracted(index) | Pairing::MethodNotAllowed(index) => {
            rulebook.contract_of(index.get())
        }
        Pairing::Unknown | Pairing::Ambiguous(_) | Pairing::Alias { .. } => None,
    }
}

/// The contract that another spelling of the path would reach: who may call it says who is charged.
#[cold]
fn meant(rulebook: &Rulebook, pairing: Pairing) -> Option<&Contract> {
    match pairing {
        Pairing::Alias { contract, .. } => rulebook.contract_of(contract.get()),
        _ => None,
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
