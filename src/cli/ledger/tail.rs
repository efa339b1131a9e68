//! `tidegate ledger tail`: the newest lines, and on request those that follow.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{OK, unreadable};
use crate::ledger::Tail;

/// How often `tail --follow` looks for new lines.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// A ledger directory.
    dir: PathBuf,
    /// How many lines.
    #[arg(short = 'n', long, default_value_t = 10, env = "TIDEGATE_LINES")]
    lines: u64,
    /// Go on printing what is written from now on.
    #[arg(long, env = "TIDEGATE_FOLLOW")]
    follow: bool,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &TailArgs) -> u8 {
    match run_tail(args) {
        Ok(()) => OK,
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
        Err(error) => unreadable(&args.dir, &error, "name the directory in ledger.dir"),
    }
}

fn run_tail(args: &TailArgs) -> io::Result<()> {
    let mut tail = Tail::open(&args.dir, args.lines)?;
    let mut out = io::stdout().lock();
    loop {
        while let Some(mut line) = tail.next_line()? {
            line.push(b'\n');
            out.write_all(&line)?;
        }
        out.flush()?;
        if !args.follow {
            return Ok(());
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}
