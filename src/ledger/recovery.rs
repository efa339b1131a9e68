//! What a start finds: the end of the chain, a torn tail, damage to what was promised, a rollback,
//! or a reason to refuse. The cases stand in docs/ledger-format.md, "The end of a ledger".
//!
//! Invariants: looking changes nothing; a torn tail is copied before it is cut off, and damage to
//! promised records is left as it is. What was promised is what the newest signed head covers.
//! Reads the newest segment once, record 0, and of older segments only what those cannot tell.

use std::path::Path;

use super::chain::Chain;
use super::directory::{Directory, SegmentName, list_segments};
use super::disk::Disk;
use super::error::LedgerError;
use super::handle::Settings;
use super::heads::{Accepted, Heads};
use super::history::{History, Trees, tree_path, tree_so_far};
use super::last_boot::{LastBoot, Opened};
use super::line::Record;
use super::made::{self, Made};
use super::merkle::{Frontier, Hash};
use super::note::Checkpoint;
use super::previous::{self, Previous};
use super::quarantine::{TornTail, cut_off};
use super::reader::Lines;
use super::salvage::salvage;
use super::survey::{Ask, Bad, Survey, survey};
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
    /// Set where a new segment has to begin at the end of the chain.
    pub(super) damaged: Option<DamagedRecords>,
    /// True when the last good line is a `close`.
    pub(super) closed: bool,
    /// The boot that wrote last, where the newest segments name it.
    pub(super) boot: Option<String>,
    /// Its accounts, where it did not close and its counters survived.
    pub(super) previous: Option<Previous>,
    /// It wrote to another directory.
    pub(super) moved: bool,
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
    pub(super) note: Option<Checkpoint>,
}

/// A ledger that was looked at; nothing is changed yet.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) found: Found,
    /// The newest head where it covers more records than there are.
    pub(super) rollback: Option<Checkpoint>,
    /// The tree file of a damaged segment, whose leaves its lines no longer give.
    tree: Option<TreeFile>,
}

