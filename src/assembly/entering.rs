//! From the configuration to the open ledger: what the first record of this start says.

use std::sync::Arc;

use super::StartError;
use super::client_key::ClientKeyFile;
use crate::config::{LedgerSettings, LedgerSync};
use crate::ledger::{self, BootId, Consumer, Ledger, OpenBundle, OpenFacts, Start, SyncMode};
use crate::record::{Encoder, Event};
use crate::rulebook::Registry;

/// What the first record of this start says.
pub(super) fn opening_facts(
    boot: BootId,
    policy_hash: String,
    key: &ClientKeyFile,
    bundle: OpenBundle,
) -> OpenFacts {
    OpenFacts {
        boot,
        instance: instance_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_hash,
        client_key_id: Some(key.id()),
        bundle: Some(bundle),
    }
}

pub(super) fn open_ledger(
    start: Start<'_>,
    consumers: Vec<Consumer<Event>>,
    registry: &Arc<Registry>,
    is_takeover: bool,
) -> Result<Arc<Ledger>, StartError> {
    let encoder = Encoder::new(Arc::clone(registry), &start.facts.instance);
    let ledger = if is_takeover {
        Ledger::start_when_free(start, consumers, encoder)
    } else {
        Ledger::start(
            start.settings,
            start.facts,
            start.rulebook,
            consumers,
            encoder,
        )
    };
    Ok(Arc::new(ledger?))
}

/// How the file wants the ledger kept.
pub(super) fn ledger_settings(settings: &LedgerSettings) -> ledger::Settings {
    let mode = match settings.sync {
        LedgerSync::Interval(interval) => SyncMode::Interval(interval),
        LedgerSync::Group => SyncMode::Group,
        LedgerSync::Each => SyncMode::Each,
    };
    ledger::Settings::new(&settings.dir)
        .sync(mode)
        .segments(settings.segment_bytes, settings.segment_age)
}

/// The name of this gateway in records: the host's, or a plain word where it has none.
fn instance_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .filter(|letter| letter.is_ascii_graphic())
        .take(32)
        .collect();
    if name.is_empty() {
        "tidegate".to_owned()
    } else {
        name
    }
}
