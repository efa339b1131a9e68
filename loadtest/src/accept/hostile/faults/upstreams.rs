//! Upstreams that fail in every way that one can: each request ends within its bound, a cut answer
//! never looks whole, and nobody gets the answer of another.

use std::time::Duration;

use super::Rows;
use super::client::{Answered, Ask, Ended};
use super::place::{BOUND, Place};
use crate::accept::Context;
use crate::upstream::Gate;

/// How long a client waits for the end of what drips.
const DRIP_BOUND: Duration = Duration::from_secs(2);

/// How requests may end while a fault lasts.
struct Fault {
    name: &'static str,
    /// What the upstream does to connections.
    gate: Gate,
    /// What is asked for; `/f` itself where the gate does it.
    target: &'static str,
    /// Statuses of the gateway's own.
    told: &'static [u16],
    /// Whether an answer of the upstream may come through whole.
    served: bool,
    /// Whether a request that may not be sent again may meet the end of a kept connection: which
    /// requests come upon one depends on who was faster.
    meets_end: bool,
    /// Whether an answer may break off.
    cut: bool,
    /// Whether its body may come for ever, as long as it comes.
    drips: bool,
}

const fn gate(name: &'static str, gate: Gate, told: &'static [u16], served: bool) -> Fault {
    Fault {
        name,
        gate,
        target: "/f",
        told,
        served,
        meets_end: false,
        cut: false,
        drips: false,
    }
}

const fn script(name: &'static str, target: &'static str, told: &'static [u16]) -> Fault {
    Fault {
        name,
        gate: Gate::Open,
        target,
        told,
        served: false,
        meets_end: false,
        cut: false,
        drips: false,
    }
}

/// It may come through whole as well.
const fn served(fault: Fault) -> Fault {
    Fault {
        served: true,
        ..fault
    }
}

/// It keeps connections and ends them: what may be sent again is served.
const fn meets_end(fault: Fault) -> Fault {
    Fault {
        meets_end: true,
        ..served(fault)
    }
}

/// Its head is sent on before anybody can know: the client sees the break.
const fn cut(fault: Fault) -> Fault {
    Fault { cut: true, ..fault }
}

/// It never ends, and each byte comes in time: the client is the one who gives up.
const fn drips(fault: Fault) -> Fault {
    Fault {
        drips: true,
        ..fault
    }
}

const FAULTS: &[Fault] = &[
    gate("connect refused", Gate::Refuse, &[502], false),
    gate("accept and close", Gate::CloseAtOnce, &[502], false),
    gate("slow accept", Gate::AcceptSlowly, &[504], true),
    gate("flap at 1 Hz", Gate::Flap, &[502], true),
    script("reset before head", "/f?do=fault/reset-before-head", &[502]),
    script("reset in head", "/f?do=fault/reset-in-head", &[502]),
    cut(script("reset in body", "/f?do=fault/reset-in-body", &[])),
    script("close before head", "/f?do=fault/close-before-head", &[502]),
    script("close in head", "/f?do=fault/close-in-head", &[502]),
    drips(script("drip, head", "/f?do=fault/drip-head", &[504])),
    drips(script("drip, body", "/f?do=fault/drip-body", &[])),
    script("garbage: bytes", "/f?do=fault/garbage-binary", &[502]),
    script("garbage: text", "/f?do=fault/garbage-text", &[502]),
    script("garbage: no head", "/f?do=fault/garbage-html", &[502]),
    script("garbage: version", "/f?do=fault/garbage-version", &[502]),
    script("garbage: status", "/f?do=fault/garbage-status", &[502]),
    script(
        "garbage: long status",
        "/f?do=fault/garbage-status-long",
        &[502],
    ),
    script("garbage: field", "/f?do=fault/garbage-field", &[502]),
    script("garbage: NUL", "/f?do=fault/garbage-nul", &[502]),
    script("two lengths", "/f?do=fault/length-twice", &[502]),
    script(
        "length is no number",
        "/f?do=fault/length-no-number",
        &[502],
    ),
    served(script(
        "length and chunked",
        "/f?do=fault/length-and-chunked",
        &[502],
    )),
    cut(script("length too long", "/f?do=fault/length-short", &[])),
    served(script("length too short", "/f?do=fault/length-long", &[])),
    cut(script("chunks cut", "/f?do=fault/chunked-cut", &[])),
    cut(script("chunk size", "/f?do=fault/chunked-size", &[502])),
    script("101 unasked", "/f?do=fault/switching", &[502]),
    served(script("early answer", "/f?do=fault/early", &[])),
    served(script(
        "early answer, closed",
        "/f?do=fault/early-close",
        &[502],
    )),
    served(script("huge head", "/f?do=fault/huge-head", &[502])),
    script("endless head", "/f?do=fault/endless-head", &[502]),
    served(script(
        "flood of interim answers",
        "/f?do=fault/interim-flood",
        &[502],
    )),
    served(script(
        "unasked answer behind",
        "/f?do=fault/extra-bytes",
        &[],
    )),
    meets_end(script("kept, then closed", "/f?do=fault/close-behind", &[])),
    meets_end(script(
        "closed at the next",
        "/f?do=fault/close-at-next",
        &[],
    )),
];

