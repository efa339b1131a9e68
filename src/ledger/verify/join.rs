//! The log as a whole: segments joined in their order. The chain across, the accounts, the roots,
//! the signatures, and what the records say of each other.
//!
//! Invariant: what is reported is the first broken rule in the order of the log; a rule about files
//! beside the segments comes after the rules of lines. Here is how segments follow each other; their
//! roots (`roots`), signatures (`heads`) and accepted rollbacks (`given_up`) have files of their own.

mod given_up;
mod heads;
mod roots;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::directory::SegmentName;
use super::accounts::Accounts;
use super::evidence::Evidence;
use super::heads::Heads;
use super::keys::{Epochs, Keys};
use super::part::{Job, Part, read};
use super::removed::Removals;
use super::report::{At, Broken, Damage, broken};
use super::steps::Step;
use super::tree::{Hash, Tree};
use given_up::RolledBack;

/// Roots that are remembered, so that a record or note about an earlier size finds its own.
const ROOTS_MAX: usize = 1 << 16;

/// A signed head that does not fit the records.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) damage: Damage,
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
