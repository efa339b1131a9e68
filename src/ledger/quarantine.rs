//! Torn tails: kept in `quarantine/`, then cut off, then reported by the `open` record that follows.
//!
//! Invariant: whatever a start was interrupted at, the next one reports what was cut off. A copy is
//! named after the number of the first record that it stands in place of; as long as no record has
//! that number, nobody has reported it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::directory::file_name;
use super::disk::Disk;
use super::error::LedgerError;

const FOLDER: &str = "quarantine";

/// The torn end of a segment, cut off and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// Bytes that were cut off.
    pub bytes: u64,
    /// The copy, relative to the ledger directory.
    pub file: String,
    /// SHA-256 of the copy, 64 hex digits.
    pub sha256: String,
}

/// Keeps what stands in `segment` from `len` on, in place of record `seq`, and cuts it off. Also
/// tells of a tail that an interrupted start cut off there; `None` where there is neither.
pub(super) fn cut_off(
    disk: &Disk,
    dir: &Path,
    segment: &Path,
    len: u64,
    seq: u64,
) -> Result<Option<TornTail>, LedgerError> {
    let tail = read_from(segment, len).map_err(|e| LedgerError::io("reading", segment, e))?;
    let folder = dir.join(FOLDER);
    let kept = unreported(&folder, seq).map_err(|e| LedgerError::io("reading", &folder, e))?;
    let (file, bytes) = match kept {
        None if tail.is_empty() => return Ok(None),
        // Also where the copy was made and the cut was not.
        Some((file, bytes)) if bytes.ends_with(&tail) => (file, bytes),
        kept => {
            let mut bytes = kept.map(|(_, bytes)| bytes).unwrap_or_default();
            bytes.extend_from_slice(&tail);
            let sha256 = hex::encode(Sha256::digest(&bytes));
            let digits = sha256.get(..8).unwrap_or_default();
            let file = format!("{FOLDER}/torn-{seq}-{digits}.bin");
            disk.put(dir, &file, &bytes)?;
            (file, bytes)
        }
    };
    if !tail.is_empty() {
        disk.truncate(segment, len)
            .map_err(|e| LedgerError::io("truncating", segment, e))?;
    }
    Ok(Some(TornTail {
        bytes: bytes.len() as u64,
        file,
        sha256: hex::encode(Sha256::digest(&bytes)),
    }))
}

/// The largest tail that was kept in place of record `seq`: later ones hold the earlier ones.
fn unreported(folder: &Path, seq: u64) -> io::Result<Option<(String, Vec<u8>)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    let mut found: Option<(String, Vec<u8>)> = None;
    for entry in entries {
        let name = file_name(&entry?.path());
        let ours = name.starts_with(&format!("torn-{seq}-")) && name.ends_with(".bin");
        if !ours {
            continue;
        }
        let bytes = fs::read(folder.join(&name))?;
        let whole = name.contains(hex::encode(Sha256::digest(&bytes)).get(..8).unwrap_or("-"));
        if whole
            && found
                .as_ref()
                .is_none_or(|(_, kept)| kept.len() < bytes.len())
        {
            found = Some((format!("{FOLDER}/{name}"), bytes));
        }
    }
    Ok(found)
}

fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    // R198
    #[test]
    fn a_tail_is_told_until_a_record_reports_it() {
        let dir = tempfile::tempdir().unwrap();
        let segment = dir.path().join("s");
        let disk = Disk::default();
        let cut = |seq| cut_off(&disk, dir.path(), &segment, 4, seq).unwrap();
        fs::write(&segment, "good").unwrap();
        assert_eq!(cut(7), None);
        fs::write(&segment, "goodtail").unwrap();
        let first = cut(7).unwrap();
        assert_eq!(fs::read(&segment).unwrap(), b"good");
        assert_eq!(fs::read(dir.path().join(&first.file)).unwrap(), b"tail");
        // The start ended before its `open` was durable: as if nothing were there, or a part of it.
        assert_eq!(cut(7), Some(first.clone()));
        fs::write(&segment, "goodopen").unwrap();
        let both = cut(7).unwrap();
        assert_eq!(fs::read(dir.path().join(&both.file)).unwrap(), b"tailopen");
        assert_eq!(cut(7), Some(both));
        assert!(dir.path().join(first.file).exists());
        // Once a record has that number, it is old news.
        assert_eq!(cut(8), None);
    }
}
