//! What the full proxy and the fast lane have in common: whom they ask, and what they tell.
//!
//! Invariant: whichever way a request takes, it is judged here, its server is judged here, and its
//! attempts are counted here, so that both ways give the same decisions and the same records.
//! Deliberately not here: bytes of either side.

use std::sync::Arc;

use super::clock;
use super::connection::Connection;
use super::fields;
use super::governor::Governor;
use super::in_flight::InFlight;
use super::passage::Passage;
use super::received::Fields;
use super::settings::GatewaySettings;
use super::upstreams::Picker;
use crate::tls::KINDS;

/// The field that tells an upstream of the case a request goes on under.
pub(crate) const QUARANTINE: &str = "Tidegate-Quarantine";

/// Attempts at most, the first one included.
const ATTEMPTS_MAX: u8 = 2;

/// What one worker serves requests with.
pub(crate) struct Common {
    pub(crate) governor: Arc<dyn Governor>,
    pub(crate) picker: Picker,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) in_flight: InFlight,
    pub(crate) worker: usize,
}

impl Common {
    /// The name that the caller proved. Names of certificates carry their kind, which no field can
    /// claim.
    pub(crate) fn caller<'a>(
        &self,
        fields: Fields<'a>,
        connection: &'a Connection,
    ) -> Option<&'a str> {
        if let Some(proved) = connection.identity.as_deref() {
            return Some(proved);
        }
        let field = self.settings.caller_header.as_ref();
        let field = field.filter(|_| connection.peer_trusted)?;
        let name = fields::only_value(fields, field.as_str())?;
        let name = std::str::from_utf8(name).ok()?;
        let is_plain = name.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let is_certified = KINDS.iter().any(|kind| name.starts_with(kind));
        (!name.is_empty() && is_plain && !is_certified).then_some(name)
    }

    /// The last server that was chosen failed, or did not.
    pub(crate) fn judge(&self, passage: &mut Passage, failed: bool) {
        if let Some(target) = &mut passage.target {
            let now_ns = || clock::now().monotonic_ns;
            self.picker.judge(target, failed, now_ns);
        }
    }

    /// Whether one more attempt is within the budget. Where the gateway only observes there is
    /// none, because it adds no attempt that the client would not have made.
    pub(crate) fn has_budget(&self, passage: &Passage) -> bool {
        let acts = passage.forward().is_some_and(|forward| forward.may_retry);
        let exchange = passage.exchange().filter(|_| acts);
        exchange.is_none_or(|exchange| self.governor.may_retry(exchange, clock::now()))
    }
}

/// Whether a request may be sent once more: it changes nothing when it is done twice, and was sent
/// once.
pub(crate) const fn may_be_repeated(passage: &Passage, is_idempotent: bool) -> bool {
    passage.attempts < ATTEMPTS_MAX && is_idempotent
}

/// Whether an answer says that nobody served the request, in the words of proxies: that is about
/// the server. 500 is about the request.
pub(crate) const fn is_of_a_gateway(status: u16) -> bool {
    matches!(status, 502..=504)
}
