//! What a contract may say, wherever it is read from: a file or canonical content.
//!
//! Both readers ask here, so that neither accepts what the other refuses.

use crate::contract::{BY_CERTIFICATE, Method, Terms, Throttle};
use crate::units::Tier;

/// The longest promised latency and deadline in milliseconds: one hour.
pub const MILLIS_MAX: u32 = 3_600_000;
/// The largest rate per minute, burst and number of requests in flight.
pub const COUNT_MAX: u32 = 1_000_000_000;
/// The largest bound of a request body in bytes: one tebibyte.
pub const BODY_BYTES_MAX: u64 = 1 << 40;
/// The one protocol that a connection may change to.
pub const WEBSOCKET: &str = "websocket";
/// The longest time that a request waits for its turn, in milliseconds: one minute.
pub const WAIT_MILLIS_MAX: u32 = 60_000;
/// The most requests of a contract that wait for their turn at once.
pub const HELD_MAX: u32 = 100_000;
/// The most characters of the name of a field.
pub const FIELD_CHARS_MAX: usize = 64;
/// The most characters of an endpoint.
pub const ENDPOINT_CHARS_MAX: usize = 2_048;
/// The one thing that `ledger` can say.
pub const LEDGER_REQUIRED: &str = "required";
/// The most callers that one contract names.
pub const CONSUMERS_MAX: usize = 256;
/// The most characters of the name of a caller.
pub const CALLER_CHARS_MAX: usize = 256;
/// The most characters of an owner.
pub const OWNER_CHARS_MAX: usize = 128;

/// The most characters of a place where callers read how to move.
pub const GUIDE_CHARS_MAX: usize = 2_048;

/// Whether a text can say where callers read how to move: the characters of a URI reference.
#[must_use]
pub fn is_guide(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\^`{|}".contains(&byte);
    (1..=GUIDE_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

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

/// The field that a client key names, lower case; `None` for `peer`, and [`BY_CERTIFICATE`] for
/// `certificate`.
///
/// # Errors
/// What is wrong with the text, as the end of a sentence about it.
pub fn client_key(text: &str) -> Result<Option<String>, &'static str> {
    let Some(name) = text.strip_prefix("header:") else {
        return match text {
            "peer" => Ok(None),
            "certificate" => Ok(Some(BY_CERTIFICATE.to_owned())),
            _ => Err("is neither 'peer' nor 'certificate' nor 'header:' and the name of a field"),
        };
    };
    let name = name.to_ascii_lowercase();
    match field_fault(&name) {
        Some(fault) => Err(fault),
        // Whoever may write these fields is asked with 'trusted_proxies', for all contracts.
        None if name == "forwarded" || name.starts_with("x-forwarded-") => {
            Err("names a field that 'peer' reads already, from 'trusted_proxies' alone")
        }
        None => Ok(Some(name)),
    }
}

/// Why a lower-case text is not the name of a field that a client sends and that passes on
/// unchanged, as the end of a sentence about it.
#[must_use]
pub fn field_fault(name: &str) -> Option<&'static str> {
    let is_token = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte)
    };
    if !(1..=FIELD_CHARS_MAX).contains(&name.len()) || !name.bytes().all(is_token) {
        return Some("is not the name of a field, of at most 64 characters");
    }
    if name.starts_with("tidegate-") {
        return Some("names a field that is removed from every request");
    }
    HOP_BY_HOP
        .contains(&name)
        .then_some("names a field that speaks of one connection, not of a request")
}

/// Fields that end at the next hop.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// Whether one client may have more than all clients together.
#[must_use]
pub fn is_client_above_all(terms: &Terms) -> bool {
    matches!((terms.client_rate_limit, terms.rate_limit), (Some(one), Some(all)) if one > all)
}

/// Whether requests would wait for their turn at a limit that is not there.
#[must_use]
pub const fn is_delay_without_limit(terms: &Terms) -> bool {
    let is_delay = matches!(terms.throttle, Throttle::Delay { .. });
    is_delay && terms.rate_limit.is_none() && terms.client_rate_limit.is_none()
}

#[cfg(test)]
mod tests {
    use super::client_key;

    #[test]
    fn a_client_key_is_the_peer_or_a_field_that_clients_send() {
        let check = |text: &str, expected: Result<Option<&str>, &str>| {
            let key = client_key(text);
            match (&key, expected) {
                (Ok(key), Ok(expected)) => assert_eq!(key.as_deref(), expected, "{text}"),
                (Err(fault), Err(part)) => assert!(fault.contains(part), "{text}: {fault}"),
                _ => panic!("{text}: {key:?}"),
            }
        };
        check("peer", Ok(None));
        check("certificate", Ok(Some(":certificate")));
        check("header::certificate", Err("not the name"));
        check("header:X-Api-Key", Ok(Some("x-api-key")));
        check("header:authorization", Ok(Some("authorization")));
        check("Peer", Err("neither"));
        check("x-api-key", Err("neither"));
        check("header:", Err("not the name"));
        check("header: x", Err("not the name"));
        check("header:x:y", Err("not the name"));
        check("header:\u{e9}", Err("not the name"));
        check(
            &format!("header:{}", "x".repeat(64)),
            Ok(Some(&"x".repeat(64))),
        );
        check(&format!("header:{}", "x".repeat(65)), Err("not the name"));
        check("header:Connection", Err("one connection"));
        check("header:te", Err("one connection"));
        check("header:Tidegate-Decision-Id", Err("removed"));
        check("header:X-Forwarded-For", Err("'trusted_proxies'"));
        check("header:forwarded", Err("'trusted_proxies'"));
    }
}
