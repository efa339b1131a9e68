//! Why a request that had been let through was ended, when its upstream was not to blame.

/// A reason; counted by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cut {
    /// The client went away.
    ClientAbort,
    /// The client broke the framing of its body.
    BodyMalformed,
    /// The client sent its body too slowly.
    BodyTooSlow,
    /// The body was longer than the contract lets it be.
    BodyTooLarge,
    /// The same where it was only noted.
    BodyTooLargeObserved,
    /// The client read its answer too slowly.
    AnswerTooSlow,
    /// Nothing moved in a tunnel.
    TunnelIdle,
    /// A tunnel was too old.
    TunnelAge,
}

impl Cut {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::ClientAbort,
        Self::BodyMalformed,
        Self::BodyTooSlow,
        Self::BodyTooLarge,
        Self::BodyTooLargeObserved,
        Self::AnswerTooSlow,
        Self::TunnelIdle,
        Self::TunnelAge,
    ];

    /// The name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientAbort => "client_abort",
            Self::BodyMalformed => "body_malformed",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooLargeObserved => "body_too_large_observed",
            Self::AnswerTooSlow => "answer_too_slow",
            Self::TunnelIdle => "tunnel_idle",
            Self::TunnelAge => "tunnel_age",
        }
    }
}

/// The two ways of a tunnel's bytes, in the order of their numbers.
pub(super) const DIRECTIONS: [&str; 2] = ["received", "sent"];
