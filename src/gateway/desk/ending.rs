//! How a request ended: what the pipeline is told of it, and what the ledger.

use super::{Pending, SWITCHING_PROTOCOLS};
use crate::contract::Contract;
use crate::gateway::governor::{Completion, Failure};
use crate::ledger::Producer;
use crate::observation::{self, Ending, OpenRequest, UpstreamError};
use crate::pipeline;
use crate::record::{Event, EventEnding, OutcomeEvent};
use crate::rulebook::Rulebook;
use crate::telemetry::Cut;
use crate::units::Moment;

/// The end that a completion tells, in the words of the pipeline.
pub(super) fn observed(
    rulebook: &Rulebook,
    request: &OpenRequest<Pending>,
    completion: &Completion,
) -> observation::Completion {
    let terms = rulebook.contract_of(request.route).map(Contract::terms);
    let at_head = pipeline::ends_at_head(terms, completion.upstream_status);
    let end = match request.about.head_at {
        Some(head_at) if at_head => head_at,
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

/// The end of a request of which nobody told how it ended.
pub(super) fn broken_off(request: &OpenRequest<Pending>, at: Moment) -> observation::Completion {
    let forwarded = request.about.event.is_forwarded();
    let (latency_us, ending) = if forwarded {
        (at.micros_since(request.since), Ending::ClientAbort)
    } else {
        (0, Ending::Refused)
    };
    observation::Completion {
        at,
        status: 0,
        upstream_status: request.about.upstream_status,
        latency_us,
        ending,
    }
}

/// Why the request was cut off, if it was and its upstream is not to blame.
#[inline]
pub(super) fn cut(
    rulebook: &Rulebook,
    request: &OpenRequest<Pending>,
    completion: &Completion,
) -> Option<Cut> {
    match completion.failure {
        Some(failure) => cut_by(failure),
        None if completion.request_body_bytes == 0 => None,
        None => {
            let terms = rulebook.contract_of(request.route).map(Contract::terms)?;
            let most = terms.body_bytes_max?.get();
            let is_body = completion.upstream_status != SWITCHING_PROTOCOLS;
            (is_body && completion.request_body_bytes > most).then_some(Cut::BodyTooLargeObserved)
        }
    }
}

fn cut_by(failure: Failure) -> Option<Cut> {
    match failure {
        Failure::ClientAbort => Some(Cut::ClientAbort),
        Failure::BodyMalformed => Some(Cut::BodyMalformed),
        Failure::BodyTooSlow => Some(Cut::BodyTooSlow),
        Failure::BodyTooLarge => Some(Cut::BodyTooLarge),
        Failure::AnswerTooSlow => Some(Cut::AnswerTooSlow),
        Failure::TunnelIdle => Some(Cut::TunnelIdle),
        Failure::TunnelAge => Some(Cut::TunnelAge),
        Failure::NoAddress
        | Failure::Connect
        | Failure::ConnectTimeout
        | Failure::Tls
        | Failure::Write
        | Failure::Timeout
        | Failure::Reset
        | Failure::Garbage
        | Failure::NotForwardable
        | Failure::Internal => None,
    }
}

/// Hands over the decision with its end, or the end alone where the decision has been written.
pub(super) fn write_end(
    producer: &mut Producer<Event>,
    request: &mut OpenRequest<Pending>,
    observed: &observation::Completion,
) {
    let event = &mut request.about.event;
    let class = event.class();
    if request.written {
        let outcome = OutcomeEvent {
            n: event.n,
            wall_us: observed.at.wall_us,
            ending: EventEnding::of(observed),
        };
        producer.push(class, None, Event::Outcome(outcome));
    } else {
        event.end(observed);
        producer.push(class, Some(event.n), Event::Decision(*event));
    }
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
        // The upstream answered the handshake, and nobody failed.
        Failure::TunnelIdle | Failure::TunnelAge => Ending::Answered,
        // None of these says anything about the upstream.
        Failure::ClientAbort
        | Failure::BodyMalformed
        | Failure::BodyTooSlow
        | Failure::BodyTooLarge
        | Failure::AnswerTooSlow
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
