//! The ledger of a simulation: a real one, with the events that stdout shows.
//!
//! Invariant: nothing is lost. A simulation is faster than a disk, so it waits for the ledger.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};

use super::{BOOT, INSTANCE, WORKER};
use crate::ledger::{
    BootId, EntryBuilder, Lane, Ledger, LedgerKey, OpenFacts, Producer, Settings, Source, ring,
};
use crate::policy::canonical::CanonicalContent;
use crate::record::{Encoder, Event};
use crate::rulebook::Registry;

/// Events between two flushes of the ledger: the ring is as large, so it never overflows.
const RING_EVENTS: usize = 16_384;
const FLUSH_PATIENCE: Duration = Duration::from_secs(60);

/// A real ledger with the same events.
pub(super) struct LedgerSink {
    ledger: Ledger,
    producer: Producer<Event>,
    unflushed: usize,
}

impl LedgerSink {
    pub(super) fn start(
        dir: &Path,
        key: Option<&Path>,
        registry: &Arc<Registry>,
        content: &CanonicalContent,
    ) -> Result<Self> {
        refuse_used(dir)?;
        let mut settings = Settings::new(dir);
        if let Some(key) = key {
            settings = settings.signed_by(LedgerKey::read(key)?);
        }
        let boot = BootId::from_u32(BOOT);
        let facts = OpenFacts {
            boot,
            instance: INSTANCE.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_hash: content.digest_hex(),
            client_key_id: None,
            bundle: None,
        };
        let source = Source {
            boot,
            worker: WORKER,
        };
        let (producer, consumer) = ring(source, RING_EVENTS);
        let mut encoder = Encoder::new(Arc::clone(registry), INSTANCE);
        let ledger = Ledger::start(
            &settings,
            &facts,
            content.bytes(),
            vec![consumer],
            move |entry: &mut EntryBuilder<'_>, source: Source, event: &Event| {
                encoder.encode(entry, BOOT, source.worker, event);
            },
        )?;
        Ok(Self {
            ledger,
            producer,
            unflushed: 0,
        })
    }

    pub(super) fn push(&mut self, event: Event) -> Result<()> {
        let number = self.producer.next_number();
        if !self.producer.push(Lane::Ordinary, Some(number), event) {
            bail!("the ledger lost record {number}: its writer has ended");
        }
        self.unflushed += 1;
        if self.unflushed == RING_EVENTS {
            self.ledger.flush(FLUSH_PATIENCE)?;
            self.unflushed = 0;
        }
        Ok(())
    }

    pub(super) fn close(self) -> Result<()> {
        // The writer counts what a worker made when the worker is gone.
        drop(self.producer);
        self.ledger.flush(FLUSH_PATIENCE)?;
        Ok(self.ledger.close()?)
    }
}

/// Every simulation is boot 00000000, and a ledger takes a boot only once.
fn refuse_used(dir: &Path) -> Result<()> {
    let used = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if used {
        bail!(
            "{} is not empty; a simulation writes a ledger of its own: name a new folder",
            dir.display()
        );
    }
    Ok(())
}
