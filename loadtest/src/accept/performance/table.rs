//! The table of peers: the gateway beside nginx, HAProxy and the bare engine.

use super::super::{Context, Verdict};
use crate::peers::{self, Judged, Rounds};

/// Of the median of short rounds beside other work, about four times what it is: a reduced run stands
/// against a lane that is never taken, or does its work several times.
const SMALL_RATIO_MAX: f64 = 3.0;

/// At small scale that it runs and is not absurdly slow; at full scale each goal of the table.
pub(super) fn beside_peers(context: &Context) -> anyhow::Result<Verdict> {
    let state = context.folder("peers");
    let (names, asked): (&[&str], _) = context.pick(
        (
            &["small"],
            Rounds {
                rounds: 3,
                seconds: 1,
            },
        ),
        (
            &[],
            Rounds {
                rounds: 5,
                seconds: 1,
            },
        ),
    );
    // Full runs are resumed scenario by scenario at one commit; another commit begins anew.
    let state = state.join(&context.commit);
    let again = context.pick(true, context.commit.ends_with("-changed"));
    let run = peers::measure(names, asked, &state, again)?;
    if names == ["small"] {
        return Ok(small(&run));
    }
    let judged = peers::judge(&run);
    let lines: Vec<String> = judged.iter().map(Judged::line).collect();
    let met = judged.iter().filter(|goal| goal.is_met()).count();
    Ok(Verdict::new(
        met == judged.len() && run.failures().is_empty(),
        format!(
            "{met} of {} goals; {}{}",
            judged.len(),
            lines.join("; "),
            run.failures()
        ),
    ))
}

fn small(run: &peers::Run) -> Verdict {
    let ratios = run.cpu_ratios("small", "tidegate");
    // Others are built otherwise than what is tested here.
    let bare = ratios.iter().find(|(label, _)| label == "bare Pingora");
    let pass = bare.is_some_and(|(_, ratio)| *ratio <= SMALL_RATIO_MAX);
    let figures: Vec<String> = ratios
        .iter()
        .map(|(label, ratio)| format!("{ratio:.2} x {label}"))
        .collect();
    Verdict::new(
        pass && run.failures().is_empty(),
        format!(
            "CPU per request {}; at most {SMALL_RATIO_MAX} x bare Pingora{}",
            figures.join(", "),
            run.failures()
        ),
    )
}
