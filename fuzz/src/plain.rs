//! The plain driver: the same targets with seeded mutations of their seeds, on stable Rust and with
//! no engine. `plain TARGET RUNS SEED SECONDS` prints what it did as JSON; a crash prints its input.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_fuzz::mutate::{Random, mutate};
use tidegate_fuzz::targets::{ALL, Target};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, other: u64| {
        let given = args.get(at).and_then(|text| text.parse().ok());
        given.unwrap_or(other)
    };
    let name = args.first().map_or("", String::as_str);
    let Some(target) = ALL.iter().find(|target| target.name == name) else {
        let names: Vec<&str> = ALL.iter().map(|target| target.name).collect();
        eprintln!(
            "plain TARGET RUNS SEED SECONDS; targets: {}",
            names.join(" ")
        );
        std::process::exit(64);
    };
    let seconds = Duration::from_secs(number(3, 3_600));
    let crashes = run(target, number(1, 100_000), number(2, 1), seconds);
    std::process::exit(i32::from(crashes > 0));
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .map(|entries| entries.filter_map(|e| Some(e.ok()?.path())).collect())
        .unwrap_or_default();
    files.sort();
    let mut seeds: Vec<Vec<u8>> = files.iter().filter_map(|f| std::fs::read(f).ok()).collect();
    seeds.push(Vec::new());
    seeds
}

fn run(target: &Target, runs: u64, seed: u64, time: Duration) -> u32 {
    let seeds = seeds(target.name);
    let mut random = Random::new(seed);
    let began = Instant::now();
    let (mut done, mut crashes) = (0_u64, 0);
    while done < runs && (done % 256 != 0 || began.elapsed() < time) {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        let other = &seeds[random.below(seeds.len())];
        mutate(&mut random, &mut bytes, other, target.bytes_max);
        done += 1;
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).is_err() {
            crashes += 1;
            let _ = writeln!(std::io::stderr(), "crash of {}: {bytes:?}", target.name);
            if crashes >= 10 {
                break;
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = done as f64 / seconds.max(0.001);
    println!(
        "{{\"target\":\"{}\",\"executions\":{done},\"seconds\":{seconds:.1},\"per_second\":{rate:.0},\"crashes\":{crashes}}}",
        target.name
    );
    crashes
}
