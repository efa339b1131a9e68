//! Follows the chain through one closed segment: every line by itself, its number, its link.
//!
//! Takes exactly the lines that the next segment leaves to this one; what stands behind them (the
//! lines of a segment that was given up) is only reported.

use std::path::Path;

use super::super::frame::GENESIS_PREV;
use super::super::line::Record;
use super::super::stats::KeptDamage;
use super::files::Closed;
use super::pace::Pace;
use super::stub::Stub;
use super::text::Text;
use super::trouble::Trouble;

/// One good line.
pub(super) struct Step<'a> {
    /// Its bytes, the newline included.
    pub(super) bytes: &'a [u8],
    pub(super) seq: u64,
    pub(super) prev: [u8; 64],
    pub(super) hash: [u8; 64],
    /// Its members; `None` for a stub.
    pub(super) record: Option<&'a Record<'a>>,
}

/// What a whole walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// `prev` of the first line.
    pub(super) first_prev: [u8; 64],
    /// Hash of the last one.
    pub(super) head: [u8; 64],
    /// More bytes follow than the next segment leaves to this one.
    pub(super) more: bool,
}

/// Hands every line of the segment, read from `path`, to `take`.
pub(super) fn walk(
    path: &Path,
    closed: &Closed,
    pace: &mut Pace,
    mut take: impl FnMut(&Step<'_>) -> Result<(), Trouble>,
) -> Result<End, Trouble> {
    let mut text = Text::open(path, pace)?;
    let mut scratch = Vec::new();
    let mut end: Option<End> = None;
    let mut seq = closed.first_seq;
    while seq < closed.next_seq {
        let line = text.next(seq)?;
        let offset = line.map_or(0, |line| line.offset);
        let bad = |rule: String| damage(path, seq, offset, rule);
        let Some(line) = line else {
            let rule = "a segment holds every number up to the next segment's first";
            return Err(bad(rule.to_owned()));
        };
        let before = end.as_ref().map(|end| end.head);
        let step = |step: &Step<'_>| check_place(step, seq, before.as_ref()).map_err(bad);
        let (prev, hash) = read(line.bytes, &mut scratch, |found| {
            step(found)?;
            take(found)
        })
        .map_err(|fault| match fault {
            Fault::Rule(rule) => damage(path, seq, offset, rule),
            Fault::Trouble(trouble) => trouble,
        })?;
        end = Some(End {
            first_prev: end.as_ref().map_or(prev, |end| end.first_prev),
            head: hash,
            more: false,
        });
        seq += 1;
    }
    let mut end = end.ok_or_else(|| damage(path, seq, 0, "a segment is not empty".to_owned()))?;
    end.more = text.next(seq)?.is_some();
    Ok(end)
}

/// `prev` of the first line of a segment, if that is a good one with this number.
pub(super) fn first_prev(path: &Path, seq: u64, pace: &mut Pace) -> Option<[u8; 64]> {
    let mut text = Text::open(path, pace).ok()?;
    let line = text.next(seq).ok()??;
    let found = read(line.bytes, &mut Vec::new(), |step| {
        check_place(step, seq, None).map_err(|rule| damage(path, seq, 0, rule))
    });
    found.ok().map(|(prev, _)| prev)
}

enum Fault {
    Rule(String),
    Trouble(Trouble),
}

/// Takes one line apart; gives its `prev` and its hash.
fn read(
    bytes: &[u8],
    scratch: &mut Vec<u8>,
    take: impl FnOnce(&Step<'_>) -> Result<(), Trouble>,
) -> Result<([u8; 64], [u8; 64]), Fault> {
    let rule = |rule: &str| Fault::Rule(rule.to_owned());
    let line = bytes
        .strip_suffix(b"\n")
        .ok_or_else(|| rule("a line ends with a newline and is at most 1,048,576 bytes long"))?;
    let (seq, prev, hash, record);
    let holder;
    if Stub::is_meant(line) {
        let stub =
            Stub::parse(line).ok_or_else(|| rule("a stub is kind, prev, seq, v and hash"))?;
        (seq, prev, hash, record) = (stub.seq, stub.prev, stub.hash, None);
    } else {
        holder = Record::check(line, scratch).map_err(|fault| Fault::Rule(fault.rule()))?;
        let found = holder.prev.as_bytes().try_into();
        let found = found.map_err(|_| rule("prev is 64 hex digits"))?;
        (seq, prev, hash, record) = (holder.seq, found, holder.hash, Some(&holder));
    }
    let step = Step {
        bytes,
        seq,
        prev,
        hash,
        record,
    };
    take(&step).map_err(Fault::Trouble)?;
    Ok((prev, hash))
}

fn check_place(step: &Step<'_>, seq: u64, before: Option<&[u8; 64]>) -> Result<(), String> {
    if step.seq != seq {
        return Err(format!(
            "records are numbered without gaps: expected {seq}, found {}",
            step.seq
        ));
    }
    let genesis = (seq == 0).then_some(&GENESIS_PREV);
    if before.or(genesis).is_some_and(|prev| *prev != step.prev) {
        return Err("prev is the hash of the line before".to_owned());
    }
    Ok(())
}

pub(super) fn damage(path: &Path, seq: u64, offset: u64, rule: String) -> Trouble {
    Trouble::Damaged(KeptDamage {
        seq,
        file: path.to_path_buf(),
        offset,
        rule,
    })
}
