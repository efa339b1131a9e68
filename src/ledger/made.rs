//! The counters of a boot that outlive its process: the file `made`, as a start reads it.
//!
//! The layout stands in docs/ledger-format.md. Survives the process, not the power: after a power
//! loss the counters may be older than the lines, which never makes more of a boot than it made.
//! Not here: writing it (the workers do, through a mapping).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::frame::BootId;

const MAGIC: &[u8; 16] = b"tidegate-made-1\n";
/// Where the first counter stands.
const COUNTERS_AT: usize = 4_096;
/// From one counter to the next.
const STRIDE: usize = 64;

/// The counters that lie in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) boot: BootId,
    /// Values of `n` taken, by worker.
    pub(super) counts: Vec<u64>,
    /// The directory is not the one that they were written in.
    pub(super) moved: bool,
}

/// Reads the counters; `None` where there are none or they are not in this form.
pub(super) fn read(dir: &Path) -> io::Result<Option<Made>> {
    read_from(&dir.join("made"), dir)
}

/// The same from another file of the directory.
pub(super) fn read_from(path: &Path, dir: &Path) -> io::Result<Option<Made>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let here = fs::metadata(dir)?;
    Ok(parse(&bytes, here.dev(), here.ino()))
}

fn parse(bytes: &[u8], device: u64, inode: u64) -> Option<Made> {
    bytes.starts_with(MAGIC).then_some(())?;
    let boot = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
    let place = (number(bytes, 24)?, number(bytes, 32)?);
    let counts = (COUNTERS_AT..bytes.len())
        .step_by(STRIDE)
        .map_while(|at| number(bytes, at))
        .take(256)
        .collect();
    Some(Made {
        boot: BootId::from_u32(boot),
        counts,
        moved: place != (device, inode),
    })
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(field.try_into().ok()?))
}

/// A file as the workers leave it.
#[cfg(test)]
pub(super) fn sample(dir: &Path, boot: u32, counts: &[u64]) -> Vec<u8> {
    let here = fs::metadata(dir).unwrap();
    let mut bytes = vec![0; COUNTERS_AT + STRIDE * counts.len()];
    bytes[..16].copy_from_slice(MAGIC);
    bytes[16..20].copy_from_slice(&boot.to_le_bytes());
    bytes[24..32].copy_from_slice(&here.dev().to_le_bytes());
    bytes[32..40].copy_from_slice(&here.ino().to_le_bytes());
    for (worker, count) in counts.iter().enumerate() {
        let at = COUNTERS_AT + STRIDE * worker;
        bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_where_they_stand() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let bytes = sample(dir.path(), 7, &[3, 0, 5]);
        let expected = Made {
            boot: BootId::from_u32(7),
            counts: vec![3, 0, 5],
            moved: false,
        };
        fs::write(dir.path().join("made"), &bytes).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(expected.clone()));
        let mut moved = bytes.clone();
        moved[33] ^= 1;
        fs::write(dir.path().join("made"), &moved).unwrap();
        assert!(read(dir.path()).unwrap().unwrap().moved);
        for broken in [&bytes[1..], &bytes[..39], b"", b"tidegate-made-1\n"] {
            assert_eq!(parse(broken, 0, 0), None);
        }
        // A counter that is cut off is none.
        let here = fs::metadata(dir.path()).unwrap();
        let cut = parse(&bytes[..bytes.len() - 57], here.dev(), here.ino()).unwrap();
        assert_eq!(cut.counts, [3, 0]);
    }
}
