//! What a start finds: the end of the chain, a torn tail, damage to what was promised, a rollback,
//! or a reason to refuse. The cases stand in docs/ledger-format.md, "The end of a ledger".
//!
//! Invariants: looking changes nothing; a torn tail is copied before it is cut off, and damage to
//! promised records is left as it is. What was promised is what the newest signed head covers.
//! Reads the newest segment once, record 0, and of older segments only what those cannot tell.
//! Not here: which case it is (`ending`).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::chain::Chain;
use super::directory::{Directory, SegmentName, list_segments};
use super::disk::Disk;
use super::ending::Search;
use super::error::LedgerError;
use super::heads::Accepted;
use super::history::tree_path;
use super::last_boot::Opened;
use super::line::Record;
use super::made;
use super::merkle::Frontier;
use super::note::Checkpoint;
use super::previous::{self, MissingBoot, Previous};
use super::quarantine::{TornTail, cut_off};
use super::reader::Lines;
use super::settings::Settings;
use super::tree_file::{TreeBuilder, TreeFile};

/// Damage to records that a signed head covers. The file was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedRecords {
    /// File name of the segment.
    pub segment: String,
    /// Byte offset of the first bad line.
    pub offset: u64,
    /// The number that it should carry.
    pub seq: u64,
    /// The rule that it breaks.
    pub rule: String,
}

/// The state of a ledger that can be continued.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) chain: Chain,
    pub(super) segment: SegmentName,
    /// Where the last good line of the segment ends.
    pub(super) len: u64,
    pub(super) torn: Option<TornTail>,
    /// Set where a new segment begins behind damage to promised records.
    pub(super) damaged: Option<DamagedRecords>,
    /// True when the last good line is a `close`.
    pub(super) closed: bool,
    /// The boot that wrote last, where the newest segments name it.
    pub(super) boot: Option<String>,
    /// Its accounts, where it did not close and its counters survived.
    pub(super) previous: Option<Previous>,
    /// It did nothing but accept a rollback, and no checkpoint was signed since.
    pub(super) is_rolled_back: bool,
    /// The first `open` at the end since which there were only records of a start.
    pub(super) opened_at: Option<u64>,
    /// Something was signed, and no note of it lies beside the records.
    pub(super) heads_missing: bool,
    /// It wrote to another directory.
    pub(super) moved: bool,
    /// The boot whose counters lie here and that no record names.
    pub(super) missing: Option<MissingBoot>,
    /// The newest records tell of a key.
    pub(super) has_key: bool,
    /// The newest records tell of a signed head.
    pub(super) has_head: bool,
    /// Digests of the rulebooks that the newest segment's `open` and `bundle` records name.
    pub(super) rulebooks: BTreeSet<String>,
    /// The newest `open`, where the newest segments have it.
    pub(super) opened: Option<Opened>,
    /// `<instance>/<16 hex digits>`, where it is known.
    pub(super) origin: Option<String>,
    /// The tree over all records of the chain; empty where older records are gone, which a ledger
    /// with a key refuses.
    pub(super) frontier: Frontier,
    /// The leaves of the segment that is continued.
    pub(super) builder: TreeBuilder,
    /// The newest valid signed head.
    #[cfg(test)]
    pub(super) note: Option<Checkpoint>,
}

/// A ledger that was looked at; nothing is changed yet.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) found: Found,
    /// The newest head where it covers more records than there are, then the one that would be the
    /// newest without it, if it does as well, and so on.
    pub(super) rollback: Vec<Checkpoint>,
    /// The rollbacks that were accepted before and that this goes by.
    pub(super) accepted: Vec<Accepted>,
    /// The tree file of a segment that is not gone on with: a damaged one, whose leaves its lines no
    /// longer give, or a compressed one.
    pub(super) tree: Option<TreeFile>,
}

/// Looks at what lies in the directory and does what is needed to go on; `None` for a fresh one.
pub(super) fn find(settings: &Settings, dir: &Directory) -> Result<Option<Found>, LedgerError> {
    let Some(examined) = examine(settings, dir, false)? else {
        return Ok(None);
    };
    if let Some(signed) = examined.rollback.first() {
        return Err(LedgerError::Rollback {
            dir: dir.path().to_path_buf(),
            records: examined.found.chain.next_seq(),
            signed_size: signed.size,
        });
    }
    examined.settle(&settings.disk, dir.path()).map(Some)
}

