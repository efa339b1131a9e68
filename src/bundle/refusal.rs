//! Why a bundle or a root is refused: one stable code for each reason, in the order of the checks.

use std::fmt;

/// A reason to refuse. The names are stable: alerts and scripts compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// More bytes than a bundle may have.
    TooLarge,
    /// The bytes are no DSSE envelope.
    EnvelopeMalformed,
    /// The payload is of another type.
    PayloadType,
    /// One key signed twice.
    SignatureTwice,
    /// A signature of a key that the root does not know.
    UnknownKey,
    /// A signature that does not verify.
    SignatureInvalid,
    /// Fewer principals signed than any change takes.
    ThresholdNotMet,
    /// The payload is not what its canonical form would be.
    NotCanonical,
    /// The payload has not the structure of its type.
    PayloadMalformed,
    /// A format version or an engine that this program is not.
    FormatUnsupported,
    /// It is for another gateway.
    AudienceMismatch,
    /// Epoch and serial are not above the high-water mark.
    RollbackRejected,
    /// Epoch and serial of the high-water mark, with other bytes.
    SerialReused,
    /// It does not follow the bundle in force.
    ParentUnknown,
    /// Its time has not come.
    NotYetValid,
    /// Its time is over.
    Expired,
    /// The clock stands before the newest record of the ledger.
    ClockBehindLedger,
    /// Contracts or policy have a value that no file could have given.
    ContentInvalid,
    /// Contracts, upstreams or rules do not fit together on this gateway.
    ContentRefused,
    /// The author did not sign, or may not author.
    AuthorMissing,
    /// The change takes more, or other, signatures.
    ApprovalsMissing,
    /// A break-glass bundle that does more than it may.
    BreakglassTooWide,
    /// A self-test does not pass on this engine.
    SelfTestFailed,
    /// It could not be kept: the disk.
    NotPersisted,
    /// The ledger could not record it.
    NotRecorded,
    /// The bundle in force changed since the asker looked.
    StateChanged,
    /// The root is refused: its own chain.
    RootSkipped,
    /// The root lacks signatures of its predecessor or of itself.
    RootThreshold,
    /// The root has expired.
    RootExpired,
    /// A root is configured, and this is not signed; or the other way round.
    SignatureExpected,
    /// Whoever started the gateway expects another policy.
    PolicyUnexpected,
}

impl RefusalCode {
    /// All codes.
    pub const ALL: [Self; 31] = [
        Self::TooLarge,
        Self::EnvelopeMalformed,
        Self::PayloadType,
        Self::SignatureTwice,
        Self::UnknownKey,
        Self::SignatureInvalid,
        Self::ThresholdNotMet,
        Self::NotCanonical,
        Self::PayloadMalformed,
        Self::FormatUnsupported,
        Self::AudienceMismatch,
        Self::RollbackRejected,
        Self::SerialReused,
        Self::ParentUnknown,
        Self::NotYetValid,
        Self::Expired,
        Self::ClockBehindLedger,
        Self::ContentInvalid,
        Self::ContentRefused,
        Self::AuthorMissing,
        Self::ApprovalsMissing,
        Self::BreakglassTooWide,
        Self::SelfTestFailed,
        Self::NotPersisted,
        Self::NotRecorded,
        Self::StateChanged,
        Self::RootSkipped,
        Self::RootThreshold,
        Self::RootExpired,
        Self::SignatureExpected,
        Self::PolicyUnexpected,
    ];

