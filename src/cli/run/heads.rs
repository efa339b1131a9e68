//! Signed heads of the ledger on stdout, one JSON object per line, for whoever keeps them elsewhere.
//!
//! On a thread of its own: a reader of stdout that does not read must hold up neither a request nor
//! the end of the process. Nothing else of `tidegate run` writes to stdout.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use serde_json::json;

use crate::assembly::Parts;
use crate::ledger::{Ledger, Snapshot};

/// How long the end of the process waits for the last head to be taken.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread that writes heads; none where the configuration wants none.
pub(super) struct Heads(Option<Running>);

struct Running {
    stop: Sender<()>,
    ended: Receiver<()>,
}

impl Heads {
    /// Writes the newest head as often as the configuration says, if it is another one by then.
    pub(super) fn start(parts: &Parts) -> Self {
        let Some(every) = parts.settings.ledger.heads_every else {
            return Self(None);
        };
        let ledger = Arc::clone(&parts.ledger);
        let (stop, stopped) = channel();
        let (ending, ended) = channel();
        let thread = std::thread::Builder::new().name("heads".to_owned());
        let started = thread.spawn(move || {
            write_heads(&ledger, every, &stopped, &mut io::stdout());
            let _ = ending.send(());
        });
        match started {
            Ok(_) => Self(Some(Running { stop, ended })),
            Err(error) => {
                tracing::warn!(event = "heads_not_written", %error);
                Self(None)
            }
        }
    }

    /// Writes the last head and ends.
    pub(super) fn stop(self) {
        if let Some(running) = self.0 {
            let _ = running.stop.send(());
            let _ = running.ended.recv_timeout(PATIENCE);
        }
    }
}

fn write_heads(ledger: &Ledger, every: Duration, stopped: &Receiver<()>, out: &mut impl Write) {
    let mut written = 0;
    loop {
        let last = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
        let now = ledger.snapshot();
        if now.signed > written {
            let done = writeln!(out, "{}", line(&now)).and_then(|()| out.flush());
            match done {
                Ok(()) => written = now.signed,
                Err(error) => tracing::warn!(event = "heads_not_written", %error),
            }
        }
        if last {
            return;
        }
    }
}

/// The head as it is written.
fn line(now: &Snapshot) -> serde_json::Value {
    json!({"checkpoint": now.note, "size": now.signed, "ts_us": now.signed_us})
}
