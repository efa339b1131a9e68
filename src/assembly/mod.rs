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
mod desks;
mod entering;
mod freed;
mod keeping;
mod kill_switch;
mod ledger_key;
mod open;
mod opening;
mod parts;
mod ports;
mod prepared;
mod reload;
mod restart;
mod running;
mod self_testing;
mod service;
mod snapshot;
mod start_error;
mod supervisor;
mod ticking;
mod upgrade;

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::admin::AdminState;
use crate::gateway::Gateway;
use crate::ledger::Keeper;
use bundles::Doors;
use certificates::CertificateWatch;
use ports::AdminDoor;
use reload::Reloader;

pub use certificates::certificate_findings;
pub use client_key::ClientKeyError;
pub use freed::aside;
pub use kill_switch::reset_kill_switch;
pub use parts::Parts;
pub use prepared::check_client_key;
pub use running::Operation;
pub use service::Service;
pub use start_error::StartError;
pub use ticking::{Ticking, Views};
pub use upgrade::{Program, Takeover};

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

impl Assembly {
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
}
