//! What a contract may say, wherever it is read from: a file or canonical content.
//!
//! Both readers ask here, so that neither accepts what the other refuses.

use crate::contract::Method;
use crate::units::Tier;

/// The longest promised latency and deadline in milliseconds: one hour.
pub const MILLIS_MAX: u32 = 3_600_000;
/// The largest rate per minute, burst and number of requests in flight.
pub const COUNT_MAX: u32 = 1_000_000_000;
/// The most characters of an endpoint.
pub const ENDPOINT_CHARS_MAX: usize = 2_048;
/// The most characters of an owner.
pub const OWNER_CHARS_MAX: usize = 128;

/// The method of a token, if a contract may promise it: CONNECT is never forwarded.
#[must_use]
pub fn usable_method(token: &str) -> Option<Method> {
    let method = Method::from_token(token);
    (!matches!(method, Method::Other | Method::Connect)).then_some(method)
}

/// Whether a contract may ask for a tier: autonomous needs a signed envelope.
#[must_use]
pub const fn is_usable_tier(tier: Tier) -> bool {
    matches!(tier, Tier::ObserveOnly | Tier::Control)
}
