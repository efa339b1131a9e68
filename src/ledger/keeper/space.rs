//! What the ledger takes on the disk, and what is left there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of a block as `stat` counts them.
const BLOCK_BYTES: u64 = 512;

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// What the directory takes, space that is reserved ahead included.
    pub used: u64,
    /// What this user may still write to its file system.
    pub free: u64,
    /// What the file system holds in all.
    pub total: u64,
}

impl Space {
    /// Measures the ledger in `dir`.
    ///
    /// # Errors
    /// What the system answers.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let facts = rustix::fs::statvfs(dir)?;
        Ok(Self {
            used: used(dir)?,
            free: facts.f_bavail.saturating_mul(facts.f_frsize),
            total: facts.f_blocks.saturating_mul(facts.f_frsize),
        })
    }
}

fn used(dir: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(facts) if facts.is_dir() => sum += used(&entry.path())?,
            Ok(facts) => sum += facts.blocks() * BLOCK_BYTES,
            // A file that got its name, or went, meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_count_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let empty = Space::of(dir.path()).unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a"), vec![1; 100_000]).unwrap();
        let space = Space::of(dir.path()).unwrap();
        assert!(space.used >= empty.used + 100_000, "{space:?}");
        assert!(space.total > 0 && space.free <= space.total);
    }
}
