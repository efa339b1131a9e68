//! The list of performance: what a governed request costs, beside what others take for it.

mod decision;
mod differential;
mod growth;
mod ledger;
mod table;

use super::{List, full_part, part, tested};

/// Cheaper than what a user would pick instead.
pub static PERFORMANCE: List = List {
    name: "performance",
    title: "Acceptance: performance",
    parts: &[
        part(
            "differential",
            "the fast lane and the full proxy do the same: at least 100,000 generated requests and all probes, 0 differences",
            differential::both_ways,
        ),
        part(
            "table",
            "CPU, p99, memory and start beside nginx, HAProxy and bare Pingora, in interleaved rounds: each goal of the table",
            table::beside_peers,
        ),
        part(
            "decision",
            "admit + complete: at most 250 ns (full scale), 1,500 instructions, 0 allocations",
            decision::costs,
        ),
        part(
            "gate-fails",
            "the gate fails on an added allocation and on an added clock read",
            decision::gate_fails,
        ),
        // At small scale the gate counts its instructions.
        full_part(
            "match",
            "a path finds its contract in 60 ns of 1,000 and in 200 ns of 100,000",
            growth::matching,
        ),
        part(
            "memory",
            "10,000 contracts in 64 MiB, with one worker and two, each contract used; the most while all are exchanged is told",
            growth::memory,
        ),
        part(
            "start-up",
            "from exec to the first proxied answer in 150 ms with 10,000 contracts out of a signed bundle",
            growth::start_up,
        ),
        part(
            "client-keys",
            "1,000,000 client keys: 0 failed, memory bounded, a decision costs with the last what it did with the first",
            growth::client_keys,
        ),
        part(
            "idle",
            "10,000 idle connections: at most 4 KiB each beyond the buffers of their sockets",
            growth::idle,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
        // Builds a benchmark; the instructions of push and line are held by `make gate`.
        full_part(
            "ledger-writer",
            "at least 700,000 records/s a thread without sync at the real line size; push at most 30 ns, line and hash at most 1,200 ns",
            ledger::writer,
        ),
        part(
            "ledger-cost",
            "CPU of the ledger's writer thread per request of a gateway that serves as fast as it can: at most 2 us",
            ledger::cost,
        ),
    ],
};
