//! The admin listener over real sockets, with a ledger behind it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::admin::router::{CHANGING, OPENAPI, routes};
use crate::admin::{
    Activation, Admin, AdminError, AdminParts, AdminPort, AdminState, Attempt, Finding,
    KillSwitchState, Later, Levers, Lowering, NO_BUNDLE, Standing, Trigger,
};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::contract::Pairing;
use crate::ledger::{
    BootId, Lane, Ledger, LedgerKey, OpenFacts, Producer, Settings, SignedNote, Source, ring,
};
use crate::observation::{Backoff, Mode, TICK_NS, Ticker};
use crate::pipeline::tick;
use crate::record::{DecisionEvent, Encoder, Event, OutcomeEvent};
use crate::rulebook::Registry;
use crate::telemetry::fixture::{arrival, content, known, registry, serve, telemetry};
use crate::telemetry::{Reload, WorkerTally};
use crate::units::{Millis, Tier};

const PATIENCE: Duration = Duration::from_secs(20);
const BOOT: u32 = 0xdead_beef;
const FIRST: &str = "deadbeef00000000000000";

struct Bench {
    registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    producer: Mutex<Producer<Event>>,
    worker: WorkerTally,
    ticker: Arc<Mutex<Ticker>>,
    draining: Arc<AtomicBool>,
    state: Arc<AdminState>,
    admin: Option<Admin>,
    dir: tempfile::TempDir,
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
        boot: source.boot,
        instance: "gateway-1".to_owned(),
        version: "0".to_owned(),
        policy_hash: content().digest_hex(),
        client_key_id: None,
        bundle: None,
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

/// A reload that is refused, a tier that may only become OBSERVE_ONLY.
fn levers() -> Levers {
    fn now<T: std::fmt::Debug>(value: T) -> Later<T> {
        let (answer, later) = tokio::sync::oneshot::channel();
        answer.send(value).expect("the other end is here");
        later
    }
    let refused = || Activation {
        result: Reload::Refused,
        trigger: Trigger::Admin,
        at_us: 7_000,
        serial: 3,
        digest: "d".to_owned(),
        tier: Tier::Control,
        findings: vec![Finding {
            severity: "error",
            code: "C004",
            file: "a.yaml".to_owned(),
            line: 2,
            column: 1,
            message: "no".to_owned(),
            remedy: "mend".to_owned(),
        }],
        needs_restart: vec!["threads"],
    };
    Levers {
        reload: Box::new(move || now(refused())),
        lower: Box::new(|tier, _| {
            now(match tier {
                Tier::ObserveOnly => Lowering::Lowered(tier),
                Tier::Control => Lowering::NotLower(Tier::ObserveOnly),
                Tier::Autonomous => Lowering::NotKept(tier, "full".to_owned()),
            })
        }),
        standing: Box::new(move || Standing {
            active_since_us: 5_000,
            last_reload: Some(refused()),
            kill_switch: KillSwitchState {
                ceiling: Some(Tier::Control),
                trouble: None,
            },
            bundle: None,
        }),
        apply: Box::new(|submission| {
            let code = match submission.unverified {
                None => RefusalCode::TooLarge,
                Some(_) if submission.if_match == NO_BUNDLE => RefusalCode::UnknownKey,
                Some(_) => RefusalCode::StateChanged,
            };
            now(Attempt {
                result: Reload::Refused,
                trigger: Trigger::Admin,
                at_us: 9_000,
                digest: None,
                place: Some((1, 2)),
                refused: Some(Refused::new(code, "no", "mend")),
            })
        }),
    }
}

impl Bench {
    fn start(tier: Tier) -> Self {
        Self::with(tier, None)
    }

