//! A failed sync or write is final for its segment: everything that is not durable is written
//! again, to a new segment named after the first of those records, with a `fault` at its end.
//!
//! Invariant: the tree file of the segment that is given up holds exactly the records that a
//! reader takes from it; the others are leaves of its successor.

use std::io;
use std::time::Duration;

use super::super::clock::elapsed;
use super::super::jobs::Job;
use super::super::segment::Segment;
use super::super::tree::file_up_to;
use super::rotation::TreeToPut;
use super::{Output, RETRY, Remedy, empty};

impl Output {
    /// Everything that is not durable, as a new segment; only where the old one is given up.
    pub(super) fn replacement_job(&mut self, at: Duration) -> Option<Job> {
        let stall = self.stall.as_ref()?;
        if stall.remedy != Remedy::Replace || at < stall.retry_at {
            return None;
        }
        if !stall.recorded {
            self.give_up();
        }
        self.syncing.append(&mut self.current);
        self.written = 0;
        self.syncing_since = self.syncing_since.or(self.current_since.take());
        self.requested = Some(self.mark());
        Some(Job::Successor {
            dir: self.dir.clone(),
            first_seq: self.durable.size,
            lines: std::mem::take(&mut self.syncing),
        })
    }

    /// Chains the fault, before the `close` if there is one, and divides the tree where the old segment ends.
    fn give_up(&mut self) {
        let Some(mut stall) = self.stall.take() else {
            return;
        };
        self.append_before_last(|output| output.record_fault(&stall));
        stall.recorded = true;
        self.stall = Some(stall);
        self.syncing.append(&mut self.current);
        let newest = self.tree.split(self.durable.size, &self.syncing);
        let (segment, tree) = match &mut self.closing {
            // The one that follows never got its name; its lines are all here.
            Some(closing) => (
                &closing.segment,
                std::mem::replace(&mut closing.tree, newest),
            ),
            None => (&self.segment, newest),
        };
        if segment.first_seq() < self.durable.size {
            let file = file_up_to(tree, &self.durable.tree, &self.durable.head);
            self.given_up = Some(TreeToPut::new(segment, &file));
        }
        self.closing = None;
    }

    pub(super) fn replaced(&mut self, made: io::Result<Segment>, lines: Vec<u8>) {
        self.syncing = lines;
        match made {
            Ok(segment) => {
                self.segment = segment;
                self.stall = None;
                empty(&mut self.syncing);
                self.syncing_since = None;
                if let Some(mark) = self.requested.take() {
                    self.durable = mark;
                }
                self.trees.extend(self.given_up.take());
                self.force_checkpoint(self.durable.size);
            }
            Err(error) => {
                if let Some(stall) = &mut self.stall {
                    stall.error = error.to_string();
                    stall.retry_at = elapsed() + RETRY;
                }
            }
        }
    }
}
