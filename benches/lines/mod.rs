//! What the benchmarks of the ledger share: an event and a line of the usual size, a running ledger.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::path::Path;

use tidegate::ledger::{
    BootId, EntryBuilder, Lane, Ledger, LedgerKey, OpenFacts, Producer, Settings, Source, SyncMode,
    ring,
};

/// The rulebook that the records name, and its SHA-256.
pub(crate) const RULEBOOK: &[u8] = b"{}";
pub(crate) const POLICY_HASH: &str =
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
/// Events that the ring holds.
pub(crate) const RING: usize = 1 << 13;
/// As large as the event of a real decision.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) n: u64,
    pub(crate) numbers: [u64; 70],
    pub(crate) text: [u8; 128],
}

pub(crate) const EVENT: Event = Event {
    n: 0,
    numbers: [123_456; 70],
    text: [b'a'; 128],
};

pub(crate) fn source(worker: u8) -> Source {
    Source {
        boot: BootId::from_u32(1),
        worker,
    }
}

/// A decision line of the usual size, about 900 bytes, with the usual types of member.
pub(crate) fn encode(entry: &mut EntryBuilder<'_>, source: Source, event: &Event) {
    let [a, b, c, ..] = event.numbers;
    let mut id = [0_u8; 22];
    hex::encode_to_slice(source.boot.as_u32().to_be_bytes(), &mut id[..8]).unwrap();
    hex::encode_to_slice([source.worker], &mut id[8..10]).unwrap();
    hex::encode_to_slice(&event.n.to_be_bytes()[2..], &mut id[10..]).unwrap();
    entry.uint("abuse_bp", a);
    entry.names("actions_taken", ["log", "report"]);
    entry.names("allowed_actions", ["log", "propose", "report"]);
    entry.text("circuit", "closed");
    entry.text("client", "0123456789abcdef");
    entry.text("contract_id", "deploy_get_v1");
    entry.text("decision", "ALLOW");
    entry.bytes("decision_id", &id);
    entry.uint("distress_bp", b);
    entry.text("endpoint_key", "GET /api/v1/deployments/{id}");
    entry.counts("factors", [("error_rate", a), ("latency", b)]);
    entry.uints("inputs", event.numbers.into_iter().take(24));
    entry.text("instance", "gateway-1");
    entry.text("kind", "decision");
    entry.uint("latency_us", c);
    entry.text("method", "GET");
    entry.uint("n", event.n);
    entry.text("outcome", "done");
    entry.text("phase", "enforce");
    entry.text("policy_hash", POLICY_HASH);
    entry.names("reason_codes", ["LOW_RISK_SCORE"]);
    entry.uint("risk_bp", a);
    entry.uint("status", 200);
    entry.text("tier", "OBSERVE_ONLY");
    entry.bytes("trace_id", &event.text[..32]);
    entry.uint("ts_us", 1_700_000_000_000_000 + event.n);
    entry.uint("upstream_status", 200);
    entry.uint("worker", u64::from(source.worker));
}

pub(crate) fn start(dir: &Path, mode: SyncMode) -> (Ledger, Producer<Event>) {
    let (producer, consumer) = ring::<Event>(source(0), RING);
    let facts = OpenFacts {
        boot: source(0).boot,
        instance: "gateway-1".to_owned(),
        version: "0".to_owned(),
        policy_hash: POLICY_HASH.to_owned(),
        client_key_id: None,
        bundle: None,
    };
    let settings = Settings::new(dir)
        .sync(mode)
        .signed_by(LedgerKey::from_seed([1; 32]));
    let ledger = Ledger::start(&settings, &facts, RULEBOOK, vec![consumer], encode).unwrap();
    (ledger, producer)
}

/// Pushes `count` events as fast as the writer takes them.
pub(crate) fn feed(ledger: &Ledger, producer: &mut Producer<Event>, count: u64) {
    for _ in 0..count {
        if producer.made().is_multiple_of(1_024) {
            while ledger.snapshot().queued > RING as u64 - 2_048 {
                std::thread::yield_now();
            }
        }
        let n = producer.next_number();
        producer.push(Lane::Ordinary, Some(n), Event { n, ..EVENT });
    }
}
