//! What a start finds: the end of the chain, a torn tail, or a reason to refuse.
//!
//! Nothing is deleted: a torn tail is copied to `quarantine/` before it is cut off, and the `open`
//! record that follows reports it; damage inside is left as it is. Reads the newest segment once,
//! and record 0; no other history.
//! Not here: signed notes, which will tell a torn tail from damage to what was promised.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::chain::Chain;
use super::directory::{Directory, SegmentName, list_segments};
use super::disk::Disk;
use super::error::LedgerError;
use super::frame::GENESIS_PREV;
use super::line::Record;
use super::reader::Lines;

/// The torn end of a segment, cut off and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// Bytes that were cut off.
    pub bytes: u64,
    /// The copy, relative to the ledger directory.
    pub file: String,
    /// SHA-256 of the copy, 64 hex digits.
    pub sha256: String,
}

/// The state of a ledger that can be continued.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) chain: Chain,
    pub(super) segment: SegmentName,
    /// Length of the segment, all good lines.
    pub(super) len: u64,
    pub(super) torn: Option<TornTail>,
    /// True when the last good line is a `close`.
    pub(super) closed: bool,
    /// The boot that wrote last, where the newest segment names it.
    pub(super) boot: Option<String>,
    /// Hash of the genesis line, if it is still there.
    pub(super) genesis: Option<String>,
}

/// What reading one segment gave.
struct Scan {
    chain: Chain,
    len: u64,
    closed: bool,
    boot: Option<String>,
}

/// Looks at what lies in the directory; `None` for a fresh one.
pub(super) fn find(disk: &Disk, dir: &Directory) -> Result<Option<Found>, LedgerError> {
    let segments =
        list_segments(dir.path()).map_err(|e| LedgerError::io("listing", dir.path(), e))?;
    let origin = dir.path().join("origin");
    let (Some(first), Some(newest)) = (segments.first(), segments.last()) else {
        if origin.exists() {
            return Err(LedgerError::NotALedger {
                path: origin,
                rule: "the ledger's origin is here, but none of its segments",
                remedy: "bring the segments back, or move the directory aside as evidence and start again",
            });
        }
        return Ok(None);
    };
    let genesis = genesis_hash(first)?;
    let scan = scan(newest)?;
    let size = fs::metadata(&newest.path)
        .map_err(|e| LedgerError::io("reading", &newest.path, e))?
        .len();
    let torn = if size > scan.len {
        Some(cut(disk, dir, newest, &scan)?)
    } else {
        None
    };
    Ok(Some(Found {
        chain: scan.chain,
        segment: newest.clone(),
        len: scan.len,
        torn,
        closed: scan.closed,
        boot: scan.boot,
        genesis,
    }))
}

/// The hash of line 0, unless the oldest segments are no longer here.
fn genesis_hash(first: &SegmentName) -> Result<Option<String>, LedgerError> {
    if first.first_seq != 0 {
        return Ok(None);
    }
    let io = |e| LedgerError::io("reading", &first.path, e);
    let mut lines = Lines::open(&first.path).map_err(io)?;
    let mut scratch = Vec::new();
    let Some(line) = lines.next().map_err(io)? else {
        return Err(LedgerError::NotALedger {
            path: first.path.clone(),
            rule: "an empty file is not a ledger: a segment starts with a durable record",
            remedy: "remove the file if nobody needs it, or start with another ledger.dir",
        });
    };
    let record = Record::check(line.bytes, &mut scratch)
        .map_err(|fault| damaged(first, 0, 0, fault.rule()))?;
    if !line.complete || record.seq != 0 || record.kind != "open" {
        let rule = "the genesis is a complete line, record 0, of kind open";
        return Err(damaged(first, 0, 0, rule.to_owned()));
    }
    Ok(Some(String::from_utf8_lossy(&record.hash).into_owned()))
}

fn damaged(segment: &SegmentName, offset: u64, seq: u64, rule: String) -> LedgerError {
    LedgerError::Damaged {
        path: segment.path.clone(),
        offset,
        seq,
        rule,
    }
}

/// Follows the chain through one segment up to its last good line.
fn scan(segment: &SegmentName) -> Result<Scan, LedgerError> {
    let io = |e| LedgerError::io("reading", &segment.path, e);
    let mut lines = Lines::open(&segment.path).map_err(io)?;
    let mut scratch = Vec::new();
    let mut found = Scan {
        chain: Chain::resume(segment.first_seq, GENESIS_PREV),
        len: 0,
        closed: false,
        boot: None,
    };
    let mut bad: Option<(u64, String)> = None;
    while let Some(line) = lines.next().map_err(io)? {
        if let Some((offset, rule)) = bad.take() {
            if line.complete {
                return Err(damaged(segment, offset, found.chain.next_seq(), rule));
            }
            return Ok(found);
        }
        match follow(&mut found, line.bytes, line.complete, &mut scratch) {
            Ok(()) => found.len = line.offset + line.bytes.len() as u64 + 1,
            Err(rule) if line.complete && line.offset > 0 => bad = Some((line.offset, rule)),
            // A segment is born with its first record durable: no crash tears that one.
            Err(rule) if line.offset == 0 => {
                return Err(damaged(segment, 0, segment.first_seq, rule));
            }
            Err(_) => return Ok(found),
        }
    }
    if found.len == 0 {
        return Err(LedgerError::NotALedger {
            path: segment.path.clone(),
            rule: "an empty file is not a ledger: a segment starts with a durable record",
            remedy: "remove the file if nobody needs it, or start with another ledger.dir",
        });
    }
    Ok(found)
}

/// Takes one line into the scan, or names the rule that it breaks.
fn follow(
    found: &mut Scan,
    line: &[u8],
    complete: bool,
    scratch: &mut Vec<u8>,
) -> Result<(), String> {
    if !complete {
        return Err("a line ends with a newline".to_owned());
    }
    let record = Record::check(line, scratch).map_err(|fault| fault.rule())?;
    let expected = found.chain.next_seq();
    if record.seq != expected {
        return Err(format!(
            "records are numbered without gaps: expected {expected}, found {}",
            record.seq
        ));
    }
    if found.len > 0 && record.prev.as_bytes() != found.chain.head() {
        return Err("prev is the hash of the line before".to_owned());
    }
    if record.kind == "open" {
        found.boot = record.text("boot").map(str::to_owned);
    }
    found.closed = record.kind == "close";
    found.chain = Chain::resume(expected + 1, record.hash);
    Ok(())
}

/// Copies the torn tail to `quarantine/`, then cuts it off.
fn cut(
    disk: &Disk,
    dir: &Directory,
    segment: &SegmentName,
    scan: &Scan,
) -> Result<TornTail, LedgerError> {
    let tail = read_from(&segment.path, scan.len)
        .map_err(|e| LedgerError::io("reading", &segment.path, e))?;
    let sha256 = hex::encode(Sha256::digest(&tail));
    let digits = sha256.get(..8).unwrap_or_default();
    let file = format!("quarantine/torn-{}-{digits}.bin", scan.chain.next_seq());
    disk.put(dir.path(), &file, &tail)?;
    disk.truncate(&segment.path, scan.len)
        .map_err(|e| LedgerError::io("truncating", &segment.path, e))?;
    Ok(TornTail {
        bytes: tail.len() as u64,
        file,
        sha256,
    })
}

fn read_from(path: &Path, offset: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
