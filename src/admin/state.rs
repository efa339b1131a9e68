//! What the admin listener can look at. Everything is shared with those who write it.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::admin::activation::Levers;
use crate::ledger::{Ledger, Pressure};
use crate::observation::{Board, RouteView, Ticker};
use crate::rulebook::Registry;
use crate::telemetry::Telemetry;
use crate::units::Moment;

/// The parts of an [`AdminState`].
pub struct AdminParts {
    /// The rulebooks.
    pub registry: Arc<Registry>,
    /// The running ledger.
    pub ledger: Arc<Ledger>,
    /// Where the gateway runs, as its configuration says.
    pub environment: &'static str,
    /// Where the ledger lies.
    pub ledger_dir: PathBuf,
    /// The metrics.
    pub telemetry: Arc<Telemetry>,
    /// The windows; its thread holds the lock for one tick at a time.
    pub ticker: Arc<Mutex<Ticker>>,
    /// Whether the gateway takes no new connections any more.
    pub draining: Box<dyn Fn() -> bool + Send + Sync>,
    /// Tells the time, microseconds since 1970.
    pub now_us: fn() -> u64,
    /// How many workers serve.
    pub workers: usize,
    /// What it may change.
    pub levers: Levers,
}

/// What all handlers share.
pub struct AdminState {
    pub(super) parts: AdminParts,
    pub(super) in_flight: AtomicUsize,
    ready: AtomicBool,
}

impl fmt::Debug for AdminState {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("AdminState")
            .field("ledger_dir", &self.parts.ledger_dir)
            .field("ready", &self.ready)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

impl AdminState {
    /// Not ready yet.
    #[must_use]
    pub fn new(parts: AdminParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            in_flight: AtomicUsize::new(0),
            ready: AtomicBool::new(false),
        })
    }

    /// All listeners accept, or they do no longer.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Why the gateway should get no traffic; nothing where it should.
    pub(super) fn unready_reasons(&self) -> Vec<&'static str> {
        let ledger = self.parts.ledger.snapshot();
        let bundle = (self.parts.levers.standing)().bundle;
        let reasons = [
            (
                bundle.is_some_and(|bundle| bundle.is_waiting),
                "no bundle is in force yet",
            ),
            (
                !self.ready.load(Ordering::Relaxed),
                "the gateway is starting",
            ),
            ((self.parts.draining)(), "the gateway is draining"),
            (
                self.parts.telemetry.threads().is_down("ticker"),
                "the thread that moves the windows on has ended",
            ),
            (
                !ledger.ok || ledger.pressure == Pressure::Unavailable,
                "the ledger cannot be written",
            ),
        ];
        reasons
            .into_iter()
            .filter_map(|(holds, reason)| holds.then_some(reason))
            .collect()
    }

    /// What was seen of a route of that board; nothing in the moment in which the windows have not
    /// followed to it yet.
    pub(super) fn view(&self, board: &Board, route: usize) -> RouteView {
        let ticker = self.ticker();
        let view = ticker.knows(board).then(|| ticker.view(route));
        view.flatten().unwrap_or_default()
    }

    /// When the ticker last ran: what is shown is as of then.
    pub(super) fn ticked(&self) -> Moment {
        self.ticker().ticked()
    }

    fn ticker(&self) -> MutexGuard<'_, Ticker> {
        // A tick that panicked leaves whole counts behind; they are only shown here.
        let ticker = self.parts.ticker.lock();
        ticker.unwrap_or_else(PoisonError::into_inner)
    }
}
