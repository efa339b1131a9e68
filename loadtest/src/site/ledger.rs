//! Reading a ledger from outside: segments, lines, members.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

/// One line, parsed.
pub type Line = Value;

/// The segment files in order of their first record.
///
/// # Errors
/// When the folder cannot be read or holds no segment.
pub fn segments(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("seg-") && name.ends_with(".jsonl")
        })
        .collect();
    anyhow::ensure!(!found.is_empty(), "no segment in {}", dir.display());
    found.sort_by_key(|path| first_sequence(path));
    Ok(found)
}

fn first_sequence(path: &Path) -> u64 {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.trim_start_matches("seg-").parse().unwrap_or(0)
}

/// Calls `each` with every line of a ledger. Of a segment that was given up only what its successor
/// does not repeat counts: as many lines as lie between both first numbers.
///
/// # Errors
/// When a file cannot be read or a line is not JSON.
pub fn lines(dir: &Path, mut each: impl FnMut(&Line)) -> anyhow::Result<()> {
    let segments = segments(dir)?;
    let next = segments
        .iter()
        .skip(1)
        .map(|path| Some(first_sequence(path)));
    for (segment, next) in segments.iter().zip(next.chain([None])) {
        let own = next.map_or(u64::MAX, |next| next - first_sequence(segment));
        let file = BufReader::new(File::open(segment)?);
        let own = usize::try_from(own).unwrap_or(usize::MAX);
        for (n, line) in file.lines().take(own).enumerate() {
            let parsed = serde_json::from_str(&line?)
                .with_context(|| format!("{}:{}", segment.display(), n + 1))?;
            each(&parsed);
        }
    }
    Ok(())
}
