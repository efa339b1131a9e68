//! Header fields that do not pass the gateway.
//!
//! Invariant: the upstream sees `Tidegate-*` only from the gateway and forwarded-for fields only
//! from trusted proxies, also where it takes `_` in a name for `-`; the client sees no field that
//! was meant for one connection.
//! Deliberately not here: hop-by-hop fields of requests; Pingora removes those.

use http::Method;
use http::header::{CONNECTION, HeaderName, MAX_FORWARDS};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::answer_fields::AnswerFields;
use super::arrival::PRIORITY;
use super::governor::Exposed;
use super::received::Fields;
use crate::rulebook::DeprecationNotice;

/// Removes what a client may not say. `trusted` keeps the forwarded-for fields, all of them;
/// `strict` removes what would change method or path behind the decision, and a claim to be
/// important that the next gateway would believe because this one passed it on.
pub(crate) fn strip_request(request: &mut RequestHeader, trusted: bool, strict: bool) {
    strip(request, |name| is_stripped(name, trusted, strict));
}

/// Removes the fields whose names, in lower case, do not pass.
fn strip(request: &mut RequestHeader, is_stripped: impl Fn(&str) -> bool) {
    let names = request.headers.keys();
    let names = names.filter(|name| is_stripped(name.as_str()));
    // Almost no request has such a field, so the list almost never allocates.
    let names: Vec<HeaderName> = names.cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
}

/// Whether the field of this name, in lower case, does not pass.
pub(crate) fn is_stripped(name: &str, trusted: bool, strict: bool) -> bool {
    is_ours(name)
        || (!trusted && is_forwarded_for(name))
        || (strict && is_override(name))
        || (strict && !trusted && name == PRIORITY)
        || is_disguised(name)
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

/// Counts this hop for a method that may be told how many there are.
pub(crate) fn one_hop_less(request: &mut RequestHeader) -> Result<()> {
    if !matches!(request.method, Method::OPTIONS | Method::TRACE) {
        return Ok(());
    }
    let hops = request.headers.get(MAX_FORWARDS);
    let hops = hops.and_then(|hops| hops.to_str().ok()?.parse::<u32>().ok());
    match hops {
        Some(hops) => request.insert_header(MAX_FORWARDS, hops.saturating_sub(1).to_string()),
        None => Ok(()),
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with("tidegate-")
}

fn is_forwarded_for(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || matches!(
            name,
            "forwarded" | "x-real-ip" | "client-cert" | "client-cert-chain"
        )
}

/// Fields by which some servers replace the method or the path of a request. With `_` for `-` they
/// are among the disguised ones.
fn is_override(name: &str) -> bool {
    name.starts_with('x') && OVERRIDES.contains(&name)
}

/// The one value of a field; `None` where it is missing or doubled, or where `Connection` names it:
/// then it is not sent on, and what is judged by it would not be what the next hop sees.
pub(crate) fn only_value<'a>(fields: Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let mut values = fields.all(name);
    let value = values.next()?;
    let is_only = values.next().is_none() && !is_nominated(fields, name);
    is_only.then_some(value)
}

/// The first value of a field, unless `Connection` names it.
pub(crate) fn first_sent_on<'a>(fields: Fields<'a>, name: &str) -> Option<&'a [u8]> {
    let value = fields.first(name)?;
    (!is_nominated(fields, name)).then_some(value)
}

