//! The log as a whole: segments joined in their order. The chain across, the accounts, the roots,
//! the signatures, and what the records say of each other.
//!
//! Invariant: what is reported is the first broken rule in the order of the log; a rule about files
//! beside the segments comes after the rules of lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::super::acceptance::Claim;
use super::super::directory::SegmentName;
use super::accounts::Accounts;
use super::evidence::Evidence;
use super::heads::{Head, Heads};
use super::keys::{Epochs, Keys, note_of};
use super::part::{Job, Part, read};
use super::removed::Removals;
use super::report::{At, Broken, Damage, broken};
use super::steps::{Signed, Step};
use super::tree::{Hash, Tree};

/// Roots that are remembered, so that a record or note about an earlier size finds its own.
const ROOTS_MAX: usize = 1 << 16;

/// A signed head that does not fit the records.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) damage: Damage,
}

/// A head that an operator gave up.
#[derive(Debug, Clone, Copy)]
pub(super) struct RolledBack {
    pub(super) size: u64,
    pub(super) root: Hash,
    /// The record from which on the log was written anew, and the one that says so under a good
    /// signature.
    pub(super) from: u64,
    pub(super) seq: u64,
}

impl RolledBack {
    fn names(&self, head: &Head) -> bool {
        head.checkpoint.size == self.size && head.checkpoint.root == self.root
    }
}

/// Accepted rollbacks, each with the last place in `heads.log` that it reaches.
#[derive(Debug)]
pub(super) struct GivenUp(Vec<(RolledBack, u64)>);

impl GivenUp {
    /// Whether a note of `heads.log` is void.
    fn has(&self, size: u64, offset: u64) -> bool {
        let covers = |(rolled, until): &(RolledBack, u64)| {
            rolled.from < size && size <= rolled.size && offset <= *until
        };
        self.0.iter().any(covers)
    }
}

/// What was joined so far.
#[derive(Debug)]
pub(super) struct Log<'a> {
    pub(super) keys: &'a Keys,
    pub(super) heads: &'a Heads,
    /// The sizes whose roots somebody will ask for, ascending.
    pub(super) wanted: &'a [u64],
    pub(super) records: u64,
    pub(super) first_seq: Option<u64>,
    /// The number after the last; `None` before the first segment that may begin anywhere.
    pub(super) next_seq: Option<u64>,
    pub(super) head: [u8; 64],
    pub(super) decisions: u64,
    pub(super) outcomes: u64,
    pub(super) checkpoints: u64,
    pub(super) stubs: u64,
    pub(super) accounts: Accounts,
    pub(super) epochs: Epochs,
    pub(super) evidence: Evidence,
    pub(super) instances: Vec<String>,
    pub(super) genesis: Option<[u8; 64]>,
    /// `None` where the log before the first segment is not known.
    pub(super) tree: Option<Tree>,
    pub(super) roots: BTreeMap<u64, Hash>,
    /// The next entry of `heads` to be looked at.
    next_head: usize,
    pub(super) heads_good: u64,
    pub(super) misfits: Vec<Misfit>,
    /// Notes whose key may come into force only later in the log.
    early: Vec<(u64, [u8; 4], Damage)>,
    pub(super) rolled_back: Vec<RolledBack>,
    pub(super) given_up: Vec<String>,
    pub(super) superseded: Vec<PathBuf>,
    pub(super) removals: Removals,
    pub(super) signed_size: u64,
    /// Signatures of checkpoint records that are good, by size: a note in `heads.log` carries the
    /// same one, and checking it is the dearest thing a verifier does.
    good: BTreeMap<u64, (Hash, String, [u8; 4])>,
    /// The first checkpoint by a key that is not trusted since the last one that is.
    stranger: Option<(u64, Damage)>,
    /// Sizes whose roots came too late to be known.
    pub(super) missed: Vec<u64>,
    pub(super) unknown_roots: u64,
    pub(super) unknown_keys: u64,
    pub(super) torn: Option<Damage>,
    pub(super) watched: Option<Hash>,
}

