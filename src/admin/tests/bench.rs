//! An admin listener with a ledger and a ticker behind it, and what is asked of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::levers::levers;
use crate::admin::{Admin, AdminParts, AdminPort, AdminState};
use crate::contract::Pairing;
use crate::ledger::fixture::facts_of;
use crate::ledger::{BootId, Lane, Ledger, LedgerKey, OpenFacts, Producer, Settings, Source, ring};
use crate::observation::{TICK_NS, Ticker};
use crate::pipeline::tick;
use crate::record::{DecisionEvent, Encoder, Event, OutcomeEvent};
use crate::rulebook::Registry;
use crate::telemetry::WorkerTally;
use crate::telemetry::fixture::{arrival, content, registry, serve, telemetry};
use crate::units::Tier;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
const BOOT: u32 = 0xdead_beef;
pub(super) const FIRST: &str = "deadbeef00000000000000";

pub(super) struct Bench {
    pub(super) registry: Arc<Registry>,
    pub(super) ledger: Arc<Ledger>,
    producer: Mutex<Producer<Event>>,
    worker: WorkerTally,
    ticker: Arc<Mutex<Ticker>>,
    pub(super) draining: Arc<AtomicBool>,
    pub(super) state: Arc<AdminState>,
    pub(super) admin: Option<Admin>,
    pub(super) dir: tempfile::TempDir,
}

fn ledger_in(
    dir: &Path,
    registry: &Arc<Registry>,
    key: Option<LedgerKey>,
) -> (Arc<Ledger>, Producer<Event>) {
    let source = Source {
        boot: BootId::from_u32(BOOT),
        worker: 0,
    };
    let facts = OpenFacts {
        instance: "gateway-1".to_owned(),
        ..facts_of(source.boot, &content().digest_hex())
    };
    let (producer, consumer) = ring(source, 1_024);
    let ledger = Ledger::start(
        &key.into_iter()
            .fold(Settings::new(dir), Settings::signed_by),
        &facts,
        content().bytes(),
        vec![consumer],
        Encoder::new(Arc::clone(registry), "gateway-1"),
    )
    .expect("a ledger in an empty directory");
    (Arc::new(ledger), producer)
}

impl Bench {
    pub(super) fn start(tier: Tier) -> Self {
        Self::with(tier, None)
    }

    pub(super) fn with(tier: Tier, key: Option<LedgerKey>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = registry(tier);
        let (ledger, producer) = ledger_in(dir.path(), &registry, key);
        let (worker, tally) = WorkerTally::new(1_000);
        let ticker = Arc::new(Mutex::new(Ticker::default()));
        let draining = Arc::new(AtomicBool::new(false));
        let drains = Arc::clone(&draining);
        let state = AdminState::new(AdminParts {
            registry: Arc::clone(&registry),
            ledger: Arc::clone(&ledger),
            environment: "sandbox",
            ledger_dir: dir.path().to_owned(),
            telemetry: Arc::new(telemetry(vec![tally])),
            ticker: Arc::clone(&ticker),
            draining: Box::new(move || drains.load(Ordering::Relaxed)),
            now_us: || 0,
            workers: 1,
            levers: levers(),
        });
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let port = AdminPort::open(loopback).expect("a free port");
        let admin = Admin::start(port, Arc::clone(&state)).expect("a thread");
        state.set_ready(true);
        Self {
            registry,
            ledger,
            producer: Mutex::new(producer),
            worker,
            ticker,
            draining,
            state,
            admin: Some(admin),
            dir,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.admin.as_ref().expect("still running").address()
    }

    /// Serves one request and records it; `open` leaves its end to a later record.
    pub(super) fn serve(&self, pairing: Pairing, open: bool) {
        let rulebook = self.registry.active().load_full();
        let (admission, completion) = serve(&rulebook, &self.worker, pairing, 2_000);
        let mut producer = self.producer.lock().expect("no panic");
        let n = producer.next_number();
        let wall_us = arrival().at.wall_us;
        let event = DecisionEvent::of(n, wall_us, 0, &admission);
        let ended = event.ended(&completion);
        let first = if open { event } else { ended };
        assert!(producer.push(Lane::Ordinary, Some(n), Event::Decision(first)));
        if open {
            let end = OutcomeEvent {
                n,
                wall_us,
                ending: ended.ending,
            };
            assert!(producer.push(Lane::Ordinary, None, Event::Outcome(end)));
        }
        drop(producer);
        self.ledger.flush(PATIENCE).expect("the disk answers");
    }

    pub(super) fn tick(&self, number: u64) {
        let rulebook = self.registry.active().load_full();
        let mut ticker = self.ticker.lock().expect("no panic");
        let at = arrival().at.plus_nanos(number * TICK_NS);
        tick(&rulebook, &mut ticker, at);
    }

    pub(super) fn send(&self, head: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address()).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a timeout above 0");
        stream.write_all(head.as_bytes()).expect("it reads");
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .expect("it answers and closes");
        Reply::of(&String::from_utf8(bytes).expect("text"))
    }

    pub(super) fn ask(&self, method: &str, path: &str) -> Reply {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.send(&head)
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path)
    }

    /// Sends `body` with its length and these field lines, each with its end.
    pub(super) fn post(&self, path: &str, fields: &str, body: &str) -> Reply {
        let length = body.len();
        self.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ))
    }
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.expect("a status"),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn check_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:tidegate:problem:{kind}"));
        assert_eq!(problem["status"], status);
    }
}
