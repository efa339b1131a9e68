//! From a head's facts to the pipeline's arrival: who asks, and what the headers declare.

use std::net::IpAddr;

use super::desk::DeskSettings;
use super::fields;
use super::folded;
use super::governor::HeadFacts;
use super::received::Fields;
use crate::contract::{BY_CERTIFICATE, Contract, Method};
use crate::observation::{
    Arrival, ClientHasher, ClientKey, LedgerStanding, RequestKey, declared_retries,
};
use crate::tls::IDENTITY_BYTES_MAX;
use crate::units::{Millis, Tier};

/// How long an upstream may be silent where the gateway only observes: long enough to change
/// nothing for a client, short enough that a dead upstream cannot hold memory for ever.
pub(super) const OBSERVED_TIMEOUT: Millis = Millis::new(300_000);

/// `uri:`, `dns:`, `cn:`.
const KIND_BYTES_MAX: usize = 4;

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
        // Anybody may claim to be important; a proxy of ours says who is.
        privileged: facts.peer_trusted && declared.high_priority,
        declared_retries: declared.retries,
        has_body: facts.has_body,
        ledger: LedgerStanding::Available,
        undeclared: false,
    }
}

/// Goes by what the contract names, a field or the certificate, where the request has it: then the
/// address stays known beside it, because a field alone could be changed with every request.
#[inline]
pub(super) fn name_client(
    arrival: &mut Arrival,
    contract: Option<&Contract>,
    facts: &HeadFacts<'_>,
    clients: &ClientHasher,
) {
    if let Some(field) = contract.and_then(Contract::client_header)
        && let Some(name) = named_by(facts, field, clients)
    {
        arrival.address = Some(arrival.client.behind_names());
        arrival.client = name;
    }
}

/// A field that `Connection` names goes no further than here, so it names nobody.
fn named_by(facts: &HeadFacts<'_>, field: &str, clients: &ClientHasher) -> Option<ClientKey> {
    if field == BY_CERTIFICATE {
        return facts.identity.map(|name| certified(name, clients));
    }
    let value = fields::first_sent_on(facts.headers, field)?;
    (!value.is_empty()).then(|| clients.of_name(value))
}

/// The key of a name that a certificate proves. No field of a request can hold the byte before it,
/// so nobody has this key who only says the name.
#[inline(never)]
fn certified(name: &str, clients: &ClientHasher) -> ClientKey {
    let mut bytes = [0; 1 + IDENTITY_BYTES_MAX + KIND_BYTES_MAX];
    let length = name.len().min(bytes.len() - 1);
    if let (Some(to), Some(from)) = (bytes.get_mut(1..=length), name.as_bytes().get(..length)) {
        to.copy_from_slice(from);
    }
    clients.of_name(bytes.get(..=length).unwrap_or_default())
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
    let fields: Vec<&[u8]> = facts.headers.all("x-forwarded-for").collect();
    // What cannot be read ends the walk: to pass over it would be to believe what the client wrote
    // before its proxy did.
    fields
        .iter()
        .rev()
        .flat_map(|field| field.rsplit(|byte| *byte == b','))
        .map_while(|address| std::str::from_utf8(address).ok()?.trim().parse().ok())
        .map(|address: IpAddr| address.to_canonical())
        .find(|address| !trusted(*address))
        .or(Some(peer))
}

/// The field by which a trusted proxy says that a request is of the high class.
pub(crate) const PRIORITY: &str = "x-tidegate-priority";
const TRACE: &[u8; 11] = b"traceparent";

/// What the fields declare: earlier attempts, importance, and the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Declared {
    /// The most earlier attempts that a field speaks of.
    pub(super) retries: u8,
    /// Whether it calls itself one of the high class.
    pub(super) high_priority: bool,
    /// The trace id of a W3C `traceparent`; all 0 where there is none.
    pub(super) trace_id: [u8; 16],
}

/// Goes through the fields once: a request has few, and looking up each of ours hashes it. Of a
/// repeated field the first counts. `retry_headers` are lower case.
pub(super) fn declared(fields: Fields<'_>, retry_headers: &[Box<str>]) -> Declared {
    let mut declared = Declared::default();
    // Most fields are told from all of ours by their length alone.
    let lengths = retry_headers
        .iter()
        .map(|name| name.len())
        .chain([TRACE.len(), PRIORITY.len()])
        .fold(0_u64, |lengths, length| lengths | length_bit(length));
    let mut seen = 0;
    fields.each(|name, value| {
        if lengths & length_bit(name.len()) != 0 {
            declared.note(name, value, retry_headers, &mut seen);
        }
    });
    declared
}