impl<'a> Log<'a> {
    pub(super) fn new(keys: &'a Keys, heads: &'a Heads, wanted: &'a [u64]) -> Self {
        Self {
            keys,
            heads,
            wanted,
            records: 0,
            first_seq: None,
            next_seq: None,
            head: super::super::frame::GENESIS_PREV,
            decisions: 0,
            outcomes: 0,
            checkpoints: 0,
            stubs: 0,
            accounts: Accounts::default(),
            epochs: Epochs::default(),
            evidence: Evidence::default(),
            instances: Vec::new(),
            genesis: None,
            tree: None,
            roots: BTreeMap::new(),
            next_head: 0,
            heads_good: 0,
            misfits: Vec::new(),
            early: Vec::new(),
            rolled_back: Vec::new(),
            given_up: Vec::new(),
            superseded: Vec::new(),
            removals: Removals::default(),
            signed_size: 0,
            good: BTreeMap::new(),
            stranger: None,
            missed: Vec::new(),
            unknown_roots: 0,
            unknown_keys: 0,
            torn: None,
            watched: None,
        }
    }

    /// Joins the next segment; gives the first broken rule in it.
    pub(super) fn join(
        &mut self,
        job: &Job<'_>,
        mut part: Part,
        steps: Vec<(At, Step)>,
    ) -> io::Result<Option<Damage>> {
        if let Some(damage) = self.follows(job, &part) {
            return Ok(Some(damage));
        }
        let before = self.accounts.clone();
        let mut wrong = part.broken.take();
        for (at, step) in steps {
            let coarse = matches!(step, Step::Lines { .. });
            if let Err(broken) = self.step(&job.segment.path, &part, at, step) {
                let damage = broken.at(&job.segment.path, at);
                let exact = if coarse { exactly(job, before)? } else { None };
                wrong = first(wrong, Some(exact.unwrap_or(damage)));
                break;
            }
        }
        let roots = self.grow(job.segment, &part);
        wrong = first(wrong, roots);
        if let Some(damage) = wrong {
            self.count_up_to(job, &part, damage.seq)?;
            return Ok(Some(damage));
        }
        self.check_heads(&part)?;
        self.take_in(job.segment, part)
    }

    /// The first line of a segment follows the last of the one before.
    fn follows(&self, job: &Job<'_>, part: &Part) -> Option<Damage> {
        let expected = self.next_seq?;
        let path = &job.segment.path;
        let begin = At {
            seq: expected,
            line: 1,
            offset: 0,
        };
        let number = if job.segment.named {
            job.segment.first_seq
        } else {
            part.first.map_or(expected, |(seq, _, _)| seq)
        };
        if number != expected {
            let rule = "records are numbered without gaps";
            return Some(broken(rule, expected, number).at(path, begin));
        }
        let (_, prev, at) = part.first.filter(|(seq, _, _)| *seq == expected)?;
        if prev == self.head {
            return None;
        }
        let rule = "prev is the hash of the line before";
        let found = String::from_utf8_lossy(&prev);
        Some(broken(rule, String::from_utf8_lossy(&self.head), found).at(path, at))
    }

    fn step(&mut self, file: &Path, part: &Part, at: At, step: Step) -> Result<(), Broken> {
        match step {
            Step::Lines {
                boot,
                worker,
                first,
                last,
            } => self.accounts.lines(boot, worker, first, last),
            Step::Instead(record) => self.accounts.instead(&record),
            Step::Open(record) => self.accounts.open(&record),
            Step::Close {
                boot,
                made,
                unaccounted,
            } => self.accounts.close(boot, &made, &unaccounted),
            Step::Handover { boot } => {
                self.accounts.handover(boot);
                Ok(())
            }
            Step::Stubs(count) => {
                self.accounts.stubs(count);
                Ok(())
            }
            Step::LostBoot { boot, made } => {
                self.accounts.lost_boot(boot, made);
                Ok(())
            }
            Step::Checkpoint(record) => {
                self.checkpoints += 1;
                self.accounts.checkpoint(&record)?;
                self.signature(file, part, at, &record)
            }
            Step::Key(key) => self.epochs.begin(at.seq, &key, self.keys),
            Step::GivenUp(segment) => {
                self.given_up.push(segment);
                Ok(())
            }
            Step::RolledBack(claim) => self.rolled_back(&claim),
            Step::Removal(removal) => {
                self.removals.note(file, at, *removal);
                Ok(())
            }
        }
    }

    /// An accepted rollback counts where a key that may sign here signed the acceptance.
    fn rolled_back(&mut self, claim: &Claim) -> Result<(), Broken> {
        let origin = self.keys.origin.as_deref().unwrap_or_default();
        let note = claim.signed(origin);
        let of_log = || {
            self.keys
                .none()
                .then(|| self.epochs.signer(&note))
                .flatten()
        };
        if self.keys.signer(&note).or_else(of_log).is_some() {
            self.rolled_back.push(RolledBack {
                size: claim.size,
                root: claim.root,
                from: claim.kept,
                seq: claim.seq,
            });
            return Ok(());
        }
        if self.keys.trusted.is_some() || self.keys.none() {
            // Perhaps of a key that was not given: its notes do not count either.
            return Ok(());
        }
        let rule = "an accepted rollback is signed by a key of log.vkey";
        Err(broken(rule, "a key of log.vkey", "none that is known"))
    }

