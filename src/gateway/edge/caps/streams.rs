//! Requests that HTTP/2 carries beside each other count like connections.
//!
//! Invariant: a stream beyond the first of its connection takes a place of its client's address and
//! one of all, and gives both back when its permit is dropped. So an address has no more requests in
//! flight over few connections than it could have over many. Deliberately not here: how many streams
//! one connection may have.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Connections, Full, client_of};

/// The right of one stream to be served beside the others of its connection.
#[derive(Debug)]
pub(in crate::gateway::edge) struct StreamPermit {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
}

impl Connections {
    /// A place for a further stream of a client.
    pub(in crate::gateway::edge) fn admit_stream(
        self: &Arc<Self>,
        address: Option<IpAddr>,
    ) -> Result<StreamPermit, Full> {
        let address = address.map(client_of);
        let mut table = self.table();
        let added = if table.open + table.streams >= self.all_max {
            Err(Full::All)
        } else {
            table.add_address(self, address)
        };
        match added {
            Ok(()) => table.streams += 1,
            Err(_) => table.counts.streams_refused += 1,
        }
        drop(table);
        added.map(|()| StreamPermit {
            connections: Arc::clone(self),
            address,
        })
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.streams = table.streams.saturating_sub(1);
        table.remove_address(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Connections, Full};

    #[test]
    fn streams_and_connections_share_the_places() {
        let connections = Connections::new(4, 3, 1);
        let here = Some("10.0.0.1".parse().unwrap());
        let there = Some("10.0.0.2".parse().unwrap());
        let first = connections.admit(here).unwrap();
        let beside = connections.admit_stream(here).unwrap();
        let _further = connections.admit_stream(here).unwrap();
        assert_eq!(
            connections.admit_stream(here).err(),
            Some(Full::Address),
            "one connection and two streams are three"
        );
        assert_eq!(connections.admit(here).err(), Some(Full::Address));
        let _other = connections.admit(there).unwrap();
        assert_eq!(connections.admit_stream(there).err(), Some(Full::All));
        assert_eq!(connections.admit(there).err(), Some(Full::All));
        let counts = connections.counts();
        assert_eq!((counts.open, counts.streams_refused), (2, 2));
        drop(beside);
        let _again = connections.admit_stream(there).unwrap();
        drop(first);
        assert_eq!(connections.open(), 1, "a stream is no connection");
        let counts = connections.counts();
        assert_eq!(counts.accepted, counts.closed.iter().sum::<u64>() + 1);
    }

    #[test]
    fn addresses_without_streams_are_forgotten() {
        let connections = Connections::new(10, 1, 1);
        for last in 0..=255u8 {
            let address = Some([10, 0, 0, last].into());
            drop(connections.admit_stream(address).unwrap());
        }
        let table = connections.table();
        assert!(table.per_address.is_empty() && table.streams == 0);
    }
}
