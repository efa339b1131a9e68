//! Which listener a connection came through: the one whose socket it was accepted from.
//!
//! Invariant: the number is the position in the settings. Deliberately not here: binding.

use std::net::SocketAddr;
use std::sync::Arc;

/// The bound addresses, in the order of the settings.
#[derive(Debug, Clone)]
pub(crate) struct Listeners(Arc<[SocketAddr]>);

impl Listeners {
    pub(crate) fn new(bound: impl Into<Arc<[SocketAddr]>>) -> Self {
        Self(bound.into())
    }

    /// The listener that is bound to `address`; no two are.
    pub(crate) fn number(&self, address: &SocketAddr) -> u16 {
        let position = self.0.iter().position(|bound| bound == address);
        position
            .and_then(|position| u16::try_from(position).ok())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Listeners;

    #[test]
    fn the_number_is_the_position_of_the_address() {
        let bound = ["0.0.0.0:80", "127.0.0.1:81", "0.0.0.0:81"];
        let bound = bound.map(|address| address.parse().unwrap());
        let listeners = Listeners::new(bound.to_vec());
        for (expected, address) in (0..).zip(&bound) {
            assert_eq!(listeners.number(address), expected, "{address}");
        }
    }
}