    /// A checkpoint record is signed by the key in force; its root is looked at with the leaves.
    fn signature(
        &mut self,
        file: &Path,
        part: &Part,
        at: At,
        record: &Signed,
    ) -> Result<(), Broken> {
        let Some(origin) = self.keys.origin.as_deref() else {
            self.unknown_keys += 1;
            return Ok(());
        };
        let rule = "a checkpoint is signed by the key in force";
        let signer = part.signers.get(&at.seq).copied().flatten();
        if let Some(id) = signer {
            let signature = record.signature.clone();
            self.good.insert(record.size, (record.root, signature, id));
            while self.good.len() > ROOTS_MAX {
                self.good.pop_first();
            }
        }
        if self.keys.trusted.is_some() {
            if signer.is_none() {
                let trusted = "a checkpoint beyond the last trusted one is signed by a trusted key";
                let damage = broken(trusted, "a key given with --key", "another key or none");
                self.stranger
                    .get_or_insert((record.size, damage.at(file, at)));
            } else {
                self.stranger = None;
                self.vouched(record.size);
            }
            return Ok(());
        }
        let note = || note_of(origin, record.size, &record.root, &record.signature);
        match (self.epochs.current(), signer) {
            (Some(key), signer) if signer == Some(key.id()) || note().is_signed_by(key) => {
                self.vouched(record.size);
                Ok(())
            }
            (Some(key), signer) => {
                let found = signer.map_or_else(|| "none that is known".to_owned(), hex::encode);
                Err(broken(rule, hex::encode(key.id()), found))
            }
            (None, Some(_)) => {
                self.vouched(record.size);
                Ok(())
            }
            (None, None) if self.keys.listed.is_some() => {
                Err(broken(rule, "a key of log.vkey", "none that is known"))
            }
            (None, None) => {
                self.unknown_keys += 1;
                Ok(())
            }
        }
    }

    fn vouched(&mut self, size: u64) {
        self.signed_size = self.signed_size.max(size);
    }

    /// Appends the leaves and compares the roots that checkpoint records give.
    fn grow(&mut self, segment: &SegmentName, part: &Part) -> Option<Damage> {
        self.roots_of(part);
        let mut wrong = None;
        for (at, size, root) in &part.checkpoints {
            match self.roots.get(size) {
                Some(found) if found == root => {}
                Some(found) => {
                    let rule = "the root of a checkpoint is that of the records it covers";
                    let damage = broken(rule, hex::encode(found), hex::encode(root));
                    wrong = first(wrong, Some(damage.at(&segment.path, *at)));
                }
                None => self.root_unknown(*size),
            }
        }
        wrong
    }

    pub(super) fn root_unknown(&mut self, size: u64) {
        match &self.tree {
            Some(_) => self.missed.push(size),
            None => self.unknown_roots += 1,
        }
    }

    /// Appends subtrees; remembers the root wherever one ends at a size that is asked for.
    fn roots_of(&mut self, part: &Part) {
        let Some(tree) = &mut self.tree else { return };
        let asked: BTreeSet<u64> = part.checkpoints.iter().map(|(_, size, _)| *size).collect();
        self.roots.insert(tree.size(), tree.root());
        for piece in &part.pieces {
            if !tree.push(*piece) {
                // Only a segment that does not follow; that is reported as such.
                break;
            }
            let size = tree.size();
            if asked.contains(&size) || self.wanted.binary_search(&size).is_ok() {
                self.roots.insert(size, tree.root());
            }
        }
        self.roots.insert(tree.size(), tree.root());
        while self.roots.len() > ROOTS_MAX {
            self.roots.pop_first();
        }
    }

    /// Notes of `heads.log` about sizes that are reached by now.
    pub(super) fn check_heads(&mut self, part: &Part) -> io::Result<()> {
        let heads = self.heads;
        while let Some(entry) = heads.entries.get(self.next_head)
            && entry.size <= part.next_seq
        {
            self.next_head += 1;
            let at = Heads::at(entry);
            match heads.head(entry)? {
                Ok(head) => {
                    if let Some(size) = self.check_head(&heads.path, at, &head) {
                        self.heads_good += 1;
                        self.vouched(size);
                    }
                }
                Err(broken) => self.misfit(entry.size, entry.offset, broken.at(&heads.path, at)),
            }
        }
        Ok(())
    }

