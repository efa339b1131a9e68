//! How the gateway stops: no new connections, running requests finish, then the process may go.
//!
//! Invariant: a stop takes as long as the longest running request and no longer than its bound. A kept
//! connection gets its last answer with `Connection: close`; one without a request is closed after
//! [`LAST_REQUEST`], so that a request that was under way is answered and not cut.
//! Deliberately not here: the ledger; its owner closes it when
//! the gateway has ended.

mod quiet;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use quiet::Quiet;

use super::bind::ListeningSocket;
use super::edge::Connections;
use super::in_flight::InFlight;
use super::upstreams::Upstreams;
use crate::telemetry::UpstreamView;

/// How often the drain looks whether the last request has finished.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long a kept connection may still begin a request once the gateway stops.
pub(crate) const LAST_REQUEST: Duration = Duration::from_millis(250);

/// What a reload calls.
pub(crate) type OnReload = Box<dyn Fn() + Send + Sync>;

/// What others may ask of a running gateway, from any thread.
#[derive(Debug, Clone)]
pub struct Control {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) in_flight: Vec<InFlight>,
    pub(crate) connections: Arc<Connections>,
    upstreams: Arc<Upstreams>,
    asked: watch::Sender<bool>,
    opened: watch::Sender<bool>,
    /// Workers whose ports are not open yet.
    not_listening: AtomicUsize,
    /// Workers that let nobody in any more, and have met whoever still waited to be.
    emptied: AtomicUsize,
    draining: AtomicBool,
    /// Another process serves from here on.
    handed_over: AtomicBool,
    /// The sockets of the listeners, to be handed on; empty once they are closed.
    sockets: Mutex<Vec<ListeningSocket>>,
}

impl Control {
    pub(crate) fn new(
        in_flight: Vec<InFlight>,
        connections: Arc<Connections>,
        upstreams: Arc<Upstreams>,
        is_closed: bool,
        sockets: Vec<ListeningSocket>,
    ) -> Self {
        let not_listening = if is_closed { in_flight.len() } else { 0 };
        Self {
            shared: Arc::new(Shared {
                in_flight,
                connections,
                upstreams,
                asked: watch::Sender::new(false),
                opened: watch::Sender::new(!is_closed),
                not_listening: AtomicUsize::new(not_listening),
                emptied: AtomicUsize::new(0),
                draining: AtomicBool::new(false),
                handed_over: AtomicBool::new(false),
                sockets: Mutex::new(sockets),
            }),
        }
    }

    /// Asks for a graceful stop and returns at once.
    pub fn stop(&self) {
        self.shared.asked.send_replace(true);
    }

    /// Stops like [`Control::stop`] because another process serves on the same sockets: nobody has to
    /// be told first.
    pub fn hand_over(&self) {
        self.shared.handed_over.store(true, Ordering::Release);
        self.stop();
    }

    /// Whether another process serves on the same sockets.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.shared.handed_over.load(Ordering::Acquire)
    }

    /// The sockets of the listeners, for a process that takes them over; none once they are closed.
    ///
    /// # Errors
    /// What the system says where it gives no descriptors.
    pub fn sockets(&self) -> std::io::Result<Vec<ListeningSocket>> {
        self.lock_sockets()
            .iter()
            .map(ListeningSocket::again)
            .collect()
    }

    fn lock_sockets(&self) -> MutexGuard<'_, Vec<ListeningSocket>> {
        let sockets = self.shared.sockets.lock();
        sockets.unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the ports of a gateway that was bound closed; nothing where they are open.
    pub fn open(&self) {
        self.shared.opened.send_replace(true);
    }

    /// Whether the ports are open, or were before a stop.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.shared.opened.borrow()
    }

    /// Whether every worker lets clients in: a moment after the ports were opened.
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.shared.not_listening.load(Ordering::Acquire) == 0
    }

    /// Called by each worker once its ports are open.
    pub(crate) fn note_listening(&self) {
        let less = |count: usize| count.checked_sub(1);
        // Nothing is left to count where the ports were open from the beginning.
        let _ = self
            .shared
            .not_listening
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Called by each worker when nobody waits in its sockets any more.
    pub(crate) fn note_emptied(&self) {
        self.shared.emptied.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether nobody can come any more.
    fn is_emptied(&self) -> bool {
        self.shared.emptied.load(Ordering::Acquire) >= self.shared.in_flight.len()
    }

    /// Says when the ports may be opened.
    pub(crate) fn opened(&self) -> watch::Receiver<bool> {
        self.shared.opened.subscribe()
    }

    /// Whether the gateway takes no new connections any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Acquire)
    }

    /// Requests being served.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.iter().map(InFlight::count).sum()
    }

    /// The upstreams, in the order of the settings.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamView> {
        self.shared.upstreams.views()
    }

    /// The client connections.
    #[must_use]
    pub fn connections(&self) -> &Connections {
        &self.shared.connections
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Requests that were cut off because they did not finish in time.
    pub cut_off: usize,
    /// Workers that ended by themselves; 0 unless there is a bug.
    pub workers_died: usize,
}

