//! From members to durable bytes: chain, tree, group buffer, segment, and the order of what the
//! disk is asked for.
//!
//! Invariants: bytes that are not yet durable are kept in memory, and past the bounds of
//! `pressure` the writer stops taking events, so that losses are counted at the rings. The writer never waits for the disk: it writes to the page cache, and everything that
//! waits is a [`Job`] of the sync thread, one at a time. A full disk is waited out: nothing in the
//! buffers is given up while the process lives.
//! In the files below: `rotation` begins the next segment, `replacement` gives a failed one up,
//! `checkpoints` has what is durable signed, `end` keeps the `close` the last record.

mod checkpoints;
mod end;
mod replacement;
mod rotation;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::chain::Chain;
use super::clock::{elapsed, wall_us};
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::is_full;
use super::jobs::{Answer, Job};
use super::segment::{NextFile, Segment};
use super::settings::{Settings, SyncMode};
use super::signing::Signer;
use super::sync::Syncer;
use super::tree::LogTree;
use super::tree_file::TreeMark;
use end::End;
use rotation::{Closing, TreeToPut};

/// A group of lines is written when it has grown to this.
const GROUP_BYTES: usize = 128 * 1024;
/// Kept bytes beyond this are synced before their time.
const SYNC_BYTES: usize = 16 * 1024 * 1024;
/// A buffer that is larger than this and mostly unused gives its memory back.
const BUFFER_BYTES_USUAL: usize = 8 * 1024 * 1024;
/// Between two attempts on a full or failing disk.
const RETRY: Duration = Duration::from_millis(200);

/// How the trouble is overcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// The same write again.
    Retry,
    /// The next segment's space; the old one still takes what is in the buffers.
    Room,
    /// A new segment for everything that is not durable.
    Replace,
}

/// Why nothing can be written at the moment.
#[derive(Debug)]
struct Stall {
    code: &'static str,
    error: String,
    began_us: u64,
    retry_at: Duration,
    remedy: Remedy,
    /// The file in use at that time, for the record.
    segment: String,
    /// The `fault` is chained already.
    recorded: bool,
}

/// A point of the chain: what has been handed to a sync, or has come back from it.
#[derive(Debug, Clone)]
struct Mark {
    /// Records before it.
    size: u64,
    /// The hash of the last of them.
    head: [u8; 64],
    /// The root over them; only where it may be signed.
    root: Option<super::merkle::Hash>,
    /// The number after the newest of them that is not a `checkpoint`.
    news: u64,
    /// Where the tree of the segment stood that holds the last of them.
    tree: TreeMark,
}

/// The writing end of a ledger.
#[derive(Debug)]
pub(super) struct Output {
    dir: PathBuf,
    disk: Disk,
    chain: Chain,
    tree: LogTree,
    /// The number after the newest record that is not a `checkpoint`.
    news: u64,
    segment: Segment,
    syncer: Syncer,
    mode: SyncMode,
    segment_bytes: u64,
    segment_age: Duration,
    /// Lines handed to the sync that is under way.
    syncing: Vec<u8>,
    /// Bytes of lines that a job has taken along to write them anew.
    lent: usize,
    /// Newer lines; the first `written` bytes are in the file already.
    current: Vec<u8>,
    written: usize,
    /// Where `syncing` ends, and where what is durable ends.
    requested: Option<Mark>,
    durable: Mark,
    current_since: Option<Duration>,
    syncing_since: Option<Duration>,
    last_sync: Duration,
    stall: Option<Stall>,
    signer: Option<Signer>,
    kept_note: Option<(u64, String)>,
    closing: Option<Closing>,
    next: Option<NextFile>,
    next_retry_at: Duration,
    trees: Vec<TreeToPut>,
    trees_retry_at: Duration,
    /// What fails beside the segment: its successor's file, a tree file.
    aside: Option<String>,
    /// Put once the given-up segment has its successor.
    given_up: Option<TreeToPut>,
    /// The last record of this boot, once it is chained.
    end: Option<End>,
}

/// What an [`Output`] goes on from; everything in the chain is durable.
pub(super) struct Begun {
    pub(super) chain: Chain,
    pub(super) tree: LogTree,
    pub(super) segment: Segment,
    pub(super) signer: Option<Signer>,
}

