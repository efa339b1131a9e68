//! From members to durable bytes: chain, group buffer, segment, sync, and what to do when one
//! of them fails.
//!
//! Invariants: bytes that are not yet durable are kept in memory; past the bounds of `pressure` the
//! writer stops taking events, so that losses are counted at the rings. A failed sync or write is final for its segment: the kept bytes go to a new one.
//! A full disk is waited out: nothing in the buffers is given up while the process lives.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::chain::Chain;
use super::clock::{elapsed, wall_us};
use super::directory::file_name;
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::is_full;
use super::handle::Settings;
use super::segment::Segment;
use super::sync::Syncer;

/// A group of lines is written when it has grown to this.
const GROUP_BYTES: usize = 128 * 1024;
/// Kept bytes beyond this are synced before their time.
const SYNC_BYTES: usize = 16 * 1024 * 1024;
/// A buffer that is larger than this and mostly unused gives its memory back.
const BUFFER_BYTES_USUAL: usize = 8 * 1024 * 1024;
/// Between two attempts on a full or failing disk.
const RETRY: Duration = Duration::from_millis(200);

/// Lines with the number of the first; a run of the chain.
#[derive(Debug, Default)]
struct Run {
    bytes: Vec<u8>,
    first_seq: u64,
}

/// Why nothing can be written at the moment.
#[derive(Debug)]
struct Stall {
    code: &'static str,
    error: String,
    began_us: u64,
    retry_at: Duration,
    /// True when the segment is given up and a new one must take over.
    replace: bool,
    /// The failed segment, for the record.
    segment: String,
}

/// The writing end of a ledger.
#[derive(Debug)]
pub(super) struct Output {
    dir: PathBuf,
    disk: Disk,
    chain: Chain,
    segment: Segment,
    syncer: Syncer,
    sync_interval: Duration,
    /// Handed to the sync that is under way.
    syncing: Run,
    /// Newer lines; the first `written` bytes are in the file already.
    current: Run,
    written: usize,
    current_since: Option<Duration>,
    syncing_since: Option<Duration>,
    last_sync: Duration,
    stall: Option<Stall>,
}

impl Output {
    pub(super) fn new(settings: &Settings, chain: Chain, segment: Segment, syncer: Syncer) -> Self {
        let first_seq = chain.next_seq();
        Self {
            dir: settings.dir.clone(),
            disk: settings.disk.clone(),
            chain,
            segment,
            syncer,
            sync_interval: settings.sync_every,
            syncing: Run::default(),
            current: Run {
                bytes: Vec::with_capacity(2 * GROUP_BYTES),
                first_seq,
            },
            written: 0,
            current_since: None,
            syncing_since: None,
            last_sync: elapsed(),
            stall: None,
        }
    }

    /// Appends one record to the group buffer.
    pub(super) fn append(&mut self, members: impl FnOnce(&mut EntryBuilder<'_>)) {
        self.chain.append(&mut self.current.bytes, members);
    }

    pub(super) const fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    pub(super) const fn head(&self) -> &[u8; 64] {
        self.chain.head()
    }

    /// All lines below this number are durable.
    pub(super) const fn durable_seq(&self) -> u64 {
        if self.syncing.bytes.is_empty() {
            self.current.first_seq
        } else {
            self.syncing.first_seq
        }
    }

    /// When the oldest line that is not durable was appended.
    pub(super) fn oldest_undurable(&self) -> Option<Duration> {
        self.syncing_since.or(self.current_since)
    }

    /// Bytes that are not durable; what may come on top is the business of `Bounds`.
    pub(super) const fn kept_bytes(&self) -> usize {
        self.syncing.bytes.len() + self.current.bytes.len()
    }

    /// True while the disk takes nothing.
    pub(super) const fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    /// True while a sync has not been answered.
    pub(super) const fn is_syncing(&self) -> bool {
        !self.syncing.bytes.is_empty()
    }

    /// True when a group is large enough to be written at once.
    pub(super) fn group_full(&self) -> bool {
        self.current.bytes.len() - self.written >= GROUP_BYTES
    }

    /// What is wrong, if anything.
    pub(super) fn trouble(&self) -> Option<String> {
        let stall = self.stall.as_ref()?;
        Some(format!("{}: {}", stall.code, stall.error))
    }

    /// Does what is due: takes a sync's answer, writes, retries, asks for the next sync.
    /// `now` forces that sync instead of waiting for the interval.
    pub(super) fn drive(&mut self, now: bool) {
        if let Some(answer) = self.syncer.answer() {
            self.synced(answer);
        }
        let at = elapsed();
        if self.stall.as_ref().is_some_and(|stall| at < stall.retry_at) {
            return;
        }
        if self.stall.as_ref().is_some_and(|stall| stall.replace) {
            self.replace_segment();
            return;
        }
        if self.written < self.current.bytes.len() {
            self.current_since.get_or_insert(at);
            self.write();
        }
        self.request_sync(now, at);
    }

    fn write(&mut self) {
        while let Some(rest) = self
            .current
            .bytes
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.segment.write(rest) {
                Ok(taken) => self.written += taken,
                Err(error) if is_full(&error) => {
                    self.stalled("LEDGER_DISK_FULL", &error, false);
                    return;
                }
                Err(error) => {
                    self.stalled("LEDGER_WRITE_FAILED", &error, true);
                    return;
                }
            }
        }
        if let Some(stall) = self.stall.take() {
            self.record_fault(&stall);
        }
    }

