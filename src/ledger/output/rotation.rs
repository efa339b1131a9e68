//! The next segment: its file is made ready beforehand, the old one is synced, and then its tree
//! file is put.
//!
//! Invariants: lines are durable in the old segment before the new one has its name; while the
//! next file is not ready the old segment goes on growing, unless the disk is full: that is met
//! here, at the boundary, and waited out.

use std::io;
use std::time::Duration;

use super::super::clock::elapsed;
use super::super::error::{LedgerError, is_full};
use super::super::jobs::Job;
use super::super::segment::{NextFile, Segment};
use super::super::tree_file::{TreeBuilder, TreeFile};
use super::{Output, RETRY, Remedy};

/// A segment that takes no more lines and whose last sync is under way.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) segment: Segment,
    pub(super) tree: TreeBuilder,
}

/// A tree file to be written.
#[derive(Debug)]
pub(super) struct TreeToPut {
    name: String,
    text: String,
}

impl TreeToPut {
    pub(super) fn new(segment: &Segment, file: &TreeFile) -> Self {
        Self {
            name: segment.tree_name(),
            text: file.to_text(),
        }
    }
}

impl Output {
    /// True where the segment has reached its size or age; one without lines has neither.
    pub(super) fn is_over(&self, at: Duration) -> bool {
        self.segment.is_named()
            && (self.segment.len() >= self.segment_bytes
                || self.segment.age(at) >= self.segment_age)
    }

    /// Three quarters of the way the next file is made.
    pub(super) fn next_file_job(&mut self, at: Duration) -> Option<Job> {
        let near = self.segment.len() >= self.segment_bytes / 4 * 3
            || self.segment.age(at) >= self.segment_age / 4 * 3;
        let waits = self.remedy().is_none_or(|remedy| remedy == Remedy::Room);
        // An unnamed segment still lies under the name that the next file would have.
        let wanted = self.next.is_none() && self.segment.is_named() && near && waits;
        if !wanted || at < self.next_retry_at {
            return None;
        }
        Some(Job::Next {
            dir: self.dir.clone(),
            bytes: self.segment_bytes,
        })
    }

    pub(super) fn next_file_made(&mut self, made: io::Result<NextFile>) {
        match made {
            Ok(next) => {
                self.next = Some(next);
                self.aside = None;
                if self.remedy() == Some(Remedy::Room)
                    && let Some(stall) = self.stall.take()
                {
                    self.stall_over(&stall);
                }
            }
            Err(error) => {
                self.next_retry_at = elapsed() + RETRY;
                if is_full(&error) && self.is_over(elapsed()) {
                    self.stalled("LEDGER_DISK_FULL", &error, Remedy::Room);
                } else {
                    self.aside = Some(format!("the next segment cannot be made: {error}"));
                }
            }
        }
    }

    /// From here on lines go to the next segment.
    pub(super) fn begin_next(&mut self) {
        let Some(next) = self.next.take() else {
            return;
        };
        let next = next.begin(&self.dir, self.chain.next_seq());
        self.closing = Some(Closing {
            segment: std::mem::replace(&mut self.segment, next),
            tree: self.tree.next_segment(),
        });
    }

    /// The segment before has all its lines, durable.
    pub(super) fn segment_closed(&mut self) {
        let Some(closing) = self.closing.take() else {
            return;
        };
        let file = closing.tree.finish(&self.durable.head);
        self.trees.push(TreeToPut::new(&closing.segment, &file));
        // What is durable now ends where the newest segment begins.
        self.durable.tree = TreeBuilder::new(self.durable.size).mark();
        self.force_checkpoint(self.durable.size);
    }

    pub(super) fn tree_job(&mut self, at: Duration) -> Option<Job> {
        let tree = self.trees.first().filter(|_| at >= self.trees_retry_at)?;
        Some(Job::Tree {
            dir: self.dir.clone(),
            name: tree.name.clone(),
            text: tree.text.clone(),
        })
    }

    pub(super) fn tree_put(&mut self, put: Result<(), LedgerError>) {
        match put {
            Ok(()) => {
                self.trees.remove(0);
                self.aside = None;
            }
            Err(error) => {
                self.trees_retry_at = elapsed() + RETRY;
                self.aside = Some(error.to_string());
            }
        }
    }

    /// Space ahead of the lines.
    pub(super) fn room_job(&mut self) -> Option<Job> {
        let (from, bytes) = self.segment.next_step(self.segment_bytes)?;
        Some(Job::Room {
            file: self.segment.file(),
            from,
            bytes,
        })
    }
}
