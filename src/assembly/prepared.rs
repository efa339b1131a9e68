//! What a start needs before it takes a port: keys, certificates, rules, desks. Nothing is heard by
//! anybody yet, and what fails here leaves no record.

use std::path::Path;
use std::sync::Arc;

use super::bundles::{Begun, Doors};
use super::certificates::Certificates;
use super::client_key::{ClientKeyError, ClientKeyFile};
use super::desks::Desks;
use super::kill_switch::KillSwitch;
use super::opening::Opening;
use super::parts::Parts;
use super::reload::{ReloadParts, Reloader};
use super::{StartError, convert, descriptors, freed, ledger_key};
use crate::config::{Demands, Runnable, Settings, Sources, Stamp};
use crate::ledger::{BootId, Consumer, LedgerKey, OpenBundle};
use crate::policy::canonical::CanonicalContent;
use crate::record::Event;
use crate::rulebook::Registry;

/// A worker's number is one byte in a decision id.
const WORKERS_MAX: usize = 255;

/// All of it, in the order in which it is made.
pub(super) struct Prepared {
    pub(super) settings: Arc<Settings>,
    pub(super) workers: usize,
    pub(super) key: ClientKeyFile,
    pub(super) ledger_key: LedgerKey,
    pub(super) boot: BootId,
    pub(super) registry: Arc<Registry>,
    pub(super) desks: Desks,
    pub(super) consumers: Vec<Consumer<Event>>,
    pub(super) content: CanonicalContent,
    pub(super) open: OpenBundle,
    pub(super) replacing: Replacing,
}

/// What the reloader goes on from.
pub(super) struct Replacing {
    pub(super) certificates: Arc<Certificates>,
    pub(super) begun: Option<Begun>,
    kill_switch: KillSwitch,
    sources: Sources,
    stamp: Stamp,
    demands: Demands,
}

impl Prepared {
    pub(super) fn of(runnable: Runnable) -> Result<Self, StartError> {
        let settings = Arc::new(runnable.settings().clone());
        let workers = convert::workers(&settings).min(WORKERS_MAX);
        descriptors::make_room(&settings);
        let key = open_state(&settings)?;
        let ledger_key = ledger_key::open(&settings.ledger)?;
        let certificates = Certificates::read(&settings)?;
        let boot = BootId::random().map_err(StartError::Random)?;
        let kill_switch = KillSwitch::open(&settings.state_dir);
        let opening = Opening::of(runnable, workers)?;
        freed::hold();
        let registry = Arc::new(Registry::for_instances(
            opening.parts,
            settings.instances,
            kill_switch.ceiling(),
        ));
        let (desks, consumers) = Desks::new(&settings, &key, boot, &registry, workers);
        Ok(Self {
            settings,
            workers,
            key,
            ledger_key,
            boot,
            registry,
            desks,
            consumers,
            content: opening.content,
            open: opening.open,
            replacing: Replacing {
                certificates,
                begun: opening.begun,
                kill_switch,
                sources: opening.sources,
                stamp: opening.stamp,
                demands: opening.demands,
            },
        })
    }
}

impl Replacing {
    /// Starts to look at the files.
    pub(super) fn start(
        self,
        parts: &Parts,
        workers: usize,
        doors: &Doors,
    ) -> Result<Reloader, StartError> {
        Reloader::start(ReloadParts {
            registry: Arc::clone(&parts.registry),
            ledger: Arc::clone(&parts.ledger),
            telemetry: Arc::clone(&parts.telemetry),
            settings: Arc::clone(&parts.settings),
            kill_switch: self.kill_switch,
            certificates: self.certificates,
            workers,
            sources: self.sources,
            stamp: self.stamp,
            demands: self.demands,
            bundles: self.begun.map(|begun| (begun, doors.clone())),
        })
    }
}

/// Whether the client key below `state_dir`, where there is one, is one that a start takes.
///
/// # Errors
/// What a start would refuse it for.
pub fn check_client_key(state_dir: &Path) -> Result<(), ClientKeyError> {
    ClientKeyFile::check(&state_dir.join("client.key"))
}

pub(super) fn open_state(settings: &Settings) -> Result<ClientKeyFile, StartError> {
    let path = &settings.state_dir;
    std::fs::create_dir_all(path).map_err(|error| StartError::State {
        path: path.clone(),
        error,
    })?;
    Ok(ClientKeyFile::open(&path.join("client.key"))?)
}
