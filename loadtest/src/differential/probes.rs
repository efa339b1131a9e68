//! The file of probes as exchanges, each through both listeners.

use super::exchange::{Answer, Door, End, Exchange, Step};
use super::generate::SLOTS;
use crate::probes::{Probe, all, identity};

/// Numbers of exchanges that are probes begin here.
pub(super) const FIRST: u64 = 1_000_000;
/// Between two pieces of either side.
const APART_MS: u64 = 10;
/// After this silence nothing more is expected.
const SILENCE_MS: u64 = 150;

/// Every `stride`-th probe, of the client and of the upstream.
pub(super) fn exchanges(stride: usize) -> anyhow::Result<Vec<Exchange>> {
    let mut probes = all()?;
    probes.extend(identity()?);
    let doors = [Door::Control, Door::Observe];
    let mut exchanges = Vec::new();
    for probe in probes.iter().step_by(stride) {
        for door in doors {
            let number = FIRST + exchanges.len() as u64;
            exchanges.push(exchange(probe, number, door));
        }
    }
    Ok(exchanges)
}

fn exchange(probe: &Probe, number: u64, door: Door) -> Exchange {
    let mut slot = 0;
    let mut steps = Vec::new();
    for (n, sent) in probe.sends.iter().enumerate() {
        let mut sent = sent.clone();
        if let Some(at) = super::message::find(&sent, b"/a/@") {
            slot = (number % SLOTS as u64) as usize;
            sent.splice(at..at + 4, format!("/w{slot}/o/9").into_bytes());
        }
        if n > 0 {
            steps.push(Step::Pause(APART_MS));
        }
        steps.push(Step::Send(sent));
    }
    steps.push(Step::Quiet(SILENCE_MS));
    let answer = Answer {
        pieces: probe.answers.clone(),
        pause_ms: APART_MS,
        end: if probe.closes { End::Close } else { End::Keep },
        ..Answer::default()
    };
    Exchange {
        number,
        class: format!("probe {}", probe.name),
        slot,
        door,
        fresh: true,
        steps,
        fallback: probe.is_answer().then(|| vec![answer]),
        requests: probe.count,
        settle_ms: APART_MS,
        ..Exchange::default()
    }
}
