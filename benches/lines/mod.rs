//! What the benchmarks of the ledger share: an event and a line of the usual size, a running ledger.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::path::Path;

use tidegate::ledger::{
    BootId, EntryBuilder, Key, Lane, Ledger, LedgerKey, OpenFacts, Producer, Settings, Source,
    SyncMode, ring,
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

/// A decision line of the usual size, about 1,090 bytes, with the usual types of member.
pub(crate) fn encode(entry: &mut EntryBuilder<'_>, source: Source, event: &Event) {
    let [a, b, c, ..] = event.numbers;
    let mut id = [0_u8; 22];
    hex::encode_to_slice(source.boot.as_u32().to_be_bytes(), &mut id[..8]).unwrap();
    hex::encode_to_slice([source.worker], &mut id[8..10]).unwrap();
    hex::encode_to_slice(&event.n.to_be_bytes()[2..], &mut id[10..]).unwrap();
    entry.uint(const { Key::new("abuse_bp") }, a);
    entry.words(const { Key::new("actions_taken") }, ["log", "report"]);
    entry.words(
        const { Key::new("allowed_actions") },
        ["log", "propose", "report"],
    );
    entry.word(const { Key::new("circuit") }, "closed");
    entry.text(const { Key::new("client") }, "0123456789abcdef");
    entry.text(const { Key::new("contract_id") }, "deploy_get_v1");
    entry.word(const { Key::new("decision") }, "ALLOW");
    entry.plain(const { Key::new("decision_id") }, &id);
    entry.uint(const { Key::new("distress_bp") }, b);
    entry.text(
        const { Key::new("endpoint_key") },
        "GET /api/v1/deployments/{id}",
    );
    entry.counts(
        const { Key::new("factors") },
        [("error_rate", a), ("latency", b)],
    );
    entry.uints(
        const { Key::new("inputs") },
        event.numbers.into_iter().take(24),
    );
    entry.text(const { Key::new("instance") }, "gateway-1");
    entry.word(const { Key::new("kind") }, "decision");
    entry.uint(const { Key::new("latency_us") }, c);
    entry.word(const { Key::new("method") }, "GET");
    entry.uint(const { Key::new("n") }, event.n);
    entry.word(const { Key::new("outcome") }, "done");
    entry.word(const { Key::new("phase") }, "enforce");
    entry.text(const { Key::new("policy_hash") }, POLICY_HASH);
    entry.words(const { Key::new("reason_codes") }, ["LOW_RISK_SCORE"]);
    entry.uint(const { Key::new("risk_bp") }, a);
    entry.uint(const { Key::new("status") }, 200);
    entry.word(const { Key::new("tier") }, "OBSERVE_ONLY");
    entry.bytes(const { Key::new("trace_id") }, &event.text[..32]);
    entry.uint(const { Key::new("ts_us") }, 1_700_000_000_000_000 + event.n);
    entry.uint(const { Key::new("upstream_status") }, 200);
    entry.uint(const { Key::new("worker") }, u64::from(source.worker));
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
