//! A gateway from its first request to its last: who hears of it, and in which order it is taken apart.

use std::sync::Arc;
use std::time::Duration;

use super::supervisor::{Supervisor, Watched};
use super::upgrade::{GiveParts, Giver, Program};
use super::{Assembly, Service, StartError, freed};
use crate::admin::{Activation, Admin, Later};
use crate::gateway::Ended;

/// How long a stop waits for an admin request that still runs.
const ADMIN_PATIENCE: Duration = Duration::from_secs(1);

impl Assembly {
    /// Serves until a signal or [`crate::gateway::Control::stop`], then writes the ledger to its end. With an
    /// [`Operation`] the signals of the process are heard and a newer program can take over.
    ///
    /// # Errors
    /// [`StartError::NotHandedOver`] where the gateway before goes on in its place,
    /// [`StartError::Thread`] where a worker cannot be started; a ledger that could not be closed.
    pub fn run(mut self, operation: Option<Operation>) -> Result<Ended, StartError> {
        if let Some(takeover) = &self.takeover {
            takeover.ready().map_err(StartError::NotHandedOver)?;
            // What was changed while this one was prepared.
            (self.reloader.on_signal())();
        }
        let own_signals = operation.is_some();
        let service = operation.map_or_else(Service::default, |operation| self.heed(operation));
        let admin = self.admin.serve(&self.state)?;
        let control = self.gateway.control();
        let supervisor = Supervisor::start(Watched {
            telemetry: Arc::clone(&self.parts.telemetry),
            ledger: Arc::clone(&self.parts.ledger),
            control: control.clone(),
            service: service.clone(),
        });
        let mut giver = None;
        let (parts, takeover) = (&self.parts, self.takeover.take());
        let give = self.admin_socket.take().map(|socket| GiveParts {
            state_dir: parts.settings.state_dir.clone(),
            control,
            admin: (parts.settings.admin, self.admin_address, socket),
            save: parts.saver(),
            gave: gave(&admin, &service),
        });
        // The ports have been open since `open`; whoever connected is served from here on.
        let ended = self.gateway.run_with(own_signals, || {
            self.state.set_ready(true);
            freed::give_back();
            if let Some(takeover) = takeover {
                takeover.serving();
            }
            if own_signals {
                giver = give.map(Giver::start);
            }
            service.tell("READY=1\nSTATUS=serving");
        });
        drop(giver);
        drop(supervisor);
        self.state.set_ready(false);
        admin.stop(ADMIN_PATIENCE);
        drop(self.reloader);
        drop(self.certificate_watch);
        drop(self.ticking);
        // Before the ledger: it may be waiting for a record of its own.
        drop(self.keeper);
        let closed = self.parts.ledger.close();
        let ended = ended.map_err(|error| StartError::Thread {
            name: "worker",
            error,
        })?;
        closed?;
        Ok(ended)
    }

    /// Connects the signals of the process; gives whom to tell.
    fn heed(&mut self, operation: Operation) -> Service {
        let Operation { program, service } = operation;
        if let Some(program) = program {
            self.gateway.on_upgrade(program.on_signal());
        }
        if service.is_there() {
            let reload = self.reloader.by_signal();
            self.gateway.on_reload(telling(reload, service.clone()));
        }
        service
    }
}

/// What a process of its own has beside a gateway that others embed.
#[derive(Debug, Default)]
pub struct Operation {
    /// What a QUIT signal starts, to take over.
    pub program: Option<Program>,
    /// Who is told how the process is.
    pub service: Service,
}

/// A reload that the service manager is told of: it waits for the end of it.
fn telling(
    reload: impl Fn() -> Later<Activation> + Send + Sync + 'static,
    service: Service,
) -> impl Fn() + Send + Sync + 'static {
    move || {
        service.tell("RELOADING=1");
        let (later, service) = (reload(), service.clone());
        let thread = std::thread::Builder::new().name("reload-told".to_owned());
        let spawned = thread.spawn(move || {
            _ = later.blocking_recv();
            service.tell("READY=1");
        });
        if let Err(error) = spawned {
            tracing::warn!(event = "reload_not_told", %error);
        }
    }
}

/// What is done when another process serves: it is the one that operators and the manager talk to.
fn gave(admin: &Admin, service: &Service) -> Box<dyn Fn(Option<u32>) + Send> {
    let (quieter, service) = (admin.quieter(), service.clone());
    Box::new(move |pid| {
        quieter(ADMIN_PATIENCE);
        if let Some(pid) = pid {
            service.tell(&format!("MAINPID={pid}"));
        }
    })
}