fn is_nominated(fields: Fields<'_>, name: &str) -> bool {
    fields.all("connection").any(|value| {
        let mut tokens = value.split(|byte| *byte == b',');
        tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// Removes the field by which callers are named, in any spelling but for its own from somebody who is
/// believed.
pub(crate) fn strip_caller(request: &mut RequestHeader, field: &HeaderName, is_believed: bool) {
    strip(request, |name| {
        names_caller(name, field.as_str(), is_believed)
    });
}

/// Whether the field of this name, in lower case, would name a caller who is not believed.
pub(crate) fn names_caller(name: &str, field: &str, is_believed: bool) -> bool {
    if name == field {
        return !is_believed;
    }
    name.len() == field.len() && name.contains('_') && name.replace('_', "-") == field
}

/// Whether a name, read as servers in the tradition of CGI read it, is one that only the gateway
/// or a proxy may say, or one that frames. Nobody sends these in good faith, so they never pass.
fn is_disguised(name: &str) -> bool {
    if !name.contains('_') {
        return false;
    }
    let plain = name.replace('_', "-");
    let frames = matches!(plain.as_str(), "content-length" | "transfer-encoding");
    frames
        || is_ours(&plain)
        || is_forwarded_for(&plain)
        || is_override(&plain)
        || plain == PRIORITY
}

/// Tells the client what was decided, where the operator wants that.
pub(crate) fn expose(response: &mut impl AnswerFields, exposed: Option<&Exposed>) -> Result<()> {
    let Some(exposed) = exposed else {
        return Ok(());
    };
    if let Some(contract) = &exposed.contract {
        response.insert("Tidegate-Contract", contract.as_bytes())?;
    }
    response.insert("Tidegate-Decision", exposed.decision.as_bytes())?;
    response.insert("Tidegate-Risk", &risk(exposed.risk_bp))
}

/// A score with four places, as `0.0421`.
fn risk(basis_points: u16) -> [u8; 6] {
    let digit = |unit: u16| b'0' + u8::try_from(basis_points / unit % 10).unwrap_or(0);
    [
        digit(10_000),
        b'.',
        digit(1_000),
        digit(100),
        digit(10),
        digit(1),
    ]
}

/// Tells callers of a deprecated contract to leave. The gateway knows the contract, so its word
/// replaces that of an upstream; links stand beside others.
pub(crate) fn deprecate(
    response: &mut impl AnswerFields,
    notice: Option<&DeprecationNotice>,
) -> Result<()> {
    let Some(notice) = notice else {
        return Ok(());
    };
    response.insert("Deprecation", notice.deprecation().as_bytes())?;
    if let Some(sunset) = notice.sunset() {
        response.insert("Sunset", sunset.as_bytes())?;
    }
    if let Some(links) = notice.links() {
        response.append("Link", links.as_bytes())?;
    }
    Ok(())
}

/// Removes what an upstream said about its own connection, and what only the gateway may say.
pub(crate) fn strip_response(response: &mut ResponseHeader) {
    remove_all(response, |response| {
        let names = response.headers.keys();
        names
            .filter(|name| is_ours(name.as_str()))
            .cloned()
            .collect()
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
        for (trusted, expected) in [
            (true, "forwarded,x-a,x-forwarded-for,x-real-ip"),
            (false, "x-a"),
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            for name in [
                "X-Forwarded-For",
                "Forwarded",
                "X-Real-IP",
                "Tidegate-Risk",
                "X-A",
            ] {
                request.append_header(name, "1").unwrap();
            }
            if !trusted {
                // Who a certificate proves is never a client's word.
                for name in [
                    "X-Forwarded-Client-Cert",
                    "Client-Cert",
                    "Client-Cert-Chain",
                ] {
                    request.append_header(name, "1").unwrap();
                }
            }
            strip_request(&mut request, trusted, false);
            let mut left: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
            left.sort_unstable();
            assert_eq!(left.join(","), expected);
        }
    }

    #[test]
    fn a_name_in_disguise_never_passes() {
        for name in [
            "X_Forwarded_For",
            "X-Forwarded_Proto",
            "X_Real_IP",
            "Tidegate_Risk",
            "Content_Length",
            "Transfer_Encoding",
            "X_HTTP_Method_Override",
            "X_Tidegate_Priority",
        ] {
            let mut request = RequestHeader::build("GET", b"/", None).unwrap();
            request.append_header(name, "1").unwrap();
            request.append_header("X_Own", "1").unwrap();
            strip_request(&mut request, true, false);
            let left: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
            assert_eq!(left, ["x_own"], "{name}");
        }
    }

    #[test]
    fn what_was_judged_is_not_replaced() {
        // R020: those with `_` are nobody's in good faith, so they pass in no tier.
        for (strict, left) in [(true, 1), (false, 7)] {
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
