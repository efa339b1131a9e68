//! Header fields that do not pass the gateway.
//!
//! Invariant: the upstream sees `Tidegate-*` only from the gateway and forwarded-for fields only
//! from trusted proxies; the client sees no field that was meant for one connection.
//! Deliberately not here: hop-by-hop fields of requests; Pingora removes those.

use http::header::{CONNECTION, HeaderName};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::arrival::PRIORITY;
use super::governor::Exposed;
use crate::rulebook::DeprecationNotice;

/// Removes what a client may not say. `trusted` keeps the forwarded-for fields, all of them;
/// `strict` removes what would change method or path behind the decision, and a claim to be
/// important that the next gateway would believe because this one passed it on.
pub(crate) fn strip_request(request: &mut RequestHeader, trusted: bool, strict: bool) {
    let stripped = |name: &HeaderName| {
        is_ours(name)
            || (!trusted && is_forwarded_for(name))
            || (strict && is_override(name))
            || (strict && !trusted && name.as_str() == PRIORITY)
    };
    // Almost no request has such a field, so the list almost never allocates.
    let names: Vec<HeaderName> = request
        .headers
        .keys()
        .filter(|name| stripped(name))
        .cloned()
        .collect();
    for name in names {
        request.remove_header(&name);
    }
}

const OVERRIDES: [&str; 10] = [
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-waws-unencoded-url",
];

fn is_ours(name: &HeaderName) -> bool {
    name.as_str().starts_with("tidegate-")
}

fn is_forwarded_for(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-") || name.as_str() == "forwarded"
}

/// Fields by which some servers replace the method or the path of a request. Whoever turns fields
/// into variables takes `_` for `-`.
fn is_override(name: &HeaderName) -> bool {
    let name = name.as_str();
    if !name.starts_with('x') {
        return false;
    }
    let is_same = |known: &&str| {
        let letters = name
            .bytes()
            .map(|byte| if byte == b'_' { b'-' } else { byte });
        name.len() == known.len() && letters.eq(known.bytes())
    };
    OVERRIDES.iter().any(|known| is_same(known))
}

/// Tells the client what was decided, where the operator wants that.
pub(crate) fn expose(response: &mut ResponseHeader, exposed: Option<&Exposed>) -> Result<()> {
    let Some(exposed) = exposed else {
        return Ok(());
    };
    if let Some(contract) = &exposed.contract {
        response.insert_header("Tidegate-Contract", contract.as_str())?;
    }
    response.insert_header("Tidegate-Decision", exposed.decision)?;
    let risk = format!(
        "{}.{:04}",
        exposed.risk_bp / 10_000,
        exposed.risk_bp % 10_000
    );
    response.insert_header("Tidegate-Risk", risk)?;
    Ok(())
}

/// Tells callers of a deprecated contract to leave. The gateway knows the contract, so its word
/// replaces that of an upstream; links stand beside others.
pub(crate) fn deprecate(
    response: &mut ResponseHeader,
    notice: Option<&DeprecationNotice>,
) -> Result<()> {
    let Some(notice) = notice else {
        return Ok(());
    };
    response.insert_header("Deprecation", notice.deprecation())?;
    if let Some(sunset) = notice.sunset() {
        response.insert_header("Sunset", sunset)?;
    }
    if let Some(links) = notice.links() {
        response.append_header("Link", links)?;
    }
    Ok(())
}

/// Removes what an upstream said about its own connection, and what only the gateway may say.
pub(crate) fn strip_response(response: &mut ResponseHeader) {
    remove_all(response, |response| {
        let names = response.headers.keys();
        names.filter(|name| is_ours(name)).cloned().collect()
    });
    if response.status == http::StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    remove_all(response, nominated);
    response.remove_header(&CONNECTION);
    response.remove_header("keep-alive");
    response.remove_header("proxy-connection");
}

fn remove_all(response: &mut ResponseHeader, of: impl Fn(&ResponseHeader) -> Vec<HeaderName>) {
    // Almost no response has such a field, so the list almost never allocates.
    for name in of(response) {
        response.remove_header(&name);
    }
}

/// The fields that the `Connection` fields of an answer take away.
fn nominated(response: &ResponseHeader) -> Vec<HeaderName> {
    let fields = response.headers.get_all(CONNECTION);
    fields
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        // What nearly every answer says is no field that matters, and a name may allocate.
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive"))
        .filter(|token| !token.eq_ignore_ascii_case(b"close"))
        .take(NOMINATED_MAX)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_needed(name))
        .collect()
}

/// Fields that an answer can take away.
const NOMINATED_MAX: usize = 16;

/// What frames the message stays, whatever an upstream nominates.
fn is_needed(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "content-length" | "transfer-encoding" | "date"
    )
}

#[cfg(test)]
mod tests {
    use pingora::http::{RequestHeader, ResponseHeader};

    use super::{strip_request, strip_response};

    #[test]
    fn only_trusted_proxies_speak_of_clients() {
        for (trusted, expected) in [(true, "forwarded,x-a,x-forwarded-for"), (false, "x-a")] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for name in ["X-Forwarded-For", "Forwarded", "Tidegate-Risk", "X-A"] {
                request.append_header(name, "1").unwrap();
            }
            strip_request(&mut request, trusted, false);
            let mut left: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
            left.sort_unstable();
            assert_eq!(left.join(","), expected);
        }
    }

    #[test]
    fn what_was_judged_is_not_replaced() {
        // R020
        for (strict, left) in [(true, 1), (false, 9)] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for name in [
                "X-HTTP-Method-Override",
                "X-HTTP-Method",
                "X-Method-Override",
                "X-Original-URL",
                "X-Rewrite-URL",
                "X_Http_Method_Override",
                "X_Original-URL",
                "X-Original-Method",
                "X-Http-Methods",
            ] {
                request.append_header(name, "1").unwrap();
            }
            strip_request(&mut request, true, strict);
            assert_eq!(request.headers.len(), left);
        }
    }

    #[test]
    fn a_claim_to_be_important_passes_from_trusted_proxies_only() {
        for (trusted, strict, left) in [
            (true, true, 1),
            (true, false, 1),
            (false, true, 0),
            (false, false, 1),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request
                .append_header("X-Tidegate-Priority", "high")
                .unwrap();
            strip_request(&mut request, trusted, strict);
            assert_eq!(request.headers.len(), left, "{trusted} {strict}");
        }
    }

    #[test]
    fn what_was_meant_for_one_connection_stays_there() {
        let mut response = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [
            ("Connection", "close, X-Hop, content-length"),
            ("Connection", "X-Second"),
            ("X-Hop", "1"),
            ("X-Second", "1"),
            ("Tidegate-Risk", "forged"),
            ("Tidegate-Risk", "twice"),
            ("Keep-Alive", "timeout=5"),
            ("Content-Length", "0"),
        ] {
            response.append_header(name, value).unwrap();
        }
        strip_response(&mut response);
        let left: Vec<&str> = response.headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(left, ["content-length"]);
    }
}
