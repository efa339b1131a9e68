//! From exec to the first proxied answer.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::super::super::{Context, Verdict};
use super::scene::{Scene, answer};
use crate::process::{Process, cpu_us};
use crate::site::{LOG, PATIENCE};
use crate::upstream::Upstream;

const SIZES: [u32; 4] = [10, 1_000, 10_000, 100_000];
/// With this many contracts, out of a signed bundle.
const JUDGED: u32 = 10_000;
const MAX: Duration = Duration::from_millis(150);
/// A reduced run judges the CPU time of the cheapest start, for on the clock a start beside other work waits
/// for its turn: it is twice what a start takes.
const CPU_US_MAX: u64 = 300_000;
/// And the fastest by the clock, against starts that wait for what does not come.
const FASTEST_MAX: Duration = Duration::from_secs(3);

pub(in super::super) fn up(context: &Context) -> anyhow::Result<Verdict> {
    let sizes = context.pick(&SIZES[1..3], &SIZES[..]);
    let upstream = Upstream::start()?;
    let (mut figures, mut pass) = (Vec::new(), true);
    for size in sizes {
        let folder = context.folder("start-up").join(size.to_string());
        let scene = Scene::prepare(&folder, upstream.address(), *size, 1)?;
        let first = of_one(&scene)?;
        let (mut times, mut cpu_us) = (Vec::new(), u64::MAX);
        for _ in 0..context.pick(3, 11) {
            let start = of_one(&scene)?;
            times.push(start.took);
            cpu_us = cpu_us.min(start.cpu_us);
        }
        times.sort_unstable();
        let fastest = times.first().copied().unwrap_or_default();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        if *size == JUDGED {
            let reduced = cpu_us <= CPU_US_MAX && fastest <= FASTEST_MAX;
            pass &= context.pick(reduced, median <= MAX);
        }
        let kind = if scene.is_bundled() {
            ""
        } else {
            " (plain files)"
        };
        figures.push(format!(
            "{size}{kind}: first start {} ms, later ones median {} ms, fastest {}, at least {} ms of CPU",
            first.took.as_millis(),
            median.as_millis(),
            fastest.as_millis(),
            cpu_us / 1_000,
        ));
    }
    let goal = MAX.as_millis();
    Ok(Verdict::new(
        pass,
        format!(
            "exec to first answer by contracts: {} (goal {goal} ms at {JUDGED})",
            figures.join("; ")
        ),
    ))
}

/// One start until its first answer.
struct Start {
    took: Duration,
    cpu_us: u64,
}

/// Starts, asks until the answer of the upstream comes, and stops in order.
fn of_one(scene: &Scene) -> anyhow::Result<Start> {
    let path = scene.a_path()?;
    let began = Instant::now();
    let mut process = scene.site.launch(&[], LOG)?;
    let took = loop {
        if is_answered(scene, &path) {
            break began.elapsed();
        }
        alive(&mut process, began)?;
        std::thread::sleep(Duration::from_millis(1));
    };
    let cpu_us = cpu_us(process.id())?;
    process.stop(PATIENCE)?;
    Ok(Start { took, cpu_us })
}

fn is_answered(scene: &Scene, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(scene.site.listen) else {
        return false;
    };
    let asked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| write!(stream, "GET {path} HTTP/1.1\r\nHost: load\r\n\r\n"));
    asked.is_ok() && answer(&mut stream).is_ok_and(|status| status == 200)
}

fn alive(process: &mut Process, began: Instant) -> anyhow::Result<()> {
    anyhow::ensure!(
        began.elapsed() < PATIENCE && process.is_running()?,
        "no answer: {}",
        process.log_end()
    );
    Ok(())
}
