//! Heads that an operator gave up, and which misfits they make void.
//!
//! Invariant: an acceptance counts only under the signature of a key that may sign here, and reaches no
//! further than the head that it names.

use std::io;

use super::super::super::acceptance::Claim;
use super::super::heads::Head;
use super::super::report::{Broken, Damage, broken};
use super::super::tree::Hash;
use super::{Log, first};

/// A head that an operator gave up.
#[derive(Debug, Clone, Copy)]
pub(in crate::ledger::verify) struct RolledBack {
    pub(in crate::ledger::verify) size: u64,
    pub(in crate::ledger::verify) root: Hash,
    /// The record from which on the log was written anew, and the one that says so under a good
    /// signature.
    pub(in crate::ledger::verify) from: u64,
    pub(in crate::ledger::verify) seq: u64,
}

impl RolledBack {
    pub(super) fn names(&self, head: &Head) -> bool {
        head.checkpoint.size == self.size && head.checkpoint.root == self.root
    }
}

/// Accepted rollbacks, each with the last place in `heads.log` that it reaches.
#[derive(Debug)]
pub(in crate::ledger::verify) struct GivenUp(Vec<(RolledBack, u64)>);

impl GivenUp {
    /// Whether a note of `heads.log` is void.
    fn has(&self, size: u64, offset: u64) -> bool {
        let covers = |(rolled, until): &(RolledBack, u64)| {
            rolled.from < size && size <= rolled.size && offset <= *until
        };
        self.0.iter().any(covers)
    }
}

impl Log<'_> {
    /// An accepted rollback counts where a key that may sign here signed the acceptance.
    pub(super) fn rolled_back(&mut self, claim: &Claim) -> Result<(), Broken> {
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

    /// Which notes the accepted rollbacks make void: those of a size above the records that were
    /// kept and up to the named head's, up to that one's last place in `heads.log`; where it is not
    /// there, anywhere.
    pub(in crate::ledger::verify) fn given_up_heads(&self) -> io::Result<GivenUp> {
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
    pub(in crate::ledger::verify) fn is_given_up(&self, single: &Head) -> io::Result<bool> {
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
    pub(in crate::ledger::verify) fn judge_heads(&mut self) -> io::Result<(u64, Option<Damage>)> {
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