    /// Notes of `heads.log` about more records than there are.
    pub(super) fn heads_beyond(&mut self) -> io::Result<()> {
        let heads = self.heads;
        let there = self.next_seq.unwrap_or(0);
        for entry in heads.entries.iter().skip(self.next_head) {
            let head = match heads.head(entry)? {
                Ok(head) => head,
                Err(broken) => {
                    let damage = broken.at(&heads.path, Heads::at(entry));
                    self.misfit(entry.size, entry.offset, damage);
                    continue;
                }
            };
            if self.keys.trusted.is_some() && self.keys.signer(&head.note).is_none() {
                continue;
            }
            let damage = fewer(there, entry.size).at(&heads.path, Heads::at(entry));
            self.misfit(entry.size, entry.offset, damage);
        }
        Ok(())
    }

    fn misfit(&mut self, size: u64, offset: u64, damage: Damage) {
        self.misfits.push(Misfit {
            size,
            offset,
            damage,
        });
    }

    /// Checks one note outside the lines; gives its size where it counts and fits.
    pub(super) fn check_head(&mut self, file: &Path, at: At, head: &Head) -> Option<u64> {
        let size = head.checkpoint.size;
        let origin = self.keys.origin.as_deref();
        if origin.is_some_and(|origin| origin != head.checkpoint.origin) {
            let rule = "a signed head is of this log";
            let damage = broken(rule, origin.unwrap_or_default(), &head.checkpoint.origin);
            self.misfit(0, at.offset, damage.at(file, at));
            return None;
        }
        let again = self.good.get(&size).filter(|(root, signature, _)| {
            let carried = head.note.signatures.first().map(|line| &line.base64);
            *root == head.checkpoint.root && carried == Some(signature) && head.is_plain()
        });
        let signer = match again {
            Some((_, _, id)) => Some(*id),
            None => self.keys.signer(&head.note),
        };
        let signer = signer.or_else(|| {
            let own = self.keys.none();
            own.then(|| self.epochs.signer(&head.note)).flatten()
        });
        let Some(signer) = signer else {
            if self.keys.trusted.is_some() {
                return None;
            }
            if self.keys.none() && self.epochs.current().is_none() {
                self.unknown_keys += 1;
            } else {
                let rule = "a signed head is signed by a key of log.vkey";
                self.misfit(
                    0,
                    at.offset,
                    broken(rule, "a key of log.vkey", "none").at(file, at),
                );
                return None;
            }
            return self.fits(file, at, head).then_some(0);
        };
        if self.keys.trusted.is_none() && !self.epochs.allow(size, signer) {
            let rule = "a signed head is signed by the key in force at its size";
            let damage = broken(rule, "the key that a key record names", hex::encode(signer));
            self.early.push((size, signer, damage.at(file, at)));
        }
        self.fits(file, at, head).then_some(size)
    }

    /// Whether the root of a note is that of the records.
    fn fits(&mut self, file: &Path, at: At, head: &Head) -> bool {
        let (size, root) = (head.checkpoint.size, &head.checkpoint.root);
        match self.roots.get(&size) {
            Some(found) if found == root => true,
            Some(found) => {
                let rule = "the root of a signed head is that of the records it covers";
                let damage = broken(rule, hex::encode(found), hex::encode(root));
                self.misfit(size, at.offset, damage.at(file, at));
                false
            }
            None => {
                self.root_unknown(size);
                true
            }
        }
    }

    fn take_in(&mut self, segment: &SegmentName, part: Part) -> io::Result<Option<Damage>> {
        self.first_seq = self.first_seq.or(part.first.map(|(seq, _, _)| seq));
        self.next_seq = Some(part.next_seq);
        self.removals.segment(segment, &part);
        self.head = part.head;
        self.records += part.records;
        self.decisions += part.decisions;
        self.outcomes += part.outcomes;
        self.stubs += part.stubs;
        self.evidence.join(part.evidence);
        for instance in part.instances {
            if !self.instances.contains(&instance) {
                self.instances.push(instance);
            }
        }
        self.genesis = self.genesis.or(part.genesis);
        self.torn = part.torn;
        self.watched = self.watched.or(part.watched);
        if part.superseded {
            self.superseded.push(segment.path.clone());
        }
        Ok(part.tree)
    }