impl Declared {
    /// `seen` has a bit for each of our fields that came before. Out of line, so that a field that
    /// is none of ours costs no more than to see that.
    #[inline(never)]
    fn note(&mut self, name: &str, value: &[u8], retry_headers: &[Box<str>], seen: &mut u64) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let bit = if folded::is(name.as_bytes(), TRACE) {
            TRACE_BIT
        } else if is(PRIORITY) {
            PRIORITY_BIT
        } else if let Some(at) = retry_headers.iter().position(|known| is(known)) {
            1 << at.min(RETRY_BITS - 1)
        } else {
            return;
        };
        if *seen & bit != 0 {
            return;
        }
        *seen |= bit;
        match bit {
            TRACE_BIT => self.trace_id = trace_id(value),
            PRIORITY_BIT => self.high_priority = value.trim_ascii().eq_ignore_ascii_case(b"high"),
            _ => {
                let value = std::str::from_utf8(value).ok();
                let retries = value.and_then(|value| declared_retries(name, value));
                self.retries = self.retries.max(retries.unwrap_or(0));
            }
        }
    }
}

/// The fields of retries that are told apart when they are repeated.
const RETRY_BITS: usize = 62;
const TRACE_BIT: u64 = 1 << 62;
const PRIORITY_BIT: u64 = 1 << 63;

/// One bit per length; lengths that differ by 64 share theirs.
const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

/// version "-" trace-id "-" parent-id "-" flags
///
/// Nearly every request of a traced system has one. The digits are read without a branch or a
/// table, so that the compiler makes vectors of them.
fn trace_id(traceparent: &[u8]) -> [u8; 16] {
    let digits = traceparent.get(3..).and_then(|id| id.first_chunk::<32>());
    let Some(digits) = digits else {
        return [0; 16];
    };
    let (mut values, mut id) = ([0; 32], [0; 16]);
    for (value, digit) in values.iter_mut().zip(digits) {
        *value = hex_value(*digit);
    }
    for (byte, [high, low]) in id.iter_mut().zip(values.as_chunks().0) {
        *byte = high << 4 | low;
    }
    let seen = values.iter().fold(0, |seen, value| seen | value);
    if seen > 15 { [0; 16] } else { id }
}

