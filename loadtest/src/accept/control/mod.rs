//! The list of control: what is decided is done, exactly so, and nothing else is harmed.

mod apart;
mod circuit;
mod demo;
mod files;
mod keys;
mod limits;
mod reloads;
mod stall;
mod switches;
mod tenants;
mod ticker;
mod tiers;
mod workers;

use super::{List, full_part, part, speed, tested};

pub(super) use reloads::mixed;

/// Limits, circuits, tiers, answers, live rules.
pub static CONTROL: List = List {
    name: "control",
    title: "Acceptance: control",
    parts: &[
        part(
            "tiers",
            "the same traffic in both tiers: decided alike, acted upon apart, nothing but the decision id added where it is observed",
            tiers::apart,
        ),
        part(
            "limits",
            "200 requests at once against 10 a minute: the burst passes, the rest gets 429; who obeys Retry-After succeeds",
            limits::burst,
        ),
        part(
            "hour",
            "one hour in virtual time at any phase: admitted within one burst of the limit",
            limits::hour,
        ),
        part(
            "circuit",
            "one failure opens nothing; many do; at most five probes; a longer wait each time; the neighbour is served; nobody is quarantined",
            circuit::life,
        ),
        part(
            "stall",
            "5 s stall at 70 % load, three retries: good again above 95 % within 15 s; beside it the same without the gateway",
            stall::both,
        ),
        part(
            "reloads",
            "reloads under load, half of them broken: 0 failed requests, each told, no record with mixed rules",
            reloads::under_load,
        ),
        part(
            "switches",
            "the kill switch holds at once and over a restart and is never raised; a listener's lower tier holds",
            switches::hold,
        ),
        part(
            "delay",
            "requests over a limit wait for their turn, only so long and only so many",
            apart::delayed,
        ),
        part(
            "apart",
            "quarantine rejects, diverts and shadows under one case; drop closes",
            apart::set_apart,
        ),
        part(
            "tenants",
            "a client that is too fast is held to its limit and hurts no other",
            tenants::fair,
        ),
        part(
            "keys",
            "client keys without end: RSS grows by less than 10 MiB, shared slots are counted",
            keys::bounded,
        ),
        part(
            "files",
            "limits that contradict themselves are refused with place, rule and remedy",
            files::refused,
        ),
        part("demo", "tidegate demo passes its own check", demo::passes),
        full_part(
            "workers",
            "CPU per request of two workers over one: +10 %, with all traffic on one contract +25 %",
            workers::ratio,
        ),
        full_part(
            "ticker",
            "the ticker takes 0.2 % of a core at 100 contracts and 5 % at 10,000",
            ticker::share,
        ),
        // At small scale these run among the unit tests.
        full_part(
            "simulation",
            "crowds, moods and troubles in virtual time, many seeds",
            tested::simulation,
        ),
        full_part("laws", "the laws of risk in 10,000,000 cases", tested::laws),
        full_part(
            "behaviours",
            "the 25 behaviours that the sources name, one test each",
            tested::behaviours,
        ),
        full_part(
            "rows",
            "each row of docs/requirements.md names tests that exist",
            tested::rows,
        ),
        full_part(
            "benches",
            "admit at most 250 ns, complete at most 150 ns, with every factor",
            speed::times,
        ),
        full_part(
            "instructions",
            "instructions of the decision path, against the gate's ceilings",
            speed::counted,
        ),
        full_part(
            "allocations",
            "admit, end and ring push without an allocation",
            speed::allocations,
        ),
    ],
};
