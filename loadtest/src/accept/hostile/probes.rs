//! The probe set through this gateway and through other proxies, in one run.

use super::super::{Context, Verdict};
use crate::probes::{Kind, Probe, Score, all, identity, run_all, table};

/// Every probe through both tiers and through nginx, `HAProxy` and a bare Pingora.
///
/// Which of them are installed is no question here: a control that is missing falls short.
pub(super) fn through_all(context: &Context) -> anyhow::Result<Verdict> {
    let folder = context.folder("probes");
    let probes = all()?;
    let scores = run_all(&folder, &Kind::ALL, &probes)?;
    let own = identity()?;
    let tiers = [Kind::Control, Kind::Observe];
    let owns = run_all(&folder.join("identity"), &tiers, &own)?;
    let tables = [table(&probes, &scores), table(&own, &owns)];
    std::fs::write(folder.join("probes.txt"), tables.join("\n\n"))?;

    let best = scores.iter().filter(|score| score.kind.is_peer());
    let best = best.map(|score| score.accepted(&probes)).max().unwrap_or(0);
    let mut faults = Vec::new();
    for (score, set) in scores.iter().map(|score| (score, &probes)) {
        if !score.kind.is_peer() {
            faults.extend(faults_of(score, set));
            if score.accepted(set) < best {
                faults.push(format!("{} is behind another proxy", score.kind.name()));
            }
        }
    }
    for score in &owns {
        faults.extend(faults_of(score, &own));
    }
    let told: Vec<String> = scores
        .iter()
        .map(|score| one_line(score, &probes))
        .collect();
    Ok(Verdict::new(
        faults.is_empty() && probes.len() >= 150,
        format!(
            "{} probes and {} of identity; {}; faults {faults:?}",
            probes.len(),
            own.len(),
            told.join("; "),
        ),
    ))
}

fn faults_of(score: &Score, probes: &[Probe]) -> Vec<String> {
    let pairs = score.outcomes.iter().zip(probes);
    let bad = pairs.filter(|(outcome, probe)| {
        matches!(outcome.word(), "MALFORMED" | "LEAKED" | "DOUBLED")
            || (probe.accept.forward && !outcome.is_accepted(probe))
    });
    bad.map(|(outcome, probe)| format!("{}: {} {outcome:?}", score.kind.name(), probe.name))
        .collect()
}

fn one_line(score: &Score, probes: &[Probe]) -> String {
    format!(
        "{} {} ({} malformed, {} leaked, {} doubled, {} legal refused)",
        score.kind.name(),
        score.accepted(probes),
        score.count("MALFORMED"),
        score.count("LEAKED"),
        score.count("DOUBLED"),
        score.legal_refused(probes).len(),
    )
}
