//! From a head's facts to the pipeline's arrival: who asks, and what the headers declare.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use super::desk::DeskSettings;
use super::governor::HeadFacts;
use crate::contract::Method;
use crate::observation::{Arrival, RequestKey, declared_retries};
use crate::units::{Millis, Tier};

/// How long an upstream may be silent where the gateway only observes: long enough to change
/// nothing for a client, short enough that a dead upstream cannot hold memory for ever.
pub(super) const OBSERVED_TIMEOUT: Millis = Millis::new(300_000);

/// The arrival that a head describes.
pub(super) fn of(
    facts: &HeadFacts<'_>,
    method: Method,
    declared: &Declared,
    settings: &DeskSettings,
) -> Arrival {
    let listener = usize::from(facts.listener);
    let tier = settings.listener_tiers.get(listener).copied();
    Arrival {
        method,
        client: client_address(facts, settings)
            .map(|address| settings.clients.of_address(address))
            .unwrap_or_default(),
        at: facts.at,
        listener_tier: tier.unwrap_or(Tier::ObserveOnly),
        address: None,
        request: RequestKey::default(),
        privileged: false,
        declared_retries: declared.retries,
        has_body: facts.has_body,
    }
}

/// The peer, or behind trusted proxies the rightmost address that is none of theirs.
fn client_address(facts: &HeadFacts<'_>, settings: &DeskSettings) -> Option<IpAddr> {
    let peer = facts.peer?.ip().to_canonical();
    if !facts.peer_trusted {
        return Some(peer);
    }
    let trusted = |address: IpAddr| {
        settings
            .trusted_proxies
            .iter()
            .any(|net| net.contains(&address))
    };
    let fields: Vec<&str> = facts
        .headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    fields
        .iter()
        .rev()
        .flat_map(|field| field.rsplit(','))
        .map_while(|address| address.trim().parse().ok())
        .map(|address: IpAddr| address.to_canonical())
        .find(|address| !trusted(*address))
        .or(Some(peer))
}

const RETRY_HEADERS: [&str; 3] = [
    "x-envoy-attempt-count",
    "grpc-previous-rpc-attempts",
    "x-retry-count",
];

/// What the fields declare: earlier attempts, and the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Declared {
    /// The most earlier attempts that a field speaks of.
    pub(super) retries: u8,
    /// The trace id of a W3C `traceparent`; all 0 where there is none.
    pub(super) trace_id: [u8; 16],
}

/// Goes through the names once: a request has few, and looking up each of ours hashes it. Of a
/// repeated field the first counts.
pub(super) fn declared(headers: &HeaderMap) -> Declared {
    let mut declared = Declared::default();
    for name in headers.keys() {
        let text = name.as_str();
        match text.len() {
            11 if text == "traceparent" => {
                let value = headers.get(name).map(HeaderValue::as_bytes);
                declared.trace_id = trace_id(value.unwrap_or_default());
            }
            // The lengths of the names in RETRY_HEADERS.
            13 | 21 | 26 if RETRY_HEADERS.contains(&text) => {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                let retries = value.and_then(|value| declared_retries(text, value));
                declared.retries = declared.retries.max(retries.unwrap_or(0));
            }
            _ => {}
        }
    }
    declared
}

/// version "-" trace-id "-" parent-id "-" flags
fn trace_id(traceparent: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    let digits = traceparent.get(3..35).unwrap_or_default();
    for (byte, pair) in id.iter_mut().zip(digits.as_chunks().0) {
        let [high, low] = pair.map(hex_value);
        if high | low > 15 {
            return [0; 16];
        }
        *byte = high << 4 | low;
    }
    id
}

/// 0 to 15; 255 where the byte is no hexadecimal digit.
const fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::RETRY_HEADERS;
    use super::{client_address, declared};
    use crate::gateway::desk::DeskSettings;
    use crate::gateway::governor::HeadFacts;
    use crate::observation::ClientHasher;
    use crate::units::Moment;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a field value"));
        }
        headers
    }

    #[test]
    fn only_trusted_proxies_may_speak_for_others() {
        let settings = DeskSettings {
            listener_tiers: Vec::new(),
            clients: ClientHasher::new([0; 16]),
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            upstream_names: Vec::new(),
            expose: false,
        };
        let table = [
            ("192.0.2.9:1", "198.51.100.1", "192.0.2.9"),
            ("10.0.0.1:1", "198.51.100.1", "198.51.100.1"),
            (
                "10.0.0.1:1",
                "203.0.113.5, 198.51.100.1, 10.0.0.2",
                "198.51.100.1",
            ),
            ("10.0.0.1:1", "198.51.100.1, nonsense", "10.0.0.1"),
            ("10.0.0.1:1", "::ffff:198.51.100.1", "198.51.100.1"),
            ("[::ffff:192.0.2.9]:1", "198.51.100.1", "192.0.2.9"),
        ];
        for (peer, forwarded_for, want) in table {
            let headers = headers(&[("x-forwarded-for", forwarded_for)]);
            let peer: std::net::SocketAddr = peer.parse().expect("an address");
            let facts = HeadFacts {
                listener: 0,
                worker: 0,
                peer: Some(peer),
                peer_trusted: settings
                    .trusted_proxies
                    .iter()
                    .any(|net| net.contains(&peer.ip())),
                method: "GET",
                raw_target: b"/",
                origin_form: true,
                host: b"",
                headers: &headers,
                has_body: false,
                at: Moment::default(),
            };
            let found = client_address(&facts, &settings).map(|address| address.to_string());
            assert_eq!(found.as_deref(), Some(want), "{peer} {forwarded_for}");
        }
    }

    #[test]
    fn headers_declare_retries_and_traces() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let some = headers(&[("x-retry-count", "2"), ("traceparent", trace)]);
        assert_eq!(declared(&some).retries, 2);
        assert_eq!(
            hex::encode(declared(&some).trace_id),
            "0af7651916cd43dd8448eb211c80319c"
        );
        for name in RETRY_HEADERS {
            assert!(declared(&headers(&[(name, "3")])).retries > 0, "{name}");
        }
        for bad in [
            "00-xyz",
            "00-0af7651916cd43dd8448eb211c8031zz-b7ad6b7169203331-01",
        ] {
            let none = declared(&headers(&[("traceparent", bad), ("x-retry-cause", "5")]));
            assert_eq!((none.retries, none.trace_id), (0, [0; 16]), "{bad}");
        }
    }
}
