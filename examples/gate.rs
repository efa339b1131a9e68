//! The functions whose instructions `make gate` counts: `gate NAME` runs one of them.
//!
//! Each is `#[inline(never)]`, takes its input ready-made and makes the number of calls that
//! benches/gate.tsv names, so that the count divided by it is the cost of one call.

#![allow(missing_docs)]

use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "ramp" => ramp(black_box(1000)),
        _ => {
            eprintln!("gate: no function {name:?}; the names stand in benches/gate.tsv");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

#[inline(never)]
fn ramp(calls: u64) {
    for x in 0..calls {
        black_box(tidegate::units::ramp(black_box(x), 100, 5000));
    }
}
