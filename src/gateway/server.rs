//! Puts the gateway together, runs it, and returns when it has stopped.
//!
//! Invariant: when `run` returns, every request has been completed or dropped and all threads of
//! the gateway have ended. Pingora's own `Server` is not used: it sleeps through its grace
//! period, idle or not, ends the process, and cannot be started twice in one.
//! Deliberately not here: configuration files, the ledger, the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use pingora::server::configuration::ServerConf;
use tokio::sync::watch;

use super::bind::{self, BindError, ListeningSocket};
use super::edge::Connections;
use super::governor::Governor;
use super::in_flight::InFlight;
use super::listener::Listeners;
use super::settings::GatewaySettings;
use super::stop::{Control, Ended, OnReload, Signals, Stopper};
use super::upstreams::{TlsFileError, Upstreams};
use super::worker::{Parts, Worker};

/// Pingora counts attempts, not retries: two attempts are one retry.
const ATTEMPTS: usize = 2;

/// Why a gateway cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A listener cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A file of certificates for upstreams cannot be used.
    #[error(transparent)]
    UpstreamTls(#[from] TlsFileError),
}

/// A gateway whose ports are open and which does not serve yet.
pub struct Gateway {
    settings: Arc<GatewaySettings>,
    control: Control,
    addresses: Vec<SocketAddr>,
    close_listeners: watch::Sender<bool>,
    on_reload: OnReload,
    on_upgrade: OnReload,
    workers: Vec<Worker>,
}

impl Gateway {
    /// Opens the listeners and builds the workers; there is one per governor.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened or a certificate cannot be used; nothing stays open then.
    pub fn bind(
        settings: GatewaySettings,
        governors: Vec<Arc<dyn Governor>>,
    ) -> Result<Self, OpenError> {
        Self::bind_with(settings, governors, false, Vec::new())
    }

    /// The same with ports that are taken and let nobody in until [`Control::open`].
    ///
    /// # Errors
    ///
    /// As [`Gateway::bind`].
    pub fn bind_closed(
        settings: GatewaySettings,
        governors: Vec<Arc<dyn Governor>>,
    ) -> Result<Self, OpenError> {
        Self::bind_with(settings, governors, true, Vec::new())
    }

    /// The same with sockets that a process before hands over; listeners that it did not have are
    /// opened, and sockets that no listener asks for are closed.
    ///
    /// # Errors
    ///
    /// As [`Gateway::bind`].
    pub fn bind_with(
        settings: GatewaySettings,
        governors: Vec<Arc<dyn Governor>>,
        is_closed: bool,
        handed: Vec<ListeningSocket>,
    ) -> Result<Self, OpenError> {
        let threads = governors.len();
        let bound = bind::bind(&settings.listeners, threads, is_closed, handed)?;
        // Without them a hand-over is refused, and nothing else.
        let sockets = bind::to_hand_on(&settings.listeners, &bound).unwrap_or_default();
        let addresses: Vec<SocketAddr> = bound.iter().map(|bound| bound.address).collect();
        let settings = Arc::new(settings);
        let limits = &settings.limits;
        let connections = Connections::new(
            limits.connections_max,
            limits.connections_per_address_max,
            limits.handshakes_max,
        );
        let in_flight: Vec<InFlight> = (0..threads).map(|_| InFlight::default()).collect();
        let upstreams = Upstreams::new(&settings.upstreams, threads)?;
        let parts = Parts {
            upstreams: Arc::clone(&upstreams),
            settings: Arc::clone(&settings),
            connections: Arc::clone(&connections),
            listeners: Listeners::new(addresses.clone()),
            conf: Arc::new(server_conf(&settings)),
        };
        let doors = bind::by_worker(bound, threads);
        let workers = doors
            .into_iter()
            .zip(&in_flight)
            .zip(governors)
            .enumerate()
            .map(|(number, ((sockets, in_flight), governor))| {
                parts.worker(number, governor, in_flight.clone(), sockets)
            });
        Ok(Self {
            workers: workers.collect(),
            control: Control::new(in_flight, connections, upstreams, is_closed, sockets),
            settings,
            addresses,
            close_listeners: watch::Sender::new(false),
            on_reload: Box::new(|| tracing::warn!(event = "reload_unavailable")),
            on_upgrade: Box::new(|| tracing::warn!(event = "upgrade_unavailable")),
        })
    }