/// Looks at what lies in the directory and does what is needed to go on; `None` for a fresh one.
pub(super) fn find(settings: &Settings, dir: &Directory) -> Result<Option<Found>, LedgerError> {
    let Some(examined) = examine(settings, dir, false)? else {
        return Ok(None);
    };
    if let Some(signed) = &examined.rollback {
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
    found.closed = last_boot.closed;
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
    let Some(line) = lines.next().map_err(io)? else {
        return Err(empty(first));
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

fn empty(segment: &SegmentName) -> LedgerError {
    LedgerError::NotALedger {
        path: segment.path.clone(),
        rule: "an empty file is not a ledger: a segment starts with a durable record",
        remedy: "remove the file if nobody needs it, or start with another ledger.dir",
    }
}

fn damaged(segment: &SegmentName, offset: u64, seq: u64, rule: String) -> LedgerError {
    LedgerError::Damaged {
        path: segment.path.clone(),
        offset,
        seq,
        rule,
    }
}

/// The search for the end of a ledger.
struct Search<'a> {
    settings: &'a Settings,
    dir: &'a Path,
    segments: &'a [SegmentName],
    origin: Option<&'a str>,
    made: Option<&'a Made>,
}

/// One reading of the newest segment against one note.
struct Reading {
    survey: Survey,
    history: Option<History>,
    note: Option<Checkpoint>,
}

impl Reading {
    fn signed_size(&self) -> u64 {
        self.note.as_ref().map_or(0, |note| note.size)
    }

    /// The root at the note's size, where it could be made.
    fn root(&self) -> Option<Hash> {
        let before = self.history.as_ref().and_then(|history| history.root);
        before.or(self.survey.root)
    }

    /// Whether the records have another root than the one that was signed.
    fn differs(&self) -> bool {
        let signed = self.note.as_ref().filter(|note| note.size > 0);
        signed.is_some_and(|note| self.root().is_some_and(|root| root != note.root))
    }

    /// Whether the records do not keep what the note promises.
    fn breaks_promise(&self) -> bool {
        self.survey.chain.next_seq() < self.signed_size() || self.differs()
    }
}

impl Search<'_> {
    fn end(&self) -> Result<(Examined, LastBoot), LedgerError> {
        let Some(newest) = self.segments.last() else {
            return Err(LedgerError::Unavailable("no segments".to_owned()));
        };
        let mut reading = self.read(newest, &[])?;
        if reading.breaks_promise() {
            // Only a recorded acceptance makes a promise void, and it may stand far back.
            let accepted = self.accepted(&reading.survey.last_boot)?;
            if !accepted.is_empty() {
                reading = self.read(newest, &accepted)?;
            }
        }
        if let Some(bad) = reading.survey.bad.as_ref().filter(|bad| bad.offset == 0) {
            // A segment is born with its first record durable: no crash tears that one.
            return Err(damaged(newest, 0, newest.first_seq, bad.rule.clone()));
        }
        if reading.survey.len == 0 {
            return Err(empty(newest));
        }
        self.judge(newest, reading)
    }

    fn read(&self, newest: &SegmentName, accepted: &[Accepted]) -> Result<Reading, LedgerError> {
        let key = self.settings.key.as_ref();
        let note = match self.origin {
            Some(origin) => Heads::of(self.dir, origin, key)?.newest(accepted)?,
            None => None,
        };
        let root_at = note.as_ref().map(|note| note.size);
        let read = |trees| {
            let history = if key.is_none() && note.is_none() {
                // Nobody signs and nothing is signed: closed segments need not be read.
                None
            } else {
                tree_so_far(self.dir, self.segments, root_at, trees)?
            };
            let frontier = history
                .as_ref()
                .map_or_else(Frontier::new, |history| history.frontier.clone());
            let ask = Ask {
                frontier,
                root_at,
                counting: self.made.map(|made| made.boot),
            };
            let survey = survey(newest, ask)?;
            let note = note.clone();
            Ok::<_, LedgerError>(Reading {
                survey,
                history,
                note,
            })
        };
        let reading = read(Trees::WhereTheyFit)?;
        // A tree file may be wrong where the lines are right.
        if reading.differs() && self.segments.len() > 1 {
            return read(Trees::WhereNeeded);
        }
        Ok(reading)
    }

    /// All rollbacks that were ever accepted.
    fn accepted(&self, newest: &LastBoot) -> Result<Vec<Accepted>, LedgerError> {
        let mut accepted = newest.accepted.clone();
        for pair in self.segments.windows(2) {
            let [older, next] = pair else { continue };
            let lines = next.first_seq - older.first_seq;
            let read = salvage(&older.path, older.first_seq, Some(lines), None)
                .map_err(|e| LedgerError::io("reading", &older.path, e))?;
            accepted.extend(read.last_boot.accepted);
        }
        Ok(accepted)
    }

    /// The case that a reading is.
    fn judge(
        &self,
        newest: &SegmentName,
        reading: Reading,
    ) -> Result<(Examined, LastBoot), LedgerError> {
        let (records, signed) = (reading.survey.chain.next_seq(), reading.signed_size());
        if reading.differs() {
            let rule = format!(
                "the root over the records 0 to {} is not the one that was signed: they were \
                 written again",
                signed.saturating_sub(1)
            );
            return Err(damaged(newest, 0, signed.saturating_sub(1), rule));
        }
        let no_tree = reading.history.is_none() && newest.first_seq > 0;
        if no_tree && self.settings.key.is_some() {
            return Err(LedgerError::NotALedger {
                path: newest.path.clone(),
                rule: "what is signed is a tree over all records, and the lines and tree files of older segments do not give it",
                remedy: "bring the segments or their .tree files back, or move the directory aside as evidence and start again",
            });
        }
        match reading.survey.bad.clone() {
            Some(bad) if bad.complete && bad.seq < signed => self.salvaged(newest, reading, bad),
            Some(bad) if bad.followed && reading.note.is_none() => {
                Err(damaged(newest, bad.offset, bad.seq, bad.rule))
            }
            _ if records < signed => Ok(continued(newest, reading, true)),
            _ => Ok(continued(newest, reading, false)),
        }
    }

    /// Damage to promised records: goes on after the last good line, if the signed root vouches for
    /// the leaves of those that are damaged.
    fn salvaged(
        &self,
        newest: &SegmentName,
        reading: Reading,
        bad: Bad,
    ) -> Result<(Examined, LastBoot), LedgerError> {
        let refused = || Err(damaged(newest, bad.offset, bad.seq, bad.rule.clone()));
        let counting = self.made.map(|made| made.boot);
        let saved = salvage(&newest.path, newest.first_seq, None, counting)
            .map_err(|e| LedgerError::io("reading", &newest.path, e))?;
        let (Some(note), Some(leaves)) = (reading.note, saved.whole()) else {
            return refused();
        };
        let (Some(history), Some(chain)) = (reading.history, saved.chain) else {
            return refused();
        };
        if chain.next_seq() <= bad.seq || chain.next_seq() < note.size {
            return refused();
        }
        let mut frontier = history.frontier;
        let mut builder = TreeBuilder::new(newest.first_seq);
        let mut root = history.root;
        for leaf in leaves {
            frontier.push(leaf);
            builder.push(leaf);
            if frontier.size() == note.size {
                root = Some(frontier.root());
            }
        }
        if root != Some(note.root) {
            return refused();
        }
        let tree = builder.finish(chain.head());
        let found = Found {
            len: saved.last_offset,
            damaged: Some(DamagedRecords {
                segment: newest.file_name(),
                offset: bad.offset,
                seq: bad.seq,
                rule: bad.rule.clone(),
            }),
            builder: TreeBuilder::new(chain.next_seq()),
            ..Found::bare(newest, chain, frontier, Some(note))
        };
        let examined = Examined {
            found,
            rollback: None,
            tree: Some(tree),
        };
        Ok((examined, saved.last_boot))
    }
}

/// The chain goes on in the newest segment, after a tail was cut off if there is one.
fn continued(newest: &SegmentName, reading: Reading, rollback: bool) -> (Examined, LastBoot) {
    let survey = reading.survey;
    let rollback = reading.note.clone().filter(|_| rollback);
    let found = Found {
        len: survey.len,
        builder: survey.builder,
        ..Found::bare(newest, survey.chain, survey.frontier, reading.note)
    };
    let examined = Examined {
        found,
        rollback,
        tree: None,
    };
    (examined, survey.last_boot)
}

impl Found {
    fn bare(
        segment: &SegmentName,
        chain: Chain,
        frontier: Frontier,
        note: Option<Checkpoint>,
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
            moved: false,
            opened: None,
            origin: None,
            frontier,
            note,
        }
    }
}

impl Examined {
    /// Does what going on needs: cuts a torn tail off, or keeps the tree of a damaged segment.
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
