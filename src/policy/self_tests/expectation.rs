//! What a self-test expects: only what is named is compared.

use crate::contract::ContractId;
use crate::policy::rules::Severity;
use crate::units::{ActionSet, Band, Reason, ReasonSet, Tier};

/// What is expected; the decision always, the rest where it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// What the request deserves, whatever the tier.
    pub decision: Severity,
    /// Whose path it is.
    pub contract: Option<Claimed>,
    /// Reasons that are among those given.
    pub reasons: ReasonSet,
    /// Whether these are all.
    pub reasons_only: bool,
    /// The reason that decides.
    pub deciding: Option<Reason>,
    /// Actions that are among those taken.
    pub taken: ActionSet,
    /// Actions that are among those withheld.
    pub withheld: ActionSet,
    /// Where the request goes.
    pub course: Option<Course>,
    /// The status of our answer; 0 = the connection is closed without one.
    pub status: Option<u16>,
    /// The tier that holds for the request.
    pub tier: Option<Tier>,
    /// The band that people are told.
    pub band: Option<Band>,
}

/// Whose path it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// This contract's.
    By(ContractId),
    /// No contract's.
    Unmatched,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// To its upstream, at once.
    Forward,
    /// To its upstream, when its turn has come.
    Hold,
    /// To its upstream, marked.
    Shadow,
    /// To the upstream for requests that are set apart.
    Divert,
    /// Nowhere.
    Refuse,
}

impl Course {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Forward,
        Self::Hold,
        Self::Shadow,
        Self::Divert,
        Self::Refuse,
    ];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Hold => "hold",
            Self::Shadow => "shadow",
            Self::Divert => "divert",
            Self::Refuse => "refuse",
        }
    }
}

impl Expectation {
    /// This decision, and nothing else.
    #[must_use]
    pub const fn of(decision: Severity) -> Self {
        Self {
            decision,
            contract: None,
            reasons: ReasonSet::EMPTY,
            reasons_only: false,
            deciding: None,
            taken: ActionSet::EMPTY,
            withheld: ActionSet::EMPTY,
            course: None,
            status: None,
            tier: None,
            band: None,
        }
    }

    pub(super) fn fault(&self) -> Option<&'static str> {
        let is_status = |status: u16| status == 0 || (400..=599).contains(&status);
        if !self.status.is_none_or(is_status) {
            return Some("'status' is 400 to 599, or 'closed'");
        }
        let is_sent_on = self.course.is_some_and(|course| course != Course::Refuse);
        (self.status.is_some() && is_sent_on)
            .then_some("'status' is that of a refusal, and 'way' says another")
    }
}
