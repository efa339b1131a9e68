//! One desk per worker, and the rings from them to the ledger.

use std::sync::Arc;

use super::client_key::ClientKeyFile;
use super::convert;
use crate::config::Settings;
use crate::gateway::Clerk;
use crate::gateway::desk::{Desk, DeskSettings};
use crate::gateway::governor::Governor;
use crate::ledger::{BootId, Consumer, Source, ring};
use crate::observation::ClientHasher;
use crate::record::Event;
use crate::rulebook::Registry;
use crate::telemetry::{Tally, WorkerTally};

/// Events that one worker may have waiting for the ledger's writer: about a tenth of a second of
/// the most that one worker can make, far more than the writer ever sleeps.
const RING_EVENTS: usize = 8_192;

/// One desk per worker, as the gateway and the metrics see them.
pub(super) struct Desks {
    pub(super) clerks: Vec<Arc<dyn Governor>>,
    pub(super) tallies: Vec<Arc<Tally>>,
}

impl Desks {
    /// The desks, and the ends of their rings for the ledger.
    pub(super) fn new(
        settings: &Settings,
        key: &ClientKeyFile,
        boot: BootId,
        registry: &Arc<Registry>,
        workers: usize,
    ) -> (Self, Vec<Consumer<Event>>) {
        let desk_settings = Arc::new(DeskSettings {
            listener_tiers: convert::listener_tiers(settings),
            clients: ClientHasher::new(key.secret()),
            trusted_proxies: settings.trusted_proxies.clone(),
            upstream_names: convert::upstream_names(settings),
            on_unavailable: settings.ledger.on_unavailable,
            expose: settings.expose_headers,
        });
        let mut tallies: Vec<Arc<Tally>> = Vec::with_capacity(workers);
        let mut clerks: Vec<Arc<dyn Governor>> = Vec::with_capacity(workers);
        let mut consumers = Vec::with_capacity(workers);
        for worker in 0..workers {
            let source = Source {
                boot,
                worker: worker as u8,
            };
            let (producer, consumer) = ring::<Event>(source, RING_EVENTS);
            let (tally, read) = WorkerTally::new(settings.series_max as usize);
            let desk = Desk::new(
                worker,
                boot.as_u32(),
                Arc::clone(&desk_settings),
                registry,
                producer,
                tally,
            );
            tallies.push(read);
            clerks.push(Arc::new(Clerk::new(desk)));
            consumers.push(consumer);
        }
        (Self { clerks, tallies }, consumers)
    }
}
