//! Why the edge ends a request whose head was accepted.
//!
//! Invariant: the reason travels inside the I/O error that Pingora is given, so whoever classifies
//! that error finds it, however Pingora has wrapped it. Deliberately not here: what it is answered.

use std::io;

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Cut {
    /// The client sends its body below the minimum rate.
    #[error("the request body comes too slowly")]
    BodyTooSlow,
    /// The client reads its answer below the minimum rate.
    #[error("the response is read too slowly")]
    AnswerTooSlow,
    /// The upstream does not answer a handshake.
    #[error("the handshake is not answered")]
    HandshakeTimeout,
    /// Nothing moves in a tunnel.
    #[error("the tunnel is idle")]
    TunnelIdle,
    /// A tunnel has lasted as long as one may.
    #[error("the tunnel is too old")]
    TunnelAge,
}

impl From<Cut> for io::Error {
    fn from(cut: Cut) -> Self {
        Self::new(io::ErrorKind::TimedOut, cut)
    }
}

impl Cut {
    /// The reason inside an error, if it is one of ours.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref::<Self>().copied()
    }
}
