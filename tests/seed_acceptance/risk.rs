//! What raises risk: observed in `OBSERVE_ONLY`, so that no refusal changes what comes next.

use serde_json::{Value, json};

use crate::traffic::{record, records, request};

/// 60 requests in 6 s, of which `answer` says what became of them, and then one more.
fn after(answer: impl Fn(u64) -> (u16, u64)) -> (Value, Value) {
    let traffic: String = (0..=60)
        .map(|n| {
            let (status, latency_ms) = answer(n);
            request(n * 100, "GET", "/api/v1/status", status, latency_ms)
        })
        .collect();
    let mut found = records("observe_only", &traffic);
    let last = found.pop().unwrap();
    (found.swap_remove(0), last)
}

// R013, R034
#[test]
fn latency_raises_risk() {
    // 100 ms are agreed. Every other request is late: half of them is the worst reading.
    let (first, last) = after(|n| (200, if n % 2 == 0 { 150 } else { 20 }));
    assert_eq!(first["risk_bp"], 0);
    assert_eq!(last["factors"], json!({"latency": 10_000}));
    assert_eq!(last["risk_bp"], 5_000);
}

// R035
#[test]
fn errors_raise_risk() {
    let (first, last) = after(|n| (if n % 3 == 0 { 500 } else { 200 }, 20));
    assert_eq!(first["risk_bp"], 0);
    let input = |place: usize| last["inputs"][place].as_f64().unwrap();
    let (failed, of) = (input(9), input(10));
    assert_eq!((failed, of), (20.0, 60.0));
    // The lower end of Wilson's interval at one standard deviation, from a quarter of the
    // contract's threshold (one half) to all of it.
    let share = failed / of;
    let spread = (share * (1.0 - share) / of + 1.0 / (4.0 * of * of)).sqrt();
    let bound = (share + 1.0 / (2.0 * of) - spread) / (1.0 + 1.0 / of);
    let reading = (bound - 0.125) / (0.5 - 0.125) * 10_000.0;
    let told = last["factors"]["error_rate"].as_f64().unwrap();
    assert!((told - reading).abs() <= 5.0, "{told} is not {reading}");
    let risk = last["risk_bp"].as_f64().unwrap();
    assert!(
        (risk - 0.8 * reading).abs() <= 5.0,
        "{risk} of reading {reading}"
    );
}

// R039
#[test]
fn open_circuit_raises_risk() {
    // Five broken connections in a row open it.
    let traffic: String = (0..6)
        .map(|n| request(n * 100, "GET", "/api/v1/status", 0, 10))
        .collect();
    let found = records("observe_only", &traffic);
    assert_eq!(found[4]["circuit"], "closed");
    assert_eq!(found[4]["risk_bp"], 0);
    assert_eq!(found[5]["circuit"], "open");
    assert_eq!(found[5]["factors"]["circuit"], 10_000);
    assert_eq!(found[5]["risk_bp"], 10_000);
}

// R042
#[test]
fn unknown_endpoint_raises_risk() {
    assert_eq!(
        record("observe_only", "GET", "/api/v1/status")["risk_bp"],
        0
    );
    assert_eq!(record("observe_only", "GET", "/nowhere")["risk_bp"], 7_000);
}
