//! A gateway with the real pipeline behind it, and a rulebook made in code: on real sockets, with
//! its ticker, and with the records that its ledger would get.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tidegate::contract::{
    Catalogue, Contract, ContractId, ContractParts, Method, MethodSet, Terms,
};
use tidegate::gateway::desk::{Desk, DeskSettings};
use tidegate::gateway::governor::Governor;
use tidegate::gateway::settings::{GatewaySettings, UpstreamGroup};
use tidegate::gateway::{Clerk, Control, Ended, Gateway, clock};
use tidegate::ledger::{BootId, Chain, Consumer, Record, Source, ring};
use tidegate::observation::{ClientHasher, Mode, RouteState, Ticker, TotalsReading};
use tidegate::pipeline;
use tidegate::policy::rules::Rules;
use tidegate::record::{DecisionLine, Encoder, Event, contradictions};
use tidegate::rulebook::{LocalParts, Registry, Rulebook, RulebookParts};
use tidegate::telemetry::WorkerTally;
use tidegate::units::{PerMinute, Tier};

use crate::wire::{Client, Message, eventually};

const BOOT: u32 = 7;

/// What a gateway is made of.
pub(crate) struct Plan {
    pub(crate) tier: Tier,
    pub(crate) listener_tiers: Vec<Tier>,
    pub(crate) contracts: Vec<Contract>,
    pub(crate) rules: Rules,
    /// Name and servers; the first one is the default.
    pub(crate) upstreams: Vec<(&'static str, Vec<SocketAddr>)>,
    pub(crate) trusted: &'static [&'static str],
    pub(crate) stop: Duration,
    /// Anything else about the settings.
    pub(crate) adjust: fn(&mut GatewaySettings),
}

impl Plan {
    /// One listener in front of one upstream, controlling by the default policy.
    pub(crate) fn of(upstream: SocketAddr, contracts: Vec<Contract>) -> Self {
        Self {
            tier: Tier::Control,
            listener_tiers: vec![Tier::Autonomous],
            contracts,
            rules: Rules::default(),
            upstreams: vec![("main", vec![upstream])],
            trusted: &[],
            stop: Duration::from_secs(8),
            adjust: |_| {},
        }
    }

    pub(crate) fn start(self) -> Governed {
        Governed::start(self)
    }
}

/// A contract of GET requests to `path`.
pub(crate) fn contract(id: &str, path: &str, terms: Terms) -> Contract {
    Contract::new(parts(id, path, terms))
}

pub(crate) fn parts(id: &str, path: &str, terms: Terms) -> ContractParts {
    let methods = MethodSet::EMPTY.with(Method::Get);
    let id = ContractId::new(id).unwrap();
    ContractParts::new(id, &format!("GET {path}"), methods, terms)
}

/// So many a minute, so many at once.
pub(crate) fn rate(per_minute: u32, burst: u32) -> Terms {
    Terms {
        rate_limit: PerMinute::new(per_minute),
        burst: NonZeroU32::new(burst),
        ..Terms::default()
    }
}

/// The same for each client alone.
pub(crate) fn client_rate(per_minute: u32, burst: u32) -> Terms {
    Terms {
        client_rate_limit: PerMinute::new(per_minute),
        client_burst: NonZeroU32::new(burst),
        ..Terms::default()
    }
}

/// A running gateway.
pub(crate) struct Governed {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) control: Control,
    rulebook: Arc<Rulebook>,
    book: Mutex<Book>,
    ticking: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    thread: Option<JoinHandle<Ended>>,
}

/// What the ledger's writer would have.
struct Book {
    consumer: Consumer<Event>,
    encoder: Encoder,
    chain: Chain,
    records: Vec<Value>,
}

impl Book {
    /// A request that took so long that its decision was written while it was open has ended.
    fn end(&mut self, outcome: &Value) {
        let id = &outcome["decision_id"];
        let mut records = self.records.iter_mut();
        let record = records.find(|it| it["decision_id"] == *id).unwrap();
        for told in ["latency_us", "status", "upstream_error", "upstream_status"] {
            if let Some(value) = outcome.get(told) {
                record[told] = value.clone();
            }
        }
        let went_on = record.get("upstream").is_some();
        record["outcome"] = if went_on { "done" } else { "refused" }.into();
    }
}

