//! Looks after the segments that the writer is done with: verifies, makes missing tree files,
//! compresses, and gives up what is too old; measures the disk.
//!
//! One background thread of the lowest priority that reads at a bounded rate. Invariants: a damaged
//! segment is never changed; nothing goes before the record that says so is durable and covered;
//! nothing is removed for the disk budget; a crash at any step leaves a readable ledger, and the
//! next start goes on from there.
//! Not here: the newest segment, which is the writer's alone.

mod budget;
mod check;
mod class;
mod compress;
#[cfg(test)]
mod crash_tests;
mod files;
mod give_up;
mod keep;
mod known;
mod notice;
mod offline;
mod pace;
mod rewrite;
mod space;
mod stub;
#[cfg(test)]
mod tests;
mod text;
mod trouble;
mod walk;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::wall_us;
use super::frame::BootId;
use super::handle::Ledger;
use keep::Keep;
use pace::Pace;

pub use class::Class;
pub use known::known_damage;
pub use offline::{
    NewestFacts, Offline, OfflineError, Planned, check_redactable, newest_facts, plan_prune,
};
pub use space::Space;

/// How often it looks whether there is something to do.
const WAKE: Duration = Duration::from_secs(5);
/// The lowest priority there is: other threads always come first.
const NICE: i32 = 19;

/// What is kept, and how.
#[derive(Debug, Clone)]
pub struct KeeperSettings {
    boot: String,
    access_days: u32,
    security_days: u32,
    compress: bool,
    disk_bytes_max: Option<u64>,
    signed: bool,
}

impl KeeperSettings {
    /// Keeps records for so many days by class, compresses, has no budget and waits for no
    /// signature. `boot` stands in the records that it writes.
    #[must_use]
    pub fn new(boot: BootId, access_days: u32, security_days: u32) -> Self {
        Self {
            boot: boot.to_string(),
            access_days,
            security_days,
            compress: true,
            disk_bytes_max: None,
            signed: false,
        }
    }

    /// Whether closed segments are compressed.
    #[must_use]
    pub const fn compressing(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// The disk budget in bytes.
    #[must_use]
    pub const fn within(mut self, disk_bytes_max: Option<u64>) -> Self {
        self.disk_bytes_max = disk_bytes_max;
        self
    }

    /// Whether checkpoints are signed: then nothing goes before one covers the record that says so.
    #[must_use]
    pub const fn signed(mut self, signed: bool) -> Self {
        self.signed = signed;
        self
    }

    const fn days(&self, class: Class) -> u64 {
        match class {
            Class::Access => self.access_days as u64,
            Class::Security => self.security_days as u64,
        }
    }
}

/// The running keeper; stops when it is dropped.
#[derive(Debug)]
pub struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread for a running ledger. Records' age is measured against the host's clock.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(ledger: Arc<Ledger>, settings: KeeperSettings) -> io::Result<Self> {
        Self::start_at(ledger, settings, wall_us)
    }

    /// Like [`Keeper::start`], with a clock in microseconds since 1970.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_at(
        ledger: Arc<Ledger>,
        settings: KeeperSettings,
        now_us: impl Fn() -> u64 + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let run = move || {
            // Where it is refused, the bounded rate alone has to do.
            let _ = rustix::process::nice(NICE);
            // Nothing is looked after that another process still writes.
            while !ledger.is_had() && !asked.load(Relaxed) {
                thread::park_timeout(WAKE);
            }
            let pace = Pace::bounded(Arc::clone(&asked));
            let mut keep = Keep::new(ledger, settings, pace);
            while !asked.load(Relaxed) {
                // Asked once more: the call that ends it may have woken a paced read instead.
                if !keep.step(now_us()) && !asked.load(Relaxed) {
                    thread::park_timeout(WAKE);
                }
            }
        };
        let builder = thread::Builder::new().name("ledger-keeper".to_owned());
        let thread = Some(builder.spawn(run)?);
        Ok(Self { stop, thread })
    }
}

impl Drop for Keeper {
    /// Waits until the piece of work under way is given up or done: at most a second or two.
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there ended the keeper alone; the ledger goes on to its end.
            let _ = thread.join();
        }
    }
}
