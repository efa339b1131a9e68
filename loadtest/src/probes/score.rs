//! Runs the whole set through one proxy, or through several side by side.

use std::path::Path;

use anyhow::Context as _;

use super::file::Probe;
use super::outcome::{Outcome, judge};
use super::recorder::Recorder;
use super::send;
use super::subject::{self, Kind};

/// What became of a set of probes behind one proxy.
pub struct Score {
    /// The proxy.
    pub kind: Kind,
    /// One outcome per probe, in their order.
    pub outcomes: Vec<Outcome>,
}

impl Score {
    /// How many of the probes came to an end that they accept.
    #[must_use]
    pub fn accepted(&self, probes: &[Probe]) -> usize {
        let pairs = self.outcomes.iter().zip(probes);
        pairs
            .filter(|(outcome, probe)| outcome.is_accepted(probe))
            .count()
    }

    /// How many probes came to this kind of an end.
    #[must_use]
    pub fn count(&self, word: &str) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.word() == word)
            .count()
    }

    /// Legal probes that were not passed on.
    #[must_use]
    pub fn legal_refused(&self, probes: &[Probe]) -> Vec<String> {
        let pairs = self.outcomes.iter().zip(probes);
        let refused = pairs.filter(|(outcome, probe)| {
            probe.accept.forward && !probe.accept.refuse && **outcome == Outcome::Refused
        });
        refused.map(|(_, probe)| probe.name.clone()).collect()
    }
}

/// Runs `probes` through each of `kinds` at the same time, each with files in `folder`.
///
/// # Errors
/// When a proxy does not start or cannot be reached.
pub fn run_all(folder: &Path, kinds: &[Kind], probes: &[Probe]) -> anyhow::Result<Vec<Score>> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = kinds
            .iter()
            .map(|kind| {
                let place = folder.join(kind.name().replace(' ', "-"));
                scope.spawn(move || run(&place, *kind, probes))
            })
            .collect();
        let scores = runs.into_iter().map(|run| {
            run.join()
                .map_err(|_| anyhow::anyhow!("a runner panicked"))?
        });
        scores.collect()
    })
}

fn run(folder: &Path, kind: Kind, probes: &[Probe]) -> anyhow::Result<Score> {
    let recorder = Recorder::start()?;
    let subject = subject::start(kind, folder, recorder.address, probes.len())
        .with_context(|| format!("start {}", kind.name()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut outcomes = Vec::new();
    for (number, probe) in probes.iter().enumerate() {
        let probe = routed(probe, number);
        let seen = runtime
            .block_on(send::one(subject.address, &recorder, &probe, number))
            .with_context(|| format!("{} through {}", probe.name, kind.name()))?;
        outcomes.push(judge(&probe, &seen));
        if probes.len() == 1 {
            for bytes in seen.upstream {
                println!("upstream: {}", bytes.escape_ascii());
            }
            println!("client: {}", seen.client.escape_ascii());
        }
    }
    Ok(Score { kind, outcomes })
}

/// The probe with `/a/@` in its target replaced by a path of its own.
fn routed(probe: &Probe, number: usize) -> Probe {
    let mut probe = probe.clone();
    for sent in &mut probe.sends {
        let at = sent.windows(4).position(|four| four == b"/a/@");
        if let Some(at) = at {
            sent.splice(at + 3..at + 4, number.to_string().into_bytes());
        }
    }
    probe
}