    fn stalled(&mut self, code: &'static str, error: &io::Error, replace: bool) {
        let retry_at = elapsed()
            + if self.stall.is_none() && replace {
                Duration::ZERO
            } else {
                RETRY
            };
        let segment = file_name(&self.segment.name().path);
        let stall = self.stall.get_or_insert_with(|| Stall {
            code,
            error: String::new(),
            began_us: wall_us(),
            retry_at,
            replace,
            segment,
        });
        stall.error = error.to_string();
        stall.retry_at = retry_at;
        if replace && !stall.replace {
            stall.code = code;
            stall.replace = true;
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

    fn request_sync(&mut self, now: bool, at: Duration) {
        let due = now
            || at.saturating_sub(self.last_sync) >= self.sync_interval
            || self.current.bytes.len() >= SYNC_BYTES;
        let all_written = self.written == self.current.bytes.len() && self.written > 0;
        if !due || !all_written || self.syncer.under_way || self.stall.is_some() {
            return;
        }
        // The run being synced is empty here: its buffer takes the next lines.
        std::mem::swap(&mut self.syncing, &mut self.current);
        self.current.first_seq = self.chain.next_seq();
        self.written = 0;
        self.syncing_since = self.current_since.take();
        self.last_sync = at;
        self.syncer.request(self.segment.file());
    }

    fn synced(&mut self, answer: io::Result<()>) {
        match answer {
            Ok(()) => {
                empty(&mut self.syncing.bytes);
                self.syncing_since = None;
            }
            Err(error) => self.stalled("LEDGER_SYNC_FAILED", &error, true),
        }
    }

    /// Gives the segment up: everything that is not durable goes to a new one, with a `fault`.
    fn replace_segment(&mut self) {
        if self.syncer.under_way {
            // Its answer, good or bad, must not be taken for one about the new segment.
            return;
        }
        let Some(stall) = self.stall.take() else {
            return;
        };
        let first_seq = self.durable_seq();
        let (chain, len) = (self.chain.clone(), self.current.bytes.len());
        self.record_fault(&stall);
        match self.write_successor(first_seq) {
            Ok(segment) => {
                self.segment = segment;
                empty(&mut self.syncing.bytes);
                empty(&mut self.current.bytes);
                self.current.first_seq = self.chain.next_seq();
                self.written = 0;
                self.syncing_since = None;
                self.current_since = None;
            }
            Err(error) => {
                // Take the fault back: it is written once, by the attempt that succeeds.
                self.chain = chain;
                self.current.bytes.truncate(len);
                self.stall = Some(Stall {
                    error: error.to_string(),
                    retry_at: elapsed() + RETRY,
                    ..stall
                });
            }
        }
    }

    fn write_successor(&self, first_seq: u64) -> io::Result<Segment> {
        // A segment is born with durable records, so its successor never needs its name.
        let bytes = [&*self.syncing.bytes, &*self.current.bytes].concat();
        Segment::create(&self.disk, &self.dir, first_seq, &bytes, false)
    }
}

fn empty(buffer: &mut Vec<u8>) {
    let oversized = buffer.capacity() > BUFFER_BYTES_USUAL && buffer.len() < buffer.capacity() / 4;
    buffer.clear();
    if oversized {
        buffer.shrink_to(BUFFER_BYTES_USUAL);
    }
}
