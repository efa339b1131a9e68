//! One exchange as the shell reports it: what came in, and how it ended.

use crate::contract::Method;
use crate::observation::{LedgerStanding, RequestKey};
use crate::units::{Moment, Tier};

/// A client's identity: a keyed hash, so that no address stands in a table or a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ClientKey(pub u64);

impl ClientKey {
    /// The key of this address as what stands behind names. It is another one than the address has
    /// where it is a client itself: the two have different limits, and so must have words of their
    /// own.
    #[must_use]
    pub const fn behind_names(self) -> Self {
        Self(!self.0)
    }
}

/// What is known of a request before it is forwarded.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The method.
    pub method: Method,
    /// Who asks: by address, or by the field that the contract names.
    pub client: ClientKey,
    /// The address behind a client that goes by a field; a field alone could be changed at will.
    pub address: Option<ClientKey>,
    /// What makes it the same request as another one.
    pub request: RequestKey,
    /// A trusted peer says it is of the high class.
    pub privileged: bool,
    /// When its head was complete.
    pub at: Moment,
    /// The tier of its listener.
    pub listener_tier: Tier,
    /// What a header says of earlier attempts; 0 where none does.
    pub declared_retries: u8,
    /// Whether a body follows the head.
    pub has_body: bool,
    /// Whether the ledger can keep its record.
    pub ledger: LedgerStanding,
    /// Its contract, or the one that another spelling of its path would reach, says who may call
    /// it, and the caller is none of them.
    pub undeclared: bool,
}

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// When.
    pub at: Moment,
    /// The status sent to the client; 0 = none.
    pub status: u16,
    /// The status the upstream sent; 0 = none.
    pub upstream_status: u16,
    /// From forwarding to the end of the upstream's answer, microseconds.
    pub latency_us: u64,
    /// What went wrong, if anything.
    pub ending: Ending,
}

/// Whether an exchange ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// The upstream answered and the client got it.
    #[default]
    Answered,
    /// The gateway answered by itself; the upstream never saw the request.
    Refused,
    /// The upstream failed.
    Upstream(UpstreamError),
    /// The client went away first.
    ClientAbort,
}

/// How an upstream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum UpstreamError {
    /// No connection.
    Connect,
    /// No TLS session.
    Tls,
    /// Nothing came in time.
    Timeout,
    /// The connection broke.
    Reset,
    /// The answer was not HTTP.
    Garbage,
}

impl UpstreamError {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Garbage => "garbage",
        }
    }
}

impl Completion {
    /// Whether the end says anything about the route. A client that left does not, and neither
    /// does an upstream's 429: it speaks about the client.
    #[must_use]
    pub const fn speaks_about_route(&self) -> bool {
        match self.ending {
            Ending::ClientAbort => false,
            Ending::Answered => self.upstream_status != 429,
            Ending::Refused | Ending::Upstream(_) => true,
        }
    }

    /// The upstream answered, and not with a failure.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self.ending, Ending::Answered) && !self.is_failure() && self.speaks_about_route()
    }

    /// A failure by which the upstream was not to be had at all: no connection, a broken one,
    /// silence, or a gateway behind it that says so. A client can provoke a 500, but not these.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        match self.ending {
            Ending::Upstream(_) => true,
            Ending::Answered => matches!(self.upstream_status, 502 | 504),
            Ending::Refused | Ending::ClientAbort => false,
        }
    }

    /// A failure of the route: a 5xx of the upstream, or an error it caused.
    ///
    /// Never our own refusals, a 4xx, or a client that went away: those say nothing about the
    /// upstream.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        match self.ending {
            Ending::Upstream(_) => true,
            Ending::Answered => self.upstream_status >= 500,
            Ending::Refused | Ending::ClientAbort => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Completion, Ending, UpstreamError};
    use crate::units::Moment;

    #[test]
    fn only_the_upstream_can_fail_a_route() {
        // R035
        let table = [
            (200, Ending::Answered, false),
            (404, Ending::Answered, false),
            (429, Ending::Answered, false),
            (500, Ending::Answered, true),
            (503, Ending::Answered, true),
            (0, Ending::Refused, false),
            (0, Ending::ClientAbort, false),
            (0, Ending::Upstream(UpstreamError::Timeout), true),
        ];
        for (upstream_status, ending, want) in table {
            let completion = Completion {
                at: Moment::default(),
                status: upstream_status,
                upstream_status,
                latency_us: 1,
                ending,
            };
            assert_eq!(completion.is_failure(), want, "{completion:?}");
        }
    }
}
