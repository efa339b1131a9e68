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
        self.lent = self.syncing.len();
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
        self.lent = 0;
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::SeqCst;

    use super::super::super::chain::Chain;
    use super::super::super::merkle::Frontier;
    use super::super::super::settings::Settings;
    use super::super::super::sync::Syncer;
    use super::super::super::tree::LogTree;
    use super::super::super::tree_file::TreeBuilder;
    use super::super::Begun;
    use super::*;

    fn output(settings: &Settings) -> Output {
        let segment = Segment::create(&settings.disk, &settings.dir, 0, &[], true).unwrap();
        let begun = Begun {
            chain: Chain::genesis(),
            tree: LogTree::new(Frontier::new(), TreeBuilder::new(0)),
            segment,
            signer: None,
        };
        let syncer = Syncer::start(&settings.disk).unwrap();
        let mut output = Output::new(settings, begun, syncer);
        output.append(|entry| entry.text("kind", "open"));
        output
    }

    #[test]
    fn lines_that_are_written_anew_count_as_kept() {
        // R090
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path());
        let mut output = output(&settings);
        let failed = io::Error::other("failed");
        output.stalled("LEDGER_SYNC_FAILED", &failed, Remedy::Replace);
        let line = output.kept_bytes();
        let job = output.replacement_job(elapsed()).unwrap();
        let kept = output.kept_bytes();
        assert!(kept > line, "the line and the fault");
        assert!(output.is_syncing());
        output.append(|entry| entry.text("kind", "close"));
        let newer = output.kept_bytes() - kept;
        output.answered(job.run(&settings.disk));
        assert_eq!((output.kept_bytes(), output.is_syncing()), (newer, false));
        assert_eq!(output.durable_seq(), 2);
    }

    #[test]
    fn lines_that_are_gone_with_the_sync_thread_are_told_and_stay_counted() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path());
        let mut output = output(&settings);
        let failed = io::Error::other("failed");
        output.stalled("LEDGER_SYNC_FAILED", &failed, Remedy::Replace);
        settings.disk.plan.panicking_syncs.store(1, SeqCst);
        output.drive(true);
        let kept = output.kept_bytes();
        while !output.syncer.is_gone() {
            output.drive(true);
        }
        let told = format!("and {kept} bytes of records with it");
        let trouble = output.trouble().unwrap();
        assert!(trouble.contains(&told), "{trouble}");
        output.append(|entry| entry.text("kind", "outcome"));
        let more = output.kept_bytes();
        assert!(more > kept);
        for _ in 0..3 {
            output.drive(true);
        }
        assert_eq!(output.kept_bytes(), more, "nothing else goes the same way");
        assert_eq!((output.durable_seq(), output.is_settled()), (0, false));
    }
}
