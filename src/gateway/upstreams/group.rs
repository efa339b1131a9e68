//! One upstream group: its places, what is known of them, and the table that workers read.
//!
//! Invariant: the table always says what the seats say; whoever changes a seat publishes under the
//! same lock. Workers come here only when the last failure of a row makes an ejection due.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use crossbeam::utils::CachePadded;

use super::Address;
use super::peer::PeerSettings;
use super::seat::Seat;
use super::table::{Entry, Table};
use super::tls::{TlsFileError, TlsFiles};
use crate::config::{Balance, Ejection, HealthCheck};
use crate::gateway::settings::{ServerSettings, UpstreamGroup};
use crate::telemetry::{ServerState, ServerView};

/// Addresses of one name that are used; further ones are not.
const ADDRESSES_PER_NAME_MAX: usize = 32;

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) balance: Balance,
    pub(super) health: Option<HealthCheck>,
    pub(super) table: ArcSwap<Table>,
    pub(super) ejections: AtomicU64,
    pub(super) checks_failed: AtomicU64,
    peers: PeerSettings,
    eject: Ejection,
    servers: Box<[Server]>,
    seats: Mutex<Box<[Seat]>>,
    /// Failures in a row, by place. Read by each request, written when something failed.
    failures: Box<[CachePadded<AtomicU32>]>,
}

#[derive(Debug)]
struct Server {
    settings: ServerSettings,
    is_name: bool,
    /// Its places are `first..first + width`.
    first: usize,
    width: usize,
}

impl Group {
    pub(super) fn new(number: usize, settings: &UpstreamGroup) -> Result<Self, TlsFileError> {
        let mut first = 0;
        let mut servers = Vec::with_capacity(settings.servers.len());
        for server in &settings.servers {
            let is_name = server.address.parse::<SocketAddr>().is_err();
            let width = if is_name { ADDRESSES_PER_NAME_MAX } else { 1 };
            servers.push(Server {
                settings: server.clone(),
                is_name,
                first,
                width,
            });
            first += width;
        }
        let tls = settings.tls.clone().map(TlsFiles::open).transpose()?;
        let group = Self {
            name: settings.name.clone(),
            balance: settings.balance,
            health: settings.health.clone(),
            table: ArcSwap::default(),
            ejections: AtomicU64::new(0),
            checks_failed: AtomicU64::new(0),
            peers: PeerSettings::new(number, settings, tls),
            eject: settings.eject,
            servers: servers.into(),
            seats: Mutex::new(vec![Seat::default(); first].into()),
            failures: (0..first).map(|_| CachePadded::default()).collect(),
        };
        for (number, server) in settings.servers.iter().enumerate() {
            if let Ok(socket) = server.address.parse() {
                group.publish(number, std::iter::once(socket));
            }
        }
        Ok(group)
    }

    pub(super) const fn places(&self) -> usize {
        self.failures.len()
    }

    pub(super) fn has_names(&self) -> bool {
        self.servers.iter().any(|server| server.is_name)
    }

    /// Whether somebody has to look after it: checks, ends of ejections, files that change.
    pub(super) fn needs_keeping(&self) -> bool {
        let may_eject = self.eject.failures > 0 && self.places() > 1;
        self.health.is_some() || may_eject || self.peers.tls.is_some()
    }

    pub(super) fn tls(&self) -> Option<&TlsFiles> {
        self.peers.tls.as_ref()
    }

    pub(super) const fn peers(&self) -> &PeerSettings {
        &self.peers
    }

    pub(super) fn authority(&self, server: usize) -> Option<&str> {
        let server = self.servers.get(server)?;
        Some(&server.settings.address)
    }

