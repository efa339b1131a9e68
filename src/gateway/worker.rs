//! A worker: one thread, one runtime, its own sockets and its own pool of upstream connections.
//!
//! Invariant: a connection never leaves the worker that accepted it, so everything of one
//! request happens on one thread and no wake-up crosses threads. The runtime is not one of
//! Pingora's: those remember their threads beyond their end, so a second gateway in the same
//! process would be lost. Deliberately not here: what is done with a connection.

use std::cell::Cell;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora::proxy::http_proxy;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::acceptor::{Acceptor, Entrance};
use super::bind::Door;
use super::clock;
use super::common::Common;
use super::edge::{Connections, Edge};
use super::governor::Governor;
use super::in_flight::InFlight;
use super::lane::{self, Lane};
use super::listener::Listeners;
use super::proxy::Hooks;
use super::queue::Queues;
use super::settings::GatewaySettings;
use super::stop::Control;
use super::upstreams::Upstreams;
use crate::observation::TICK_NS;

thread_local! {
    static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The number of the current worker, 0..threads; `None` on a thread that serves no connections.
#[must_use]
pub fn index() -> Option<usize> {
    INDEX.with(Cell::get)
}

/// What all workers have in common.
pub(crate) struct Parts {
    pub(crate) upstreams: Arc<Upstreams>,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) listeners: Listeners,
    pub(crate) conf: Arc<ServerConf>,
}

impl Parts {
    /// Worker `number` with its sockets.
    pub(crate) fn worker(
        &self,
        number: usize,
        governor: Arc<dyn Governor>,
        in_flight: InFlight,
        sockets: Vec<(SocketAddr, Door)>,
    ) -> Worker {
        let edge = self.edge(number, Arc::clone(&governor), in_flight);
        Worker {
            number,
            governor,
            edge: Arc::new(edge),
            sockets,
        }
    }

    fn edge(&self, number: usize, governor: Arc<dyn Governor>, in_flight: InFlight) -> Edge {
        let common = Arc::new(Common {
            governor: Arc::clone(&governor),
            picker: self.upstreams.picker(number),
            settings: Arc::clone(&self.settings),
            in_flight,
            worker: number,
        });
        let mut proxy = http_proxy(&self.conf, Hooks(Arc::clone(&common)));
        proxy.server_options = Some(h2c_options(self.settings.timeouts.idle));
        proxy.h2_options = Some(h2_options(&self.settings));
        Edge {
            proxy: Arc::new(proxy),
            lane: self.settings.fast_lane.then_some(Lane { common }),
            governor,
            settings: Arc::clone(&self.settings),
            connections: Arc::clone(&self.connections),
            listeners: self.listeners.clone(),
            worker: number,
        }
    }
}

/// A worker that has not started yet.
pub(crate) struct Worker {
    number: usize,
    governor: Arc<dyn Governor>,
    edge: Arc<Edge>,
    sockets: Vec<(SocketAddr, Door)>,
}

impl Worker {
    /// Starts the thread. It stops accepting when `closing` says so and ends with `end`; what
    /// it still serves then is dropped. A worker that dies stops the gateway.
    pub(crate) fn start(
        self,
        control: Control,
        closing: ShutdownWatch,
        end: watch::Receiver<bool>,
    ) -> io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(format!("worker-{}", self.number))
            .spawn(move || {
                let _stop = StopOnDrop(control.clone());
                INDEX.set(Some(self.number));
                runtime.block_on(self.serve(&control, closing, end));
            })
    }

    async fn serve(
        self,
        control: &Control,
        closing: ShutdownWatch,
        mut end: watch::Receiver<bool>,
    ) {
        let Self {
            governor,
            edge,
            sockets,
            ..
        } = self;
        let upstream_idle = edge.settings.timeouts.upstream_idle;
        let mut opened = control.opened();
        let accept = async {
            // An error means that nobody is left who could open them.
            if opened.wait_for(|opened| *opened).await.is_err() {
                return;
            }
            let mut doors = Vec::with_capacity(sockets.len());
            let mut queues = Vec::with_capacity(sockets.len());
            for (address, door) in sockets {
                let entrance = Arc::new(Entrance {
                    edge: Arc::clone(&edge),
                    listener: edge.listeners.number(&address),
                    closing: closing.clone(),
                });
                let opened = door.open().and_then(|socket| {
                    queues.push((socket.try_clone()?, Arc::clone(&entrance)));
                    Ok(socket)
                });
                match opened {
                    Ok(socket) => doors.push((socket, entrance)),
                    Err(error) => {
                        // The worker ends, and with it the gateway.
                        tracing::error!(event = "port_not_opened", socket = %address, %error);
                        return;
                    }
                }
            }
            let acceptor = match Acceptor::new(doors) {
                Ok(acceptor) => acceptor,
                Err(error) => {
                    tracing::error!(event = "sockets_not_watched", %error);
                    return;
                }
            };
            control.note_listening();
            // It closes its holders of the sockets, so that those of the queues are the last.
            acceptor.run().await;
            if control.is_handed_over() {
                // Who waits there waits for the other process: while one that does not accept holds
                // the port, nobody is told that it has ended.
                drop(queues);
            } else {
                Queues::new(queues).empty();
            }
            control.note_emptied();
            // No more connections; those that are open are served to their end.
            pending::<()>().await;
        };
        tokio::select! {
            () = accept => {}
            () = tick_for_ever(&*governor, upstream_idle) => {}
            // An error means that nobody is left who could end it.
            _ = end.wait_for(|end| *end) => {}
        }
        lane::pool::clear();
    }
}

/// Looks after long requests every 100 ms, on the worker's own thread.
async fn tick_for_ever(governor: &dyn Governor, upstream_idle: Duration) {
    let mut due = tokio::time::interval(Duration::from_nanos(TICK_NS));
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let now = clock::now();
        governor.tick(now);
        lane::pool::expire(now, upstream_idle);
    }
}

struct StopOnDrop(Control);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn h2c_options(idle: Duration) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(idle);
    options
}

/// Streams that `h2` resets in the life of a connection: behind the edge's own, smaller bound.
const H2_LOCAL_RESETS_MAX: usize = 256;
/// Bytes of one request body that a client may send before they were read: with what the protocol
/// begins with, 64 KiB, an upload is slower by the time of every round trip.
const H2_STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same of all bodies of a connection: the most that one can make the gateway hold.
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// What a stream hands over to its connection at once: half of the pieces that an upstream is read
/// in, so that a client that does not read holds one of them less.
const H2_SEND_BUFFER_BYTES: usize = 32 * 1024;

fn h2_options(settings: &GatewaySettings) -> H2Options {
    let mut options = default_h2_options();
    options.max_concurrent_streams(settings.limits.h2_streams_max);
    // The edge refuses a head above the limit in the same words as over HTTP/1; what is larger by
    // more than a quarter is not even decoded.
    let head_bytes = u32::try_from(settings.limits.head_bytes_max).unwrap_or(u32::MAX);
    options.max_header_list_size(head_bytes.saturating_add(head_bytes / 4));
    options.max_local_error_reset_streams(Some(H2_LOCAL_RESETS_MAX));
    options.max_send_buffer_size(H2_SEND_BUFFER_BYTES);
    options.initial_window_size(H2_STREAM_WINDOW_BYTES);
    options.initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES);
    options
}
