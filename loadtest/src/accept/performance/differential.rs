//! The fast lane and the full proxy do the same, whatever is asked and answered.

use super::super::{Context, Verdict};
use crate::differential::{Fault, Options, run};

/// Of the generated requests.
const SEED: u64 = 7;

/// Generated requests and probes through both; deliberate faults are found.
pub(super) fn both_ways(context: &Context) -> anyhow::Result<Verdict> {
    let folder = context.folder("differential");
    let options = Options {
        requests: context.pick(2_000, 100_000),
        seed: SEED,
        connections: 8,
        probe_stride: context.pick(6, 1),
        exchange: None,
        same: false,
        fault: None,
        state: folder.join("both"),
    };
    let report = run(&options)?;
    if !report.is_same() || !report.unsteady.is_empty() {
        println!("{}", report.told());
    }
    let mut missed = Vec::new();
    for fault in [Fault::Answer, Fault::Request, Fault::Tier] {
        let faulty = Options {
            requests: 100,
            probe_stride: 0,
            fault: Some(fault),
            state: folder.join("faulty"),
            ..options.clone()
        };
        if run(&faulty)?.differences.is_empty() {
            missed.push(fault);
        }
    }
    let pass = report.passes() && missed.is_empty() && report.requests >= options.requests;
    let told = format!("{}; deliberate faults missed {missed:?}", report.figure());
    Ok(Verdict::new(pass, told))
}