/// Looks at what lies in the directory; `None` for a fresh one. `all` reads on until the newest
/// `open` is found.
pub(super) fn examine(
    settings: &Settings,
    dir: &Directory,
    all: bool,
) -> Result<Option<Examined>, LedgerError> {
    let segments =
        list_segments(dir.path()).map_err(|e| LedgerError::io("listing", dir.path(), e))?;
    let origin_file = dir.path().join("origin");
    let Some(first) = segments.first() else {
        if origin_file.exists() {
            return Err(LedgerError::NotALedger {
                path: origin_file,
                rule: "the ledger's origin is here, but none of its segments",
                remedy: "bring the segments back, or move the directory aside as evidence and start again",
            });
        }
        return Ok(None);
    };
    let genesis = genesis(first)?;
    let origin = super::opening::origin_of(dir.path(), genesis.as_ref())?;
    let made = made::read(dir.path())
        .map_err(|e| LedgerError::io("reading", &dir.path().join("made"), e))?;
    let search = Search {
        settings,
        dir: dir.path(),
        segments: &segments,
        origin: origin.as_deref(),
        made: made.as_ref(),
    };
    let mut examined = search.end()?;
    let last_boot = &mut examined.1;
    previous::complete(last_boot, &segments, made.as_ref(), all)?;
    let found = &mut examined.0.found;
    found.previous = previous::accounts(last_boot, made.as_ref());
    found.moved = previous::moved(last_boot, made.as_ref());
    found.missing = previous::missing(last_boot, made.as_ref());
    found.has_key = last_boot.has_key;
    found.has_head = last_boot.has_head;
    found.rulebooks = std::mem::take(&mut last_boot.rulebooks);
    found.closed = last_boot.closed;
    found.opened_at = last_boot.opened_at;
    found.is_rolled_back = last_boot.is_rolled_back;
    found.boot = last_boot.boot.take();
    found.opened = last_boot.opened.take();
    found.origin = origin;
    Ok(Some(examined.0))
}

/// What record 0 says.
#[derive(Debug)]
pub(super) struct Genesis {
    pub(super) hash: String,
    pub(super) instance: Option<String>,
}

/// Line 0, unless the oldest segments are no longer here.
fn genesis(first: &SegmentName) -> Result<Option<Genesis>, LedgerError> {
    if first.first_seq != 0 {
        return Ok(None);
    }
    let io = |e| LedgerError::io("reading", &first.path, e);
    let mut lines = Lines::open(&first.path).map_err(io)?;
    let mut scratch = Vec::new();
    let line = match lines.next() {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let rule = format!("a compressed segment is whole zstd frames: {error}");
            return Err(damaged(first, 0, 0, rule));
        }
        line => line.map_err(io)?.ok_or_else(|| empty(first))?,
    };
    let record = Record::check(line.bytes, &mut scratch)
        .map_err(|fault| damaged(first, 0, 0, fault.rule()))?;
    if !line.complete || record.seq != 0 || record.kind != "open" {
        let rule = "the genesis is a complete line, record 0, of kind open";
        return Err(damaged(first, 0, 0, rule.to_owned()));
    }
    Ok(Some(Genesis {
        hash: String::from_utf8_lossy(&record.hash).into_owned(),
        instance: record.text("instance").map(str::to_owned),
    }))
}

pub(super) fn empty(segment: &SegmentName) -> LedgerError {
    LedgerError::NotALedger {
        path: segment.path.clone(),
        rule: "an empty file is not a ledger: a segment starts with a durable record",
        remedy: "remove the file if nobody needs it, or start with another ledger.dir",
    }
}

pub(super) fn damaged(segment: &SegmentName, offset: u64, seq: u64, rule: String) -> LedgerError {
    LedgerError::Damaged {
        path: segment.path.clone(),
        offset,
        seq,
        rule,
    }
}

impl Found {
    /// Whether the newest segment stays as it is and the chain goes on in a file of its own.
    pub(super) const fn begins_segment(&self) -> bool {
        self.damaged.is_some() || self.segment.is_compressed()
    }

    pub(super) fn bare(
        segment: &SegmentName,
        chain: Chain,
        frontier: Frontier,
        #[cfg_attr(not(test), allow(unused_variables))] note: Option<Checkpoint>,
    ) -> Self {
        Self {
            builder: TreeBuilder::new(segment.first_seq),
            segment: segment.clone(),
            chain,
            len: 0,
            torn: None,
            damaged: None,
            closed: false,
            boot: None,
            previous: None,
            is_rolled_back: false,
            heads_missing: false,
            opened_at: None,
            moved: false,
            missing: None,
            has_key: false,
            has_head: false,
            rulebooks: BTreeSet::new(),
            opened: None,
            origin: None,
            frontier,
            #[cfg(test)]
            note,
        }
    }
}

impl Examined {
    /// Does what going on needs: cuts a torn tail off, or keeps the tree of a segment that stays as it
    /// is.
    pub(super) fn settle(mut self, disk: &Disk, dir: &Path) -> Result<Found, LedgerError> {
        let found = &mut self.found;
        if let Some(tree) = &self.tree {
            let path = tree_path(dir, tree.first_seq);
            let name = super::directory::file_name(&path);
            disk.put(dir, &name, tree.to_text().as_bytes())?;
        } else {
            let seq = found.chain.next_seq();
            found.torn = cut_off(disk, dir, &found.segment.path, found.len, seq)?;
        }
        Ok(self.found)
    }
}