    /// The addresses of the listeners, with the ports that the kernel chose. They accept
    /// connections from now on; the connections are served once `run` is called.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle to the running gateway.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Sets what a HUP signal calls. It must return soon.
    pub fn on_reload(&mut self, reload: impl Fn() + Send + Sync + 'static) {
        self.on_reload = Box::new(reload);
    }

    /// Sets what a QUIT signal calls. It must return soon; the gateway goes on until
    /// [`Control::hand_over`].
    pub fn on_upgrade(&mut self, upgrade: impl Fn() + Send + Sync + 'static) {
        self.on_upgrade = Box::new(upgrade);
    }

    /// Serves like [`Gateway::run_with`] and leaves the signals of the process alone.
    ///
    /// # Errors
    ///
    /// When a worker cannot be started; nothing runs any more then.
    pub fn run_embedded(self) -> std::io::Result<Ended> {
        self.run_with(false, || {})
    }

    /// Serves until [`Control::stop`] and, where it has the signals of the process, until TERM
    /// (running requests finish first) or INT (at once). `ready` is called as soon as a signal would
    /// be heard: whoever says that the gateway is ready says that it can be stopped, too.
    ///
    /// # Errors
    ///
    /// When a worker cannot be started; nothing runs any more then.
    pub fn run_with(self, signals: bool, ready: impl FnOnce()) -> std::io::Result<Ended> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let end = watch::Sender::new(false);
        let signals = {
            let _within = runtime.enter();
            // Before anything is served: a signal must not find a process that does not know it.
            Signals::install(signals)
        };
        ready();
        let started = start_all(self.workers, &self.control, &self.close_listeners, &end);
        let (threads, started) = started;
        let mut stopper = Stopper {
            control: self.control,
            drain_max: self.settings.timeouts.stop,
            close_listeners: self.close_listeners,
            on_reload: self.on_reload,
            on_upgrade: self.on_upgrade,
            notice: self.settings.timeouts.drain_notice,
            signals,
        };
        let ended = match started {
            Ok(()) => Ok(runtime.block_on(stopper.stopped())),
            Err(error) => Err(error),
        };
        end.send_replace(true);
        let died = threads
            .into_iter()
            .filter_map(|thread| thread.join().err())
            .count();
        ended.map(|ended| Ended {
            workers_died: died,
            ..ended
        })
    }
}

type Started = (Vec<JoinHandle<()>>, std::io::Result<()>);

fn start_all(
    workers: Vec<Worker>,
    control: &Control,
    close_listeners: &watch::Sender<bool>,
    end: &watch::Sender<bool>,
) -> Started {
    let mut threads = Vec::with_capacity(workers.len());
    for worker in workers {
        match worker.start(
            control.clone(),
            close_listeners.subscribe(),
            end.subscribe(),
        ) {
            Ok(thread) => threads.push(thread),
            Err(error) => return (threads, Err(error)),
        }
    }
    (threads, Ok(()))
}

fn server_conf(settings: &GatewaySettings) -> ServerConf {
    let in_runtime_dir = |name: &str| settings.runtime_dir.join(name).display().to_string();
    ServerConf {
        // Each worker has a pool of its own, and Pingora multiplies its size by the threads.
        threads: 1,
        pid_file: in_runtime_dir("tidegate.pid"),
        upgrade_sock: in_runtime_dir("upgrade.sock"),
        upstream_keepalive_pool_size: settings.limits.upstream_pool_per_worker,
        max_retries: ATTEMPTS,
        ..ServerConf::default()
    }
}