impl Output {
    pub(super) fn new(settings: &Settings, begun: Begun, syncer: Syncer) -> Self {
        let Begun {
            chain,
            tree,
            segment,
            signer,
        } = begun;
        let news = chain.next_seq();
        let durable = Mark {
            size: news,
            head: *chain.head(),
            root: signer.is_some().then(|| tree.root()),
            news,
            tree: tree.mark(),
        };
        Self {
            dir: settings.dir.clone(),
            disk: settings.disk.clone(),
            chain,
            tree,
            news,
            segment,
            syncer,
            mode: settings.sync,
            segment_bytes: settings.segment_bytes,
            segment_age: settings.segment_age,
            syncing: Vec::new(),
            lent: 0,
            current: Vec::with_capacity(2 * GROUP_BYTES),
            written: 0,
            requested: None,
            durable,
            current_since: None,
            syncing_since: None,
            last_sync: elapsed(),
            stall: None,
            signer,
            kept_note: None,
            closing: None,
            next: None,
            next_retry_at: Duration::ZERO,
            trees: Vec::new(),
            trees_retry_at: Duration::ZERO,
            aside: None,
            given_up: None,
            end: None,
        }
    }

    /// Appends one record to the group buffer.
    pub(super) fn append(&mut self, members: impl FnOnce(&mut EntryBuilder<'_>)) {
        let leaf = self.chain.append(&mut self.current, members);
        self.tree.push(leaf);
        self.news = self.chain.next_seq();
    }

    pub(super) const fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    pub(super) const fn head(&self) -> &[u8; 64] {
        self.chain.head()
    }

    /// All lines below this number are durable.
    pub(super) const fn durable_seq(&self) -> u64 {
        self.durable.size
    }

    /// When the oldest line that is not durable was appended.
    pub(super) fn oldest_undurable(&self) -> Option<Duration> {
        self.syncing_since.or(self.current_since)
    }

    /// True while the next record has to wait for the one before: mode `each`.
    pub(super) fn is_one_by_one(&self) -> bool {
        self.mode == SyncMode::Each && self.durable.size < self.next_seq()
    }

    /// Bytes that are not durable; what may come on top is the business of `Bounds`.
    pub(super) const fn kept_bytes(&self) -> usize {
        self.lent + self.syncing.len() + self.current.len()
    }

    /// True while the disk takes nothing.
    pub(super) const fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// True while a sync, or the writing of a new segment, has not been answered.
    pub(super) const fn is_syncing(&self) -> bool {
        !self.syncing.is_empty() || self.lent > 0
    }

    /// True when a group is large enough to be written at once.
    pub(super) fn group_full(&self) -> bool {
        let one_by_one = self.mode == SyncMode::Each && !self.current.is_empty();
        one_by_one || self.current.len() - self.written >= GROUP_BYTES
    }

    /// True where what is written is to be durable without delay, and something is not.
    pub(super) fn is_urgent(&self) -> bool {
        let at_once = !matches!(self.mode, SyncMode::Interval(_));
        at_once && self.durable.size < self.next_seq()
    }

    /// Why nothing can be written, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        let stall = self.stall.as_ref()?;
        Some(format!("{}: {}", stall.code, stall.error))
    }

    /// What fails while lines are written all the same: a note, a tree file, the next segment.
    pub(super) fn notice(&self) -> Option<&str> {
        let signer = self.signer.as_ref().and_then(Signer::trouble);
        signer.or(self.aside.as_deref())
    }

    /// Does what is due: takes the sync thread's answer, writes, retries, gives it the next job.
    /// `now` forces a sync instead of waiting for the interval.
    pub(super) fn drive(&mut self, now: bool) {
        if let Some(answer) = self.syncer.answer() {
            self.answered(answer);
        }
        let at = elapsed();
        if !self.current.is_empty() {
            self.current_since.get_or_insert(at);
        }
        let held = self.stall.as_ref().is_some_and(|s| at < s.retry_at);
        if !held && self.remedy() != Some(Remedy::Replace) {
            self.write();
        }
        // A thread that is gone would take lines along and never bring them back.
        if self.syncer.under_way() || self.syncer.is_gone() {
            return;
        }
        if let Some(job) = self.next_job(now, at) {
            self.syncer.request(job);
        }
    }

    fn remedy(&self) -> Option<Remedy> {
        self.stall.as_ref().map(|stall| stall.remedy)
    }

