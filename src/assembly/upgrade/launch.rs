//! Starts the program once more, to take over from this process.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The flag by which a start takes over.
const FLAG: &str = "--upgrade";

/// How this process was started.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// This process. To be asked early: where the file is replaced later, the path leads to the new one.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn own() -> std::io::Result<Self> {
        Ok(Self {
            path: std::env::current_exe()?,
            arguments: std::env::args_os().skip(1).collect(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments);
        if !self.arguments.iter().any(|argument| argument == FLAG) {
            command.arg(FLAG);
        }
        // It names this process; the manager is told of the other one.
        command.env_remove("WATCHDOG_PID");
        command
    }

    /// Gives what a QUIT signal calls: it starts the program and tells what came of it, on a thread of
    /// its own, one at a time.
    pub(in crate::assembly) fn on_signal(self) -> impl Fn() + Send + Sync + 'static {
        let busy = Arc::new(AtomicBool::new(false));
        move || {
            if std::process::id() == 1 {
                let why = "the first process of a container ends it; start another container";
                tracing::error!(event = "upgrade_refused", why);
                return;
            }
            if busy.swap(true, Ordering::AcqRel) {
                tracing::warn!(event = "upgrade_refused", why = "one is under way");
                return;
            }
            let (own, done) = (self.clone(), Arc::clone(&busy));
            let thread = std::thread::Builder::new().name("upgrade-start".to_owned());
            let spawned = thread.spawn(move || {
                own.start();
                done.store(false, Ordering::Release);
            });
            if let Err(error) = spawned {
                busy.store(false, Ordering::Release);
                tracing::error!(event = "upgrade_failed", %error, "this process goes on");
            }
        }
    }

    /// Returns when the other process has ended: where it took over, this one has ended before.
    fn start(&self) {
        let path = self.path.display();
        let ended = self.command().spawn().and_then(|mut child| {
            tracing::info!(event = "upgrade_started", pid = child.id(), %path);
            child.wait()
        });
        match ended {
            Ok(status) => tracing::error!(
                event = "upgrade_failed",
                %status,
                "the new process has ended; this one goes on"
            ),
            Err(error) => {
                tracing::error!(event = "upgrade_failed", %path, %error, "this process goes on");
            }
        }
    }
}
