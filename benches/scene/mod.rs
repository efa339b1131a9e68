//! A gateway without sockets, for measuring: 1,000 contracts, one worker, a clock that the
//! measurement moves. Shared by the benchmarks, the gate and the test of allocations.
//!
//! Every contract has a rate limit and a limit in flight, both far from used up: asking them is
//! part of an ordinary request. The first [`BUSY_ROUTES`] paths have traffic in their windows, so
//! that no factor is spared for want of samples; the route of [`FAILING_PATH`] fails.

#![allow(
    dead_code,
    clippy::expect_used,
    reason = "every user needs another part; a scene that cannot be built is a mistake in it"
)]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Terms, canonicalise,
};
use tidegate::gateway::desk::{Desk, DeskSettings};
use tidegate::gateway::governor::{self, Exchange, HeadFacts};
use tidegate::ledger::{BootId, Consumer, Source, ring};
use tidegate::observation::{
    Arrival, ClientHasher, ClientKey, Completion, Ending, Lateness, OpenToken, RequestKey, Ticker,
};
use tidegate::pipeline::{self, Admission};
use tidegate::policy::rules::Rules;
use tidegate::record::Event;
use tidegate::rulebook::{LocalParts, Registry, Rulebook, RulebookParts};
use tidegate::telemetry::WorkerTally;
use tidegate::units::{Moment, PerMinute, Tier};

/// Contracts of a scene.
pub(crate) const CONTRACTS: usize = 1_000;

/// An ordinary head of a browser: eleven fields, 455 bytes.
pub(crate) const BROWSER_HEAD: &[u8] = b"GET /api/v1/orders/12345?fields=id,state HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Language: en-GB,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.com/orders\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef\r\n\
    Sec-Fetch-Dest: empty\r\n\
    Sec-Fetch-Mode: cors\r\n\
    Priority: u=4\r\n\r\n";

/// The paths that the measured requests ask for in turn.
pub(crate) const BUSY_ROUTES: usize = 64;
/// The path whose upstream answers 503 only.
pub(crate) const FAILING_PATH: &str = "/api/v1/failing/{id}";
/// The contract whose rate limit the first request of a minute uses up.
const LIMITED: usize = CONTRACTS - 2;
/// Events that the ring of a desk holds.
pub(crate) const RING_EVENTS: usize = 8_192;

const START: Moment = Moment {
    monotonic_ns: 3_600_000_000_000,
    wall_us: 1_767_225_600_000_000,
};
const REQUEST_EVERY_NS: u64 = 1_000_000;
const SAMPLES: u64 = 25;

/// When the request of that number arrives.
pub(crate) const fn at(number: u64) -> Moment {
    START.plus_nanos(10_000_000_000 + number * REQUEST_EVERY_NS)
}

/// The template of a contract: literals only, or with one to three parameters.
fn template(number: usize) -> String {
    let (service, resource) = (number % 97, number / 97);
    let end = match number % 8 {
        0 | 4 => "/{id}",
        1 | 5 => "",
        2 | 6 => "/{id}/items",
        3 => "/{id}/items/{item}",
        _ => "/{id}/items/{item}/notes/{note}",
    };
    format!("/api/v1/svc{service}/res{resource}{end}")
}

fn filled(template: &str) -> String {
    template
        .replace("{id}", "abc123")
        .replace("{item}", "77")
        .replace("{note}", "n-5")
}

/// A path of each contract but the failing one, in the order of their numbers.
pub(crate) fn paths() -> Vec<String> {
    (0..CONTRACTS - 1).map(|n| filled(&template(n))).collect()
}

fn contract(number: usize) -> Contract {
    let template = match number {
        last if last == CONTRACTS - 1 => FAILING_PATH.to_owned(),
        _ => template(number),
    };
    let (per_minute, burst) = match number {
        LIMITED => (1, NonZeroU32::new(1)),
        _ => (600_000, None),
    };
    let terms = Terms {
        rate_limit: PerMinute::new(per_minute),
        burst,
        max_in_flight: NonZeroU32::new(2_000_000_000),
        ..Terms::default()
    };
    let id = ContractId::new(&format!("contract_{number}")).expect("a valid id");
    let methods = MethodSet::EMPTY.with(Method::Get);
    Contract::new(ContractParts::new(
        id,
        &format!("GET {template}"),
        methods,
        terms,
    ))
}

