//! Opens a gateway: ports, ledger, threads, in this order.

use std::sync::Arc;

use super::bundles::Doors;
use super::certificates::CertificateWatch;
use super::parts::Parts;
use super::ports::{self, AdminDoor};
use super::prepared::{Prepared, Replacing};
use super::ticking::Ticking;
use super::upgrade::Takeover;
use super::{Assembly, StartError, convert, entering, freed, keeping, self_testing};
use crate::admin::{Admin, AdminPort, AdminState};
use crate::config::{Loaded, Runnable};
use crate::gateway::governor::ParseRefusal;
use crate::gateway::{Control, Gateway, clock};
use crate::ledger::Start;
use crate::rulebook::Registry;
use crate::telemetry::{Tally, Telemetry};

impl Assembly {
    /// Opens everything that a gateway of plain files needs; connections wait in the kernel until
    /// [`Assembly::run`].
    ///
    /// # Errors
    /// [`StartError`] says what could not be opened and what to do; nothing stays open then, and
    /// where a port was the reason the ledger has not been touched.
    pub fn open(loaded: Loaded) -> Result<Self, StartError> {
        Self::open_runnable(Runnable::Files(Box::new(loaded)))
    }

    /// The same for whatever a gateway runs on. With bundles and none of them in force the ports may
    /// stay closed until one comes.
    ///
    /// # Errors
    /// As [`Assembly::open`].
    pub fn open_runnable(runnable: Runnable) -> Result<Self, StartError> {
        Self::open_instead(runnable, None)
    }

    /// The same in place of a gateway that runs: on its sockets, and on its ledger once it has closed
    /// it. That one serves until [`Assembly::run`].
    ///
    /// # Errors
    /// As [`Assembly::open`]; the other one goes on then.
    pub fn open_instead(
        runnable: Runnable,
        mut takeover: Option<Takeover>,
    ) -> Result<Self, StartError> {
        // Before anything is made: what is refused leaves nothing behind.
        let runnable = self_testing::runnable(runnable).map_err(StartError::SelfTests)?;
        let prepared = Prepared::of(runnable)?;
        let (settings, boot) = (prepared.settings, prepared.boot);
        let (registry, replacing) = (prepared.registry, prepared.replacing);
        let handed = takeover.as_mut().map(Takeover::listeners);
        let gateway = ports::bind(
            &settings,
            &replacing.certificates,
            prepared.desks.clerks,
            replacing.begun.as_ref(),
            handed,
        )?;
        let admin_port = ports::admin_port(&settings, takeover.as_mut())?;
        let digest = prepared.content.digest_hex();
        let start = Start {
            settings: &entering::ledger_settings(&settings.ledger).signed_by(prepared.ledger_key),
            facts: &entering::opening_facts(boot, digest, &prepared.key, prepared.open),
            rulebook: prepared.content.bytes(),
        };
        let ledger =
            entering::open_ledger(start, prepared.consumers, &registry, takeover.is_some())?;
        let telemetry = open_telemetry(prepared.desks.tallies, &gateway.control(), &registry);
        let ticking = Ticking::start(
            Arc::clone(&registry),
            Arc::clone(&ledger),
            &settings.state_dir,
            gateway.control(),
            telemetry.threads().enter("ticker"),
        )?;
        let parts = Parts {
            registry,
            ledger,
            telemetry,
            views: ticking.views(),
            control: gateway.control(),
            settings,
            boot,
        };
        let open = Open {
            gateway,
            admin_port,
            takeover,
            parts,
            ticking,
        };
        open.started(replacing, prepared.workers)
    }
}

/// Ports and ledger are open; of the threads the ticker runs.
struct Open {
    gateway: Gateway,
    admin_port: AdminPort,
    takeover: Option<Takeover>,
    parts: Parts,
    ticking: Ticking,
}

impl Open {
    /// The other threads, and at last the admin listener.
    fn started(self, replacing: Replacing, workers: usize) -> Result<Assembly, StartError> {
        let (mut gateway, parts) = (self.gateway, self.parts);
        let settings = &parts.settings;
        let certificates = &replacing.certificates;
        certificates.begin(gateway.addresses(), &parts.telemetry);
        let certificate_watch =
            CertificateWatch::start(certificates, &parts.telemetry, settings.watch)?;
        let addresses = gateway.addresses();
        let doors = Doors::new(gateway.control(), addresses, Arc::clone(settings));
        let reloader = replacing.start(&parts, workers, &doors)?;
        // It has read the watched folder.
        freed::hold();
        let keeper = keeping::start(&parts.ledger, settings, parts.boot)?;
        gateway.on_reload(reloader.on_signal());
        let state = AdminState::new(parts.for_admin(workers, reloader.levers()));
        let port = self.admin_port;
        let (admin_address, admin_socket) = (port.address(), port.socket().ok());
        let admin = match &self.takeover {
            Some(_) => AdminDoor::Silent(port),
            None => AdminDoor::Serving(Admin::start(port, Arc::clone(&state))?),
        };
        Ok(Assembly {
            gateway,
            admin,
            admin_address,
            admin_socket,
            takeover: self.takeover,
            state,
            parts,
            doors,
            ticking: self.ticking,
            reloader,
            certificate_watch,
            keeper,
        })
    }
}

fn open_telemetry(
    tallies: Vec<Arc<Tally>>,
    control: &Control,
    registry: &Registry,
) -> Arc<Telemetry> {
    let telemetry = Telemetry::new(
        tallies,
        ParseRefusal::NAMES,
        convert::connection_reader(control),
        clock::now(),
    )
    .with_upstreams(convert::upstream_reader(control));
    // It may be replaced before the first scrape.
    telemetry.announce(&registry.active().load());
    Arc::new(telemetry)
}