    /// What the disk is asked for next. The rare and short come first, or steady traffic would
    /// keep them waiting for ever.
    fn next_job(&mut self, now: bool, at: Duration) -> Option<Job> {
        self.replacement_job(at)
            .or_else(|| self.signer.as_mut().and_then(|signer| signer.job(at)))
            .or_else(|| self.tree_job(at))
            .or_else(|| self.next_file_job(at))
            .or_else(|| self.sync_job(now, at))
            .or_else(|| self.room_job())
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Synced(answer) => self.synced(answer),
            Answer::Room => {}
            Answer::Next(made) => self.next_file_made(made),
            Answer::Successor(made, lines) => self.replaced(made, lines),
            Answer::Tree(put) => self.tree_put(put),
            Answer::Note(store, kept) => {
                let signer = self.signer.as_mut();
                let kept = signer.and_then(|signer| signer.note_answered(store, kept));
                self.kept_note = kept.or(self.kept_note.take());
            }
            Answer::Gone => {
                // Their records stay counted as not durable, and the memory as taken.
                let gone = match self.lent {
                    0 => "the sync thread is gone; restart".to_owned(),
                    lent => format!(
                        "the sync thread is gone, and {lent} bytes of records with it; restart"
                    ),
                };
                let gone = io::Error::other(gone);
                self.stalled("LEDGER_SYNC_FAILED", &gone, Remedy::Replace);
            }
        }
    }

    fn write(&mut self) {
        while let Some(rest) = self
            .current
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.segment.write(rest) {
                Ok(taken) => self.written += taken,
                Err(error) if is_full(&error) => {
                    self.stalled("LEDGER_DISK_FULL", &error, Remedy::Retry);
                    return;
                }
                Err(error) => {
                    self.stalled("LEDGER_WRITE_FAILED", &error, Remedy::Replace);
                    return;
                }
            }
        }
        if self.remedy() == Some(Remedy::Retry)
            && let Some(stall) = self.stall.take()
        {
            self.stall_over(&stall);
        }
    }

    /// Records a stall that ended without a new segment. None is recorded behind a `close`: such a
    /// stall is told of by the log and the gauges alone.
    fn stall_over(&mut self, stall: &Stall) {
        if !stall.recorded && !self.has_ended() {
            self.record_fault(stall);
        }
    }

    fn stalled(&mut self, code: &'static str, error: &io::Error, remedy: Remedy) {
        let replace = remedy == Remedy::Replace;
        let retry_at = elapsed()
            + if self.stall.is_none() && replace {
                Duration::ZERO
            } else {
                RETRY
            };
        let segment = self.segment.file_name();
        let stall = self.stall.get_or_insert_with(|| Stall {
            code,
            error: String::new(),
            began_us: wall_us(),
            retry_at,
            remedy,
            segment,
            recorded: false,
        });
        stall.error = error.to_string();
        stall.retry_at = retry_at;
        if replace && stall.remedy != Remedy::Replace {
            stall.code = code;
            stall.remedy = Remedy::Replace;
            // What was told of so far was not that a segment is given up.
            stall.recorded = false;
        }
    }

    fn record_fault(&mut self, stall: &Stall) {
        self.append(|entry| {
            entry.uint("began_us", stall.began_us);
            entry.text("code", stall.code);
            entry.text("error", &stall.error);
            entry.text("kind", "fault");
            entry.text("segment", &stall.segment);
            entry.uint("ts_us", wall_us());
        });
    }

    fn mark(&self) -> Mark {
        Mark {
            size: self.chain.next_seq(),
            head: *self.chain.head(),
            root: self.signer.is_some().then(|| self.tree.root()),
            news: self.news,
            tree: self.tree.mark(),
        }
    }

    fn sync_job(&mut self, now: bool, at: Duration) -> Option<Job> {
        let rotates = self.next.is_some() && self.is_over(at);
        let due = now
            || rotates
            || !self.segment.is_named()
            || self.current.len() >= SYNC_BYTES
            || match self.mode {
                SyncMode::Interval(interval) => at.saturating_sub(self.last_sync) >= interval,
                SyncMode::Group | SyncMode::Each => true,
            };
        let held = self
            .stall
            .as_ref()
            .is_some_and(|s| s.remedy != Remedy::Room);
        if !due || held || self.written < self.current.len() {
            return None;
        }
        if self.written == 0 {
            if rotates {
                self.begin_next();
                self.segment_closed();
            }
            return None;
        }
        // The buffer of what is being synced is empty here: it takes the next lines.
        std::mem::swap(&mut self.syncing, &mut self.current);
        self.written = 0;
        self.syncing_since = self.current_since.take();
        self.last_sync = at;
        self.requested = Some(self.mark());
        let (file, naming) = (self.segment.file(), self.segment.naming());
        if rotates {
            self.begin_next();
        }
        Some(Job::Sync { file, naming })
    }

    fn synced(&mut self, answer: io::Result<()>) {
        match answer {
            Ok(()) => {
                empty(&mut self.syncing);
                self.syncing_since = None;
                if let Some(mark) = self.requested.take() {
                    self.durable = mark;
                }
                if self.closing.is_some() {
                    self.segment_closed();
                } else {
                    self.segment.note_named();
                }
            }
            Err(error) => {
                self.stalled("LEDGER_SYNC_FAILED", &error, Remedy::Replace);
                if let (Some(stall), Some(closing)) = (&mut self.stall, &self.closing) {
                    stall.segment = closing.segment.file_name();
                }
            }
        }
    }
}

fn empty(buffer: &mut Vec<u8>) {
    let oversized = buffer.capacity() > BUFFER_BYTES_USUAL && buffer.len() < buffer.capacity() / 4;
    buffer.clear();
    if oversized {
        buffer.shrink_to(BUFFER_BYTES_USUAL);
    }
}