    /// What counts as read where a segment is not taken in whole: the records before `seq`.
    fn count_up_to(&mut self, job: &Job<'_>, part: &Part, seq: u64) -> io::Result<()> {
        let again;
        let part = if seq < part.next_seq {
            let Some(to) = seq.checked_sub(1).filter(|to| *to >= job.segment.first_seq) else {
                return Ok(());
            };
            again = read(&Job { to, ..*job }, &mut |_, _| true)?;
            &again
        } else {
            part
        };
        self.first_seq = self.first_seq.or(part.first.map(|(seq, _, _)| seq));
        if part.records > 0 {
            self.next_seq = Some(part.next_seq);
            self.head = part.head;
        }
        self.records += part.records;
        self.decisions += part.decisions;
        self.outcomes += part.outcomes;
        self.stubs += part.stubs;
        Ok(())
    }

    /// Which notes the accepted rollbacks make void: those of a size above the records that were
    /// kept and up to the named head's, up to that one's last place in `heads.log`; where it is not
    /// there, anywhere.
    pub(super) fn given_up_heads(&self) -> io::Result<GivenUp> {
        let mut rollbacks = Vec::new();
        for rolled in &self.rolled_back {
            let mut until = None;
            for entry in &self.heads.entries {
                if entry.size == rolled.size
                    && self
                        .heads
                        .head(entry)?
                        .is_ok_and(|head| rolled.names(&head))
                {
                    until = until.max(Some(entry.offset));
                }
            }
            rollbacks.push((*rolled, until.unwrap_or(u64::MAX)));
        }
        Ok(GivenUp(rollbacks))
    }

    /// Whether the note in the file `checkpoint` is void: it is a named one, or one of those that
    /// are void in `heads.log`.
    pub(super) fn is_given_up(&self, single: &Head) -> io::Result<bool> {
        if self.rolled_back.iter().any(|rolled| rolled.names(single)) {
            return Ok(true);
        }
        let given_up = self.given_up_heads()?;
        for entry in &self.heads.entries {
            if entry.size == single.checkpoint.size
                && given_up.has(entry.size, entry.offset)
                && self
                    .heads
                    .head(entry)?
                    .is_ok_and(|head| head.checkpoint == single.checkpoint)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is only known at the end of the log about the heads that do not fit.
    pub(super) fn judge_heads(&mut self) -> io::Result<(u64, Option<Damage>)> {
        let mut wrong = None;
        let mut superseded = 0;
        let given_up = self.given_up_heads()?;
        for misfit in std::mem::take(&mut self.misfits) {
            let own = misfit.damage.file == self.heads.path;
            if own && given_up.has(misfit.size, misfit.offset) {
                superseded += 1;
            } else {
                wrong = first(wrong, Some(misfit.damage));
            }
        }
        for (size, id, damage) in std::mem::take(&mut self.early) {
            let void = damage.file == self.heads.path && given_up.has(size, damage.offset);
            if !void && !self.epochs.allow(size, id) {
                wrong = first(wrong, Some(damage));
            }
        }
        if let Some((size, damage)) = self.stranger.take()
            && size > self.signed_size
        {
            wrong = first(wrong, Some(damage));
        }
        Ok((superseded, wrong))
    }
}

/// More was signed than is there.
pub(super) fn fewer(there: u64, signed: u64) -> Broken {
    let rule = "there are no fewer records than were signed: the end of the ledger was cut off";
    broken(rule, format!("at least {signed} records"), there)
}

/// The one that comes first in the log.
pub(super) fn first(one: Option<Damage>, other: Option<Damage>) -> Option<Damage> {
    match (one, other) {
        (Some(one), Some(other)) if other.seq < one.seq => Some(other),
        (one, other) => one.or(other),
    }
}

/// Where exactly an account breaks: the segment once more, number by number.
fn exactly(job: &Job<'_>, mut accounts: Accounts) -> io::Result<Option<Damage>> {
    let mut found = None;
    let job = Job { fine: true, ..*job };
    read(&job, &mut |at, step| {
        let judged = match step {
            Step::Lines {
                boot,
                worker,
                first,
                last,
            } => accounts.lines(boot, worker, first, last),
            Step::Instead(record) => accounts.instead(&record),
            Step::Open(record) => accounts.open(&record),
            Step::Close {
                boot,
                made,
                unaccounted,
            } => accounts.close(boot, &made, &unaccounted),
            _ => Ok(()),
        };
        if let Err(broken) = judged {
            found = Some(broken.at(&job.segment.path, at));
        }
        found.is_none()
    })?;
    Ok(found)
}
