//! What the keeper does next: one piece of work at a time, in the order of its urgency.
//!
//! Measure the disk; carry out what is recorded and covered; verify the newest closed segment that
//! is not yet verified (newest first, because what a segment gives up stands in a later one);
//! then what is too old; then compress. A segment that is damaged is left alone by all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use super::super::directory::SegmentName;
use super::super::handle::Ledger;
use super::super::stats::{Kept, KeptDamage};
use super::KeeperSettings;
use super::budget::Budget;
use super::check::{Checked, check, check_explained};
use super::class::Class;
use super::compress::compress;
use super::files::{Closed, Segments};
use super::give_up::{Done, Recorded, Warrant, carry_out, keep_tree, put_tree, record};
use super::notice::{Notice, Notices, What};
use super::pace::Pace;
use super::rewrite::plan;
use super::trouble::Trouble;

/// A full round of verification begins at most this often.
const ROUND_US: u64 = 24 * 3_600 * 1_000_000;
const DAY_US: u64 = 24 * 3_600 * 1_000_000;
/// How long a record may take to become durable before the keeper goes on without waiting: not
/// longer than a stop of the gateway can wait for the keeper.
const PATIENCE: Duration = Duration::from_secs(1);

/// The keeper's memory between two pieces of work.
#[derive(Debug)]
pub(super) struct Keep {
    ledger: Arc<Ledger>,
    settings: KeeperSettings,
    pace: Pace,
    /// Good segments by their first number.
    known: BTreeMap<u64, Checked>,
    damaged: BTreeMap<u64, KeptDamage>,
    /// Segments that this round could not work on, for reasons that are not damage.
    failed: BTreeSet<u64>,
    /// Verified in this round.
    seen: BTreeSet<u64>,
    notices: Notices,
    under_way: Vec<Recorded>,
    budget: Budget,
    round_began_us: Option<u64>,
    told: String,
}

impl Keep {
    pub(super) fn new(ledger: Arc<Ledger>, settings: KeeperSettings, pace: Pace) -> Self {
        // It holds until this segment has been looked at, and was told by the start.
        let found = ledger.recovered().kept_damage(ledger.dir());
        let found = found.and_then(|damage| {
            let segment = SegmentName::of(&damage.file)?;
            Some((segment.first_seq, damage))
        });
        Self {
            ledger,
            budget: Budget::new(settings.disk_bytes_max),
            settings,
            pace,
            known: BTreeMap::new(),
            damaged: found.into_iter().collect(),
            failed: BTreeSet::new(),
            seen: BTreeSet::new(),
            notices: Notices::default(),
            under_way: Vec::new(),
            round_began_us: None,
            told: String::new(),
        }
    }

    /// Does one piece of work; true if there is more. Never fails: what goes wrong is logged, shown
    /// by the gauges and tried again later.
    pub(super) fn step(&mut self, now_us: u64) -> bool {
        let done = self.work(now_us);
        match &done {
            Ok(_) | Err(Trouble::Stopped) => {}
            Err(Trouble::Damaged(damage)) => tell_damage(damage),
            Err(Trouble::Ledger(error)) => {
                let text = error.to_string();
                if self.told != text {
                    tracing::warn!(event = "ledger_keeper_failed", error = text);
                    self.told = text;
                }
            }
        }
        done.unwrap_or(false)
    }

    fn work(&mut self, now_us: u64) -> Result<bool, Trouble> {
        let dir = self.ledger.dir().to_path_buf();
        let io = |error| Trouble::io("listing", &dir, error);
        let segments = Segments::list(&dir).map_err(io)?;
        self.begin_round(&segments, now_us)?;
        self.forget(&segments);
        self.publish(&segments);
        if self.finish_what_is_covered(&segments)? || self.verify_next(&segments)? {
            return Ok(true);
        }
        let more = self.give_up_next(&segments, now_us)? || self.compress_next(&segments)?;
        self.publish(&segments);
        Ok(more)
    }

    /// The first piece of work, and the first of each day.
    fn begin_round(&mut self, segments: &Segments, now_us: u64) -> Result<(), Trouble> {
        match self.round_began_us {
            Some(began) if now_us.saturating_sub(began) < ROUND_US => return Ok(()),
            Some(_) => {}
            None => {
                sweep(&self.ledger, segments)?;
                if let Some((_, newest)) = &segments.newest {
                    self.notices.catch_up(newest, &mut self.pace)?;
                }
            }
        }
        self.seen.clear();
        self.failed.clear();
        self.round_began_us = Some(now_us);
        Ok(())
    }

    /// Drops what is remembered of segments that are gone.
    fn forget(&mut self, segments: &Segments) {
        let there: BTreeSet<u64> = segments.closed.iter().map(|c| c.first_seq).collect();
        self.known.retain(|first, _| there.contains(first));
        self.damaged.retain(|first, _| there.contains(first));
        self.seen.retain(|first| there.contains(first));
    }

