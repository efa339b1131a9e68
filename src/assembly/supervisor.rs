//! Looks four times a second whether the threads beside the workers live, and tells log and service
//! manager; and whether the process can open descriptors still.
//!
//! Invariant: the manager's watchdog hears of a healthy process only while the threads live that requests
//! or operators depend on. Not here: what a dead thread means for a request (the ledger's rules do that
//! by themselves, `/readyz` looks for itself).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::service::Service;
use crate::gateway::{Control, clock};
use crate::ledger::Ledger;
use crate::telemetry::Telemetry;

const LOOK_EVERY: Duration = Duration::from_millis(250);

const LEDGER_WRITER: &str = "ledger-writer";

/// What is looked at.
pub(super) struct Watched {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) control: Control,
    pub(super) service: Service,
}

/// The thread that looks; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Supervisor {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    /// Starts to look. Without it a gateway serves all the same, and the log says so.
    pub(super) fn start(watched: Watched) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let builder = std::thread::Builder::new().name("supervisor".to_owned());
        let thread = builder.spawn(move || {
            let mut told = Told::default();
            while !end.load(Ordering::Acquire) {
                told.look(&watched);
                std::thread::park_timeout(LOOK_EVERY);
            }
        });
        let failed = |error: &_| tracing::error!(event = "supervisor_not_started", %error);
        Self {
            ending,
            thread: thread.inspect_err(failed).ok(),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It owns nothing that others need.
            _ = thread.join();
        }
    }
}

/// What was said already.
#[derive(Default)]
struct Told {
    down: Vec<&'static str>,
    stopping: bool,
    /// The process can open no more descriptors.
    exhausted: bool,
    /// When the manager was last told, monotonic.
    pinged_ns: Option<u64>,
}

impl Told {
    fn look(&mut self, watched: &Watched) {
        let threads = watched.telemetry.threads();
        threads.set(LEDGER_WRITER, watched.ledger.is_writing());
        for (name, is_up) in threads.read() {
            if !is_up && !self.down.contains(&name) {
                self.down.push(name);
                // Who drains ends its threads one by one; only the ledger has to live to the last.
                if !watched.control.is_draining() || name == LEDGER_WRITER {
                    tracing::error!(event = "thread_ended", thread = name);
                }
            }
        }
        self.look_at_descriptors(&watched.telemetry);
        if watched.control.is_draining() && !self.stopping {
            self.stopping = true;
            // Of a process that handed over the manager knows no more.
            if !watched.control.is_handed_over() {
                watched.service.tell("STOPPING=1");
            }
        }
        self.ping(&watched.service);
    }

    /// Without one nobody is let in, and of that Pingora says only that an accept failed. Asked of the
    /// system itself, by making a socket: what else there is would have to be counted.
    fn look_at_descriptors(&mut self, telemetry: &Telemetry) {
        let made = UnixDatagram::unbound();
        let exhausted = made.is_err_and(|error| is_exhaustion(&error));
        if exhausted {
            telemetry.note_exhausted();
        }
        if exhausted && !self.exhausted {
            tracing::error!(
                event = "descriptors_exhausted",
                "no connection is let in; raise the limit of open files (ulimit -n, LimitNOFILE=) or lower limits.connections"
            );
        } else if self.exhausted && !exhausted {
            tracing::info!(event = "descriptors_free_again");
        }
        self.exhausted = exhausted;
    }

    /// Three times as often as the manager wants to hear it.
    fn ping(&mut self, service: &Service) {
        let Some(within) = service.watchdog() else {
            return;
        };
        let now_ns = clock::now().monotonic_ns;
        let since = |last_ns| Duration::from_nanos(now_ns.saturating_sub(last_ns));
        let is_due = self.pinged_ns.is_none_or(|last| since(last) >= within / 3);
        if is_due && self.down.is_empty() {
            self.pinged_ns = Some(now_ns);
            service.tell("WATCHDOG=1");
        }
    }
}

/// The process, or the whole system, has as many descriptors as it may.
fn is_exhaustion(error: &io::Error) -> bool {
    let exhausted = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    exhausted
        .map(|errno| Some(errno.raw_os_error()))
        .contains(&error.raw_os_error())
}
