//! How many connections may be open, in all and from one address, and what became of each.
//!
//! Invariant: every connection counted is uncounted exactly once, when its permit is dropped,
//! whatever ended it; so accepted = closed, summed over the reasons, + open, at every moment: the
//! three are read under one lock. The table of addresses holds only what is open, so it is bounded by
//! the first limit. Deliberately not here: requests; they are counted where they are governed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handshakes::Handshakes;
pub(super) use streams::StreamPermit;

mod streams;

/// Why a connection was closed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

/// What had become of a connection when it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Too many were open in all.
    FullAll,
    /// Too many were open from its address.
    FullAddress,
    /// It never came to HTTP: its PROXY header or its handshake failed, or there were too many.
    Handshake,
    /// It ended without a byte of a request.
    Unused,
    /// It ended within a head, and nobody was there to be answered.
    BrokenHead,
    /// Its head was refused.
    RefusedInParsing,
    /// It ended with a request, or between two.
    Served,
    /// It waited too long for a further request.
    Idle,
    /// It had become a tunnel.
    Tunnel,
    /// It spoke HTTP/2.
    Http2,
}

impl Closed {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::FullAll,
        Self::FullAddress,
        Self::Handshake,
        Self::Unused,
        Self::BrokenHead,
        Self::RefusedInParsing,
        Self::Served,
        Self::Idle,
        Self::Tunnel,
        Self::Http2,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullAll => "full",
            Self::FullAddress => "full_address",
            Self::Handshake => "handshake",
            Self::Unused => "unused",
            Self::BrokenHead => "broken_head",
            Self::RefusedInParsing => "refused_in_parsing",
            Self::Served => "served",
            Self::Idle => "idle",
            Self::Tunnel => "tunnel",
            Self::Http2 => "http2",
        }
    }
}

/// The connections of a gateway at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections closed so far, by [`Closed`].
    pub closed: [u64; Closed::ALL.len()],
    /// Open now.
    pub open: u64,
    /// Of the open ones, those that wait for the rest of a head.
    pub reading_head: u64,
    /// Of the open ones, those that are tunnels.
    pub tunnels: u64,
    /// Streams of HTTP/2 refused so far because there was no place for them.
    pub streams_refused: u64,
}

impl Counts {
    /// Connections that ended so.
    #[must_use]
    pub fn closed_as(&self, closed: Closed) -> u64 {
        self.closed.get(closed as usize).copied().unwrap_or(0)
    }

    fn close(&mut self, closed: Closed) {
        if let Some(count) = self.closed.get_mut(closed as usize) {
            *count += 1;
        }
    }
}

/// The connections of one gateway.
#[derive(Debug)]
pub struct Connections {
    all_max: usize,
    per_address_max: usize,
    table: Mutex<Table>,
    reading_head: AtomicU64,
    tunnels: AtomicU64,
    handshakes: Arc<Handshakes>,
}

#[derive(Debug, Default)]
struct Table {
    open: usize,
    /// Streams beyond the first of each connection; they take places too.
    streams: usize,
    counts: Counts,
    per_address: HashMap<IpAddr, usize>,
}

