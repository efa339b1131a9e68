//! Has what is durable signed, in line and as a note.
//!
//! Invariant: a state is signed only from the mark of a sync that has come back: never before its
//! records are durable.

use super::super::clock::elapsed;
use super::super::signing::Signable;
use super::Output;

impl Output {
    /// The state to be signed now; `None` while it is too early, or without a key.
    pub(in super::super) fn checkpoint_due(&self) -> Option<Signable> {
        let state = self.signable()?;
        let signer = self.signer.as_ref()?;
        signer.is_due(&state, elapsed()).then_some(state)
    }

    fn signable(&self) -> Option<Signable> {
        Some(Signable {
            size: self.durable.size,
            root: self.durable.root?,
            news: self.durable.news,
        })
    }

    /// Signs `state`, chains the record and has the note kept. `accounted` are the values of `n`
    /// that records chained so far account for, by worker, ascending.
    pub(in super::super) fn sign(&mut self, state: &Signable, accounted: &[(String, u64)]) {
        let Some(signer) = &mut self.signer else {
            return;
        };
        let Some(note) = signer.sign(state) else {
            return;
        };
        let leaf = self.chain.append(&mut self.current, |entry| {
            signer.checkpoint_members(entry, state, &note, accounted);
        });
        // Not news: a checkpoint alone is no reason for the next one.
        self.tree.push(leaf);
    }

    /// The last checkpoint of a boot, over its `close`: only a note, for no record follows a
    /// `close`. To be called until [`Self::is_settled`].
    pub(in super::super) fn sign_last(&mut self) {
        if self.durable.size < self.next_seq() {
            return;
        }
        self.force_checkpoint(self.next_seq());
        if let (Some(state), Some(signer)) = (self.checkpoint_due(), &mut self.signer) {
            signer.sign(&state);
        }
    }

    /// A checkpoint of at least `size` is due as soon as those records are durable.
    pub(in super::super) fn force_checkpoint(&mut self, size: u64) {
        if let Some(signer) = &mut self.signer {
            signer.force(size);
        }
    }

    /// The least size of a checkpoint that covers the record `seq` and all before it, those at the
    /// end aside that are checkpoints: nobody signs for their sake.
    pub(in super::super) fn size_to_cover(&self, seq: u64) -> u64 {
        if seq < self.next_seq() {
            self.news.min(seq + 1)
        } else {
            seq.saturating_add(1)
        }
    }

    /// True where there is a key.
    pub(in super::super) const fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// Size and text of a note that has become durable since the last call.
    pub(in super::super) fn take_kept_note(&mut self) -> Option<(u64, String)> {
        self.kept_note.take()
    }

    /// True when nothing waits for the disk: lines, notes, tree files.
    pub(in super::super) fn is_settled(&self) -> bool {
        let signed = self.signer.as_ref().is_none_or(|s| !s.is_busy());
        let durable = self.durable.size == self.chain.next_seq();
        durable && signed && self.trees.is_empty() && !self.syncer.under_way()
    }

    /// Removes the file of a next segment that never began.
    pub(in super::super) fn leave(&mut self) {
        let unused = self.next.as_ref().map(|next| next.path());
        let empty = self
            .segment
            .unnamed_path()
            .filter(|_| self.segment.len() == 0);
        if let Some(path) = unused.or(empty) {
            // Without it only space is missing, until a next segment takes the file.
            let _ = self.disk.remove(path);
        }
    }
}
