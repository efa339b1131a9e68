//! What a worker hands to the ledger: fixed in size, no allocation, no reference.

use crate::contract::{ContractIndex, Method};
use crate::ledger::Lane;
use crate::observation::{ClientKey, Completion, Ending, Signals, UpstreamError};
use crate::pipeline::{Admission, Judgement, Way};
use crate::policy::rules::Severity;
use crate::record::{InlineText, SHAPE_BYTES_MAX};
use crate::rulebook::Rulebook;

/// How far a request got; recorded as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Its head was seen, and could not be read.
    Observation = 1,
    /// It was answered, or is still running.
    DecisionExecution = 5,
    /// Its outcome has been counted.
    StabilityControl = 6,
}

/// What is known of an exchange's end when its decision is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It ended.
    Done,
    /// It still runs; an `outcome` record follows.
    Open,
    /// The gateway answered by itself.
    Refused,
}

impl Outcome {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Open => "open",
            Self::Refused => "refused",
        }
    }
}

/// The end of an exchange, as records tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventEnding {
    /// Whether it ended.
    pub outcome: Outcome,
    /// The status sent; 0 = none.
    pub status: u16,
    /// The status received; 0 = none.
    pub upstream_status: u16,
    /// Time of the upstream exchange, microseconds.
    pub latency_us: u64,
    /// How the upstream failed, if it did.
    pub error: Option<UpstreamError>,
}

impl EventEnding {
    /// Not ended yet.
    pub const OPEN: Self = Self {
        outcome: Outcome::Open,
        status: 0,
        upstream_status: 0,
        latency_us: 0,
        error: None,
    };

    /// The end that a completion tells.
    #[must_use]
    pub const fn of(completion: &Completion) -> Self {
        Self {
            outcome: match completion.ending {
                Ending::Refused => Outcome::Refused,
                Ending::Answered | Ending::Upstream(_) | Ending::ClientAbort => Outcome::Done,
            },
            status: completion.status,
            upstream_status: completion.upstream_status,
            latency_us: completion.latency_us,
            error: match completion.ending {
                Ending::Upstream(error) => Some(error),
                Ending::Answered | Ending::Refused | Ending::ClientAbort => None,
            },
        }
    }

    /// 1 where the upstream failed or answered with a 5xx, else 0.
    #[must_use]
    pub const fn error_count(&self) -> u64 {
        (self.error.is_some() || self.upstream_status >= 500) as u64
    }
}

/// A decision and, where it is known already, its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionEvent {
    /// The worker's number of the decision.
    pub n: u64,
    /// When it was made, wall clock, microseconds.
    pub wall_us: u64,
    /// The rulebook it was made under, by serial.
    pub rulebook: u32,
    /// Its route on that rulebook's board.
    pub route: u32,
    /// Whether a contract of its path claims it.
    pub contracted: bool,
    /// Where it went.
    pub way: Way,
    /// The method.
    pub method: Method,
    /// The method's token where it is not one of the known ones.
    pub other_method: InlineText<23>,
    /// The client.
    pub client: ClientKey,
    /// What earlier attempts the client declared.
    pub retry_count: u8,
    /// The trace it belongs to; all 0 = none.
    pub trace_id: [u8; 16],
    /// The shape of an unmatched path.
    pub shape: InlineText<SHAPE_BYTES_MAX>,
    /// The contract that a looser reading of the path would reach.
    pub alias_of: Option<ContractIndex>,
    /// What it was judged by.
    pub signals: Signals,
    /// The judgement.
    pub judgement: Judgement,
    /// How it ended.
    pub ending: EventEnding,
    /// How far it got.
    pub phase: Phase,
}

impl DecisionEvent {
    /// The event of an admitted request that has not ended; the shell adds what only it knows.
    #[must_use]
    pub fn of(n: u64, wall_us: u64, rulebook: u32, admission: &Admission) -> Self {
        Self {
            n,
            wall_us,
            rulebook,
            route: u32::try_from(admission.route).unwrap_or(u32::MAX),
            contracted: admission.contracted,
            way: admission.way,
            method: Method::Other,
            other_method: InlineText::default(),
            client: ClientKey::default(),
            retry_count: 0,
            trace_id: [0; 16],
            shape: InlineText::default(),
            alias_of: None,
            signals: admission.signals,
            judgement: admission.judgement,
            ending: EventEnding::OPEN,
            phase: Phase::DecisionExecution,
        }
    }

    /// The event of a head that could not be read: no method, no route, answered at once.
    #[must_use]
    pub fn unread(
        n: u64,
        wall_us: u64,
        rulebook: &Rulebook,
        client: ClientKey,
        signals: Signals,
        judgement: Judgement,
        status: u16,
    ) -> Self {
        Self {
            n,
            wall_us,
            rulebook: rulebook.serial(),
            route: u32::try_from(rulebook.board().unmatched()).unwrap_or(u32::MAX),
            contracted: false,
            way: Way::Refuse,
            method: Method::Other,
            other_method: InlineText::default(),
            client,
            retry_count: 0,
            trace_id: [0; 16],
            shape: InlineText::default(),
            alias_of: None,
            signals,
            judgement,
            ending: EventEnding {
                outcome: Outcome::Refused,
                status,
                ..EventEnding::OPEN
            },
            phase: Phase::Observation,
        }
    }

    /// The ring that it goes through: what was refused, or would have been, is the last to be lost.
    #[must_use]
    #[inline]
    pub fn class(&self) -> Lane {
        if self.judgement.decision.severity() == Severity::Allow {
            Lane::Ordinary
        } else {
            Lane::Refusal
        }
    }

    /// Whether it was sent on, wherever.
    #[must_use]
    pub const fn is_forwarded(&self) -> bool {
        !matches!(self.way, Way::Refuse)
    }

    /// Adds its end to the decision.
    pub const fn end(&mut self, completion: &Completion) {
        self.ending = EventEnding::of(completion);
        self.phase = match self.ending.outcome {
            Outcome::Done => Phase::StabilityControl,
            Outcome::Open | Outcome::Refused => Phase::DecisionExecution,
        };
    }

    /// The same decision with its end.
    #[must_use]
    pub const fn ended(mut self, completion: &Completion) -> Self {
        self.end(completion);
        self
    }

    /// The method as the client wrote it (the first 23 bytes of an unknown one).
    #[must_use]
    pub fn method_text(&self) -> &str {
        match self.method {
            Method::Other => self.other_method.as_str(),
            known => known.as_str(),
        }
    }
}

/// The end of an exchange whose decision was written while it still ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutcomeEvent {
    /// The number of its decision.
    pub n: u64,
    /// When it ended, wall clock, microseconds.
    pub wall_us: u64,
    /// How.
    pub ending: EventEnding,
}

/// What a worker hands to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly all events are decisions")]
pub enum Event {
    /// A decision, ended or still open.
    Decision(DecisionEvent),
    /// The end of one that was still open.
    Outcome(OutcomeEvent),
}