impl Connections {
    pub(crate) fn new(all_max: usize, per_address_max: usize, handshakes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            all_max,
            per_address_max,
            table: Mutex::default(),
            reading_head: AtomicU64::new(0),
            tunnels: AtomicU64::new(0),
            handshakes: Arc::new(Handshakes::new(handshakes_max)),
        })
    }

    /// What comes before HTTP on them.
    #[must_use]
    pub const fn handshakes(&self) -> &Arc<Handshakes> {
        &self.handshakes
    }

    /// Connections open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.table().open
    }

    /// All that is counted, at one moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let table = self.table();
        let counts = Counts {
            open: table.open as u64,
            ..table.counts
        };
        drop(table);
        // Told apart only among the open ones, so no sum depends on when these two are read.
        Counts {
            reading_head: self.reading_head.load(Ordering::Relaxed),
            tunnels: self.tunnels.load(Ordering::Relaxed),
            ..counts
        }
    }

    /// Connections closed at once because too many were open in all.
    #[must_use]
    pub fn refused_all(&self) -> u64 {
        self.table().counts.closed_as(Closed::FullAll)
    }

    /// Connections closed at once because their address had too many open.
    #[must_use]
    pub fn refused_address(&self) -> u64 {
        self.table().counts.closed_as(Closed::FullAddress)
    }

    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Full> {
        let address = address.map(client_of);
        self.table().add(self, address)?;
        Ok(Permit {
            connections: Arc::clone(self),
            address,
            ends_as: Closed::Unused,
            is_reading_head: false,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic cannot happen between the two counts, so a poisoned table is still right.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, limits: &Connections, address: Option<IpAddr>) -> Result<(), Full> {
        self.counts.accepted += 1;
        if self.open + self.streams >= limits.all_max {
            self.counts.close(Closed::FullAll);
            return Err(Full::All);
        }
        let added = self.add_address(limits, address);
        if added.is_err() {
            self.counts.close(Closed::FullAddress);
            return added;
        }
        self.open += 1;
        Ok(())
    }

    fn add_address(&mut self, limits: &Connections, address: Option<IpAddr>) -> Result<(), Full> {
        if let Some(address) = address {
            let open = self.per_address.entry(address).or_default();
            if *open >= limits.per_address_max {
                return Err(Full::Address);
            }
            *open += 1;
        }
        Ok(())
    }

    fn remove(&mut self, address: Option<IpAddr>, closed: Closed) {
        self.counts.close(closed);
        self.open = self.open.saturating_sub(1);
        self.remove_address(address);
    }

    fn remove_address(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Entry::Occupied(mut open) = self.per_address.entry(address) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

/// Whose address it is: with IPv6 one client has a whole /64 to choose from.
fn client_of(address: IpAddr) -> IpAddr {
    const NETWORK: u128 = !0 << 64;
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The right of one connection to be open.
#[derive(Debug)]
pub(super) struct Permit {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
    ends_as: Closed,
    is_reading_head: bool,
}

impl Permit {
    /// How the connection is counted should it end now.
    pub(super) fn ends_as(&mut self, closed: Closed) {
        if closed == Closed::Tunnel && self.ends_as != Closed::Tunnel {
            self.connections.tunnels.fetch_add(1, Ordering::Relaxed);
        }
        self.ends_as = closed;
    }

    /// Whether it waits for the rest of a head. An ordinary head comes whole and is not counted.
    pub(super) fn is_reading_head(&mut self, is_reading: bool) {
        let reading = &self.connections.reading_head;
        match (self.is_reading_head, is_reading) {
            (false, true) => _ = reading.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = reading.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        self.is_reading_head = is_reading;
    }
}

impl Permit {
    /// Counts the connection for an address that became known after it was admitted without one.
    pub(super) fn claim(&mut self, address: Option<IpAddr>) -> Result<(), Full> {
        let address = address.map(client_of);
        let connections = Arc::clone(&self.connections);
        let added = connections.table().add_address(&connections, address);
        match added {
            Ok(()) => self.address = address,
            // Counted when it is dropped, like whatever else was admitted.
            Err(_) => self.ends_as(Closed::FullAddress),
        }
        added
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.is_reading_head(false);
        if self.ends_as == Closed::Tunnel {
            self.connections.tunnels.fetch_sub(1, Ordering::Relaxed);
        }
        let mut table = self.connections.table();
        table.remove(self.address, self.ends_as);
    }
}

#[cfg(test)]
mod tests {
    use super::{Closed, Connections, Full};

    #[test]
    fn both_limits_hold_and_places_come_back() {
        let connections = Connections::new(3, 2, 1);
        let here = Some("10.0.0.1".parse().unwrap());
        let there = Some("10.0.0.2".parse().unwrap());
        let first = connections.admit(here).unwrap();
        let _second = connections.admit(here).unwrap();
        assert_eq!(connections.admit(here).err(), Some(Full::Address));
        let _third = connections.admit(there).unwrap();
        assert_eq!(connections.admit(there).err(), Some(Full::All));
        assert_eq!(
            (connections.refused_all(), connections.refused_address()),
            (1, 1)
        );
        drop(first);
        assert_eq!(connections.open(), 2);
        let _again = connections.admit(here).unwrap();
        assert_eq!(connections.open(), 3);
        let counts = connections.counts();
        assert_eq!(counts.accepted, counts.closed.iter().sum::<u64>() + 3);
        assert_eq!(counts.closed_as(Closed::Unused), 1);
    }

    #[test]
    fn every_connection_ends_as_one_thing() {
        let connections = Connections::new(100, 100, 1);
        for closed in Closed::ALL {
            let mut permit = connections.admit(None).unwrap();
            permit.is_reading_head(true);
            permit.ends_as(closed);
            permit.ends_as(closed);
            let counts = connections.counts();
            assert_eq!(counts.reading_head, 1);
            assert_eq!(counts.tunnels, u64::from(closed == Closed::Tunnel));
            drop(permit);
            assert_eq!(connections.counts().closed_as(closed), 1, "{closed:?}");
        }
        let counts = connections.counts();
        assert_eq!(
            (counts.open, counts.reading_head, counts.tunnels),
            (0, 0, 0)
        );
        assert_eq!(counts.accepted, counts.closed.iter().sum::<u64>());
    }

    #[test]
    fn an_address_that_becomes_known_later_counts_from_then_on() {
        let connections = Connections::new(10, 1, 1);
        let here = Some("10.0.0.1".parse().unwrap());
        let mut first = connections.admit(None).unwrap();
        let mut second = connections.admit(None).unwrap();
        assert_eq!(first.claim(here), Ok(()));
        assert_eq!(second.claim(here), Err(Full::Address));
        drop(second);
        assert_eq!((connections.open(), connections.refused_address()), (1, 1));
        drop(first);
        assert!(connections.table().per_address.is_empty());
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_64_bits() {
        for (first, second, same) in [
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("10.0.0.1", "::ffff:10.0.0.1", true),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.2", false),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let connections = Connections::new(10, 1, 1);
            let _first = connections.admit(Some(first.parse().unwrap())).unwrap();
            let second_refused = connections.admit(Some(second.parse().unwrap())).err();
            assert_eq!(
                second_refused,
                same.then_some(Full::Address),
                "{first} {second}"
            );
        }
    }

    #[test]
    fn the_table_forgets_addresses_without_connections() {
        let connections = Connections::new(10, 1, 1);
        for last in 0..=255u8 {
            drop(connections.admit(Some([10, 0, 0, last].into())).unwrap());
        }
        assert!(connections.table().per_address.is_empty());
    }
}
