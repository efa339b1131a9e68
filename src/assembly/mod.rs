//! Puts a whole gateway together from checked files, runs it, and takes it apart again.
//!
//! Order matters and stands here alone: self-tests (nothing is made of files that fail), desks, ports, ledger open (the rulebook durable
//! before the first record that names it), then traffic; at the end no traffic, rings drained, ledger closed. Ports come before the
//! ledger because they are what most often fails, and a start that came to nothing is no record.

mod bundles;
mod certificates;
mod circuit_log;
mod client_key;
mod convert;
mod descriptors;
mod keeping;
mod kill_switch;
mod ledger_key;
mod reload;
mod restart;
mod self_testing;
mod service;
mod snapshot;
mod supervisor;
mod ticking;
mod upgrade;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::admin::{
    Activation, Admin, AdminError, AdminParts, AdminPort, AdminState, Later, Levers,
};
use crate::config::{
    Bundled, Demands, LedgerSettings, LedgerSync, Loaded, OnNone, Runnable, Settings, Sources,
    Stamp,
};
use crate::diagnostic::Diagnostic;
use crate::gateway::clock;
use crate::gateway::desk::{Desk, DeskSettings};
use crate::gateway::governor::{Governor, ParseRefusal};
use crate::gateway::{Clerk, Control, Ended, Gateway, ListeningSocket, OpenError};
use crate::ledger::{
    self, BootId, Consumer, Keeper, KeyError, Ledger, LedgerError, OpenBundle, OpenFacts, Source,
    SyncMode, ring,
};
use crate::observation::ClientHasher;
use crate::policy::canonical::CanonicalContent;
use crate::record::{Encoder, Event};
use crate::rulebook::{LocalParts, Registry, RulebookParts};
use crate::telemetry::{Tally, Telemetry, WorkerTally};
use bundles::{Begun, Doors};
use certificates::{CertificateWatch, Certificates};
use client_key::ClientKeyFile;
use kill_switch::KillSwitch;
use reload::{ReloadParts, Reloader};
use supervisor::{Supervisor, Watched};
use upgrade::{GiveParts, Giver};

pub use certificates::certificate_findings;
pub use client_key::ClientKeyError;
pub use kill_switch::reset_kill_switch;
pub use service::Service;
pub use ticking::{Ticking, Views};
pub use upgrade::{Program, Takeover};

/// Events that one worker may have waiting for the ledger's writer: about a tenth of a second of
/// the most that one worker can make, far more than the writer ever sleeps.
const RING_EVENTS: usize = 8_192;

/// How long a stop waits for an admin request that still runs.
const ADMIN_PATIENCE: Duration = Duration::from_secs(1);

