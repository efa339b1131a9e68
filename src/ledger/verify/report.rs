//! What a check says: how much was read, and the first broken rule.

use std::path::PathBuf;

/// The first broken rule: where, which, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Byte offset of the line in the file's plain text; 0 where the file as a whole is meant.
    pub offset: u64,
    /// The line's number in the file, from 1; 0 where the file as a whole is meant.
    pub line: u64,
    /// The number that the record there should carry, or of the record that vouches for the file.
    pub seq: u64,
    /// The rule in words.
    pub rule: String,
    /// What the rule asks for there; may be empty.
    pub expected: String,
    /// What stands there; may be empty.
    pub found: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What became of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every rule holds.
    Intact,
    /// No record of the range that was asked for was read, so nothing can be said of it.
    NothingChecked,
    /// Every rule holds up to an unfinished last line, as a crash leaves it.
    TornTail(Damage),
    /// A rule is broken.
    Damaged(Damage),
}

/// The result of a check: what was read before its end, and the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Good records read.
    pub records: u64,
    /// The number of the first one.
    pub first_seq: Option<u64>,
    /// The number of the last one.
    pub last_seq: Option<u64>,
    /// The hash of the last one, 64 hex digits; zeros without any.
    pub head: String,
    /// Segments in the directory.
    pub segments: u64,
    /// Records of kind `decision`.
    pub decisions: u64,
    /// Records of kind `outcome`.
    pub outcomes: u64,
    /// Events that `loss` records count.
    pub lost: u64,
    /// Admitted requests that `rollup` records stand for.
    pub rolled_up: u64,
    /// Records of kind `outcome` that `rollup` records stand for.
    pub outcomes_rolled_up: u64,
    /// Numbers that were made and are neither written, nor rolled up, nor lost: as `close` and the
    /// `open` after a crash say, and of other boots those missing below their highest.
    pub unaccounted: u64,
    /// Records of kind `checkpoint`.
    pub checkpoints: u64,
    /// Signed notes in `heads.log` that were checked.
    pub heads: u64,
    /// Signed notes that an accepted rollback has left without their records.
    pub heads_superseded: u64,
    /// Records of kind `stub`.
    pub stubs: u64,
    /// Records whose segments are gone, as `prune` records say.
    pub pruned: u64,
    /// The largest size that a signature vouches for; 0 without any.
    pub signed_size: u64,
    /// What could not be checked, in words; empty where nothing was left out.
    pub not_checked: Vec<String>,
    /// The number of the `open` record that tells of this damage, where a start went on behind it.
    pub told_by: Option<u64>,
    /// What became of the check.
    pub verdict: Verdict,
}

/// Keep the evidence: said with every rule that only tampering or a broken disk breaks.
pub(super) const RESTORE: &str = "keep the directory as evidence and compare with a copy; the records before this one are intact";
/// What helps against an unfinished last line.
pub(super) const TORN: &str = "the next start of the gateway moves the torn tail to quarantine/ and reports it; to accept it now: --allow-torn-tail";

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    pub(super) seq: u64,
    pub(super) line: u64,
    pub(super) offset: u64,
}

/// A broken rule, before its place is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) rule: String,
    pub(super) expected: String,
    pub(super) found: String,
}

pub(super) fn broken(
    rule: impl Into<String>,
    expected: impl ToString,
    found: impl ToString,
) -> Broken {
    Broken {
        rule: rule.into(),
        expected: expected.to_string(),
        found: found.to_string(),
    }
}

impl Broken {
    /// With its place.
    pub(super) fn at(self, file: impl Into<PathBuf>, at: At) -> Damage {
        Damage {
            file: file.into(),
            offset: at.offset,
            line: at.line,
            seq: at.seq,
            rule: self.rule,
            expected: self.expected,
            found: self.found,
            remedy: RESTORE,
        }
    }

    /// About a file as a whole; `seq` is the record that it is about.
    pub(super) fn of_file(self, file: impl Into<PathBuf>, seq: u64) -> Damage {
        self.at(
            file,
            At {
                seq,
                ..At::default()
            },
        )
    }
}
