//! Which end a ledger has: the newest segment's lines against the newest signed head.
//!
//! Invariant: what a head covers was promised. Fewer records, or another root over them, are never
//! gone on from; bad lines among them only where the signed root vouches for their leaves. Only a
//! recorded acceptance makes a head void. Changes nothing.

use std::path::Path;

use super::acceptance::Claim;
use super::directory::SegmentName;
use super::error::LedgerError;
use super::heads::{Accepted, Heads};
use super::history::{History, Trees, tree_so_far};
use super::last_boot::LastBoot;
use super::made::Made;
use super::merkle::{Frontier, Hash};
use super::note::Checkpoint;
use super::recovery::{DamagedRecords, Examined, Found, damaged, empty};
use super::salvage::salvage;
use super::settings::Settings;
use super::survey::{Ask, Bad, Survey, survey};
use super::tree_file::TreeBuilder;

/// The search for the end of a ledger.
pub(super) struct Search<'a> {
    pub(super) settings: &'a Settings,
    pub(super) dir: &'a Path,
    pub(super) segments: &'a [SegmentName],
    pub(super) origin: Option<&'a str>,
    pub(super) made: Option<&'a Made>,
}

/// One reading of the newest segment against one note.
struct Reading {
    /// The rollbacks that it goes by.
    accepted: Vec<Accepted>,
    survey: Survey,
    history: Option<History>,
    note: Option<Checkpoint>,
    /// Something was signed, and no note of it lies beside the records.
    heads_missing: bool,
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
    /// The end, and what the newest segment says of boots.
    pub(super) fn end(&self) -> Result<(Examined, LastBoot), LedgerError> {
        let Some(newest) = self.segments.last() else {
            return Err(LedgerError::Unavailable("no segments".to_owned()));
        };
        let mut reading = self.read(newest, &[])?;
        if reading.breaks_promise() {
            // Only a recorded acceptance makes a promise void, and it may stand far back.
            let claims = self.claims(&reading.survey.last_boot)?;
            reading = self.given_up(newest, reading, claims)?;
        }
        if let Some(bad) = reading.survey.bad.as_ref().filter(|bad| bad.offset == 0) {
            // A segment is born with its first record durable: no crash tears that one.
            return Err(damaged(newest, 0, newest.first_seq, bad.rule.clone()));
        }
        if reading.survey.len == 0 {
            return Err(empty(newest));
        }
        let (mut examined, last_boot) = self.judge(newest, reading)?;
        self.further_back(&mut examined)?;
        Ok((examined, last_boot))
    }

    /// Where more was signed than is there: what else would be the newest head, and be missing as
    /// well, once the one before is given up. More than one where earlier acceptances went with
    /// the records, so that the notes of several histories count again.
    fn further_back(&self, examined: &mut Examined) -> Result<(), LedgerError> {
        let (Some(origin), Some(_)) = (self.origin, examined.rollback.first()) else {
            return Ok(());
        };
        let kept = examined.found.chain.next_seq();
        let mut accepted = std::mem::take(&mut examined.accepted);
        let gone = |note: &Checkpoint| Accepted {
            kept,
            size: note.size,
            root: note.root,
        };
        accepted.extend(examined.rollback.iter().map(gone));
        let heads = Heads::of(self.dir, origin, self.settings.key.as_ref())?;
        // Each takes at least its own note out.
        while let Some(note) = heads.newest(&accepted)?.filter(|note| note.size > kept) {
            accepted.push(gone(&note));
            examined.rollback.push(note);
        }
        Ok(())
    }

    fn read(&self, newest: &SegmentName, accepted: &[Accepted]) -> Result<Reading, LedgerError> {
        let Some(origin) = self.origin else {
            return self.read_against(newest, accepted, None);
        };
        let heads = Heads::of(self.dir, origin, self.settings.key.as_ref())?;
        let note = heads.newest(accepted)?;
        let noted = note.as_ref().map_or(0, |note| note.size);
        let nothing = note.is_none() && heads.newest(&[])?.is_none();
        let mut reading = self.read_against(newest, accepted, note)?;
        let mut record = reading.survey.last_boot.checkpoint.clone();
        if record.is_none() && nothing && heads.has_keys() {
            record = self.checkpoint_before()?;
        }
        // A record of a signature is a promise as good as the note that was taken away.
        let recorded = record.as_ref().and_then(|record| heads.of_record(record));
        let is_signed = recorded.is_some() || self.dir.join("log.vkey").exists();
        if let Some(recorded) = recorded.filter(|recorded| recorded.size > noted) {
            reading = self.read_against(newest, accepted, Some(recorded))?;
        }
        reading.heads_missing = nothing && is_signed;
        Ok(reading)
    }