/// A registry whose only rulebook has the scene's contracts and has seen traffic.
pub(crate) fn registry(tier: Tier) -> Arc<Registry> {
    let registry = Arc::new(Registry::new(RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build((0..CONTRACTS).map(contract).collect()).expect("no collision"),
        rules: Rules::default(),
        tier,
        content_digest: [0xab; 32],
        default_upstream: "orders".into(),
        workers: 1,
    })));
    see_traffic(&registry.active().load());
    registry
}

/// Requests of three seconds on the busy routes and the failing one, and the ticks about them.
fn see_traffic(rulebook: &Rulebook) {
    let mut ticker = Ticker::default();
    let paths = paths();
    let failing = filled(FAILING_PATH);
    for second in 0..3 {
        let now = START.plus_nanos(second * 1_000_000_000);
        for sample in 0..SAMPLES {
            let at = now.plus_nanos(sample * REQUEST_EVERY_NS);
            for path in paths.iter().take(BUSY_ROUTES) {
                let admission = admit(rulebook, Method::Get, path, &arrival_at(at));
                pipeline::complete(
                    rulebook,
                    0,
                    &admission,
                    Lateness::InTime,
                    &answered(at, 200),
                );
            }
            let admission = admit(rulebook, Method::Get, &failing, &arrival_at(at));
            pipeline::complete(
                rulebook,
                0,
                &admission,
                Lateness::InTime,
                &answered(at, 503),
            );
        }
        for tick in 0..10 {
            let now = now.plus_nanos(tick * 100_000_000);
            pipeline::tick(rulebook, &mut ticker, now);
        }
    }
}

/// The path that fails, as a request sends it.
pub(crate) fn failing_path() -> String {
    filled(FAILING_PATH)
}

/// The arrival of the request of that number.
pub(crate) fn arrival(number: u64) -> Arrival {
    arrival_at(at(number))
}

fn arrival_at(at: Moment) -> Arrival {
    Arrival {
        method: Method::Get,
        client: ClientKey(0x0123_4567_89ab_cdef),
        at,
        address: None,
        request: RequestKey::default(),
        privileged: false,
        listener_tier: Tier::Autonomous,
        declared_retries: 0,
        has_body: false,
        ledger: tidegate::observation::LedgerStanding::Available,
        undeclared: false,
    }
}

/// Everything that admission costs without I/O: canonical form, matching, judgement, counting.
#[inline(always)]
pub(crate) fn admit(
    rulebook: &Rulebook,
    method: Method,
    path: &str,
    arrival: &Arrival,
) -> Admission {
    let mut admission = Admission::at_rest(arrival);
    admit_into(&mut admission, rulebook, method, path, arrival);
    admission
}

/// The same in the place of an admission, which is not moved afterwards.
#[inline(always)]
pub(crate) fn admit_into(
    admission: &mut Admission,
    rulebook: &Rulebook,
    method: Method,
    path: &str,
    arrival: &Arrival,
) {
    let raw_path = path.as_bytes();
    let path = canonicalise(raw_path);
    let mut arrival = *arrival;
    if let Ok(path) = &path {
        arrival.request = RequestKey::of(arrival.client, method, path.as_bytes(), None);
    }
    let pairing =
        rulebook
            .catalogue()
            .pair(method, raw_path, path.as_ref().map_err(|fault| *fault));
    *admission = Admission::at_rest(&arrival);
    pipeline::admit_into(admission, rulebook, 0, pairing, &arrival);
}

/// The end of a request that came in at `at` and took 2 ms.
pub(crate) fn answered(at: Moment, status: u16) -> Completion {
    Completion {
        at: at.plus_nanos(2_000_000),
        status,
        upstream_status: status,
        latency_us: 2_000,
        ending: Ending::Answered,
    }
}

/// A desk with its ring, its tally and the fields of an ordinary request.
pub(crate) struct Office {
    /// The desk.
    pub(crate) desk: Desk,
    /// The other end of its ring.
    pub(crate) consumer: Consumer<Event>,
    /// The rulebooks it works by.
    pub(crate) registry: Arc<Registry>,
    /// The fields of an ordinary request.
    pub(crate) headers: HeaderMap,
    /// What the requests ask for, in turn.
    pub(crate) paths: Vec<String>,
    /// What requests ask for whose contract's limit is used up.
    pub(crate) limited_path: String,
}

