//! What can be said only at the end: notes, what records and files say of each other, and what was left
//! out.

use std::io;
use std::path::PathBuf;

use super::super::super::directory::file_name;
use super::super::join::{Log, Misfit, fewer};
use super::super::options::Known;
use super::super::report::{At, Damage, broken};
use super::Check;

impl Check<'_> {
    /// What can be said only at the end: notes, and what records and files say of each other.
    /// `whole`: the lines were read to their end.
    pub(super) fn judge(
        &mut self,
        log: &mut Log<'_>,
        whole: bool,
    ) -> io::Result<(u64, Option<Damage>)> {
        let to_the_end = whole && self.options.to.is_none();
        if to_the_end {
            log.heads_beyond()?;
            self.newest_note(log)?;
        }
        let (superseded, misfit) = log.judge_heads()?;
        if !whole {
            return Ok((superseded, misfit));
        }
        let mut wrong = misfit;
        if wrong.is_none() {
            wrong = self.asked_for(log, to_the_end);
        }
        if wrong.is_none() {
            wrong = Self::superseded(log);
        }
        if wrong.is_none() && self.whole && self.options.from.is_none() {
            wrong = self.origin(log)?;
        }
        if wrong.is_none() {
            wrong = self.removals(log);
        }
        if wrong.is_none() && self.whole {
            wrong = log.evidence.check(&self.dir)?.map(|broken| Damage {
                file: self.path.join(broken.file),
                offset: 0,
                line: 0,
                seq: broken.seq,
                rule: broken.rule.to_owned(),
                expected: broken.expected,
                found: broken.found,
                remedy: broken.remedy,
            });
        }
        self.left_out(log);
        Ok((superseded, wrong))
    }

    /// The file `checkpoint`.
    pub(super) fn newest_note(&self, log: &mut Log<'_>) -> io::Result<()> {
        let Some((file, head)) = &self.newest else {
            return Ok(());
        };
        let size = head.checkpoint.size;
        let at = At {
            seq: size.saturating_sub(1),
            ..At::default()
        };
        let there = log.next_seq.unwrap_or(0);
        if log.is_given_up(head)? {
            // The newest note of a log that was rolled back a moment ago.
            return Ok(());
        }
        if size > there {
            if log.keys.trusted.is_none() || log.keys.signer(&head.note).is_some() {
                let damage = fewer(there, size).at(file, at);
                log.misfits.push(Misfit {
                    size,
                    offset: 0,
                    damage,
                });
            }
            return Ok(());
        }
        if let Some(size) = log.check_head(file, at, head) {
            log.signed_size = log.signed_size.max(size);
        }
        Ok(())
    }

    /// The head that was kept elsewhere, and the keys that the caller trusts.
    pub(super) fn asked_for(&mut self, log: &mut Log<'_>, to_the_end: bool) -> Option<Damage> {
        let there = log.next_seq.unwrap_or(0);
        let about = |seq: u64| At {
            seq,
            ..At::default()
        };
        match self.options.head.as_ref().map(|head| &head.0) {
            None => {}
            Some(Known::Record(seq, hash)) => {
                let file = self.path;
                let named = |found: String| {
                    let rule = "the record of the head kept elsewhere is in the ledger";
                    Some(broken(rule, hex::encode(hash), found).at(file, about(*seq)))
                };
                match log.watched {
                    Some(found) if found == *hash => {}
                    Some(found) => return named(hex::encode(found)),
                    None if *seq >= there && to_the_end => {
                        return Some(fewer(there, seq + 1).at(file, about(*seq)));
                    }
                    None => self.notes.push(format!(
                        "the head kept elsewhere: record {seq} was not read"
                    )),
                }
            }
            Some(Known::Note(head)) => {
                let size = head.checkpoint.size;
                let at = about(size.saturating_sub(1));
                if size > there {
                    if to_the_end {
                        return Some(fewer(there, size).at(self.path, at));
                    }
                    self.notes.push(format!(
                        "the head kept elsewhere: {size} records were not read"
                    ));
                    return None;
                }
                let (known, keys) = (log.roots.contains_key(&size), log.unknown_keys);
                let counted = log.check_head(self.path, at, head);
                if let Some(misfit) = log.misfits.pop() {
                    return Some(misfit.damage);
                }
                if counted.is_none() {
                    let rule = "the head kept elsewhere is signed by a key given with --key";
                    return Some(broken(rule, "a trusted key", "another").at(self.path, at));
                }
                if !known {
                    self.notes.push("the root of the head kept elsewhere: the log before this segment is not known".to_owned());
                }
                if log.unknown_keys > keys {
                    self.notes
                        .push("the signature of the head kept elsewhere: give --key".to_owned());
                }
                log.signed_size = log.signed_size.max(counted.unwrap_or(0));
            }
        }
        if log.keys.trusted.is_some() && log.signed_size == 0 {
            let rule = "at least one head is signed by a key given with --key";
            return Some(broken(rule, "a signed head", "none").of_file(self.path, 0));
        }
        None
    }

    /// A segment may end in lines that its successor repeats only if a `fault` says so.
    pub(super) fn superseded(log: &Log<'_>) -> Option<Damage> {
        let plain = |path: &PathBuf| {
            let name = file_name(path);
            name.strip_suffix(".zst").unwrap_or(&name).to_owned()
        };
        let unexplained = |path: &&PathBuf| !log.given_up.contains(&plain(path));
        let file = log.superseded.iter().find(unexplained)?;
        let rule = "lines repeated by the next segment are explained by a fault record";
        let expected = format!("a fault naming {}", plain(file));
        Some(broken(rule, expected, "none").of_file(file, log.next_seq.unwrap_or(0)))
    }

    pub(super) fn removals(&mut self, log: &Log<'_>) -> Option<Damage> {
        let signed = log.signed_size > 0 || log.epochs.current().is_some() || !log.keys.none();
        let partial = !self.whole || self.options.to.is_some() || self.options.from.is_some();
        match log
            .removals
            .judge(signed.then_some(log.signed_size), partial)
        {
            Ok(notes) => {
                self.notes.extend(notes);
                if partial && log.stubs > 0 {
                    self.notes.push("which record named the stubs".to_owned());
                }
                None
            }
            Err(damage) => Some(Damage {
                file: self.dir.join(&damage.file),
                ..*damage
            }),
        }
    }

    /// Says what could not be checked.
    pub(super) fn left_out(&mut self, log: &Log<'_>) {
        let mut say = |count: usize, what: &str| {
            if count > 0 {
                self.notes.push(format!("{what} ({count})"));
            }
        };
        say(
            log.unknown_roots as usize,
            "roots of signed heads: the log before them is not known",
        );
        say(log.missed.len(), "roots at sizes inside removed segments");
        say(
            log.unknown_keys as usize,
            "signatures: no key or no origin is known; give --key",
        );
        let signed = log.checkpoints > 0 && self.whole;
        if signed && log.heads.entries.is_empty() {
            self.notes.push(
                "whether the end was cut off: heads.log is not there; give --head".to_owned(),
            );
        }
        if signed && log.keys.listed.is_none() && log.keys.trusted.is_none() {
            self.notes
                .push("whose keys these are: log.vkey is not there; give --key".to_owned());
        }
        let unsigned = log
            .rolled_back
            .iter()
            .filter(|rolled| rolled.seq >= log.signed_size);
        for rolled in unsigned {
            self.notes.push(format!(
                "who accepted the rollback in record {}: no signature covers it yet",
                rolled.seq
            ));
        }
        if !self.whole {
            self.notes
                .push("the files beside the segment, and the segments after it".to_owned());
        }
        if self.options.from.is_some() || self.options.to.is_some() {
            let (from, to) = self.range();
            if from < self.oldest {
                let last = to.min(self.oldest - 1);
                self.notes.push(format!(
                    "records {from} to {last}: their segments are gone, the oldest record here is {}",
                    self.oldest
                ));
            }
            self.notes
                .push("records in segments outside the range of --from and --to".to_owned());
        }
    }
}
