//! From the configuration to the keeper of the closed segments.

use std::sync::Arc;

use super::StartError;
use crate::config::Settings;
use crate::ledger::{BootId, Keeper, KeeperSettings, Ledger};

/// Starts the keeper beside the ledger.
pub(super) fn start(
    ledger: &Arc<Ledger>,
    settings: &Settings,
    boot: BootId,
) -> Result<Keeper, StartError> {
    let kept = &settings.ledger;
    let (access, security) = (kept.retention.access_days, kept.retention.security_days);
    let keeper = KeeperSettings::new(boot, access, security)
        .compressing(kept.compress)
        .within(kept.disk_bytes_max)
        .signed(true);
    Keeper::start(Arc::clone(ledger), keeper).map_err(|error| StartError::Thread {
        name: "ledger-keeper",
        error,
    })
}
