//! What others may look at while the gateway runs.

use std::sync::Arc;

use super::ticking::Views;
use crate::admin::{AdminParts, Levers};
use crate::config::Settings;
use crate::gateway::{Control, clock};
use crate::ledger::{BootId, Ledger};
use crate::rulebook::Registry;
use crate::telemetry::Telemetry;

/// What others may look at while the gateway runs.
#[derive(Clone)]
pub struct Parts {
    /// The rulebooks.
    pub registry: Arc<Registry>,
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The counters.
    pub telemetry: Arc<Telemetry>,
    /// What the ticker knows of each route.
    pub views: Views,
    /// The gateway's own handle.
    pub control: Control,
    /// The settings it was made from.
    pub settings: Arc<Settings>,
    /// This start.
    pub boot: BootId,
}

impl Parts {
    /// Writes down what another process goes on from.
    pub(super) fn saver(&self) -> Box<dyn Fn() + Send> {
        let (views, registry) = (self.views.clone(), Arc::clone(&self.registry));
        let settings = Arc::clone(&self.settings);
        Box::new(move || views.save(&registry, &settings.state_dir))
    }

    /// What the admin interface needs of them.
    pub(super) fn for_admin(&self, workers: usize, levers: Levers) -> AdminParts {
        let control = self.control.clone();
        AdminParts {
            registry: Arc::clone(&self.registry),
            ledger: Arc::clone(&self.ledger),
            environment: self.settings.environment.key(),
            ledger_dir: self.settings.ledger.dir.clone(),
            telemetry: Arc::clone(&self.telemetry),
            ticker: self.views.shared(),
            draining: Box::new(move || control.is_draining()),
            now_us: || clock::now().wall_us,
            workers,
            levers,
        }
    }
}
