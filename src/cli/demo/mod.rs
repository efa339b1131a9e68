//! `tidegate demo`: upstream, gateway and clients in one process, on loopback.
//!
//! Nothing is played: the gateway is the one that `run` starts, on the contracts and the policy
//! of this repository, in tier CONTROL. With `--for` it checks itself at the end.

mod check;
mod clients;
mod files;
mod table;
mod upstream;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::assembly::{Assembly, Operation};
use crate::cli::stdio::{note, print};
use crate::config::load;
use crate::ledger::Tail;

/// It ran, and checked out.
const OK: u8 = 0;
/// It did not.
const FAILED: u8 = 1;

/// How often the table is drawn on a terminal.
const DRAW_EVERY: Duration = Duration::from_millis(500);
/// How often a line is printed where there is no terminal.
const PRINT_EVERY: Duration = Duration::from_secs(2);

/// Shows the gateway at work, with an upstream and clients of its own.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Stop after this time (such as 20s or 2m), check that everything was as promised, and end
    /// with 0 or 1. Without it the demo runs until it is interrupted.
    #[arg(long = "for", value_name = "TIME", env = "TIDEGATE_FOR", value_parser = duration)]
    pub run_for: Option<Duration>,
}

/// The shortest demo whose phases can be told apart.
const SHORTEST: Duration = Duration::from_secs(5);

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "give seconds or minutes, such as 20s or 2m".to_owned())?;
    let duration = Duration::from_secs(number.saturating_mul(unit));
    if duration < SHORTEST || duration > Duration::from_secs(86_400) {
        return Err("give at least 5s and at most 1440m".to_owned());
    }
    Ok(duration)
}

/// Runs the verb; the result is the exit code: 0, or 1 where something was not as promised.
#[must_use]
pub fn run(args: &DemoArgs) -> u8 {
    match demo(args) {
        Ok(true) => OK,
        Ok(false) => FAILED,
        Err(error) => {
            note(format_args!("tidegate demo: {error:#}"));
            FAILED
        }
    }
}

fn demo(args: &DemoArgs) -> Result<bool> {
    let folder = files::Folder::new()?;
    let upstream = upstream::Upstream::start()?;
    let config = folder.write(upstream.address())?;
    let loaded = load(&config).map_err(|findings| {
        crate::cli::report_findings(&findings);
        anyhow::anyhow!("the demo's own files are not valid")
    })?;
    let assembly = Assembly::open(loaded)?;
    let parts = assembly.parts().clone();
    let gateway = *assembly.addresses().first().context("no listener")?;
    let admin = assembly.admin_address();
    print(&format!(
        "gateway   http://{gateway}   tier CONTROL, contracts/ and policies/default.yaml\n\
         upstream  http://{}   slow and failing at times\n\
         admin     http://{admin}/metrics  /v1/status  /v1/contracts\n\
         ledger    {}\n\n",
        upstream.address(),
        folder.ledger().display()
    ))
    .context("stdout")?;

    let ended = Arc::new(AtomicBool::new(false));
    let serving = std::thread::Builder::new()
        .name("gateway".to_owned())
        .spawn({
            let ended = Arc::clone(&ended);
            move || {
                let outcome = assembly.run(Some(Operation::default()));
                ended.store(true, Ordering::Release);
                outcome
            }
        })?;
    let clients = clients::Clients::start(gateway, upstream.mood(), args.run_for)?;
    let tail = Tail::open(&folder.ledger(), u64::MAX)?;
    let mut table = table::Table::new(tail, &parts);
    watch(&mut table, args.run_for, &ended)?;

    let sent = clients.stop();
    let scraped = if ended.load(Ordering::Acquire) {
        None
    } else {
        Some(check::scrape(admin)?)
    };
    parts.control.stop();
    let outcome = serving
        .join()
        .map_err(|_| anyhow::anyhow!("the gateway's thread panicked"))??;
    if args.run_for.is_none() {
        return Ok(outcome.workers_died == 0);
    }
    table.finish()?;
    let scraped = scraped.context("the gateway stopped before its time")?;
    let seen = check::Seen {
        sent: &sent,
        at_upstream: upstream.received(),
        metrics: &scraped,
        ledger: folder.ledger(),
        key: folder.key(),
    };
    check::check(&seen)
}

/// Shows decisions until the time is over or the gateway has ended.
fn watch(table: &mut table::Table, run_for: Option<Duration>, ended: &AtomicBool) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let every = if terminal { DRAW_EVERY } else { PRINT_EVERY };
    let started = Instant::now();
    while !ended.load(Ordering::Acquire) {
        let left = run_for.map(|run_for| run_for.saturating_sub(started.elapsed()));
        if left == Some(Duration::ZERO) {
            break;
        }
        // Not waiting for anything: this is the rhythm of the display.
        std::thread::sleep(left.map_or(every, |left| left.min(every)));
        table.show(terminal)?;
    }
    Ok(())
}
