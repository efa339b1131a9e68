//! The listener's socket, thread and end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::admin::held::BoundedListener;
use crate::admin::router::router;
use crate::admin::state::AdminState;

/// Threads for handlers that read files.
const FILE_THREADS: usize = 2;

/// How long a stop waits for the first words of a connection that was just accepted.
const UNHEARD_MAX: Duration = Duration::from_millis(250);

/// Why the admin listener could not be started.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Not loopback.
    #[error(
        "the admin listener must not listen on {0}: it asks nobody who they are; \
         set admin.bind to a loopback address such as 127.0.0.1:9901"
    )]
    NotLoopback(SocketAddr),
    /// The socket could not be had.
    #[error("the admin listener cannot listen on {address}: {source}; {}", remedy(.source))]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// No thread or runtime.
    #[error("the admin listener cannot start: {0}")]
    Start(#[from] io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the process that holds the port, or set admin.bind to another one"
        }
        _ => "set admin.bind to a loopback address of this host and a port from 1024 on",
    }
}

/// The socket of an admin listener that does not serve yet: what can fail at a busy port has
/// succeeded once this exists.
#[derive(Debug)]
pub struct AdminPort {
    listener: TcpListener,
    address: SocketAddr,
}

impl AdminPort {
    /// Listens on a loopback address; port 0 takes any free one.
    ///
    /// # Errors
    /// [`AdminError::NotLoopback`] and [`AdminError::Bind`]; nothing is left behind then.
    pub fn open(bind: SocketAddr) -> Result<Self, AdminError> {
        if !bind.ip().is_loopback() {
            return Err(AdminError::NotLoopback(bind));
        }
        let failed = |source| AdminError::Bind {
            address: bind,
            source,
        };
        let listener = TcpListener::bind(bind).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

impl AdminPort {
    /// The port of a process before, whose socket it handed over.
    ///
    /// # Errors
    /// [`AdminError::NotLoopback`], and [`AdminError::Bind`] for a socket that is none.
    pub fn handed(listener: TcpListener) -> Result<Self, AdminError> {
        let failed = |source| AdminError::Bind {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            source,
        };
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            return Err(AdminError::NotLoopback(address));
        }
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same socket once more, to be handed on.
    ///
    /// # Errors
    /// Where the system gives no descriptor.
    pub fn socket(&self) -> io::Result<OwnedFd> {
        self.listener.try_clone().map(OwnedFd::from)
    }
}

/// A running admin listener.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: watch::Sender<Option<Duration>>,
    thread: JoinHandle<usize>,
}

impl Admin {
    /// Serves on a port that is open.
    ///
    /// # Errors
    /// [`AdminError::Start`]; nothing is left behind then.
    pub fn start(port: AdminPort, state: Arc<AdminState>) -> Result<Self, AdminError> {
        let AdminPort { listener, address } = port;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(FILE_THREADS)
            .build()?;
        let (stop, stopped) = watch::channel(None);
        let shared = Arc::clone(&state);
        let life = state.parts.telemetry.threads().enter("admin");
        let thread = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                let _life = life;
                if let Err(error) = runtime.block_on(serve(listener, shared, stopped)) {
                    tracing::error!(%error, "the admin listener ended");
                }
                // Before the runtime drops them.
                let cut_off = state.in_flight.load(Ordering::Relaxed);
                // A file that does not answer must not hold up the end of the process.
                runtime.shutdown_background();
                cut_off
            })?;
        Ok(Self {
            address,
            stop,
            thread,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives what makes it take no new connections and let running requests finish; it returns at once.
    pub fn quieter(&self) -> impl Fn(Duration) + Send + Sync + 'static {
        let stop = self.stop.clone();
        move |patience| _ = stop.send_replace(Some(patience))
    }

    /// Takes no new connections, lets running requests finish for at most `patience`, and ends.
    /// Returns how many requests were cut off.
    pub fn stop(self, patience: Duration) -> usize {
        self.stop.send_replace(Some(patience));
        self.thread.join().unwrap_or_else(|_| {
            tracing::error!("the admin listener panicked");
            0
        })
    }
}

async fn serve(
    listener: TcpListener,
    state: Arc<AdminState>,
    mut stopped: watch::Receiver<Option<Duration>>,
) -> io::Result<()> {
    let listener = BoundedListener::new(tokio::net::TcpListener::from_std(listener)?);
    let door = listener.door();
    let (go, gone) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router(state)).with_graceful_shutdown(async {
        let _ = gone.await;
    });
    let mut serving = std::pin::pin!(serving.into_future());
    tokio::select! {
        ended = &mut serving => return ended,
        // The sender gone means that nobody is left to stop us in an orderly way.
        _ = stopped.wait_for(Option::is_some) => {}
    }
    let patience = stopped.borrow().unwrap_or_default();
    tokio::select! {
        ended = &mut serving => return ended,
        () = door.close(patience.min(UNHEARD_MAX)) => {}
    }
    let _ = go.send(());
    tokio::time::timeout(patience, serving)
        .await
        .unwrap_or(Ok(()))
}
