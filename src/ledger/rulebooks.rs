//! The rulebooks beside the records: `rulebooks/<content digest>.json`, named by what is in them.
//!
//! Invariant: a rulebook is durable before the first record that names it. A file under such a
//! name is never trusted for its name and never written over: it is hashed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::disk::Disk;
use super::error::LedgerError;

/// Where the rulebook of this digest lies, relative to the ledger.
pub(super) fn relative(digest: &str) -> String {
    format!("rulebooks/{digest}.json")
}

/// Puts a rulebook under its digest (64 lower-case hex digits), durable on return. What is there
/// already is compared.
pub(super) fn keep(disk: &Disk, dir: &Path, digest: &str, bytes: &[u8]) -> Result<(), LedgerError> {
    let relative = relative(digest);
    let path = dir.join(&relative);
    if hex::encode(Sha256::digest(bytes)) != digest {
        return Err(LedgerError::NotALedger {
            path,
            rule: "a rulebook is named by the SHA-256 of its canonical bytes, 64 hex digits",
            remedy: "pass the digest of the canonical bytes",
        });
    }
    match sha256_of(&path) {
        Ok(found) if found == digest => Ok(()),
        Ok(_) => Err(LedgerError::NotALedger {
            path,
            rule: "a rulebook is named by the SHA-256 of its bytes, and these are others",
            remedy: "move the file out of the ledger as evidence and start again: the right one is then written in its place",
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.put(dir, &relative, bytes),
        Err(error) => Err(LedgerError::io("reading", &path, error)),
    }
}

/// The SHA-256 of a file as 64 hex digits; memory is bounded whatever its size.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut hash = Sha256::new();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(bytes);
        let taken = bytes.len();
        reader.consume(taken);
    }
}
