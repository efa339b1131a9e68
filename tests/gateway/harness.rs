//! A gateway, an upstream and a client for one test, all on loopback and free ports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::script::Script;
pub(crate) use crate::wire::{
    Client, OK, PATIENCE, UNHURRIED, Upstream, eventually, nobody, reset,
};
use tidegate::gateway::governor::{Completion, Course, Forward, Governor, HeadFacts};
use tidegate::gateway::settings::{GatewaySettings, UpstreamGroup};
use tidegate::gateway::{Control, Ended, Gateway};

/// A gateway that runs in this process.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) governor: Arc<Script>,
    pub(crate) control: Control,
    thread: Option<JoinHandle<Ended>>,
}

impl Running {
    /// A gateway that forwards everything to `upstream`.
    pub(crate) fn forwarding_to(upstream: SocketAddr) -> Self {
        Self::start(settings(&[upstream]), Script::forwarding())
    }

    /// A gateway that does what `script` says.
    pub(crate) fn scripted(
        upstream: SocketAddr,
        script: impl Fn(&HeadFacts<'_>) -> Course + Send + Sync + 'static,
    ) -> Self {
        Self::start(settings(&[upstream]), Script::scripted(Box::new(script)))
    }

    /// A gateway with these settings.
    pub(crate) fn start(settings: GatewaySettings, governor: Arc<Script>) -> Self {
        Self::start_workers(1, settings, governor)
    }

    /// A gateway with these settings and so many workers.
    pub(crate) fn start_workers(
        workers: usize,
        settings: GatewaySettings,
        governor: Arc<Script>,
    ) -> Self {
        let governors = (0..workers).map(|_| Arc::clone(&governor) as Arc<dyn Governor>);
        let gateway = Gateway::bind(settings, governors.collect()).expect("free ports");
        let addresses = gateway.addresses().to_vec();
        Self {
            address: addresses[0],
            addresses,
            governor,
            control: gateway.control(),
            thread: Some(std::thread::spawn(move || {
                gateway.run_embedded().expect("threads")
            })),
        }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Stops and says how it ended.
    pub(crate) fn stop(&mut self) -> Ended {
        self.control.stop();
        self.thread
            .take()
            .expect("stopped once")
            .join()
            .expect("no panic")
    }

    /// Waits until `count` exchanges are complete.
    pub(crate) fn completions(&self, count: usize) -> Vec<Completion> {
        eventually("completions", || self.governor.completions().len() >= count);
        self.governor.completions()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

/// Settings with default bounds in front of `servers`, which may take their time to shake hands.
pub(crate) fn settings(servers: &[SocketAddr]) -> GatewaySettings {
    let upstream = UpstreamGroup::new("test", servers.iter().map(ToString::to_string));
    let any = "127.0.0.1:0".parse().unwrap();
    let mut settings = GatewaySettings::new(any, upstream);
    settings.timeouts.connect = PATIENCE;
    settings.fast_lane = takes_lane();
    settings
}

/// Whether the gateways of this test program have their fast lane; `tests/full_proxy` goes without.
pub(crate) fn takes_lane() -> bool {
    env!("CARGO_CRATE_NAME") != "full_proxy"
}

/// The ordinary way to an upstream.
pub(crate) fn forward() -> Forward {
    Forward {
        upstream: 0,
        path: None,
        hold: Duration::ZERO,
        case: None,
        timeout: PATIENCE,
        may_retry: false,
        body_bytes_max: None,
        is_stream: false,
        may_upgrade: true,
        strict: false,
    }
}