    fn publish(&mut self, segments: &Segments) {
        let space = self.budget.measure(&self.ledger);
        let closed = segments.closed.len() as u64;
        self.ledger.set_kept(Kept {
            damage: self.damaged.values().next().cloned(),
            closed,
            verified: self.known.len() as u64,
            space,
            budget: self.settings.disk_bytes_max,
        });
    }

    /// Records below this number are what may be acted on.
    fn covered(&self) -> u64 {
        let now = self.ledger.snapshot();
        if self.settings.signed {
            now.signed
        } else {
            now.durable
        }
    }

    fn finish_what_is_covered(&mut self, segments: &Segments) -> Result<bool, Trouble> {
        for closed in &segments.closed {
            let under_way = |r: &Recorded| r.notice.first_seq == closed.first_seq;
            if self.under_way.iter().any(under_way) {
                continue;
            }
            if let Some((seq, notice)) = self.notices.whole(closed.first_seq) {
                self.under_way.push(Recorded::found(seq, notice.clone()));
            }
        }
        let covered = self.covered();
        let ready = self.under_way.iter().position(|recorded| {
            recorded.is_covered(covered) && !self.failed.contains(&recorded.notice.first_seq)
        });
        let Some(recorded) = ready.map(|at| self.under_way.remove(at)) else {
            return Ok(false);
        };
        let (disk, dir) = (self.ledger.disk(), self.ledger.dir());
        let first_seq = recorded.notice.first_seq;
        match carry_out(disk, dir, &recorded.notice, &mut self.pace) {
            Ok(done) => {
                self.note_done(&recorded, done);
                Ok(true)
            }
            Err(Trouble::Damaged(damage)) => {
                self.known.remove(&first_seq);
                self.damaged.insert(first_seq, damage.clone());
                Err(Trouble::Damaged(damage))
            }
            Err(other) => {
                self.under_way.push(recorded);
                if !matches!(other, Trouble::Stopped) {
                    // In the next round again: a full disk must not keep all else from being done.
                    self.failed.insert(first_seq);
                }
                Err(other)
            }
        }
    }

    fn note_done(&mut self, recorded: &Recorded, done: Done) {
        let notice = &recorded.notice;
        if let Some(seq) = recorded.seq() {
            self.notices.insert(seq, notice.clone());
        }
        let segment = super::files::name_of(notice.first_seq);
        match done {
            Done::Removed => {
                self.known.remove(&notice.first_seq);
                tracing::info!(event = "ledger_segment_pruned", segment);
            }
            Done::Rewritten(checked) => {
                self.known.insert(notice.first_seq, *checked);
                let stubs = notice.stubs.as_ref().map_or(0, |stubs| stubs.count);
                tracing::info!(event = "ledger_stubs_left", segment, stubs);
            }
            Done::Before => {}
        }
    }

    fn verify_next(&mut self, segments: &Segments) -> Result<bool, Trouble> {
        let next = segments.closed.iter().rev().find(|closed| {
            !self.seen.contains(&closed.first_seq) && !self.failed.contains(&closed.first_seq)
        });
        let Some(closed) = next else {
            return Ok(false);
        };
        let first_seq = closed.first_seq;
        let oldest = segments.closed.first() == Some(closed);
        match self.verify(closed, segments, oldest) {
            Ok(checked) => {
                if self.damaged.remove(&first_seq).is_some() {
                    tracing::info!(event = "ledger_whole_again", segment = closed.name());
                }
                self.under_way.extend(self.undone(closed, &checked));
                // A segment that was given up, or whose writer ended early, may have none.
                let kept = put_tree(self.ledger.disk(), closed, &checked.tree);
                self.known.insert(first_seq, checked);
                self.seen.insert(first_seq);
                kept?;
            }
            Err(Trouble::Damaged(damage)) => {
                self.known.remove(&first_seq);
                self.seen.insert(first_seq);
                if self.damaged.insert(first_seq, damage.clone()).as_ref() != Some(&damage) {
                    tell_damage(&damage);
                }
            }
            Err(other) => {
                self.failed.insert(first_seq);
                return Err(other);
            }
        }
        self.publish(segments);
        Ok(true)
    }

    fn verify(
        &mut self,
        closed: &Closed,
        segments: &Segments,
        oldest: bool,
    ) -> Result<Checked, Trouble> {
        let mut checked = check(closed, &mut self.pace)?;
        self.notices.merge(std::mem::take(&mut checked.notices));
        if check_explained(closed, &checked, &self.notices, oldest).is_err()
            && let Some((_, newest)) = &segments.newest
        {
            // What explains it may have been written since.
            self.notices.catch_up(newest, &mut self.pace)?;
        }
        check_explained(closed, &checked, &self.notices, oldest)?;
        Ok(checked)
    }

    /// Stubs that a record asks for and that are not there yet, as after a crash.
    fn undone(&self, closed: &Closed, checked: &Checked) -> Option<Recorded> {
        let known = |r: &Recorded| r.notice.first_seq == closed.first_seq;
        let (seq, notice) = self.notices.newest_stubs(closed.first_seq)?;
        let undone = notice.stubs.as_ref() != Some(&checked.stubs);
        (undone && !self.under_way.iter().any(known)).then(|| Recorded::found(seq, notice.clone()))
    }

