//! The data port, which may stay closed until the first bundle.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Settings;
use crate::gateway::Control;
use crate::rulebook::Rulebook;

/// The listeners of a gateway.
#[derive(Clone)]
pub(in crate::assembly) struct Doors {
    control: Control,
    addresses: Arc<[SocketAddr]>,
    settings: Arc<Settings>,
    /// Somebody was told that they are closed, and waits to hear the other.
    awaited: Arc<Mutex<bool>>,
}

impl Doors {
    pub(in crate::assembly) fn new(
        control: Control,
        addresses: &[SocketAddr],
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            control,
            addresses: addresses.into(),
            settings,
            awaited: Arc::default(),
        }
    }

    /// Says in the log where the gateway listens, or would.
    pub(in crate::assembly) fn tell(&self, rulebook: &Rulebook) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        if self.control.is_open() {
            return self.tell_open(rulebook);
        }
        *awaited = true;
        for address in &*self.addresses {
            tracing::warn!(
                event = "waiting_for_bundle",
                %address,
                "the port is closed until a bundle is in force"
            );
        }
    }

    /// Opens them; nothing where they are open.
    pub(super) fn open(&self, rulebook: &Rulebook) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        self.control.open();
        if std::mem::take(&mut *awaited) {
            self.tell_open(rulebook);
        }
    }

    /// Whether nobody is to be let in.
    #[cfg(test)]
    pub(super) fn are_closed(&self) -> bool {
        !self.control.is_open()
    }

    /// Whether clients are let in: a moment after the doors were opened.
    pub(super) fn let_in(&self) -> bool {
        self.control.is_listening()
    }

    /// One line for each listener.
    fn tell_open(&self, rulebook: &Rulebook) {
        let contracts = rulebook.catalogue().len();
        for (address, listener) in self.addresses.iter().zip(&self.settings.listeners) {
            // A listener may lower the tier of the process, never raise it.
            let tier = rulebook.tier();
            let tier = listener.tier.unwrap_or(tier).min(tier);
            tracing::info!(event = "listening", %address, tier = tier.name(), contracts,
                policy_hash = rulebook.digest_hex());
        }
    }
}
