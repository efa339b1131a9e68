//! `tidegate ledger tail`: the newest lines, and on request those that follow.

use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{OK, unreadable};
use crate::cli::stdio::unwritten;
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
    match run_tail(args, &mut io::stdout().lock()) {
        Ok(()) => OK,
        Err(Failure::Ledger(error)) => {
            unreadable(&args.dir, &error, "name the directory in ledger.dir")
        }
        // Whoever read our output has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => OK,
        Err(Failure::Output(error)) => unwritten(&error, OK),
    }
}

/// Which side failed: what is read, or what is written.
enum Failure {
    Ledger(io::Error),
    Output(io::Error),
}

fn run_tail(args: &TailArgs, out: &mut impl Write) -> Result<(), Failure> {
    let mut tail = Tail::open(&args.dir, args.lines).map_err(Failure::Ledger)?;
    loop {
        while let Some(mut line) = tail.next_line().map_err(Failure::Ledger)? {
            line.push(b'\n');
            out.write_all(&line).map_err(Failure::Output)?;
        }
        out.flush().map_err(Failure::Output)?;
        if !args.follow {
            return Ok(());
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}
