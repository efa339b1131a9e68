//! The Merkle tree of what lies in the directory, for a writer that goes on there.

use std::io;
use std::path::Path;

use super::line::is_hash;
use super::merkle::{Frontier, Hash};
use super::reader::DirectoryLines;
use super::tree_file::TreeBuilder;

/// The tree of all records in `dir`, and of those from `newest_first_seq` on, where the newest
/// segment begins.
///
/// # Errors
/// What the system answers; `InvalidData` where records are missing or carry no hash.
pub(super) fn tree_so_far(
    dir: &Path,
    newest_first_seq: u64,
) -> io::Result<(Frontier, TreeBuilder)> {
    let (mut log, mut segment) = (Frontier::new(), TreeBuilder::new(newest_first_seq));
    let mut lines = DirectoryLines::open(dir)?;
    while let Some((name, line)) = lines.next()? {
        if log.size() < name.first_seq {
            return Err(invalid("records before this segment are missing"));
        }
        let leaf = leaf(line.bytes).ok_or_else(|| invalid("a line carries no hash"))?;
        log.push(leaf);
        if log.size() > newest_first_seq {
            segment.push(leaf);
        }
    }
    Ok((log, segment))
}

/// The hash that a line carries; the line was checked, or will be by whoever doubts it.
fn leaf(line: &[u8]) -> Option<Hash> {
    let digits = line.get(line.len().checked_sub(66)?..line.len() - 2)?;
    let digits = std::str::from_utf8(digits)
        .ok()
        .filter(|text| is_hash(text))?;
    let mut leaf = Hash::default();
    hex::decode_to_slice(digits, &mut leaf).ok()?;
    Some(leaf)
}

fn invalid(rule: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, rule)
}
