//! How many handshakes are under way, and how those ended that were.
//!
//! A handshake is what comes before HTTP on a connection that does not begin with it: a PROXY
//! header, TLS, or both. Invariant: every one that begins ends here, whatever ended it.
//! Deliberately not here: connections, which are counted before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsEnd {
    /// HTTP followed.
    Completed,
    /// The client and this listener could not agree, or the client broke the protocol.
    Failed,
    /// What came was not TLS; most often HTTP in the clear.
    NotTls,
    /// It took too long.
    Timeout,
    /// The client left before it was done.
    Gone,
}

impl TlsEnd {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Completed,
        Self::Failed,
        Self::NotTls,
        Self::Timeout,
        Self::Gone,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::NotTls => "not_tls",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
        }
    }
}

/// Why a connection that was to begin with a PROXY header was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyRefusal {
    /// Its peer is none of the trusted proxies.
    Untrusted,
    /// The header was of version 1.
    Version1,
    /// There was no header, or a bad one.
    Malformed,
    /// It took too long.
    Timeout,
    /// The peer left before it was done.
    Gone,
}

impl ProxyRefusal {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Untrusted,
        Self::Version1,
        Self::Malformed,
        Self::Timeout,
        Self::Gone,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Untrusted => "untrusted",
            Self::Version1 => "version_1",
            Self::Malformed => "malformed",
            Self::Timeout => "timeout",
            Self::Gone => "gone",
        }
    }
}

/// The handshakes of one gateway.
#[derive(Debug)]
pub struct Handshakes {
    max: usize,
    under_way: AtomicUsize,
    refused: AtomicU64,
    tls: [AtomicU64; TlsEnd::ALL.len()],
    proxy: [AtomicU64; ProxyRefusal::ALL.len()],
}

impl Handshakes {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            under_way: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            tls: Default::default(),
            proxy: Default::default(),
        }
    }

    /// Under way now.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Connections closed because too many handshakes were under way.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Handshakes of TLS that ended like this.
    #[must_use]
    pub fn tls(&self, end: TlsEnd) -> u64 {
        self.tls.get(end as usize).map_or(0, load)
    }

    /// Connections that were closed for their PROXY header.
    #[must_use]
    pub fn proxy(&self, refusal: ProxyRefusal) -> u64 {
        self.proxy.get(refusal as usize).map_or(0, load)
    }

    pub(super) fn note_tls(&self, end: TlsEnd) {
        if let Some(count) = self.tls.get(end as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn note_proxy(&self, refusal: ProxyRefusal) {
        if let Some(count) = self.proxy.get(refusal as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Begins one; `None` where too many are under way.
    pub(super) fn begin(self: &Arc<Self>) -> Option<UnderWay> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        // Dropped where it is one too many, which takes it out again.
        let under_way = UnderWay(Arc::clone(self));
        if before < self.max {
            return Some(under_way);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

/// A handshake until it ends.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Handshakes>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, Handshakes};

    #[test]
    fn no_more_are_under_way_than_may_be_and_places_come_back() {
        let handshakes = Arc::new(Handshakes::new(2));
        let first = handshakes.begin();
        let second = handshakes.begin();
        assert!(first.is_some() && second.is_some() && handshakes.begin().is_none());
        assert_eq!((handshakes.under_way(), handshakes.refused()), (2, 1));
        drop(first);
        let third = handshakes.begin();
        assert!(third.is_some() && handshakes.under_way() == 2);
    }
}
