//! How a request goes to its upstream: where, under which target, how long, and marked or not.
//!
//! Invariant: where the gateway only observes, it changes nothing and sets no deadline of its own.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;

use super::arrival::OBSERVED_TIMEOUT;
use super::governor::Forward;
use super::routes::{UpstreamNumbers, divert_number};
use crate::contract::{CanonicalPath, Contract, Pairing, PathFault};
use crate::pipeline::{Admission, Way};
use crate::record::{DecisionEvent, case_of};
use crate::rulebook::Rulebook;
use crate::units::Tier;

/// The number of the group that an admitted request goes to.
#[inline]
pub(super) fn upstream(
    rulebook: &Rulebook,
    admission: &Admission,
    numbers: &mut UpstreamNumbers,
    names: &[String],
) -> usize {
    match admission.way {
        Way::Divert => divert_number(rulebook, admission.route, names),
        Way::Forward | Way::Shadow | Way::Refuse => numbers.of(rulebook, admission.route, names),
    }
}

/// The case under which a request that is set apart goes on.
pub(super) fn case(
    rulebook: &Rulebook,
    admission: &Admission,
    event: &DecisionEvent,
) -> Option<Box<str>> {
    match admission.way {
        Way::Divert | Way::Shadow => {
            let contract = rulebook.contract_of(admission.route).map(Contract::id);
            Some(case_of(event, contract).into())
        }
        Way::Forward | Way::Refuse => None,
    }
}

pub(super) fn forward(
    rulebook: &Rulebook,
    admission: &Admission,
    upstream: usize,
    path: Option<Bytes>,
) -> Forward {
    let observing = admission.signals.tier == Tier::ObserveOnly;
    let terms = rulebook.contract_of(admission.route).map(Contract::terms);
    let is_stream = terms.is_some_and(|terms| terms.stream);
    let terms = terms.filter(|_| !observing);
    let timeout = terms.map_or(OBSERVED_TIMEOUT, |terms| terms.timeout);
    let body_bytes_max = terms.and_then(|terms| terms.body_bytes_max);
    Forward {
        upstream,
        path: path.filter(|_| !observing),
        hold: Duration::from_nanos(admission.hold_ns()),
        case: None,
        timeout: Duration::from_millis(u64::from(timeout.get())),
        may_retry: !observing,
        body_bytes_max: body_bytes_max.map(NonZeroU64::get),
        is_stream,
        may_upgrade: observing || terms.is_some_and(|terms| terms.websocket),
        strict: !observing,
    }
}

/// Path and query to send instead of the received ones; `None` where they are the same bytes.
pub(super) fn canonical_target(
    rulebook: &Rulebook,
    admission: &Admission,
    pairing: Pairing,
    path: &Result<CanonicalPath<'_>, PathFault>,
    raw_path: &[u8],
    query: Option<&[u8]>,
) -> Option<Bytes> {
    let path = path.as_ref().ok().filter(|_| admission.contracted)?;
    if path.is_as_sent() && !path.has_empty_segment() {
        return None;
    }
    let forwarded = rulebook.catalogue().forward(pairing, path);
    if forwarded.as_bytes() == raw_path {
        return None;
    }
    let mut target = forwarded.as_bytes().to_vec();
    if let Some(query) = query {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    Some(target.into())
}
