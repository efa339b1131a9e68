//! What the decision costs, and that the gate that watches over it finds what it is there to find.
//!
//! The counts are those of `make gate`, the times those of `make figures`: no socket, a warm scene
//! of 1,000 contracts. A sum of two medians stands for the median of both.

use std::process::Command;

use super::super::speed::{Printed, allocations, judged, number, row, run};
use super::super::{Context, Scale, Verdict};

/// What one decision is: a request is admitted, and its end is counted.
const COUNTED: [&str; 2] = ["admit_control", "complete_answered"];
const TIMED: [&str; 2] = ["admit/control", "complete"];
const INSTRUCTIONS_MAX: f64 = 1_500.0;
const NANOS_MAX: f64 = 250.0;

/// Admit and complete: instructions, allocations and, at full scale, time.
pub(super) fn costs(context: &Context) -> anyhow::Result<Verdict> {
    let gate = run(Command::new(".ci/gate"))?;
    let mut goals = vec![
        sum(&gate, COUNTED, 1, INSTRUCTIONS_MAX, "instructions"),
        sum(&gate, COUNTED, 3, 0.0, "allocations in 1,000 calls"),
    ];
    if context.scale == Scale::Full {
        let figures = run(Command::new(".ci/figures"))?;
        goals.push(sum(&figures, TIMED, 1, NANOS_MAX, "ns in the median"));
    }
    let tests = allocations(context)?;
    goals.push((tests.pass, tests.figure));
    Ok(judged(true, goals))
}

/// The sum of a column over two rows, against its bound. A row that is gone is not 0.
fn sum(printed: &Printed, rows: [&str; 2], column: usize, most: f64, unit: &str) -> (bool, String) {
    let value = |name| row(&printed.text, name).and_then(|row| number(&row, column));
    let [admit, complete] = rows.map(value);
    match admit.zip(complete) {
        Some((admit, complete)) => (
            admit + complete <= most,
            format!("admit {admit} + complete {complete} {unit}, at most {most}"),
        ),
        None => (false, format!("admit + complete: {unit} not measured")),
    }
}

/// The gate on functions that commit a fault with every call: each line has to fail for it.
pub(super) fn gate_fails(_: &Context) -> anyhow::Result<Verdict> {
    let mut goals = Vec::new();
    for (fault, told) in [("allocation", "allocations"), ("clock", "clock reads")] {
        let mut gate = Command::new(".ci/gate");
        let printed = run({
            gate.arg(fault);
            gate
        })?;
        let lines: Vec<&str> = printed.text.lines().skip(1).collect();
        let failed = lines
            .iter()
            .filter(|line| line.ends_with(&format!("FAIL: {told}")));
        let (failed, all) = (failed.count(), lines.len());
        let met = !printed.success && failed == all;
        goals.push((
            met,
            format!("with one {fault} more {failed} of {all} lines fail"),
        ));
    }
    Ok(judged(true, goals))
}
