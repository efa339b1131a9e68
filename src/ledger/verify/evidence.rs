//! The files that records vouch for: the rulebooks they name and the torn tails they report.
//!
//! A record is only worth what it was judged by: a ledger whose lines are all right and whose
//! rulebook was edited is not intact. Each file is hashed once, after the lines.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::super::line::{Record, is_hash};
use super::super::rulebooks::{relative, sha256_of};

const RULEBOOK: &str = "a rulebook that records name lies in rulebooks/ under its SHA-256";
const TORN: &str = "a quarantined tail has the SHA-256 that its open record gives";
const RULEBOOK_REMEDY: &str = "keep the directory as evidence and bring the rulebook back from a copy (its name is its SHA-256); without it replay and explain cannot judge the records that name it";
const TORN_REMEDY: &str = "keep the directory as evidence and compare with a copy; the records themselves do not depend on this file";

/// What the records read so far vouch for.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The digest that was named last: almost every record names the same one.
    newest: String,
    /// Digest of a rulebook to the first record that names it.
    rulebooks: BTreeMap<String, u64>,
    torn: Vec<Torn>,
}

#[derive(Debug)]
struct Torn {
    file: String,
    sha256: String,
    seq: u64,
}

/// A file that is not what the records say.
#[derive(Debug)]
pub(super) struct Broken {
    /// Relative to the ledger.
    pub(super) file: String,
    /// The first record that vouches for it.
    pub(super) seq: u64,
    pub(super) rule: &'static str,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) remedy: &'static str,
}

impl Evidence {
    pub(super) const fn new() -> Self {
        Self {
            newest: String::new(),
            rulebooks: BTreeMap::new(),
            torn: Vec::new(),
        }
    }

    /// Takes one checked record in; gives the rule that it breaks.
    pub(super) fn note(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        if let Some(digest) = record.policy_hash
            && digest != self.newest
        {
            if !is_hash(digest) {
                return Err("policy_hash is 64 hex digits");
            }
            digest.clone_into(&mut self.newest);
            self.rulebooks
                .entry(digest.to_owned())
                .or_insert(record.seq);
        }
        if record.kind == "open"
            && let Some(file) = record.text("torn_file")
        {
            let plain = |name: &&str| !name.is_empty() && !name.contains('/') && *name != "..";
            let named = file.strip_prefix("quarantine/").filter(plain);
            let sha256 = record.text("torn_sha256").filter(|text| is_hash(text));
            let (Some(_), Some(sha256)) = (named, sha256) else {
                return Err("a torn tail is named as a file in quarantine/, with its SHA-256");
            };
            self.torn.push(Torn {
                file: file.to_owned(),
                sha256: sha256.to_owned(),
                seq: record.seq,
            });
        }
        Ok(())
    }

    /// Takes in what a later segment vouches for.
    pub(super) fn join(&mut self, later: Self) {
        for (digest, seq) in later.rulebooks {
            self.rulebooks.entry(digest).or_insert(seq);
        }
        self.torn.extend(later.torn);
    }

    /// Hashes the files in `dir`; gives the first one that is wrong. A rulebook must be there; a
    /// quarantined tail may have been taken away, because no record is judged by it.
    pub(super) fn check(&self, dir: &Path) -> io::Result<Option<Broken>> {
        for (digest, seq) in &self.rulebooks {
            let file = relative(digest);
            let found = hash(dir, &file)?;
            if found.as_ref() != Some(digest) {
                return Ok(Some(Broken {
                    file,
                    seq: *seq,
                    rule: RULEBOOK,
                    expected: digest.clone(),
                    found: found.unwrap_or_else(|| "no such file".to_owned()),
                    remedy: RULEBOOK_REMEDY,
                }));
            }
        }
        for torn in &self.torn {
            if let Some(found) = hash(dir, &torn.file)?.filter(|found| *found != torn.sha256) {
                return Ok(Some(Broken {
                    file: torn.file.clone(),
                    seq: torn.seq,
                    rule: TORN,
                    expected: torn.sha256.clone(),
                    found,
                    remedy: TORN_REMEDY,
                }));
            }
        }
        Ok(None)
    }
}

/// The SHA-256 of a file, or `None` where there is none.
fn hash(dir: &Path, file: &str) -> io::Result<Option<String>> {
    match sha256_of(&dir.join(file)) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io::Error::new(error.kind(), format!("{file}: {error}"))),
    }
}
