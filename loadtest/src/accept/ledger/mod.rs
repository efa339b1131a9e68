//! The list of the ledger: what was decided can be proved, whatever happens to process and disk.

mod account;
mod copies;
mod kills;
mod rates;
mod small_disk;
mod stall;
mod syscalls;

pub(super) use account::Account;

use super::{Context, Verdict};
use super::{List, full_part, identity, part, tested};

/// Checkpoints, proofs, crash safety, no silent loss.
pub static LEDGER: List = List {
    name: "ledger",
    title: "Acceptance: the ledger as evidence",
    parts: &[
        part(
            "kills",
            "SIGKILLs under load: every acknowledged decision older than the durable lag is in the ledger, the rest is accounted for exactly",
            kills::under_load,
        ),
        part(
            "syscalls",
            "each system call of the ledger failing, delayed or fatal on the real process: the right verdict, nothing silent",
            syscalls::injected,
        ),
        part(
            "small_disk",
            "a ledger on 8 MB of tmpfs: requests go on, what is not written is counted, it recovers when there is room",
            small_disk::fills_up,
        ),
        part(
            "copies",
            "two processes on one directory, and a copied directory that goes on by itself, are told apart",
            copies::told_apart,
        ),
        part(
            "identities",
            "heads = decisions + refused; decisions = forwarded + answered; upstream = forwarded + retries - never sent; with retries, aborts and malformed heads",
            identities,
        ),
        part(
            "stalled_disk",
            "p99 of requests while the disk stalls 5 s, in rounds that alternate with quiet ones: unchanged",
            stall::unnoticed,
        ),
        part(
            "replay",
            "replay, with and without a candidate, at 300,000 decisions/s per core; exit 3 on differences",
            rates::replay,
        ),
        // At small scale these run among the unit tests.
        full_part(
            "crash",
            "a simulated disk crashed at every operation, also during recovery",
            crash,
        ),
        full_part(
            "adversary",
            "every byte truncated, every bit flipped, lines and files changed, notes forged: each detected",
            adversary,
        ),
        full_part(
            "oracles",
            "other people's RFC 6962, signed notes, openssl, jq and sha256sum accept proofs, heads and lines",
            oracles,
        ),
        full_part(
            "format",
            "the golden ledger of each format version verifies",
            format_holds,
        ),
        full_part(
            "speed",
            "writer 700,000 records/s without sync and 300,000 with it for 30 s, verify 400,000/s per core, push 30 ns, recovery of 256 MiB < 2 s, flat to 10 million",
            rates::benches,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
    ],
};

fn identities(context: &Context) -> anyhow::Result<Verdict> {
    // Some upstream connections break, so that requests are sent again and counted as such.
    identity::hold_over(context, "faulty", context.pick(20_000, 1_000_000))
}

/// Seeds of the crash simulation; each is run for every operation as the crash point.
fn crash(context: &Context) -> anyhow::Result<Verdict> {
    let seeds = context.pick("1", "2");
    tested::run(
        &["--lib", "ledger::crash"],
        &[("TIDEGATE_CRASH_SEEDS", seeds)],
        1,
    )
}

/// All eight bits of every byte; the ordinary run of the tests flips one of each.
fn adversary(_: &Context) -> anyhow::Result<Verdict> {
    tested::run(
        &["--test", "adversary"],
        &[("TIDEGATE_TEST_ALL_BITS", "1")],
        3,
    )
}

fn oracles(_: &Context) -> anyhow::Result<Verdict> {
    tested::run(&["--test", "proofs"], &[], 3)
}

fn format_holds(_: &Context) -> anyhow::Result<Verdict> {
    tested::run(&["--test", "adversary", "golden"], &[], 1)
}
