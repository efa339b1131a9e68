//! The list of observation: real traffic goes through, nothing is changed, everything is recorded.

use super::{
    List, chain, closed, cost, crash, full_part, headers, identity, part, scrape, speed, tamper,
    wire,
};

/// Real traffic, observed.
pub static OBSERVE: List = List {
    name: "observe",
    title: "Acceptance: real traffic, observed",
    parts: &[
        part(
            "wire",
            "answers of a real nginx byte for byte, unknown paths and odd methods too",
            wire::byte_for_byte,
        ),
        part(
            "headers",
            "expose_headers shows contract, decision and risk, and only then",
            headers::exposed_on_request,
        ),
        part(
            "closed",
            "without a valid rulebook the data port stays closed: exit 78, the place is named",
            closed::without_a_rulebook,
        ),
        part(
            "verify",
            "ledger verify accepts what the gateway wrote",
            chain::intact,
        ),
        part(
            "tamper",
            "one byte changed in any file: exit 65, and record or file are named",
            tamper::tampered,
        ),
        part(
            "lock",
            "a second process on the directory is refused",
            chain::second_process,
        ),
        part(
            "jq",
            "jq and sha256sum verify any line",
            chain::independent_hash,
        ),
        part(
            "replay",
            "decisions made under load by two workers replay with 0 differences",
            chain::replayed,
        ),
        part(
            "identities",
            "heads = decisions + refused; upstream = forwarded + retries - never sent; ledger = metrics",
            identity::hold,
        ),
        part(
            "control",
            "the same in tier CONTROL; answered by us, by status: ledger = driver",
            identity::hold_under_control,
        ),
        part(
            "scrape",
            "promtool accepts the metrics",
            scrape::accepted_by_promtool,
        ),
        part(
            "kill",
            "SIGKILL under load, restart, verify: clean, the torn tail reported",
            crash::killed,
        ),
        part(
            "memory",
            "distinct unknown paths: RSS grows by less than 10 MiB, series not at all",
            cost::unknown_paths,
        ),
        part(
            "cpu",
            "CPU per request over a bare pass-through at most +12 % (judged at full scale)",
            cost::cpu,
        ),
        // At small scale the steps before this one show the same, but for the times.
        full_part(
            "benches",
            "admit, match, push, complete, line + chain: median of the best of 3 runs inside its bound",
            speed::times,
        ),
        full_part(
            "instructions",
            "admit without I/O at most 1,500 instructions",
            speed::instructions,
        ),
        full_part(
            "allocations",
            "admit, end and ring push without an allocation",
            speed::allocations,
        ),
    ],
};