    /// The newest `checkpoint` of the segment before the newest.
    fn checkpoint_before(&self) -> Result<Option<(u64, String, String)>, LedgerError> {
        let [.., older, newest] = self.segments else {
            return Ok(None);
        };
        let lines = Some(newest.first_seq - older.first_seq);
        let read = salvage(&older.path, older.first_seq, lines, None)
            .map_err(|e| LedgerError::io("reading", &older.path, e))?;
        Ok(read.last_boot.checkpoint)
    }

    fn read_against(
        &self,
        newest: &SegmentName,
        accepted: &[Accepted],
        note: Option<Checkpoint>,
    ) -> Result<Reading, LedgerError> {
        let key = self.settings.key.as_ref();
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
                accepted: accepted.to_vec(),
                survey,
                history,
                note,
                heads_missing: false,
            })
        };
        let reading = read(Trees::WhereTheyFit)?;
        // A tree file may be wrong where the lines are right.
        if reading.differs() && self.segments.len() > 1 {
            return read(Trees::WhereNeeded);
        }
        Ok(reading)
    }

    /// Reads again without the notes that signed acceptances make void.
    ///
    /// Where the key at hand signed notes here, its own acceptances count, and others only below a
    /// head of its own that fits: a stranger's line in `log.vkey` accepts nothing.
    fn given_up(
        &self,
        newest: &SegmentName,
        mut reading: Reading,
        mut claims: Vec<Claim>,
    ) -> Result<Reading, LedgerError> {
        let Some(origin) = self.origin else {
            return Ok(reading);
        };
        let heads = Heads::of(self.dir, origin, self.settings.key.as_ref())?;
        claims.retain(|claim| heads.signed(claim));
        let all: Vec<Accepted> = claims.iter().map(Accepted::from).collect();
        let own = match heads.own() {
            Some(own) if own.newest(&[])?.is_some() => own,
            _ => heads,
        };
        let sure = claims.iter().filter(|claim| own.signed(claim));
        let sure: Vec<Accepted> = sure.map(Accepted::from).collect();
        if !sure.is_empty() {
            reading = self.read(newest, &sure)?;
        }
        if sure.len() == all.len() || !reading.breaks_promise() {
            return Ok(reading);
        }
        let whole = self.read(newest, &all)?;
        let vouched = own.newest(&all)?.map_or(0, |note| note.size);
        let covered = claims.iter().all(|claim| claim.seq < vouched);
        if covered && whole.signed_size() == vouched && !whole.breaks_promise() {
            return Ok(whole);
        }
        Ok(reading)
    }

    /// All rollbacks that records say were accepted.
    fn claims(&self, newest: &LastBoot) -> Result<Vec<Claim>, LedgerError> {
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
            // A record cannot tell what was signed behind the bad line; a note could.
            Some(bad) if bad.followed && (reading.note.is_none() || reading.heads_missing) => {
                Err(damaged(newest, bad.offset, bad.seq, bad.rule))
            }
            // Compressed files come from whole, verified segments: no crash leaves such a tail.
            Some(bad) if newest.is_compressed() => {
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
            rollback: Vec::new(),
            accepted: Vec::new(),
            tree: Some(tree),
        };
        Ok((examined, saved.last_boot))
    }
}

/// The chain goes on in the newest segment, after a tail was cut off if there is one; in a new one
/// behind a compressed segment.
fn continued(newest: &SegmentName, reading: Reading, rollback: bool) -> (Examined, LastBoot) {
    let survey = reading.survey;
    let rollback = reading.note.iter().filter(|_| rollback).cloned().collect();
    let (builder, tree) = if newest.is_compressed() {
        let closed = survey.builder.finish(survey.chain.head());
        (TreeBuilder::new(survey.chain.next_seq()), Some(closed))
    } else {
        (survey.builder, None)
    };
    let found = Found {
        len: survey.len,
        heads_missing: reading.heads_missing,
        builder,
        ..Found::bare(newest, survey.chain, survey.frontier, reading.note)
    };
    let examined = Examined {
        found,
        rollback,
        accepted: reading.accepted,
        tree,
    };
    (examined, survey.last_boot)
}