/// A worker's number is one byte in a decision id.
const WORKERS_MAX: usize = 255;

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files do not decide as their self-tests say.
    #[error("{}: {}; {}", .0.file, .0.message, .0.remedy)]
    SelfTests(Box<Diagnostic>),
    /// The state directory cannot be made or used.
    #[error("state directory {path}: {error}; set state_dir to a directory this user can write")]
    State {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The secret of client identities cannot be read or made.
    #[error(transparent)]
    ClientKey(#[from] ClientKeyError),
    /// The key of the ledger cannot be read or made.
    #[error(transparent)]
    LedgerKey(#[from] KeyError),
    /// The ledger cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The root of bundles cannot be used.
    #[error(
        "the root {path}: {reason}; 'bundle.root' names the file that 'tidegate root init' made"
    )]
    Root {
        /// The pinned file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is in force is not the policy that whoever started the gateway expects.
    #[error("{0}")]
    UnexpectedPolicy(String),
    /// A certificate or its key cannot be used.
    #[error("{0}")]
    Tls(String),
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// A port cannot be opened, or a certificate cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The gateway that serves does not give way.
    #[error("the running gateway does not hand over, and goes on: {0}; its log says more")]
    NotHandedOver(std::io::Error),
    /// The admin listener cannot be opened.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A thread cannot be started.
    #[error("cannot start thread {name}: {error}")]
    Thread {
        /// Its name.
        name: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A gateway whose ports are open.
pub struct Assembly {
    gateway: Gateway,
    admin: AdminDoor,
    admin_address: SocketAddr,
    /// A copy of the admin listener's socket, to be handed on.
    admin_socket: Option<OwnedFd>,
    takeover: Option<Takeover>,
    state: Arc<AdminState>,
    parts: Parts,
    doors: Doors,
    ticking: Ticking,
    reloader: Reloader,
    certificate_watch: CertificateWatch,
    keeper: Keeper,
}

/// The admin listener: where it belongs to a running gateway still, it is silent until that one gives way.
enum AdminDoor {
    Serving(Admin),
    Silent(AdminPort),
}

impl AdminDoor {
    fn serve(self, state: &Arc<AdminState>) -> Result<Admin, AdminError> {
        match self {
            Self::Serving(admin) => Ok(admin),
            Self::Silent(port) => Admin::start(port, Arc::clone(state)),
        }
    }
}

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
    fn saver(&self) -> Box<dyn Fn() + Send> {
        let (views, registry) = (self.views.clone(), Arc::clone(&self.registry));
        let settings = Arc::clone(&self.settings);
        Box::new(move || views.save(&registry, &settings.state_dir))
    }

    /// What the admin interface needs of them.
    fn for_admin(&self, workers: usize, levers: Levers) -> AdminParts {
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
        let settings = Arc::new(runnable.settings().clone());
        let workers = convert::workers(&settings).min(WORKERS_MAX);
        descriptors::make_room(&settings);
        let key = open_state(&settings)?;
        let ledger_key = ledger_key::open(&settings.ledger)?;
        let certificates = Certificates::read(&settings)?;
        let boot = BootId::random().map_err(StartError::Random)?;
        let kill_switch = KillSwitch::open(&settings.state_dir);
        let Opening {
            parts: rulebook,
            content,
            open,
            begun,
            sources,
            stamp,
            demands,
        } = Opening::of(runnable, workers)?;
        let registry = Arc::new(Registry::for_instances(
            rulebook,
            settings.instances,
            kill_switch.ceiling(),
        ));
        let (desks, consumers) = Desks::new(&settings, &key, boot, &registry, workers);
        let handed = takeover.as_mut().map(Takeover::listeners);
        let mut gateway = bind(
            &settings,
            &certificates,
            desks.clerks,
            begun.as_ref(),
            handed,
        )?;
        let admin_port = admin_port(&settings, takeover.as_mut())?;
        let (admin_address, admin_socket) = (admin_port.address(), admin_port.socket().ok());
        let facts = opening_facts(boot, content.digest_hex(), &key, open);
        let ledger = open_ledger(
            &ledger_settings(&settings.ledger).signed_by(ledger_key),
            &facts,
            content.bytes(),
            consumers,
            &registry,
            takeover.is_some(),
        )?;

        let control = gateway.control();
        let telemetry = open_telemetry(desks.tallies, &control, &registry);
        certificates.begin(gateway.addresses(), &telemetry);
        let certificate_watch = CertificateWatch::start(&certificates, &telemetry, settings.watch)?;
        let ticking = Ticking::start(
            Arc::clone(&registry),
            Arc::clone(&ledger),
            &settings.state_dir,
            control.clone(),
            telemetry.threads().enter("ticker"),
        )?;
        let doors = Doors::new(control.clone(), gateway.addresses(), Arc::clone(&settings));
        let parts = Parts {
            registry,
            ledger,
            telemetry,
            views: ticking.views(),
            control,
            settings,
            boot,
        };
        let reloader = Reloader::start(ReloadParts {
            registry: Arc::clone(&parts.registry),
            ledger: Arc::clone(&parts.ledger),
            telemetry: Arc::clone(&parts.telemetry),
            settings: Arc::clone(&parts.settings),
            kill_switch,
            certificates,
            workers,
            sources,
            stamp,
            demands,
            bundles: begun.map(|begun| (begun, doors.clone())),
        })?;
        let keeper = keeping::start(&parts.ledger, &parts.settings, boot)?;
        gateway.on_reload(reloader.on_signal());
        let state = AdminState::new(parts.for_admin(workers, reloader.levers()));
        let admin = match &takeover {
            Some(_) => AdminDoor::Silent(admin_port),
            None => AdminDoor::Serving(Admin::start(admin_port, Arc::clone(&state))?),
        };
        Ok(Self {
            gateway,
            admin,
            admin_address,
            admin_socket,
            takeover,
            state,
            parts,
            doors,
            ticking,
            reloader,
            certificate_watch,
            keeper,
        })
    }

    /// Says in the log where the gateway listens, or that it waits for a bundle before it does.
    pub fn tell_where_it_listens(&self) {
        self.doors.tell(&self.parts.registry.active().load());
    }

    /// What others may look at.
    #[must_use]
    pub const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The addresses of the listeners, with the ports that the kernel chose.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.gateway.addresses()
    }

    /// The address of the admin listener, with the port that the kernel chose.
    #[must_use]
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until a signal or [`Control::stop`], then writes the ledger to its end. With an
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
        let admin = self.admin.serve(&self.state)?;
        let control = self.gateway.control();
        let own_signals = operation.is_some();
        let service = match operation {
            None => Service::default(),
            Some(Operation { program, service }) => {
                if let Some(program) = program {
                    self.gateway.on_upgrade(program.on_signal());
                }
                if service.is_there() {
                    let reload = self.reloader.by_signal();
                    self.gateway.on_reload(telling(reload, service.clone()));
                }
                service
            }
        };
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

fn admin_port(
    settings: &Settings,
    takeover: Option<&mut Takeover>,
) -> Result<AdminPort, AdminError> {
    match takeover.and_then(|takeover| takeover.admin(settings.admin)) {
        Some(listener) => AdminPort::handed(listener),
        None => AdminPort::open(settings.admin),
    }
}

/// What is in force first, and where later rules come from.
struct Opening {
    parts: RulebookParts,
    content: CanonicalContent,
    open: OpenBundle,
    begun: Option<Begun>,
    sources: Sources,
    stamp: Stamp,
    demands: Demands,
}

impl Opening {
    fn of(runnable: Runnable, workers: usize) -> Result<Self, StartError> {
        match runnable {
            Runnable::Files(loaded) => Ok(Self::of_files(*loaded, workers)),
            Runnable::Bundles(bundled) => Self::of_bundles(*bundled, workers),
        }
    }

    fn of_files(loaded: Loaded, workers: usize) -> Self {
        let parts = RulebookParts::unsigned_local(LocalParts {
            catalogue: loaded.catalogue,
            rules: loaded.rules,
            tier: loaded.settings.tier,
            content_digest: *loaded.content.digest(),
            default_upstream: loaded.settings.default_upstream,
            workers,
        });
        Self {
            parts,
            content: loaded.content,
            open: OpenBundle::Unsigned,
            begun: None,
            sources: loaded.sources,
            stamp: loaded.stamp,
            demands: loaded.demands,
        }
    }

    fn of_bundles(bundled: Bundled, workers: usize) -> Result<Self, StartError> {
        let now_us = clock::now().wall_us;
        let settings = &bundled.settings;
        let begun = Begun::read(settings, &bundled.bundle, now_us)?;
        let Some((parts, content, open)) = bundles::first(&begun, settings, workers, now_us) else {
            return Err(StartError::Root {
                path: bundled.bundle.root,
                reason: "no rulebook can be made of no contract".to_owned(),
            });
        };
        Ok(Self {
            parts,
            content,
            open,
            begun: Some(begun),
            sources: bundled.sources,
            stamp: bundled.stamp,
            demands: bundled.demands,
        })
    }
}

/// Binds the listeners; closed ones where there is no bundle and nothing is served without.
fn bind(
    settings: &Settings,
    certificates: &Certificates,
    clerks: Vec<Arc<dyn Governor>>,
    begun: Option<&Begun>,
    handed: Option<Vec<ListeningSocket>>,
) -> Result<Gateway, StartError> {
    let connections_max = descriptors::connections_max(settings);
    let gateway_settings = convert::gateway_settings(settings, certificates, connections_max);
    let on_none = settings.bundle.as_ref().map(|bundle| bundle.on_none);
    let is_none = begun.is_some_and(|begun| begun.in_force.is_none());
    let is_closed = is_none && on_none == Some(OnNone::Refuse);
    let handed = handed.unwrap_or_default();
    Ok(Gateway::bind_with(
        gateway_settings,
        clerks,
        is_closed,
        handed,
    )?)
}

/// One desk per worker, as the gateway and the metrics see them.
struct Desks {
    clerks: Vec<Arc<dyn Governor>>,
    tallies: Vec<Arc<Tally>>,
}

impl Desks {
    /// The desks, and the ends of their rings for the ledger.
    fn new(
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

/// Whether the client key below `state_dir`, where there is one, is one that a start takes.
///
/// # Errors
/// What a start would refuse it for.
pub fn check_client_key(state_dir: &Path) -> Result<(), ClientKeyError> {
    ClientKeyFile::check(&state_dir.join("client.key"))
}

fn open_state(settings: &Settings) -> Result<ClientKeyFile, StartError> {
    let path = &settings.state_dir;
    std::fs::create_dir_all(path).map_err(|error| StartError::State {
        path: path.clone(),
        error,
    })?;
    Ok(ClientKeyFile::open(&path.join("client.key"))?)
}

/// What the first record of this start says.
fn opening_facts(
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

fn open_ledger(
    settings: &ledger::Settings,
    facts: &OpenFacts,
    rulebook: &[u8],
    consumers: Vec<Consumer<Event>>,
    registry: &Arc<Registry>,
    is_takeover: bool,
) -> Result<Arc<Ledger>, StartError> {
    let encoder = Encoder::new(Arc::clone(registry), &facts.instance);
    let ledger = if is_takeover {
        Ledger::start_when_free(settings, facts, rulebook, consumers, encoder)
    } else {
        Ledger::start(settings, facts, rulebook, consumers, encoder)
    };
    Ok(Arc::new(ledger?))
}

/// How the file wants the ledger kept.
fn ledger_settings(settings: &LedgerSettings) -> ledger::Settings {
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
