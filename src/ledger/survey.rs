//! One pass over the newest segment: the chain up to its first bad line, the tree over it, and
//! what the lines say of boots. No allocation for an ordinary line.
//!
//! Not here: what to do about a bad line (`recovery`), and reading on behind it (`salvage`).

use std::io::ErrorKind;

use super::chain::Chain;
use super::directory::SegmentName;
use super::error::LedgerError;
use super::frame::{BootId, GENESIS_PREV, LINE_BYTES_MAX};
use super::last_boot::LastBoot;
use super::line::Record;
use super::merkle::{Frontier, Hash};
use super::reader::Lines;
use super::tree_file::TreeBuilder;

/// The first bad line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bad {
    /// Where it starts.
    pub(super) offset: u64,
    /// The number that it should carry.
    pub(super) seq: u64,
    /// The rule that it breaks.
    pub(super) rule: String,
    /// It ends with a newline, or is longer than any line: not what a write leaves unfinished.
    pub(super) complete: bool,
    /// A complete line follows.
    pub(super) followed: bool,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Survey {
    /// The end of the chain: after the last good line.
    pub(super) chain: Chain,
    /// Where that line ends.
    pub(super) len: u64,
    /// The tree over all records up to there; left as it was given where it does not end at the
    /// segment's first number.
    pub(super) frontier: Frontier,
    /// The leaves of this segment.
    pub(super) builder: TreeBuilder,
    /// The root at the size that was asked for, if it lies in this segment.
    pub(super) root: Option<Hash>,
    pub(super) last_boot: LastBoot,
    pub(super) bad: Option<Bad>,
}

/// What is asked of a survey.
pub(super) struct Ask {
    /// The tree over all records before the segment.
    pub(super) frontier: Frontier,
    /// The size at which the root is wanted.
    pub(super) root_at: Option<u64>,
    /// The boot whose numbers are counted.
    pub(super) counting: Option<BootId>,
}

/// Follows the chain through a segment up to its first bad line.
pub(super) fn survey(segment: &SegmentName, ask: Ask) -> Result<Survey, LedgerError> {
    let io = |e| LedgerError::io("reading", &segment.path, e);
    let mut lines = Lines::open(&segment.path).map_err(io)?;
    let mut scratch = Vec::new();
    let mut found = Survey {
        chain: Chain::resume(segment.first_seq, GENESIS_PREV),
        len: 0,
        root: None,
        frontier: ask.frontier,
        builder: TreeBuilder::new(segment.first_seq),
        last_boot: LastBoot::new(ask.counting),
        bad: None,
    };
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                found.bad.get_or_insert(Bad {
                    offset: found.len,
                    seq: found.chain.next_seq(),
                    rule: format!("a compressed segment is whole zstd frames: {error}"),
                    complete: true,
                    followed: true,
                });
                break;
            }
            Err(error) => return Err(io(error)),
        };
        if let Some(bad) = &mut found.bad {
            bad.followed |= line.complete;
            if bad.followed || !line.complete {
                break;
            }
            continue;
        }
        match found.follow(line.bytes, line.complete, &mut scratch) {
            Ok(()) => {
                found.len = line.offset + line.bytes.len() as u64 + 1;
                let size = found.frontier.size();
                if ask.root_at == Some(size) && size == found.chain.next_seq() {
                    found.root = Some(found.frontier.root());
                }
            }
            Err(rule) => {
                found.bad = Some(Bad {
                    offset: line.offset,
                    seq: found.chain.next_seq(),
                    rule,
                    complete: line.complete || line.bytes.len() > LINE_BYTES_MAX,
                    followed: false,
                });
                if !line.complete {
                    break;
                }
            }
        }
    }
    Ok(found)
}

impl Survey {
    /// Takes one line in, or names the rule that it breaks.
    fn follow(&mut self, line: &[u8], complete: bool, scratch: &mut Vec<u8>) -> Result<(), String> {
        if !complete {
            return Err("a line ends with a newline".to_owned());
        }
        let record = Record::check(line, scratch).map_err(|fault| fault.rule())?;
        let expected = self.chain.next_seq();
        if record.seq != expected {
            return Err(format!(
                "records are numbered without gaps: expected {expected}, found {}",
                record.seq
            ));
        }
        if self.len > 0 && record.prev.as_bytes() != self.chain.head() {
            return Err("prev is the hash of the line before".to_owned());
        }
        let leaf = leaf(&record.hash);
        if self.frontier.size() == expected {
            self.frontier.push(leaf);
        }
        self.builder.push(leaf);
        self.last_boot.note(&record);
        self.chain = Chain::resume(expected + 1, record.hash);
        Ok(())
    }
}

/// The leaf of a record whose hash was checked: 64 hex digits.
pub(super) fn leaf(digits: &[u8; 64]) -> Hash {
    let mut hash = Hash::default();
    // They came out of `hex64`, or were compared with what did.
    let _ = hex::decode_to_slice(digits, &mut hash);
    hash
}
