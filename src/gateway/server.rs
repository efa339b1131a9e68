//! Puts the gateway together, runs it, and returns when it has stopped.
//!
//! Invariant: each worker is a Pingora service of its own with one thread, its own sockets and
//! its own pool of upstream connections, so nothing of a request crosses threads.
//! Deliberately not here: configuration files, the ledger, the admin listener.

use std::net::SocketAddr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::http_proxy;
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora::services::Service as PingoraService;
use pingora::services::listening::Service;
use tokio::sync::watch;

use super::bind::{self, BindError};
use super::edge::{Connections, Edge};
use super::governor::Governor;
use super::in_flight::InFlight;
use super::listener::Listeners;
use super::proxy::Hooks;
use super::settings::GatewaySettings;
use super::stop::{Control, Ended, OnReload, Stopper};
use super::upstreams::Upstreams;
use super::worker;

/// Pingora counts attempts, not retries: two attempts are one retry.
const ATTEMPTS: usize = 2;

/// A gateway whose ports are open and which does not serve yet.
pub struct Gateway {
    settings: Arc<GatewaySettings>,
    control: Control,
    addresses: Vec<SocketAddr>,
    close_listeners: watch::Sender<bool>,
    on_reload: OnReload,
    server: Server,
}

impl Gateway {
    /// Opens the listeners and builds the workers.
    ///
    /// # Errors
    ///
    /// When a listener cannot be opened; nothing stays open then.
    pub fn bind(settings: GatewaySettings, governor: Arc<Governor>) -> Result<Self, BindError> {
        let workers = settings.threads.max(1);
        let bound = bind::bind(&settings.listeners, workers)?;
        let addresses: Vec<SocketAddr> = bound.iter().map(|bound| bound.address).collect();
        let limits = &settings.limits;
        let connections =
            Connections::new(limits.connections_max, limits.connections_per_address_max);
        let (close_listeners, closing) = watch::channel(false);
        let server = Server::new_with_opt_and_conf(None, server_conf(&settings));
        let in_flight: Vec<InFlight> = (0..workers).map(|_| InFlight::default()).collect();
        let mut gateway = Self {
            control: Control::new(in_flight.clone(), Arc::clone(&connections)),
            settings: Arc::new(settings),
            addresses: addresses.clone(),
            close_listeners,
            on_reload: Box::new(|| tracing::warn!(event = "reload_unavailable", "restart needed")),
            server,
        };
        let parts = Parts {
            governor,
            upstreams: Upstreams::new(&gateway.settings.upstreams),
            settings: Arc::clone(&gateway.settings),
            connections,
            listeners: Listeners::new(addresses),
            conf: Arc::clone(&gateway.server.configuration),
        };
        let mut sockets: Vec<Vec<(SocketAddr, OwnedFd)>> = Vec::new();
        sockets.resize_with(workers, Vec::new);
        for listener in bound {
            for (of_worker, socket) in sockets.iter_mut().zip(listener.sockets) {
                of_worker.push((listener.address, socket));
            }
        }
        for (number, (sockets, in_flight)) in sockets.into_iter().zip(in_flight).enumerate() {
            let worker = parts.worker(number, in_flight, sockets, closing.clone());
            gateway.server.add_service(worker);
        }
        Ok(gateway)
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

    /// Serves until TERM, QUIT or [`Control::stop`] (running requests finish first) or INT (at
    /// once). When it returns, every exchange is complete or dropped.
    #[must_use]
    pub fn run(self) -> Ended {
        self.run_with(true)
    }

    /// Serves like [`Gateway::run`] and leaves the signals of the process alone.
    #[must_use]
    pub fn run_embedded(self) -> Ended {
        self.run_with(false)
    }

    fn run_with(self, signals: bool) -> Ended {
        let control = self.control.clone();
        let stopper = Stopper {
            control: self.control,
            drain_max: self.settings.timeouts.stop,
            close_listeners: self.close_listeners,
            on_reload: self.on_reload,
            signals,
        };
        self.server.run(RunArgs {
            shutdown_signal: Box::new(stopper),
        });
        control.ended()
    }
}

fn server_conf(settings: &GatewaySettings) -> ServerConf {
    let in_runtime_dir = |name: &str| settings.runtime_dir.join(name).display().to_string();
    ServerConf {
        // Of each service: a worker is a service with one thread.
        threads: 1,
        work_stealing: false,
        pid_file: in_runtime_dir("tidegate.pid"),
        upgrade_sock: in_runtime_dir("upgrade.sock"),
        upstream_keepalive_pool_size: settings.limits.upstream_pool_per_worker,
        max_retries: ATTEMPTS,
        // The drain is over before Pingora hears of the stop.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

/// What all workers have in common.
struct Parts {
    governor: Arc<Governor>,
    upstreams: Arc<Upstreams>,
    settings: Arc<GatewaySettings>,
    connections: Arc<Connections>,
    listeners: Listeners,
    conf: Arc<ServerConf>,
}

impl Parts {
    fn worker(
        &self,
        number: usize,
        in_flight: InFlight,
        sockets: Vec<(SocketAddr, OwnedFd)>,
        closing: ShutdownWatch,
    ) -> Worker {
        let hooks = Hooks {
            governor: Arc::clone(&self.governor),
            upstreams: Arc::clone(&self.upstreams),
            settings: Arc::clone(&self.settings),
            listeners: self.listeners.clone(),
            in_flight,
            worker: number,
            // Workers begin with different servers of a group.
            turn: AtomicUsize::new(number),
        };
        let mut proxy = http_proxy(&self.conf, hooks);
        proxy.server_options = Some(h2c_options(self.settings.timeouts.idle));
        proxy.h2_options = Some(h2_options(&self.settings));
        let edge = Edge {
            proxy: Arc::new(proxy),
            governor: Arc::clone(&self.governor),
            settings: Arc::clone(&self.settings),
            connections: Arc::clone(&self.connections),
            listeners: self.listeners.clone(),
            worker: number,
        };
        let mut service = Service::new(format!("worker {number}"), edge);
        service.threads = Some(1);
        let mut named = Vec::with_capacity(sockets.len());
        for (address, socket) in sockets {
            // Pingora finds a socket that is already open by the text of its address; the
            // number keeps the sockets of the workers apart.
            let key = format!("{address}#{number}");
            service.add_tcp(&key);
            named.push((key, socket));
        }
        Worker {
            number,
            service,
            sockets: named,
            closing,
        }
    }
}

/// One worker: Pingora's listening service on sockets that are open already.
struct Worker {
    number: usize,
    service: Service<Edge>,
    sockets: Vec<(String, OwnedFd)>,
    closing: ShutdownWatch,
}

#[async_trait]
impl PingoraService for Worker {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        _: ShutdownWatch,
        tasks_per_listener: usize,
    ) {
        worker::claim(self.number);
        if let Some(fds) = &fds {
            let mut fds = fds.lock();
            for (key, socket) in self.sockets.drain(..) {
                fds.add(key, socket.into_raw_fd());
            }
        }
        let closing = self.closing.clone();
        self.service
            .start_service(fds, closing, tasks_per_listener)
            .await;
    }

    fn name(&self) -> &str {
        PingoraService::name(&self.service)
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads
    }
}

fn h2c_options(idle: Duration) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(idle);
    options
}

fn h2_options(settings: &GatewaySettings) -> H2Options {
    let mut options = default_h2_options();
    options.max_concurrent_streams(settings.limits.h2_streams_max);
    let head_bytes = u32::try_from(settings.limits.head_bytes_max).unwrap_or(u32::MAX);
    options.max_header_list_size(head_bytes);
    options
}
