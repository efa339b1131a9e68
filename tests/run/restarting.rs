//! What a restart keeps of each contract, and what it does not believe.

use serde_json::{Value, json};

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{eventually, nobody};

fn circuits(process: &Process) -> Value {
    let answer = process.ask("/v1/circuits");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn said(process: &Process, event: &str) -> Option<Value> {
    let log = process.log();
    log.into_iter().find(|entry| entry["event"] == event)
}

#[test]
fn an_open_circuit_outlives_a_restart_and_a_bad_snapshot_does_not() {
    // R074
    let installation = Installation::in_front_of(nobody()).controlling();
    let process = Process::start(&installation);
    assert_eq!(circuits(&process)["circuits"], Value::Array(vec![]));
    for _ in 0..5 {
        assert_eq!(process.get("/api/v1/status").status(), 502);
    }
    eventually("the line of the circuit", || {
        said(&process, "circuit_opened").is_some()
    });
    let line = said(&process, "circuit_opened").unwrap();
    assert_eq!(line["contract"], "status_v1");
    assert_eq!((&line["mode"], &line["epoch"]), (&"real".into(), &1.into()));
    assert!(process.metric("tidegate_circuit_transitions_total", "to=\"open\"") >= 1.0);
    process.stop();
    assert!(installation.path("state/snapshot.json").exists());

    let process = Process::start_again(&installation);
    assert!(said(&process, "snapshot_restored").is_some());
    let kept = circuits(&process);
    let row = &kept["circuits"][0];
    assert_eq!(
        (&row["contract"], &row["epoch"]),
        (&"status_v1".into(), &1.into())
    );
    // Its time may be over by now, but nobody has probed it.
    assert!(row["state"] != "closed", "{row}");
    assert_eq!(kept["summary"]["closed"], 3, "{kept}");
    process.stop();

    std::fs::write(installation.path("state/snapshot.json"), "{").unwrap();
    let process = Process::start_again(&installation);
    let ignored = said(&process, "snapshot_ignored").unwrap();
    assert!(
        ignored["why"].as_str().unwrap().contains("cannot be read"),
        "{ignored}"
    );
    assert_eq!(circuits(&process)["circuits"], Value::Array(vec![]));
}

#[test]
fn a_restart_does_not_shed_for_a_circuit_that_closed_long_ago() {
    // R074
    let installation = Installation::in_front_of(nobody()).controlling();
    let process = Process::start(&installation);
    assert_eq!(process.get("/api/v1/status").status(), 502);
    process.stop();

    let path = installation.path("state/snapshot.json");
    let mut snapshot: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let routes = snapshot["routes"].as_array_mut().unwrap();
    let used = routes
        .iter_mut()
        .find(|route| route["contract"] == "status_v1");
    // Half an hour ago, and beside it a limit that is used up for a day and a route that is wrong.
    let closed = json!({ "state": "closed", "epoch": 7, "step": 3, "at_cs": -180_000 });
    let used = used.unwrap();
    used["circuits"] = json!([null, closed]);
    used["rate_tat_ns"] = json!([0, 86_400_000_000_000_u64]);
    routes.push(json!({ "contract": "wrong", "learning_us": vec![1; 12] }));
    std::fs::write(&path, snapshot.to_string()).unwrap();

    let process = Process::start_again(&installation);
    assert!(said(&process, "snapshot_restored").is_some());
    let ignored = said(&process, "snapshot_routes_ignored").unwrap();
    assert_eq!(ignored["routes"], 1, "{ignored}");
    let row = &circuits(&process)["circuits"][0];
    assert_eq!(
        (&row["state"], &row["epoch"]),
        (&"closed".into(), &7.into())
    );
    for _ in 0..4 {
        assert_eq!(process.get("/api/v1/status").status(), 502, "sent on");
    }
    process.stop();
}