    /// The numbers and texts of the servers that are names.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let servers = self.servers.iter().enumerate();
        let names = servers.filter(|(_, server)| server.is_name);
        names.map(|(number, server)| (number, &*server.settings.address))
    }

    /// Puts what was found for one server in the place of what was known about it. Who stays keeps
    /// seat and history; nothing found changes nothing.
    pub(super) fn publish(&self, server: usize, found: impl Iterator<Item = SocketAddr>) {
        let Some(of) = self.servers.get(server) else {
            return;
        };
        let mut found: Vec<SocketAddr> = found.collect();
        found.sort_unstable();
        found.dedup();
        found.truncate(of.width);
        if found.is_empty() {
            return;
        }
        let mut seats = self.lock();
        let Some(own) = seats.get_mut(of.first..of.first + of.width) else {
            return;
        };
        for seat in own.iter_mut() {
            match seat.socket {
                Some(socket) if found.contains(&socket) => found.retain(|it| *it != socket),
                _ => seat.socket = None,
            }
        }
        let mut found = found.into_iter();
        for (offset, seat) in own.iter_mut().enumerate() {
            if seat.socket.is_none()
                && let Some(socket) = found.next()
            {
                *seat = Seat::of(socket);
                if let Some(failures) = self.failures.get(of.first + offset) {
                    failures.store(0, Ordering::Relaxed);
                }
            }
        }
        self.make_table(&seats);
    }

    /// An exchange failed, or did not.
    pub(super) fn judge(&self, address: Address, failed: bool, now_ns: impl Fn() -> u64) {
        let Some(failures) = self.failures.get(address.place) else {
            return;
        };
        if !failed {
            if failures.load(Ordering::Relaxed) > 0 {
                failures.store(0, Ordering::Relaxed);
            }
            return;
        }
        let in_a_row = failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.eject.failures > 0 && in_a_row >= self.eject.failures {
            self.eject(address, now_ns());
        }
    }

    /// Leaves a server out, unless too many are out already.
    fn eject(&self, address: Address, now_ns: u64) {
        let mut seats = self.lock();
        let known = seats.iter().filter(|seat| seat.socket.is_some()).count();
        let out = seats
            .iter()
            .filter(|seat| seat.socket.is_some() && !seat.is_well())
            .count();
        let Some(seat) = seats.get_mut(address.place) else {
            return;
        };
        if seat.is_ejected() || seat.socket != Some(address.socket) {
            return;
        }
        let out_then = out + usize::from(seat.is_well());
        if out_then * 100 > known * self.eject.max_percent as usize {
            return;
        }
        let lasts_ns = seat.eject(&self.eject, now_ns);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(
            event = "upstream_server_ejected",
            upstream = self.name,
            server = self.authority(address.server),
            address = %address.socket,
            for_ms = lasts_ns / 1_000_000,
        );
        self.make_table(&seats);
    }

    /// Lets in whose ejection is over. They are on probation: one failure more is enough.
    pub(super) fn pass(&self, now_ns: u64) {
        let mut seats = self.lock();
        let mut is_changed = false;
        for (seat, failures) in seats.iter_mut().zip(&self.failures) {
            let Some(socket) = seat.socket.filter(|_| seat.pass(&self.eject, now_ns)) else {
                continue;
            };
            failures.store(self.eject.failures.saturating_sub(1), Ordering::Relaxed);
            is_changed = true;
            tracing::info!(
                event = "upstream_server_back",
                upstream = self.name,
                address = %socket,
            );
        }
        if is_changed {
            self.make_table(&seats);
        }
    }

    /// The addresses whose check is due; the next one is then due an interval later.
    pub(super) fn due(&self, interval_ns: u64, now_ns: u64) -> Vec<Address> {
        let mut due = Vec::new();
        let mut seats = self.lock();
        for (server, of) in self.servers.iter().enumerate() {
            for place in of.first..of.first + of.width {
                let Some(seat) = seats.get_mut(place) else {
                    continue;
                };
                let Some(socket) = seat.socket.filter(|_| seat.check_at_ns <= now_ns) else {
                    continue;
                };
                seat.check_at_ns = now_ns.saturating_add(interval_ns);
                due.push(Address {
                    socket,
                    server,
                    place,
                });
            }
        }
        due
    }

    /// A check of a server came to its end.
    pub(super) fn checked(&self, address: Address, check: &HealthCheck, said: Result<(), String>) {
        if said.is_err() {
            self.checks_failed.fetch_add(1, Ordering::Relaxed);
        }
        let mut seats = self.lock();
        let Some(seat) = seats.get_mut(address.place) else {
            return;
        };
        if seat.socket != Some(address.socket)
            || !seat.checked(said.is_ok(), check.healthy, check.unhealthy)
        {
            return;
        }
        let (upstream, server) = (&self.name, self.authority(address.server));
        match said {
            Ok(()) => tracing::info!(
                event = "upstream_server_healthy", upstream, server, address = %address.socket,
            ),
            Err(reason) => tracing::warn!(
                event = "upstream_server_unhealthy", upstream, server, address = %address.socket,
                reason,
            ),
        }
        self.make_table(&seats);
    }

    /// Everybody who sits somewhere.
    pub(super) fn server_views(&self, in_flight: impl Fn(usize) -> u64) -> Vec<ServerView> {
        let seats = self.lock();
        let mut views = Vec::new();
        for server in &self.servers {
            let places = server.first..server.first + server.width;
            let own = seats.get(places.clone()).unwrap_or_default();
            for (place, seat) in places.zip(own) {
                let Some(address) = seat.socket else {
                    continue;
                };
                views.push(ServerView {
                    server: server.settings.address.clone(),
                    address,
                    state: seat.state(),
                    weight: server.settings.weight,
                    in_flight: in_flight(place),
                });
            }
        }
        views
    }

    fn lock(&self) -> MutexGuard<'_, Box<[Seat]>> {
        // Seats are whole between any two statements that can panic.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what the seats say. An address that two servers share counts once.
    fn make_table(&self, seats: &[Seat]) {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, server) in self.servers.iter().enumerate() {
            let places = server.first..server.first + server.width;
            let own = seats.get(places.clone()).unwrap_or_default();
            for (place, seat) in places.zip(own) {
                let Some(socket) = seat.socket else {
                    continue;
                };
                if entries.iter().any(|entry| entry.address.socket == socket) {
                    continue;
                }
                entries.push(Entry {
                    address: Address {
                        socket,
                        server: number,
                        place,
                    },
                    weight: server.settings.weight,
                    is_well: seat.state() == ServerState::Healthy,
                });
            }
        }
        let table = Table::new(entries);
        let was_in_panic = self.table.load().in_panic;
        if table.in_panic != was_in_panic {
            self.tell_panic(table.in_panic, table.known);
        }
        self.table.store(Arc::new(table));
    }

    fn tell_panic(&self, in_panic: bool, servers: usize) {
        let upstream = &self.name;
        if in_panic {
            tracing::error!(event = "upstream_in_panic", upstream, servers);
        } else {
            tracing::info!(event = "upstream_panic_over", upstream);
        }
    }
}
