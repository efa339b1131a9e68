//! Signatures: of checkpoint records, and of notes beside the records.
//!
//! Invariant: a note counts only under a key that may sign at its size, and only where its root is that
//! of the records; what does not fit is kept until the end of the log says whether it matters.

use std::io;
use std::path::Path;

use super::super::heads::{Head, Heads};
use super::super::keys::note_of;
use super::super::part::Part;
use super::super::report::{At, Broken, Damage, broken};
use super::super::steps::Signed;
use super::{Log, Misfit, ROOTS_MAX, fewer};

impl Log<'_> {
    /// A checkpoint record is signed by the key in force; its root is looked at with the leaves.
    pub(super) fn signature(
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

    pub(super) fn vouched(&mut self, size: u64) {
        self.signed_size = self.signed_size.max(size);
    }

    /// Notes of `heads.log` about sizes that are reached by now.
    pub(in crate::ledger::verify) fn check_heads(&mut self, part: &Part) -> io::Result<()> {
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
    pub(in crate::ledger::verify) fn heads_beyond(&mut self) -> io::Result<()> {
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

    pub(super) fn misfit(&mut self, size: u64, offset: u64, damage: Damage) {
        self.misfits.push(Misfit {
            size,
            offset,
            damage,
        });
    }

    /// Checks one note outside the lines; gives its size where it counts and fits.
    pub(in crate::ledger::verify) fn check_head(
        &mut self,
        file: &Path,
        at: At,
        head: &Head,
    ) -> Option<u64> {
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
    pub(super) fn fits(&mut self, file: &Path, at: At, head: &Head) -> bool {
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
}