impl Governed {
    fn start(plan: Plan) -> Self {
        let registry = Arc::new(Registry::new(RulebookParts::unsigned_local(LocalParts {
            catalogue: Catalogue::build(plan.contracts).expect("no collision"),
            rules: plan.rules,
            tier: plan.tier,
            content_digest: [0xcd; 32],
            default_upstream: plan.upstreams[0].0.into(),
            workers: 1,
        })));
        let networks = || {
            plan.trusted
                .iter()
                .map(|net| net.parse().unwrap())
                .collect()
        };
        let desk_settings = DeskSettings {
            clients: ClientHasher::new([3; 16]),
            trusted_proxies: networks(),
            upstream_names: plan
                .upstreams
                .iter()
                .map(|(name, _)| (*name).into())
                .collect(),
            expose: false,
            on_unavailable: tidegate::config::OnUnavailable::Continue,
            listener_tiers: plan.listener_tiers.clone(),
        };
        let source = Source {
            boot: BootId::from_u32(BOOT),
            worker: 0,
        };
        let (producer, consumer) = ring::<Event>(source, 4_096);
        let (tally, _) = WorkerTally::new(1_000);
        let desk = Desk::new(0, BOOT, Arc::new(desk_settings), &registry, producer, tally);
        let groups = plan.upstreams.iter().map(|(name, servers)| {
            UpstreamGroup::new(*name, servers.iter().map(ToString::to_string))
        });
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let groups: Vec<UpstreamGroup> = groups.collect();
        let mut settings = GatewaySettings::new(any, groups[0].clone());
        let listener = settings.listeners[0].clone();
        settings.listeners = vec![listener; plan.listener_tiers.len()];
        settings.upstreams = groups;
        settings.trusted_proxies = networks();
        settings.timeouts.stop = plan.stop;
        settings.fast_lane = crate::harness::takes_lane();
        (plan.adjust)(&mut settings);
        let clerk: Arc<dyn Governor> = Arc::new(Clerk::new(desk));
        let gateway = Gateway::bind(settings, vec![clerk]).expect("free ports");
        let rulebook = registry.active().load_full();
        Self {
            addresses: gateway.addresses().to_vec(),
            control: gateway.control(),
            ticking: Some(tick(Arc::clone(&rulebook))),
            book: Mutex::new(Book {
                encoder: Encoder::new(registry, "test"),
                consumer,
                chain: Chain::genesis(),
                records: Vec::new(),
            }),
            rulebook,
            thread: Some(std::thread::spawn(move || {
                gateway.run_embedded().expect("threads")
            })),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.addresses[0])
    }

    /// Sends a request with these fields on a connection of its own.
    pub(crate) fn ask(&self, method: &str, path: &str, fields: &str) -> Message {
        let mut client = self.connect();
        send(&mut client, method, path, fields);
        client.response()
    }

    pub(crate) fn get(&self, path: &str) -> Message {
        self.ask("GET", path, "")
    }

    /// The state of the route of a contract, by its place in the plan.
    pub(crate) fn route(&self, number: usize) -> &RouteState {
        self.rulebook.route(number)
    }

    /// What the worker has counted for a contract, by its place in the plan.
    pub(crate) fn totals(&self, number: usize) -> TotalsReading {
        self.rulebook.board().totals(number)
    }

    pub(crate) fn in_flight(&self, number: usize) -> u32 {
        self.route(number).in_flight(Mode::Real)
    }

    /// Waits for the records of so many decisions whose requests have ended. None of them contradicts
    /// itself, and each says what its inputs give.
    pub(crate) fn records(&self, count: usize) -> Vec<Value> {
        let mut book = self.book.lock().unwrap();
        eventually("the records", || {
            self.write(&mut book);
            let ended = book.records.iter().filter(|it| it["outcome"] != "open");
            ended.count() >= count
        });
        // Refusals overtake on their way; the ids are in the order of the decisions.
        let mut records = book.records.clone();
        records.sort_by_key(|record| record["decision_id"].as_str().map(str::to_owned));
        records
    }

    fn write(&self, book: &mut Book) {
        while let Some(event) = book.consumer.pop() {
            let mut line = Vec::new();
            let Book { encoder, chain, .. } = book;
            chain.append(&mut line, |entry| encoder.encode(entry, BOOT, 0, &event));
            let value: Value = serde_json::from_slice(&line).expect("a line of JSON");
            match value["kind"].as_str() {
                Some("decision") => {
                    self.check(&line);
                    book.records.push(value);
                }
                Some("outcome") => book.end(&value),
                _ => {}
            }
        }
    }

    fn check(&self, line: &[u8]) {
        let mut buffer = Vec::new();
        let record = Record::check(line.trim_ascii_end(), &mut buffer).expect("a record");
        let line = DecisionLine::read(&record).expect("a decision");
        let rules = self.rulebook.rules();
        let contracts = self.rulebook.catalogue().contracts();
        let contract = contracts
            .iter()
            .find(|contract| Some(contract.id().as_str()) == line.contract_id);
        let terms = contract.map(Contract::terms);
        let judged = pipeline::judge(rules, terms, &line.signals);
        let found = contradictions(&line, &judged, rules, contract);
        assert!(found.is_empty(), "{found:?}");
    }

    /// Stops and says how it ended.
    pub(crate) fn stop(&mut self) -> Ended {
        self.control.stop();
        let thread = self.thread.take().expect("stopped once");
        thread.join().expect("no panic")
    }
}

pub(crate) fn send(client: &mut Client, method: &str, path: &str, fields: &str) {
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n"
    ));
}

/// The ticker, faster than the real one so that tests are.
fn tick(rulebook: Arc<Rulebook>) -> (Arc<AtomicBool>, JoinHandle<()>) {
    let ending = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ending);
    let thread = std::thread::spawn(move || {
        let mut ticker = Ticker::default();
        while !end.load(Ordering::Acquire) {
            pipeline::tick(&rulebook, &mut ticker, clock::now());
            std::thread::park_timeout(Duration::from_millis(100));
        }
    });
    (ending, thread)
}

impl Drop for Governed {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
        if let Some((ending, thread)) = self.ticking.take() {
            ending.store(true, Ordering::Release);
            thread.thread().unpark();
            _ = thread.join();
        }
    }
}
