//! The thread that moves the windows on, every 100 ms, and says when the ledger's health changes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::assembly::snapshot::Keeper;
use crate::assembly::{StartError, circuit_log};
use crate::gateway::clock;
use crate::ledger::Ledger;
use crate::observation::{RouteView, TICK_NS, Ticker};
use crate::pipeline;
use crate::rulebook::Registry;

/// What the ticker knows, for whoever asks; never on a request's way.
#[derive(Debug, Clone, Default)]
pub struct Views(Arc<Mutex<Ticker>>);

impl Views {
    /// What is known of a route; `None` where it was never used.
    #[must_use]
    pub fn of(&self, route: usize) -> Option<RouteView> {
        self.lock().view(route)
    }

    /// The ticker itself, for the admin listener.
    #[must_use]
    pub fn shared(&self) -> Arc<Mutex<Ticker>> {
        Arc::clone(&self.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ticker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running ticker; it ends when this is dropped.
#[derive(Debug)]
pub struct Ticking {
    views: Views,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticking {
    /// Starts to tick the active rulebook's board and to watch the ledger, from where an earlier
    /// process in this state directory ended a moment ago.
    ///
    /// # Errors
    /// [`StartError::Thread`] where the thread cannot be started.
    pub fn start(
        registry: Arc<Registry>,
        ledger: Arc<Ledger>,
        state_dir: &Path,
    ) -> Result<Self, StartError> {
        let views = Views::default();
        let mut keeper = Keeper::new(state_dir);
        let board = Arc::clone(registry.active().load().board());
        keeper.restore(&board, &mut views.lock(), clock::now());
        let ending = Arc::new(AtomicBool::new(false));
        let (seen, end) = (views.clone(), Arc::clone(&ending));
        let thread = std::thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || {
                let mut health = Health::default();
                let mut changes = Vec::new();
                let mut rulebook = registry.active().load_full();
                while !end.load(Ordering::Acquire) {
                    rulebook = registry.active().load_full();
                    let now = clock::now();
                    let mut ticker = seen.lock();
                    pipeline::tick(&rulebook, &mut ticker, now);
                    circuit_log::say(&rulebook, &mut ticker, &mut changes);
                    keeper.after_tick(rulebook.board(), &ticker, now);
                    drop(ticker);
                    health.watch(&ledger);
                    std::thread::park_timeout(Duration::from_nanos(TICK_NS));
                }
                // The rulebook of the last tick: the windows are those of its board.
                keeper.finish(rulebook.board(), &seen.lock(), clock::now());
            })
            .map_err(|error| StartError::Thread {
                name: "ticker",
                error,
            })?;
        Ok(Self {
            views,
            ending,
            thread: Some(thread),
        })
    }

    /// What the ticker knows.
    #[must_use]
    pub fn views(&self) -> Views {
        self.views.clone()
    }
}

/// What was last said about the ledger: one line per change, not one per failure.
#[derive(Default)]
struct Health {
    ill: bool,
    lost: u64,
}

impl Health {
    fn watch(&mut self, ledger: &Ledger) {
        let now = ledger.snapshot();
        if now.ok == self.ill {
            self.ill = !now.ok;
            if self.ill {
                tracing::error!(event = "ledger_unavailable", error = now.error);
            } else {
                tracing::info!(event = "ledger_available", lost = now.lost);
            }
        }
        if now.lost > self.lost && !self.ill {
            tracing::warn!(event = "ledger_records_lost", lost = now.lost);
            self.lost = now.lost;
        }
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A ticker that panicked has nothing left to say; the panic was printed.
            let _ = thread.join();
        }
    }
}