    /// The name in messages, status, records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "BUNDLE_TOO_LARGE",
            Self::EnvelopeMalformed => "ENVELOPE_MALFORMED",
            Self::PayloadType => "PAYLOAD_TYPE",
            Self::SignatureTwice => "SIGNATURE_TWICE",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::ThresholdNotMet => "THRESHOLD_NOT_MET",
            Self::NotCanonical => "NOT_CANONICAL",
            Self::PayloadMalformed => "PAYLOAD_MALFORMED",
            Self::FormatUnsupported => "FORMAT_UNSUPPORTED",
            Self::AudienceMismatch => "AUDIENCE_MISMATCH",
            Self::RollbackRejected => "ROLLBACK_REJECTED",
            Self::SerialReused => "SERIAL_REUSED",
            Self::ParentUnknown => "PARENT_UNKNOWN",
            Self::NotYetValid => "NOT_YET_VALID",
            Self::Expired => "EXPIRED",
            Self::ClockBehindLedger => "CLOCK_BEHIND_LEDGER",
            Self::ContentInvalid => "CONTENT_INVALID",
            Self::ContentRefused => "CONTENT_REFUSED",
            Self::AuthorMissing => "AUTHOR_MISSING",
            Self::ApprovalsMissing => "APPROVALS_MISSING",
            Self::BreakglassTooWide => "BREAKGLASS_TOO_WIDE",
            Self::SelfTestFailed => "SELF_TEST_FAILED",
            Self::NotPersisted => "NOT_PERSISTED",
            Self::NotRecorded => "NOT_RECORDED",
            Self::StateChanged => "STATE_CHANGED",
            Self::RootSkipped => "ROOT_SKIPPED",
            Self::RootThreshold => "ROOT_THRESHOLD",
            Self::RootExpired => "ROOT_EXPIRED",
            Self::SignatureExpected => "SIGNATURE_EXPECTED",
            Self::PolicyUnexpected => "POLICY_UNEXPECTED",
        }
    }

    /// Whether it says that bytes or signatures are not what they claim: exit code 65, not 1.
    #[must_use]
    pub const fn is_integrity(self) -> bool {
        matches!(
            self,
            Self::TooLarge
                | Self::EnvelopeMalformed
                | Self::PayloadType
                | Self::SignatureTwice
                | Self::UnknownKey
                | Self::SignatureInvalid
                | Self::NotCanonical
                | Self::PayloadMalformed
                | Self::ContentInvalid
        )
    }
}

/// The most characters of a detail: what is refused may quote bytes that nobody has vouched for, and
/// goes into log, status and answers.
pub const DETAIL_CHARS_MAX: usize = 300;

/// Of a longer one its beginning and its end stay; readers of JSON say the place last.
const DETAIL_HEAD: usize = 200;
const DETAIL_TAIL: usize = 90;

/// A refusal: the code for machines, the rest for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub code: RefusalCode,
    /// What was found, and where.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}

impl Refused {
    /// A refusal. Of the detail at most [`DETAIL_CHARS_MAX`] characters stay, and no control
    /// characters.
    #[must_use]
    pub fn new(code: RefusalCode, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            code,
            detail: bounded(&detail.into()),
            remedy: remedy.into(),
        }
    }
}

/// What may be told of a text of any length and any characters.
fn bounded(text: &str) -> String {
    let plain = |char: char| if char.is_control() { ' ' } else { char };
    if text.chars().nth(DETAIL_CHARS_MAX).is_none() {
        return text.chars().map(plain).collect();
    }
    let head = text.chars().take(DETAIL_HEAD);
    let from = text.char_indices().rev().nth(DETAIL_TAIL - 1);
    let tail = from.and_then(|(from, _)| text.get(from..)).unwrap_or("");
    let cut = head.chain(" ... ".chars()).chain(tail.chars());
    cut.map(plain).collect()
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.name(), self.detail)?;
        if !self.remedy.is_empty() {
            write!(out, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::{DETAIL_CHARS_MAX, RefusalCode, Refused};
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_its_own_name() {
        let names: BTreeSet<_> = RefusalCode::ALL.map(RefusalCode::name).into();
        assert_eq!(names.len(), RefusalCode::ALL.len());
    }

    #[test]
    fn a_detail_is_short_and_printable_whatever_it_quotes() {
        let told = |detail: String| Refused::new(RefusalCode::TooLarge, detail, "").detail;
        assert_eq!(told("a\nb\u{1b}[1m".to_owned()), "a b [1m");
        assert_eq!(told("\u{fc}".repeat(DETAIL_CHARS_MAX)).chars().count(), 300);
        let long = told(format!(
            "unknown {} at column 7",
            "\u{fc}".repeat(1_000_000)
        ));
        assert!(long.chars().count() <= DETAIL_CHARS_MAX, "{long}");
        assert!(long.starts_with("unknown \u{fc}") && long.ends_with("\u{fc} at column 7"));
    }
}
