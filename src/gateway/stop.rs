//! How the gateway stops: no new connections, running requests finish, then the process may go.
//!
//! Invariant: a stop takes as long as the longest running request and no longer than its bound.
//! Deliberately not here: the ledger; its owner closes it when
//! the gateway has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use super::edge::Connections;
use super::in_flight::InFlight;
use super::upstreams::Upstreams;
use crate::telemetry::UpstreamView;

/// How often the drain looks whether the last request has finished.
const LOOK_EVERY: Duration = Duration::from_millis(5);

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
    draining: AtomicBool,
}

impl Control {
    pub(crate) fn new(
        in_flight: Vec<InFlight>,
        connections: Arc<Connections>,
        upstreams: Arc<Upstreams>,
        is_closed: bool,
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
                draining: AtomicBool::new(false),
            }),
        }
    }

    /// Asks for a graceful stop and returns at once.
    pub fn stop(&self) {
        self.shared.asked.send_replace(true);
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
    pub(crate) drain_max: Duration,
    pub(crate) close_listeners: watch::Sender<bool>,
    pub(crate) on_reload: OnReload,
    pub(crate) signals: Signals,
}

impl Stopper {
    /// Returns when the gateway may end.
    pub(crate) async fn stopped(&mut self) -> Ended {
        let mut asked = self.control.shared.asked.subscribe();
        let fast = loop {
            tokio::select! {
                _ = asked.wait_for(|asked| *asked) => break false,
                signal = self.signals.next() => match signal {
                    Some(Asked::Reload) => (self.on_reload)(),
                    Some(Asked::Stop) => break false,
                    Some(Asked::StopNow) | None => break true,
                },
            }
        };
        self.control.shared.draining.store(true, Ordering::Release);
        self.close_listeners.send_replace(true);
        if !fast {
            self.drain().await;
        }
        Ended {
            cut_off: self.control.in_flight(),
            workers_died: 0,
        }
    }

    async fn drain(&mut self) {
        let deadline = Instant::now() + self.drain_max;
        while self.control.in_flight() > 0 && Instant::now() < deadline {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                signal = self.signals.next() => if signal == Some(Asked::StopNow) {
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
}

/// The signals of the process; none in a gateway that others embed.
pub(crate) struct Signals([Option<(Signal, Asked)>; 4]);

impl Signals {
    /// Takes the signals from here on; within a runtime.
    pub(crate) fn install(wanted: bool) -> Self {
        // HUP without a handler kills the process. QUIT is to hand over to a new binary; until
        // then it stops like TERM.
        let table = [
            (SignalKind::hangup(), Asked::Reload),
            (SignalKind::terminate(), Asked::Stop),
            (SignalKind::quit(), Asked::Stop),
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