/// The value of a hexadecimal digit; 255 where it is none.
#[inline]
const fn hex_value(digit: u8) -> u8 {
    let (decimal, letter) = (digit.wrapping_sub(b'0'), (digit | 0x20).wrapping_sub(b'a'));
    match (decimal < 10, letter < 6) {
        (true, _) => decimal,
        (_, true) => letter + 10,
        _ => u8::MAX,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::{BY_CERTIFICATE, Declared, client_address, name_client, named_by};
    use crate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};
    use crate::gateway::desk::DeskSettings;
    use crate::gateway::governor::HeadFacts;
    use crate::observation::ClientHasher;
    use crate::policy::rules::RetryRules;
    use crate::units::{Moment, Tier};

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a field value"));
        }
        headers
    }

    fn declared(headers: &HeaderMap) -> Declared {
        super::declared(headers.into(), &RetryRules::default().headers)
    }

    fn settings() -> DeskSettings {
        DeskSettings {
            listener_tiers: Vec::new(),
            clients: ClientHasher::new([0; 16]),
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")],
            upstream_names: Vec::new(),
            expose: false,
            on_unavailable: crate::config::OnUnavailable::Continue,
        }
    }

    fn facts<'a>(peer: &str, settings: &DeskSettings, headers: &'a HeaderMap) -> HeadFacts<'a> {
        let peer: std::net::SocketAddr = peer.parse().expect("an address");
        HeadFacts {
            listener: 0,
            worker: 0,
            peer: Some(peer),
            peer_trusted: settings
                .trusted_proxies
                .iter()
                .any(|net| net.contains(&peer.ip())),
            identity: None,
            method: "GET",
            raw_target: b"/",
            origin_form: true,
            host: b"",
            headers: headers.into(),
            has_body: false,
            caller: None,
            at: Moment::default(),
        }
    }

    #[test]
    fn only_trusted_proxies_may_speak_for_others() {
        let settings = settings();
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
            let facts = facts(peer, &settings, &headers);
            let found = client_address(&facts, &settings).map(|address| address.to_string());
            assert_eq!(found.as_deref(), Some(want), "{peer} {forwarded_for}");
        }
        // A line that no proxy wrote like that must not bring the client's own one into play.
        let mut lines = headers(&[("x-forwarded-for", "203.0.113.5")]);
        let unreadable = http::HeaderValue::from_bytes(b"\xff, 198.51.100.1").unwrap();
        lines.append("x-forwarded-for", unreadable);
        let facts = facts("10.0.0.1:1", &settings, &lines);
        let found = client_address(&facts, &settings).map(|address| address.to_string());
        assert_eq!(found.as_deref(), Some("198.51.100.1"));
        let mut lines = headers(&[("x-forwarded-for", "203.0.113.5")]);
        lines.append(
            "x-forwarded-for",
            http::HeaderValue::from_bytes(b"\xff").unwrap(),
        );
        let facts = super::super::governor::HeadFacts {
            headers: (&lines).into(),
            ..facts
        };
        let found = client_address(&facts, &settings).map(|address| address.to_string());
        assert_eq!(found.as_deref(), Some("10.0.0.1"));
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
        for name in RetryRules::default().headers {
            let mut fields = HeaderMap::new();
            let field = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            fields.insert(field, "3".parse().expect("a value"));
            assert!(declared(&fields).retries > 0, "{name}");
        }
        for bad in [
            "00-xyz",
            "00-0af7651916cd43dd8448eb211c8031zz-b7ad6b7169203331-01",
        ] {
            let none = declared(&headers(&[("traceparent", bad), ("x-retry-cause", "5")]));
            assert_eq!((none.retries, none.trace_id), (0, [0; 16]), "{bad}");
        }
    }

    #[test]
    fn the_policy_says_which_fields_declare_retries() {
        let names = ["x-attempt".into(), "x-retry-count".into()];
        let retries = |field| super::declared((&headers(&[(field, "2")])).into(), &names).retries;
        assert_eq!((retries("x-attempt"), retries("x-retry-count")), (2, 2));
        assert_eq!(retries("grpc-previous-rpc-attempts"), 0);
        let twice = headers(&[
            ("x-attempt", "1"),
            ("x-attempt", "9"),
            ("x-retry-count", "2"),
        ]);
        let read = super::declared((&twice).into(), &names);
        assert_eq!(read.retries, 2, "of a repeated field the first counts");
        // As long as a known one, modulo 64, and another name.
        assert_eq!(retries("x-attempu"), 0);
    }

    #[test]
    fn only_trusted_proxies_say_what_is_important() {
        let settings = settings();
        let table = [
            ("10.0.0.1:1", "high", true),
            ("10.0.0.1:1", " High ", true),
            ("10.0.0.1:1", "low", false),
            ("10.0.0.1:1", "", false),
            ("192.0.2.9:1", "high", false),
        ];
        for (peer, value, want) in table {
            let headers = headers(&[("x-tidegate-priority", value)]);
            let facts = facts(peer, &settings, &headers);
            let arrival = super::of(&facts, Method::Get, &declared(&headers), &settings);
            assert_eq!(arrival.privileged, want, "{peer} {value:?}");
            assert_eq!(arrival.listener_tier, Tier::ObserveOnly);
        }
    }

    #[test]
    fn a_contract_names_its_clients() {
        let settings = settings();
        let contract = |header: Option<&str>| {
            let id = ContractId::new("a_v1").expect("an id");
            let methods = MethodSet::EMPTY.with(Method::Get);
            let parts = ContractParts::new(id, "GET /a", methods, Terms::default());
            Contract::new(ContractParts {
                client_header: header.map(Box::from),
                ..parts
            })
        };
        let check = |contract: Option<&Contract>, fields: &[(&'static str, &str)]| {
            let headers = headers(fields);
            let facts = facts("192.0.2.9:1", &settings, &headers);
            let mut arrival = super::of(&facts, Method::Get, &declared(&headers), &settings);
            let peer = arrival.client;
            name_client(&mut arrival, contract, &facts, &settings.clients);
            let named = named_by(&facts, "x-api-key", &settings.clients);
            match arrival.address {
                Some(address) => {
                    assert_eq!(address, peer.behind_names());
                    assert_eq!(Some(arrival.client), named);
                }
                None => assert_eq!(arrival.client, peer),
            }
            arrival.address.is_some()
        };
        let by_key = contract(Some("x-api-key"));
        let by_peer = contract(None);
        assert!(check(Some(&by_key), &[("x-api-key", "k1")]));
        assert!(!check(Some(&by_key), &[("x-api-key", "")]), "empty");
        assert!(!check(Some(&by_key), &[("x-other", "k1")]), "missing");
        assert!(!check(Some(&by_peer), &[("x-api-key", "k1")]));
        assert!(!check(None, &[("x-api-key", "k1")]));
        let of = |value| {
            let headers = headers(&[("x-api-key", value)]);
            let facts = facts("192.0.2.9:1", &settings, &headers);
            named_by(&facts, "x-api-key", &settings.clients)
        };
        assert_ne!(of("k1"), of("k2"));
        assert_eq!(of("k1"), of("k1"));
    }

    #[test]
    fn a_certificate_names_a_client_that_no_field_can_name() {
        let settings = settings();
        let of = |identity: Option<&'static str>, field: &str, fields: &[(&'static str, &str)]| {
            let headers = headers(fields);
            let facts = HeadFacts {
                identity,
                ..facts("192.0.2.9:1", &settings, &headers)
            };
            named_by(&facts, field, &settings.clients)
        };
        let proved = of(Some("cn:a"), BY_CERTIFICATE, &[]);
        assert!(proved.is_some());
        assert_eq!(proved, of(Some("cn:a"), BY_CERTIFICATE, &[("x-a", "cn:b")]));
        assert_ne!(proved, of(Some("cn:b"), BY_CERTIFICATE, &[]));
        assert_ne!(proved, of(None, "x-a", &[("x-a", "cn:a")]));
        assert_eq!(of(None, BY_CERTIFICATE, &[("x-a", "cn:a")]), None);
        let longest = Box::leak("x".repeat(600).into_boxed_str());
        assert!(of(Some(longest), BY_CERTIFICATE, &[]).is_some());
    }
}
