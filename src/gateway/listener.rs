//! Which listener a connection came through.
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

    /// The listener whose address the local end of a connection has; the first one when the
    /// kernel does not say.
    pub(crate) fn number(&self, local: Option<&SocketAddr>) -> u16 {
        let local = match (local, self.0.len()) {
            (Some(local), 2..) => local,
            _ => return 0,
        };
        let exact = self.0.iter().position(|bound| bound == local);
        let wildcard = || {
            self.0
                .iter()
                .position(|bound| bound.ip().is_unspecified() && bound.port() == local.port())
        };
        exact
            .or_else(wildcard)
            .and_then(|position| u16::try_from(position).ok())
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Listeners;

    #[test]
    fn the_exact_address_wins_over_the_wildcard() {
        let bound: Vec<_> = ["0.0.0.0:80", "127.0.0.1:81", "0.0.0.0:81"]
            .map(|address| address.parse().unwrap())
            .into();
        let listeners = Listeners::new(bound);
        for (local, expected) in [
            ("10.0.0.1:80", 0),
            ("127.0.0.1:81", 1),
            ("10.0.0.1:81", 2),
            ("10.0.0.1:99", 0),
        ] {
            assert_eq!(
                listeners.number(Some(&local.parse().unwrap())),
                expected,
                "{local}"
            );
        }
        assert_eq!(listeners.number(None), 0);
    }
}