    fn with(tier: Tier, key: Option<LedgerKey>) -> Self {
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

    fn address(&self) -> SocketAddr {
        self.admin.as_ref().expect("still running").address()
    }

    /// Serves one request and records it; `open` leaves its end to a later record.
    fn serve(&self, pairing: Pairing, open: bool) {
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

    fn tick(&self, number: u64) {
        let rulebook = self.registry.active().load_full();
        let mut ticker = self.ticker.lock().expect("no panic");
        let at = arrival().at.plus_nanos(number * TICK_NS);
        tick(&rulebook, &mut ticker, at);
    }

    fn send(&self, head: &str) -> Reply {
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

    fn ask(&self, method: &str, path: &str) -> Reply {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        self.send(&head)
    }

    fn get(&self, path: &str) -> Reply {
        self.ask("GET", path)
    }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
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

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn check_problem(&self, status: u16, kind: &str) {
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

#[test]
fn health_follows_start_drain_and_ledger() {
    // R199
    let bench = Bench::start(Tier::ObserveOnly);
    assert_eq!(bench.get("/livez").body, "alive\n");
    assert_eq!(bench.get("/readyz").status, 200);
    bench.state.set_ready(false);
    bench.get("/readyz").check_problem(503, "not-ready");
    bench.state.set_ready(true);
    bench.draining.store(true, Ordering::Relaxed);
    let reply = bench.get("/readyz");
    reply.check_problem(503, "not-ready");
    assert_eq!(reply.json()["detail"], "the gateway is draining");
    assert_eq!(bench.get("/livez").status, 200, "draining is alive");
}

#[test]
fn a_gateway_whose_ledger_writer_has_died_is_not_ready() {
    // R199
    let bench = Bench::start(Tier::ObserveOnly);
    assert_eq!(bench.get("/readyz").status, 200);
    let killed = bench.ledger.record(
        |_| panic!("this ends the writer's thread"),
        std::time::Duration::from_secs(20),
    );
    assert_eq!(killed.expect_err("it is gone").code(), "LEDGER_UNAVAILABLE");
    // Whoever waited for an answer hears of it a moment before the thread has unwound.
    let began = std::time::Instant::now();
    while bench.ledger.snapshot().ok {
        assert!(began.elapsed() < PATIENCE, "the writer does not end");
        std::thread::yield_now();
    }
    let reply = bench.get("/readyz");
    reply.check_problem(503, "not-ready");
    assert_eq!(reply.json()["detail"], "the ledger cannot be written");
    let status = bench.get("/v1/status").json();
    assert_eq!(status["ledger"]["state"], "UNAVAILABLE");
}

#[test]
fn metrics_and_status_show_this_gateway() {
    // R272
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(known(0), false);
    let reply = bench.get("/metrics");
    assert!(
        reply
            .head
            .contains("content-type: text/plain; version=0.0.4"),
        "{reply:?}"
    );
    assert!(
        reply.body.contains("\ntidegate_ledger_records_total 2\n"),
        "{reply:?}"
    );
    assert!(
        reply
            .body
            .contains("tidegate_forwarded_total{contract=\"deploy_get_v1\"} 1")
    );
    let status = bench.get("/v1/status").json();
    assert_eq!(status["ready"], true);
    assert_eq!(status["tier"], "OBSERVE_ONLY");
    assert_eq!(status["policy_hash"], content().digest_hex());
    assert_eq!(status["contracts"], 2);
    assert_eq!(status["ledger"]["records"], 2);
    assert_eq!(status["ledger"]["ok"], true);
    assert_eq!(status["connections"]["open"], 7);
}

#[test]
fn the_newest_signed_head_can_be_had() {
    let key = LedgerKey::from_seed([1; 32]);
    let bench = Bench::with(Tier::ObserveOnly, Some(key.clone()));
    bench.serve(known(0), false);
    bench.ledger.await_signed(1, PATIENCE).expect("a head");
    let reply = bench.get("/v1/ledger/checkpoint");
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .head
            .contains("content-type: text/plain; charset=utf-8")
    );
    let note = SignedNote::parse(reply.body.as_bytes()).expect("a note");
    let origin = note.text.lines().next().expect("an origin");
    assert!(note.is_signed_by(&key.verifier(origin).expect("a name")));
    let signed = &bench.get("/v1/status").json()["ledger"]["signed"];
    assert!(signed.as_u64() >= Some(2), "{signed}");
    let unsigned = Bench::with(Tier::ObserveOnly, None);
    let reply = unsigned.get("/v1/ledger/checkpoint");
    reply.check_problem(404, "no-checkpoint");
}

#[test]
fn contracts_show_their_windows_and_quantiles() {
    let bench = Bench::start(Tier::ObserveOnly);
    for _ in 0..10 {
        bench.serve(known(0), false);
    }
    bench.serve(Pairing::Unknown, false);
    bench.tick(1);
    let contracts = bench.get("/v1/contracts").json();
    let rows = contracts["contracts"].as_array().expect("a list");
    assert_eq!(rows.len(), 3);
    let row = &rows[0];
    assert_eq!(row["id"], "deploy_get_v1");
    assert_eq!(row["endpoint"], "GET /api/v1/deployments/{id}");
    assert_eq!(row["owner"], "api-team");
    assert_eq!(row["last_10s"]["offered"], 10);
    assert_eq!(row["last_60s"]["completed"], 10);
    assert_eq!(row["last_60s"]["failed"], 0);
    assert_eq!(row["in_flight"], 0);
    assert_eq!(row["distress_bp"], 0);
    assert_eq!(row["band"], "low");
    assert_eq!(
        row["last_minute"]["p95_us"],
        Value::Null,
        "no minute is closed"
    );
    assert_eq!(rows[1]["last_60s"]["offered"], 0, "never used");
    assert_eq!(rows[2]["id"], "_unmatched");
    assert_eq!(rows[2]["last_60s"]["offered"], 1);
    bench.tick(601);
    let contracts = bench.get("/v1/contracts").json();
    let minute = &contracts["contracts"][0]["last_minute"];
    assert_eq!(minute["completed"], 10);
    for quantile in ["p50_us", "p95_us", "p99_us"] {
        let micros = minute[quantile].as_u64().expect("a number");
        assert!((1_500..=2_500).contains(&micros), "{quantile}: {micros}");
    }
}

#[test]
fn baselines_show_what_is_usual_and_what_is_left() {
    // R014, R018
    let bench = Bench::start(Tier::ObserveOnly);
    let rulebook = bench.registry.active().load_full();
    bench.tick(0);
    for _ in 0..50 {
        bench.serve(known(0), false);
    }
    let totals = rulebook.board().touch(0, 0).expect("route 0 is there");
    for latency_us in 1..=50 {
        totals.note_outcome(latency_us * 1_000, false, latency_us == 50, false);
    }
    bench.tick(1);
    bench.tick(601);
    let found = bench.get("/v1/baselines/deploy_get_v1").json();
    assert_eq!(found["request_count"], 100);
    assert_eq!(found["error_count"], 1);
    assert_eq!(found["last_minute"]["requests"], 50);
    let quantiles = ["p50_us", "p95_us", "p99_us"];
    let quantiles = quantiles.map(|name| found["last_minute"][name].as_u64().expect("a number"));
    assert!(
        quantiles.is_sorted() && quantiles[0] < quantiles[2],
        "{quantiles:?}"
    );
    // 2 % may fail: one of 100 leaves a half.
    assert_eq!(found["error_budget"]["remaining"], 0.5);
    let five_minutes = &found["error_budget"]["windows"][0];
    assert_eq!(five_minutes["window"], "5m");
    assert_eq!(five_minutes["burn_rate"], 0.5);
    assert_eq!(found["error_budget"]["pairs"][0]["known"], false);
    assert_eq!(found["baseline"]["p95_us"], Value::Null);
    assert_eq!(found["traffic"]["known"], false);
    assert_eq!(found["circuit"]["state"], "closed");
    let since = found["window_start_us"].as_u64().expect("an instant");
    assert!(since <= found["last_updated_us"].as_u64().expect("an instant"));
    let all = bench.get("/v1/baselines").json();
    assert_eq!(all["baselines"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["baselines"][0], found);
    assert_eq!(
        all["baselines"][1]["error_budget"]["remaining"],
        Value::Null
    );
    bench
        .get("/v1/baselines/nothing")
        .check_problem(404, "no-such-contract");
}

#[test]
fn circuits_that_were_ever_open_are_listed() {
    // R074, R077
    let bench = Bench::start(Tier::Control);
    let rulebook = bench.registry.active().load_full();
    bench.tick(0);
    let none = bench.get("/v1/circuits").json();
    assert_eq!(none["summary"]["never_opened"], 2);
    assert_eq!(none["circuits"].as_array().map(Vec::len), Some(0));
    let backoff = Backoff {
        first: Millis::new(1_000),
        longest: Millis::new(1_000),
    };
    let circuit = rulebook.route(0).circuit(Mode::Real);
    assert!(circuit.trip(0, arrival().at.monotonic_ns, backoff));
    bench.serve(known(0), false);
    bench.tick(1);
    let open = bench.get("/v1/circuits").json();
    assert_eq!(open["summary"]["open"], 1);
    assert_eq!(open["summary"]["closed"], 1);
    let row = &open["circuits"][0];
    assert_eq!(row["contract"], "deploy_get_v1");
    assert_eq!(
        (&row["mode"], &row["in_use"]),
        (&"real".into(), &true.into())
    );
    assert_eq!((&row["state"], &row["epoch"]), (&"open".into(), &1.into()));
    assert!(
        row["wait_ms"]
            .as_u64()
            .is_some_and(|wait| (800..=1_000).contains(&wait)),
        "{row}"
    );
    assert_eq!(row["probes"], Value::Null);
    bench.tick(20);
    let half_open = bench.get("/v1/circuits").json();
    assert_eq!(half_open["circuits"][0]["state"], "half_open");
    assert_eq!(half_open["circuits"][0]["probes"]["issued"], 0);
    assert_eq!(half_open["summary"]["half_open"], 1);
}

#[test]
fn a_recent_decision_is_explained() {
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(Pairing::Unknown, true);
    bench.serve(known(0), false);
    let found = bench.get(&format!("/v1/decisions/{FIRST}")).json();
    assert_eq!(found["record"]["decision_id"], FIRST);
    assert_eq!(found["record"]["decision"], "QUARANTINE");
    assert_eq!(found["record"]["outcome"], "open");
    assert_eq!(found["outcome"]["status"], 200);
    let why = &found["explanation"];
    let factor = &why["factors"][0];
    assert_eq!(factor["factor"], "unknown_endpoint");
    assert_eq!(factor["reading_bp"], 10_000);
    assert_eq!(factor["weight_bp"], 7_000);
    assert_eq!(factor["contribution_bp"], 7_000);
    assert_eq!(why["abuse_bp"], 7_000);
    assert_eq!(why["deciding_reason"], "NO_CONTRACT_MATCH");
    assert_eq!(why["withheld_actions"][0], "quarantine");
    let second = bench.get("/v1/decisions/deadbeef00000000000001").json();
    assert_eq!(second["record"]["contract_id"], "deploy_get_v1");
    assert_eq!(second["outcome"], Value::Null);
    let unknown = "/v1/decisions/deadbeef00000000000009";
    bench.get(unknown).check_problem(404, "no-such-decision");
    for bad in ["x", "DEADBEEF00000000000000", "..%2f..%2fetc"] {
        let path = format!("/v1/decisions/{bad}");
        bench.get(&path).check_problem(400, "decision-id");
    }
}

#[test]
fn a_decision_without_its_rulebook_is_shown_unexplained() {
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(known(0), false);
    let rulebooks = bench.dir.path().join("rulebooks");
    std::fs::remove_dir_all(rulebooks).expect("it is there");
    let found = bench.get(&format!("/v1/decisions/{FIRST}")).json();
    assert_eq!(found["record"]["decision"], "ALLOW");
    let said = found["unexplained"].as_str().expect("a reason");
    assert!(said.contains("restore the file"), "{said}");
}

#[test]
fn a_changed_record_is_not_shown_as_true() {
    let bench = Bench::start(Tier::ObserveOnly);
    bench.serve(known(0), false);
    let segments = std::fs::read_dir(bench.dir.path().join("segments"));
    let segments = segments.or_else(|_| std::fs::read_dir(bench.dir.path()));
    let mut changed = 0;
    for entry in segments.expect("the ledger's directory") {
        let path = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        if text.contains("\"decision\":\"ALLOW\"") {
            let forged = text.replace("\"decision\":\"ALLOW\"", "\"decision\":\"ALLOW_\"");
            std::fs::write(&path, forged).expect("writable");
            changed += 1;
        }
    }
    assert_eq!(changed, 1);
    let reply = bench.get(&format!("/v1/decisions/{FIRST}"));
    reply.check_problem(500, "ledger-unreadable");
}

#[test]
fn pages_of_a_browser_are_refused() {
    let bench = Bench::start(Tier::ObserveOnly);
    let table = [
        ("Host: evil.example\r\n", 403),
        ("Host: localhost.evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
        ("", 403),
        ("Host: 127.0.0.1:9901\r\n", 200),
        ("Host: [::1]\r\n", 200),
    ];
    for path in ["/metrics", "/v1/status", "/nowhere"] {
        for (fields, want) in table {
            let head = format!("GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
            let want = if path == "/nowhere" && want == 200 {
                404
            } else {
                want
            };
            assert_eq!(bench.send(&head).status, want, "{path} {fields:?}");
        }
    }
}

#[test]
fn changes_are_answered_and_guarded() {
    let bench = Bench::start(Tier::Control);
    let json = "Content-Type: application/json";
    let table = [
        ("/v1/reload", json, "", 422),
        ("/v1/reload", json, "{}", 422),
        ("/v1/reload", json, "{\"force\":true}", 400),
        ("/v1/reload", json, "x", 400),
        ("/v1/reload", "Accept: */*", "", 415),
        ("/v1/reload", "Content-Type: text/plain", "{}", 415),
        (
            "/v1/reload",
            "Content-Type: application/json\r\nOrigin: null",
            "",
            403,
        ),
        ("/v1/tier", json, "{\"tier\":\"observe_only\"}", 200),
        (
            "/v1/tier",
            json,
            "{\"tier\":\"observe_only\",\"reason\":\"a flood\"}",
            200,
        ),
        (
            "/v1/tier",
            json,
            "{\"tier\":\"observe_only\",\"reason\":\"a\\nb\"}",
            400,
        ),
        (
            "/v1/tier",
            json,
            "{\"tier\":\"observe_only\",\"reason\":1}",
            400,
        ),
        ("/v1/tier", json, "{\"tier\":\"control\"}", 409),
        ("/v1/tier", json, "{\"tier\":\"autonomous\"}", 500),
        ("/v1/tier", json, "{\"tier\":\"OBSERVE_ONLY\"}", 400),
        (
            "/v1/tier",
            json,
            "{\"tier\":\"observe_only\",\"for\":1}",
            400,
        ),
        ("/v1/tier", json, "{}", 400),
        ("/v1/tier", json, "", 400),
        (
            "/v1/tier",
            "Content-Type: text/plain",
            "{\"tier\":\"observe_only\"}",
            415,
        ),
    ];
    for (path, field, body, want) in table {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let reply = bench.send(&head);
        assert_eq!(reply.status, want, "{path} {field} {body}: {reply:?}");
        if want == 422 {
            assert_eq!(reply.json()["findings"][0]["line"], 2);
        }
    }
    let long = " ".repeat(5_000);
    let head = format!(
        "POST /v1/tier HTTP/1.1\r\nHost: localhost\r\n{json}\r\nContent-Length: 5000\r\n\
         Connection: close\r\n\r\n{long}"
    );
    bench.send(&head).check_problem(413, "body");
    let status = bench.get("/v1/status").json();
    assert_eq!(status["kill_switch"]["tier"], "CONTROL");
    assert_eq!(status["last_reload"]["result"], "refused");
    assert_eq!(status["needs_restart"][0], "threads");
    assert_eq!(status["active_since_unix_ms"], 5);
}

#[test]
fn a_bundle_names_what_it_replaces_and_has_a_limit_of_its_own() {
    let bench = Bench::start(Tier::Control);
    let json = "Content-Type: application/json\r\n";
    let check = |fields: &str, body: &str, want: u16| {
        let length = body.len();
        let reply = bench.send(&format!(
            "POST /v1/bundle HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ));
        assert_eq!(reply.status, want, "{fields}: {reply:?}");
        reply
    };
    check("If-Match: \"none\"\r\n", "{}", 415);
    check(json, "{}", 428).check_problem(428, "if-match");
    for unreadable in [
        "*",
        "none",
        "\"\"",
        "W/\"a\"",
        "\"a\", \"b\"",
        "\"a\"\r\nIf-Match: \"b\"",
    ] {
        let reply = check(&format!("{json}If-Match: {unreadable}\r\n"), "{}", 400);
        reply.check_problem(400, "if-match");
    }
    let none = format!("{json}If-Match: \"none\"\r\n");
    let refused = check(&none, "{}", 422).json();
    assert_eq!(refused["code"], "UNKNOWN_KEY");
    assert_eq!(
        (&refused["epoch"], &refused["serial"]),
        (&1.into(), &2.into())
    );
    check(&none, &" ".repeat(100_000), 422);
    let other = format!("{json}If-Match: \"{}\"\r\n", "a".repeat(64));
    let raced = check(&other, "{}", 412).json();
    assert_eq!(raced["code"], "STATE_CHANGED");
    let large = check(&none, &" ".repeat((16 << 20) + 1), 413).json();
    assert_eq!(large["code"], "BUNDLE_TOO_LARGE");
    let status = bench.get("/v1/status").json();
    assert_eq!(
        status["bundle"],
        serde_json::json!({"signed": false, "active": null})
    );
}

#[test]
fn only_get_is_served_and_unknown_paths_are_problems() {
    let bench = Bench::start(Tier::ObserveOnly);
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let reply = bench.ask(method, "/v1/status");
        reply.check_problem(405, "method-not-allowed");
        assert!(reply.head.contains("\r\nallow: get"), "{reply:?}");
        assert_eq!(reply.head.matches("\r\nallow:").count(), 1, "{reply:?}");
    }
    for path in CHANGING {
        let reply = bench.get(path);
        reply.check_problem(405, "method-not-allowed");
        assert!(reply.head.contains("\r\nallow: post"), "{reply:?}");
    }
    for path in ["/", "/v1", "/v1/status/", "/v2/status", "/metrics/x"] {
        bench.get(path).check_problem(404, "unknown-path");
    }
}

#[test]
fn the_description_names_every_route_and_no_other() {
    let bench = Bench::start(Tier::ObserveOnly);
    let description = bench.get("/openapi.json").json();
    assert_eq!(
        description,
        serde_json::from_str::<Value>(OPENAPI).expect("JSON")
    );
    let paths = description["paths"].as_object().expect("paths");
    let routed: Vec<&str> = routes().iter().map(|(path, _)| *path).collect();
    for path in &routed {
        assert!(paths.contains_key(*path), "{path} is not described");
        let operations = paths[*path].as_object().expect("operations");
        let method = if CHANGING.contains(path) {
            "post"
        } else {
            "get"
        };
        assert!(
            operations.keys().eq([method]),
            "{path} is more than {method}"
        );
    }
    assert_eq!(paths.len(), routed.len());
    for (path, item) in paths {
        if CHANGING.contains(&path.as_str()) {
            continue;
        }
        let reply = bench.get(&path.replace("{id}", "0000000000000000000000"));
        let described = &item["get"]["responses"][reply.status.to_string()];
        assert!(described.is_object(), "{path} answers {}", reply.status);
    }
}

#[test]
fn a_port_in_use_and_an_open_address_are_refused_with_a_remedy() {
    // R280
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let error = AdminPort::open(address).expect_err("it is taken");
    assert!(matches!(error, AdminError::Bind { .. }));
    let said = error.to_string();
    assert!(
        said.contains(&address.to_string()) && said.contains("admin.bind"),
        "{said}"
    );
    for open in ["0.0.0.0:0", "10.0.0.1:0", "[::]:0"] {
        let address = open.parse().expect("an address");
        let error = AdminPort::open(address).expect_err("not loopback");
        assert!(error.to_string().contains("127.0.0.1:9901"), "{error}");
    }
}

#[test]
fn a_stop_ends_idle_connections_and_frees_the_port() {
    let mut bench = Bench::start(Tier::ObserveOnly);
    let address = bench.address();
    let mut kept = TcpStream::connect(address).expect("it listens");
    kept.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it reads");
    let mut byte = [0_u8; 1];
    kept.read_exact(&mut byte).expect("it answers");
    let silent = TcpStream::connect(address).expect("it listens");
    let began = Instant::now();
    let admin = bench.admin.take().expect("running");
    assert_eq!(admin.stop(Duration::from_millis(500)), 0);
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).expect("closed");
    drop(silent);
    TcpListener::bind(address).expect("the port is free again");
}
