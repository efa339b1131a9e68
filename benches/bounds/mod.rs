//! A time against its bound: one line each, `name figure bound verdict`.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Whether every bound was kept so far.
#[derive(Debug)]
pub(crate) struct Bounds(bool);

impl Bounds {
    pub(crate) fn new() -> Self {
        Self(true)
    }

    /// The median of the rounds is what is judged.
    pub(crate) fn at_most<T>(
        &mut self,
        name: &str,
        most_ms: u64,
        rounds: usize,
        work: impl FnMut() -> T,
    ) {
        let [median, fastest] = times(rounds, work);
        let kept = median <= most_ms as f64;
        self.0 &= kept;
        let figure = format!("median {median:.1} ms, fastest {fastest:.1} ms");
        let bound = format!("at most {most_ms} ms");
        let verdict = if kept { "pass" } else { "FALLS SHORT" };
        println!("{name:<22} {figure:<44} {bound:<18} {verdict}");
    }

    /// Exit 1 where one was missed.
    pub(crate) fn end(&self) -> ExitCode {
        if self.0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Median and fastest of the rounds, in milliseconds.
pub(crate) fn times<T>(rounds: usize, mut work: impl FnMut() -> T) -> [f64; 2] {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            black_box(work());
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    [rounds / 2, 0].map(|place| times[place].as_secs_f64() * 1_000.0)
}