/// An office under that tier.
pub(crate) fn office(tier: Tier) -> Office {
    let registry = registry(tier);
    let source = Source {
        boot: BootId::from_u32(1),
        worker: 0,
    };
    let (producer, consumer) = ring::<Event>(source, RING_EVENTS);
    let settings = Arc::new(DeskSettings {
        listener_tiers: vec![Tier::Autonomous],
        clients: ClientHasher::new([7; 16]),
        trusted_proxies: Vec::new(),
        upstream_names: vec!["orders".to_owned()],
        expose: false,
        on_unavailable: tidegate::config::OnUnavailable::Continue,
    });
    let (tally, _) = WorkerTally::new(50_000);
    let mut paths = paths();
    paths.truncate(BUSY_ROUTES);
    Office {
        desk: Desk::new(0, 1, settings, &registry, producer, tally),
        consumer,
        registry,
        headers: headers(),
        paths,
        limited_path: filled(&template(LIMITED)),
    }
}

/// What a browser or a client library sends.
pub(crate) fn headers() -> HeaderMap {
    let fields = [
        ("host", "api.example.com"),
        ("user-agent", "client/1.4 (linux)"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("authorization", "Bearer 0123456789abcdef"),
        ("content-type", "application/json"),
        ("x-request-id", "3f1c9a52-7d0e-4b1a-9f55-0a8c7e4d2b11"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
    ];
    let field = |(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    fields.into_iter().map(field).collect()
}

/// The head of the request of that number.
pub(crate) fn facts<'a>(headers: &'a HeaderMap, path: &'a str, number: u64) -> HeadFacts<'a> {
    HeadFacts {
        listener: 0,
        worker: 0,
        peer: Some(SocketAddr::from(([192, 0, 2, 9], 40_000))),
        peer_trusted: false,
        identity: None,
        method: "GET",
        raw_target: path.as_bytes(),
        origin_form: true,
        host: b"api.example.com",
        headers: headers.into(),
        has_body: false,
        caller: None,
        at: at(number),
    }
}

/// The end of the request of that number, as the shell tells it.
pub(crate) fn ended(number: u64) -> governor::Completion {
    governor::Completion {
        at: at(number).plus_nanos(2_000_000),
        upstream_ended_at: None,
        status_sent: 200,
        upstream_status: 200,
        failure: None,
        attempts: 1,
        never_sent: 0,
        unanswered: 0,
        request_body_bytes: 0,
        response_body_bytes: 23,
    }
}

impl Office {
    /// One request from its head to its end.
    #[inline]
    pub(crate) fn serve(&mut self, number: u64) {
        let path = self.paths.get(number as usize % BUSY_ROUTES);
        let facts = facts(&self.headers, path.map_or("/", String::as_str), number);
        let exchange = self.desk.admit(&facts);
        let token = OpenToken::of(std::hint::black_box(&exchange).ticket());
        let head_at = facts.at.plus_nanos(1_000_000);
        self.desk.head_received(token, head_at, 200);
        self.desk.complete(token, &ended(number));
    }

    /// One request that the rate limit of its contract refuses, from its head to its end; the
    /// first of a minute goes on.
    #[inline]
    pub(crate) fn serve_refused(&mut self, number: u64) -> Exchange {
        let facts = facts(&self.headers, &self.limited_path, number);
        let exchange = self.desk.admit(&facts);
        let token = OpenToken::of(std::hint::black_box(&exchange).ticket());
        let ended = governor::Completion {
            at: facts.at,
            status_sent: 429,
            upstream_status: 0,
            attempts: 0,
            ..ended(number)
        };
        self.desk.complete(token, &ended);
        exchange
    }

    /// Takes all events out of the ring.
    pub(crate) fn empty_ring(&mut self) {
        while self.consumer.pop().is_some() {}
    }

    /// The event of an ordinary request, as the writer gets it.
    pub(crate) fn event(&mut self) -> Event {
        self.empty_ring();
        self.serve(0);
        self.consumer.pop().expect("an event of the request")
    }
}