/// Waits for a reason to stop, then drains.
pub(crate) struct Stopper {
    pub(crate) control: Control,
    pub(crate) notice: Duration,
    pub(crate) drain_max: Duration,
    pub(crate) close_listeners: watch::Sender<bool>,
    pub(crate) on_reload: OnReload,
    pub(crate) on_upgrade: OnReload,
    pub(crate) signals: Signals,
}

impl Stopper {
    /// Returns when the gateway may end.
    pub(crate) async fn stopped(&mut self) -> Ended {
        let mut fast = self.until_asked().await;
        self.control.shared.draining.store(true, Ordering::Release);
        if !fast && !self.control.is_handed_over() {
            fast = self.serve_on(self.notice).await;
        }
        self.close_listeners.send_replace(true);
        // The last of each of them: from here on nobody waits in a socket that nobody empties.
        self.control.lock_sockets().clear();
        if !fast {
            self.drain().await;
        }
        Ended {
            cut_off: self.control.in_flight(),
            workers_died: 0,
        }
    }

    /// Whether it is to stop at once.
    async fn until_asked(&mut self) -> bool {
        let mut asked = self.control.shared.asked.subscribe();
        loop {
            tokio::select! {
                _ = asked.wait_for(|asked| *asked) => return false,
                signal = self.signals.next() => match signal {
                    Some(Asked::Reload) => (self.on_reload)(),
                    Some(Asked::Upgrade) => (self.on_upgrade)(),
                    Some(Asked::Stop) => return false,
                    Some(Asked::StopNow) | None => return true,
                },
            }
        }
    }

    /// For load balancers to notice; whether it is to stop at once after all.
    async fn serve_on(&mut self, notice: Duration) -> bool {
        let until = Instant::now() + notice;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return false,
                signal = self.signals.next() => if signal.is_none_or(Asked::is_impatient) {
                    return true;
                },
            }
        }
    }

    async fn drain(&mut self) {
        let deadline = Instant::now() + self.drain_max;
        let mut quiet = Quiet::default();
        loop {
            let now = Instant::now();
            let is_busy = self.control.in_flight() > 0;
            let is_quiet = quiet.look(now, is_busy) >= LAST_REQUEST + LOOK_EVERY;
            let is_left = self.control.is_emptied() && self.control.connections().open() == 0;
            if is_quiet || (is_left && !is_busy) || now >= deadline {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                signal = self.signals.next() => if signal.is_none_or(Asked::is_impatient) {
                    return;
                },
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Reload,
    Stop,
    StopNow,
    Upgrade,
}

impl Asked {
    /// While it stops: a second TERM means what INT means.
    fn is_impatient(self) -> bool {
        matches!(self, Self::Stop | Self::StopNow)
    }
}

/// The signals of the process; none in a gateway that others embed.
pub(crate) struct Signals([Option<(Signal, Asked)>; 4]);

impl Signals {
    /// Takes the signals from here on; within a runtime.
    pub(crate) fn install(wanted: bool) -> Self {
        // HUP and QUIT without a handler kill the process.
        let table = [
            (SignalKind::hangup(), Asked::Reload),
            (SignalKind::terminate(), Asked::Stop),
            (SignalKind::quit(), Asked::Upgrade),
            (SignalKind::interrupt(), Asked::StopNow),
        ];
        Self(table.map(|(kind, asked)| {
            let signal = wanted.then(|| signal(kind).ok()).flatten();
            signal.map(|signal| (signal, asked))
        }))
    }

    async fn next(&mut self) -> Option<Asked> {
        std::future::poll_fn(|cx| {
            for (signal, asked) in self.0.iter_mut().flatten() {
                if signal.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(Some(*asked));
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
