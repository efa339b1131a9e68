//! A running gateway gives way to another process, mostly of a newer program, and no request fails.
//!
//! Order, on both sides: the new process rings at `upgrade.sock` in the state directory and gets a copy
//! of each listening socket; it prepares everything and says `ready`; it hears `go`, serves, and says
//! `serving`; only then the old one lets nobody in any more and drains. Invariant: at every moment at
//! least one of the two serves, and whatever fails before `serving` leaves the old one as it was.
//! Not here: the ledger, whose lock the new process waits for ([`crate::ledger`]).

mod give;
mod launch;
mod take;
mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) use give::{GiveParts, Giver};
pub use launch::Program;
pub use take::Takeover;

/// What both sides say first: the format of their conversation.
const GREETING: &str = "tidegate-upgrade 1";

/// How long the old process waits until the new one is ready.
const READY_MAX: Duration = Duration::from_secs(60);

/// How long one side waits for what the other one has at hand.
const STEP_MAX: Duration = Duration::from_secs(10);

fn bell(state_dir: &Path) -> PathBuf {
    state_dir.join("upgrade.sock")
}
