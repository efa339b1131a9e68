//! The thread that moves the windows on, every 100 ms, and says when the ledger's health changes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::assembly::snapshot::Keeper;
use crate::assembly::{StartError, circuit_log};
use crate::gateway::{Control, clock};
use crate::ledger::{Ledger, Pressure, RingMark};
use crate::observation::{RouteView, TICK_NS, Ticker};
use crate::pipeline;
use crate::rulebook::Registry;
use crate::telemetry::Life;

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

    /// Writes down now what another process is to go on from.
    pub(super) fn save(&self, registry: &Registry, state_dir: &Path) {
        let rulebook = registry.active().load_full();
        let ticker = self.lock();
        if ticker.knows(rulebook.board()) {
            let now = clock::now();
            let keeper = Keeper::new(state_dir);
            keeper.finish(rulebook.board(), &ticker, now);
        }
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
        control: Control,
        life: Life,
    ) -> Result<Self, StartError> {
        let views = Views::default();
        let mut keeper = Keeper::new(state_dir);
        let rulebook = registry.active().load_full();
        keeper.restore(&rulebook, &mut views.lock(), clock::now());
        drop(rulebook);
        let ending = Arc::new(AtomicBool::new(false));
        let (seen, end) = (views.clone(), Arc::clone(&ending));
        let thread = std::thread::Builder::new()
            .name("ticker".to_owned())
            .spawn(move || {
                let mut health = Health::default();
                let mut changes = Vec::new();
                let mut leaving = Leaving::default();
                let mut rulebook = registry.active().load_full();
                // What one tick leaves is whole: the next one begins with all of it.
                life.supervise(|| {
                    while !end.load(Ordering::Acquire) {
                        registry.hand_marks_on();
                        rulebook = registry.active().load_full();
                        let now = clock::now();
                        let mut ticker = seen.lock();
                        pipeline::tick(&rulebook, &mut ticker, now);
                        circuit_log::say(&rulebook, &mut ticker, &mut changes);
                        if !control.is_handed_over() {
                            keeper.after_tick(rulebook.board(), &ticker, now);
                        }
                        drop(ticker);
                        health.watch(&ledger);
                        leaving.look_after(&registry, &ledger);
                        std::thread::park_timeout(Duration::from_nanos(TICK_NS));
                    }
                });
                // The rulebook of the last tick: the windows are those of its board. The file is that of
                // the process that serves.
                if !control.is_handed_over() {
                    keeper.finish(rulebook.board(), &seen.lock(), clock::now());
                }
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

/// Older rulebooks that no worker holds any more, each with how far the rings were filled then: when
/// the ledger's writer is past that, no event names it.
#[derive(Default)]
struct Leaving(Vec<(u32, RingMark)>);

impl Leaving {
    fn look_after(&mut self, registry: &Registry, ledger: &Ledger) {
        self.0.retain(|(serial, mark)| {
            let named = !ledger.has_taken(mark);
            if !named {
                registry.forget(*serial);
            }
            named
        });
        for serial in registry.unused() {
            if self.0.iter().all(|(known, _)| *known != serial) {
                self.0.push((serial, ledger.mark()));
            }
        }
    }
}

/// What was last said about the ledger: one line per change, not one per failure.
#[derive(Default)]
struct Health {
    ill: bool,
    lost: u64,
    pressure: Pressure,
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
        if now.pressure != self.pressure {
            tracing::warn!(
                event = "ledger_pressure",
                state = now.pressure.name(),
                rolled_up = now.rolled_up,
                lost = now.lost,
            );
            self.pressure = now.pressure;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::Leaving;
    use crate::ledger::fixture::facts_of;
    use crate::ledger::{BootId, EntryBuilder, Lane, Ledger, Settings, Source, ring};
    use crate::telemetry::fixture::{content, registry};
    use crate::units::Tier;

    #[test]
    fn a_rulebook_is_kept_until_what_names_it_has_been_written() {
        let registry = registry(Tier::Control);
        let folder = tempfile::tempdir().expect("a folder");
        let source = Source {
            boot: BootId::from_u32(1),
            worker: 0,
        };
        let facts = facts_of(source.boot, &content().digest_hex());
        let (mut producer, consumer) = ring::<u32>(source, 8);
        let (open, gate) = mpsc::channel::<()>();
        let found = Arc::new(AtomicBool::new(false));
        let (seen, known) = (Arc::clone(&found), Arc::clone(&registry));
        let settings = Settings::new(folder.path());
        let bytes = content();
        let ledger = Ledger::start(
            &settings,
            &facts,
            bytes.bytes(),
            vec![consumer],
            move |line: &mut EntryBuilder<'_>, _: Source, serial: &u32| {
                gate.recv().expect("the test lives");
                let rulebook = known.by_serial(*serial);
                seen.store(rulebook.is_some(), Ordering::Release);
                line.text("kind", "decision");
                line.uint("ts_us", 0);
            },
        );
        let ledger = ledger.expect("a new ledger");
        let number = producer.next_number();
        assert!(producer.push(Lane::Ordinary, Some(number), 0));
        // Another content follows, and nobody works under the first one any more.
        registry.set_ceiling(Tier::ObserveOnly);
        assert_eq!(registry.unused(), [0]);
        let mut leaving = Leaving::default();
        for _ in 0..100 {
            leaving.look_after(&registry, &ledger);
        }
        assert!(registry.by_serial(0).is_some(), "an event names it");
        open.send(()).expect("the writer waits");
        ledger.flush(Duration::from_secs(20)).expect("written");
        assert!(found.load(Ordering::Acquire), "the writer found it");
        leaving.look_after(&registry, &ledger);
        assert!(registry.by_serial(0).is_none(), "nothing names it");
        assert_eq!(registry.kept_count(), 1);
    }
}
