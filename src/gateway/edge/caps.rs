//! How many connections may be open, in all and from one address.
//!
//! Invariant: every connection counted is uncounted exactly once, when its permit is dropped,
//! whatever ended it. The table of addresses holds only open connections, so it is bounded by
//! the first limit. Deliberately not here: requests; they are counted where they are governed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handshakes::Handshakes;

/// Why a connection was closed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    All,
    Address,
}

/// The connections of one gateway.
#[derive(Debug)]
pub struct Connections {
    all_max: usize,
    per_address_max: usize,
    table: Mutex<Table>,
    refused_all: AtomicU64,
    refused_address: AtomicU64,
    handshakes: Arc<Handshakes>,
}

#[derive(Debug, Default)]
struct Table {
    open: usize,
    per_address: HashMap<IpAddr, usize>,
}

impl Connections {
    pub(crate) fn new(all_max: usize, per_address_max: usize, handshakes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            all_max,
            per_address_max,
            table: Mutex::default(),
            refused_all: AtomicU64::new(0),
            refused_address: AtomicU64::new(0),
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

    /// Connections closed at once because too many were open in all.
    #[must_use]
    pub fn refused_all(&self) -> u64 {
        self.refused_all.load(Ordering::Relaxed)
    }

    /// Connections closed at once because their address had too many open.
    #[must_use]
    pub fn refused_address(&self) -> u64 {
        self.refused_address.load(Ordering::Relaxed)
    }

    pub(super) fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Full> {
        let address = address.map(client_of);
        let added = self.table().add(self, address);
        self.note(added)?;
        Ok(Permit {
            connections: Arc::clone(self),
            address,
        })
    }

    fn note(&self, added: Result<(), Full>) -> Result<(), Full> {
        match added {
            Ok(()) => {}
            Err(Full::All) => _ = self.refused_all.fetch_add(1, Ordering::Relaxed),
            Err(Full::Address) => _ = self.refused_address.fetch_add(1, Ordering::Relaxed),
        }
        added
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic cannot happen between the two counts, so a poisoned table is still right.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(&mut self, limits: &Connections, address: Option<IpAddr>) -> Result<(), Full> {
        if self.open >= limits.all_max {
            return Err(Full::All);
        }
        self.add_address(limits, address)?;
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

    fn remove(&mut self, address: Option<IpAddr>) {
        self.open = self.open.saturating_sub(1);
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
}

impl Permit {
    /// Counts the connection for an address that became known after it was admitted without one.
    pub(super) fn claim(&mut self, address: Option<IpAddr>) -> Result<(), Full> {
        let address = address.map(client_of);
        let connections = &*self.connections;
        let added = connections.table().add_address(connections, address);
        connections.note(added)?;
        self.address = address;
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.table().remove(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, Full};

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