    fn give_up_next(&mut self, segments: &Segments, now_us: u64) -> Result<bool, Trouble> {
        // Whole segments go from the oldest on, without gaps.
        let mut leading = true;
        for (at, closed) in segments.closed.iter().enumerate() {
            let waiting = |r: &Recorded| r.notice.first_seq == closed.first_seq;
            if self.under_way.iter().any(waiting) {
                continue;
            }
            let Some(checked) = self.known.get(&closed.first_seq) else {
                leading = false;
                continue;
            };
            let Some(newest_us) = self.newest_us(segments, at) else {
                leading = false;
                continue;
            };
            let age_us = now_us.saturating_sub(newest_us);
            let over = |class| age_us > self.settings.days(class) * DAY_US;
            if leading && over(Class::Access) && over(Class::Security) {
                self.give_up_whole(closed)?;
                return Ok(true);
            }
            leading = false;
            let class = Class::ALL
                .into_iter()
                .find(|class| over(*class) && checked.of(*class) > 0);
            if let Some(class) = class {
                self.leave_stubs(closed, class)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// When the newest record of a segment was made. Where nothing but stubs is left, that of the
    /// next one that tells: later rather than earlier.
    fn newest_us(&self, segments: &Segments, at: usize) -> Option<u64> {
        let later = segments.closed.get(at..)?.iter();
        let mut told = later.map(|closed| self.known.get(&closed.first_seq).map(|c| c.newest_us));
        told.find(|newest| *newest != Some(0)).flatten()
    }

    fn give_up_whole(&mut self, closed: &Closed) -> Result<(), Trouble> {
        keep_tree(self.ledger.disk(), closed, &mut self.pace)?;
        // The class that ends last: only then is the whole segment's time over.
        let access = self.settings.days(Class::Access);
        let class = if access > self.settings.days(Class::Security) {
            Class::Access
        } else {
            Class::Security
        };
        self.record(closed, What::Whole, class)
    }

    fn leave_stubs(&mut self, closed: &Closed, class: Class) -> Result<(), Trouble> {
        self.record(closed, What::Class(class), class)
    }

    fn record(&mut self, closed: &Closed, what: What, class: Class) -> Result<(), Trouble> {
        let stubs = match what {
            What::Whole => None,
            _ => Some(plan(closed, &what, &mut self.pace)?),
        };
        let Some(checked) = self.known.get(&closed.first_seq) else {
            return Ok(());
        };
        let notice = Notice {
            first_seq: closed.first_seq,
            next_seq: closed.next_seq,
            head: checked.head,
            what,
            stubs,
        };
        let warrant = Warrant {
            boot: self.settings.boot.clone(),
            class,
            actor: String::new(),
            reason: "retention".to_owned(),
        };
        let (recorded, durable) = record(&self.ledger, notice, warrant, PATIENCE);
        // Also where it is late: it may still come, and must not be written twice.
        self.under_way.push(recorded);
        Ok(durable?)
    }

    fn compress_next(&mut self, segments: &Segments) -> Result<bool, Trouble> {
        let Some(closed) = segments.closed.iter().find(|closed| {
            let busy = |r: &Recorded| r.notice.first_seq == closed.first_seq;
            self.settings.compress
                && closed.plain
                && self.known.contains_key(&closed.first_seq)
                && !self.under_way.iter().any(busy)
                && !self.failed.contains(&closed.first_seq)
        }) else {
            return Ok(false);
        };
        let done = compress(self.ledger.disk(), closed, &mut self.pace);
        if done.is_err() {
            // A full disk is tried again in the next round, not without end.
            self.failed.insert(closed.first_seq);
        }
        done.map(|()| true)
    }
}

/// Removes what a crash left of copies of closed segments: they may hold what was given up since.
fn sweep(ledger: &Ledger, segments: &Segments) -> Result<(), Trouble> {
    let mut removed = false;
    for closed in &segments.closed {
        let [plain, packed] = [closed.plain_path(), closed.packed_path()]
            .map(|target| super::super::directory::temporary(&target));
        for path in [plain, packed, closed.tree_under_way()] {
            if fs::symlink_metadata(&path).is_ok() {
                let io = |error| Trouble::io("removing", &path, error);
                ledger.disk().remove(&path).map_err(io)?;
                removed = true;
            }
        }
    }
    if removed {
        let io = |error| Trouble::io("removing", ledger.dir(), error);
        ledger.disk().sync_folder(ledger.dir()).map_err(io)?;
    }
    Ok(())
}

fn tell_damage(damage: &KeptDamage) {
    tracing::error!(
        event = "ledger_damaged",
        seq = damage.seq,
        file = %damage.file.display(),
        offset = damage.offset,
        rule = damage.rule,
        "keep the directory as evidence and compare with a copy; tidegate ledger verify says what is intact"
    );
}
