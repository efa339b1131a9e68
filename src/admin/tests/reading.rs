//! What is shown of a gateway: its metrics, status, contracts, baselines, circuits and newest head.

use serde_json::Value;

use super::bench::{Bench, PATIENCE};
use crate::contract::Pairing;
use crate::ledger::{LedgerKey, SignedNote};
use crate::observation::{Backoff, Mode};
use crate::telemetry::fixture::{arrival, content, known};
use crate::units::{Millis, Tier};

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