/// Silence is waited for as long as the contract says, where the tier lets us: in CONTROL. Each has a
/// contract of its own, for a circuit counts what happened before.
const SILENT: &[Fault] = &[
    Fault {
        target: "/s0",
        ..gate("black hole", Gate::BlackHole, &[504], false)
    },
    script("silent", "/s1?do=fault/silent", &[504]),
    script("silent in head", "/s2?do=fault/silent-in-head", &[504]),
    cut(script("silent in body", "/s3?do=fault/silent-in-body", &[])),
];

/// Each waits for seconds, and a like of it is done at any scale.
const SLOW: &[&str] = &["drip, head"];

pub(super) fn rows(context: &Context, rows: &mut Rows) -> anyhow::Result<()> {
    let observing = Place::new(&context.folder("faults-upstream"))?;
    let slow = context.pick(SLOW, &[]);
    let now = FAULTS.iter().filter(|fault| !slow.contains(&fault.name));
    slow.iter().for_each(|name| rows.leave_out(name));
    all(observing, now, rows)?;
    let controlling = Place::controlling(&context.folder("faults-silent"))?;
    all(controlling, SILENT.iter(), rows)
}

fn all<'f>(
    mut place: Place,
    faults: impl Iterator<Item = &'f Fault>,
    rows: &mut Rows,
) -> anyhow::Result<()> {
    let gateway = place.start(&[])?;
    for fault in faults {
        let judged = judged(&mut place, fault);
        place.upstream.gate(Gate::Open);
        rows.note(fault.name, judged);
    }
    rows.note("accounts of these", place.close(gateway));
    Ok(())
}

fn judged(place: &mut Place, fault: &Fault) -> anyhow::Result<String> {
    place.upstream.gate(fault.gate);
    let asks = [0, 20_000, 0, 300].map(|body| Ask {
        target: fault.target,
        body,
        bound: if fault.drips { DRIP_BOUND } else { BOUND },
    });
    // A flap has to be met in both of its halves.
    let lots = if fault.gate == Gate::Flap { 6 } else { 1 };
    let mut answers = Vec::new();
    for lot in 0..lots {
        if lot > 0 {
            std::thread::sleep(Duration::from_millis(230));
        }
        answers.extend(place.ask(asks)?);
    }
    let wrong = answers.iter().find(|answer| !allowed(fault, answer));
    let tail = |answer: &Answered| (answer.ended, answer.body.len(), answer.took);
    anyhow::ensure!(wrong.is_none(), "ended as {:?}", wrong.map(tail));
    let slowest = answers.iter().map(|answer| answer.took).max();
    let recovered = place.recovered()?;
    Ok(format!(
        "{}; at most {} ms, well after {} ms",
        ends(&answers),
        slowest.unwrap_or_default().as_millis(),
        recovered.as_millis()
    ))
}

fn allowed(fault: &Fault, answer: &Answered) -> bool {
    match answer.ended {
        Ended::Whole(502, true) if fault.meets_end && !answer.is_repeatable => true,
        Ended::Whole(status, true) => fault.told.contains(&status),
        // A foreign answer behind its own would be another body.
        Ended::Whole(status, false) => fault.served && status == 200 && answer.body != b"smuggled",
        Ended::Cut => fault.cut,
        Ended::Dripping => fault.drips,
        Ended::Unanswered | Ended::Late => false,
    }
}

/// Each kind of end with its count.
fn ends(answers: &[Answered]) -> String {
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for answer in answers {
        let kind = match answer.ended {
            Ended::Whole(status, own) => format!("{status}{}", if own { " of ours" } else { "" }),
            other => format!("{other:?}").to_lowercase(),
        };
        *counts.entry(kind).or_default() += 1;
    }
    let told: Vec<String> = counts
        .iter()
        .map(|(kind, n)| format!("{n} x {kind}"))
        .collect();
    told.join(", ")
}
