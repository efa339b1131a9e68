//! From a head's facts to the pipeline's arrival: who asks, and what the headers declare.

use std::net::IpAddr;

use http::HeaderMap;

use super::desk::DeskSettings;
use super::governor::HeadFacts;
use crate::contract::Method;
use crate::observation::{Arrival, RETRY_HEADERS, declared_retries};
use crate::units::{Millis, Tier};

/// How long an upstream may be silent where the gateway only observes: long enough to change
/// nothing for a client, short enough that a dead upstream cannot hold memory for ever.
pub(super) const OBSERVED_TIMEOUT: Millis = Millis::new(300_000);

/// The arrival that a head describes.
pub(super) fn of(facts: &HeadFacts<'_>, method: Method, settings: &DeskSettings) -> Arrival {
    let listener = usize::from(facts.listener);
    let tier = settings.listener_tiers.get(listener).copied();
    Arrival {
        method,
        client: client_address(facts, settings)
            .map(|address| settings.clients.of_address(address))
            .unwrap_or_default(),
        at: facts.at,
        listener_tier: tier.unwrap_or(Tier::ObserveOnly),
        declared_retries: retries(facts.headers),
    }
}

/// The peer, or behind trusted proxies the rightmost address that is none of theirs.
fn client_address(facts: &HeadFacts<'_>, settings: &DeskSettings) -> Option<IpAddr> {
    let peer = facts.peer?.ip();
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
        .find(|address: &IpAddr| !trusted(address.to_canonical()))
        .or(Some(peer))
}

fn retries(headers: &HeaderMap) -> u8 {
    RETRY_HEADERS
        .into_iter()
        .filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            declared_retries(name, value)
        })
        .max()
        .unwrap_or(0)
}

/// The trace id of a W3C `traceparent`; all 0 where there is none.
pub(super) fn trace_id(headers: &HeaderMap) -> [u8; 16] {
    let mut id = [0; 16];
    let Some(value) = headers.get("traceparent") else {
        return id;
    };
    // version "-" trace-id "-" parent-id "-" flags
    let digits = value.as_bytes().get(3..35);
    match digits.map(|digits| hex::decode_to_slice(digits, &mut id)) {
        Some(Ok(())) => id,
        _ => [0; 16],
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{client_address, retries, trace_id};
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
                host: b"",
                headers: &headers,
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
        assert_eq!(retries(&some), 2);
        assert_eq!(
            hex::encode(trace_id(&some)),
            "0af7651916cd43dd8448eb211c80319c"
        );
        let none = headers(&[("traceparent", "00-xyz")]);
        assert_eq!((retries(&none), trace_id(&none)), (0, [0; 16]));
    }
}
