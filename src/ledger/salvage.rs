//! Reads on behind bad lines: which records of a segment are still good, and the leaves of those
//! that are not, from what their neighbours say.
//!
//! A damaged line's leaf is the `prev` of the line after it; where several follow one another, each
//! bad line may still carry its own `hash`. Nothing here vouches for such leaves: whoever uses them
//! compares the root with a signed one.
//! Memory: 40 bytes for each line that may be a record, and for at most two million bad ones in a
//! row. Changes nothing.

use std::io;
use std::path::Path;

use super::chain::Chain;
use super::frame::BootId;
use super::last_boot::LastBoot;
use super::line::{Record, is_hash};
use super::merkle::Hash;
use super::reader::Lines;
use super::source::plain_len;
use super::survey::leaf;

/// A line holds two hashes and the rest of its frame.
const LINE_BYTES_MIN: u64 = 150;
/// A longer run of bad lines is not saved: a small compressed file can hold any number of lines.
const CARRIED_MAX: usize = 1 << 21;

/// What could be saved of a segment.
#[derive(Debug)]
pub(super) struct Salvage {
    /// After the last line that is good in itself; `None` without any.
    pub(super) chain: Option<Chain>,
    /// Where that line begins.
    pub(super) last_offset: u64,
    /// Leaves from the segment's first number on, up to the last good line's; `None` where nothing
    /// tells.
    pub(super) leaves: Vec<Option<Hash>>,
    pub(super) last_boot: LastBoot,
    /// What the bad lines since the last good one carry as their hashes.
    carried: Vec<Option<Hash>>,
}

/// Reads at most `lines_max` records of the segment that begins with `first_seq`.
pub(super) fn salvage(
    path: &Path,
    first_seq: u64,
    lines_max: Option<u64>,
    counting: Option<BootId>,
) -> io::Result<Salvage> {
    let mut lines = Lines::open(path)?;
    let end = first_seq.saturating_add(lines_max.unwrap_or(u64::MAX));
    // No number can be further on than this: bounds what a forged number makes us allocate. Counted
    // where numbers are missing, because of a compressed file only its text has that length.
    let mut possible = None;
    let mut scratch = Vec::new();
    let mut found = Salvage {
        chain: None,
        last_offset: 0,
        leaves: Vec::new(),
        last_boot: LastBoot::new(counting),
        carried: Vec::new(),
    };
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            // Behind a damaged frame there is no text.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => break,
            Err(error) => return Err(error),
        };
        let expected = first_seq + found.leaves.len() as u64;
        if !line.complete || expected == end {
            break;
        }
        let checked = Record::check(line.bytes, &mut scratch);
        if possible.is_none() && checked.as_ref().is_ok_and(|record| record.seq > expected) {
            possible = Some(plain_len(path)? / LINE_BYTES_MIN);
        }
        let last = possible.map_or(expected, |lines| expected.max(first_seq + lines));
        match checked {
            // A line from beyond the segment's end, or an older one once more, is not its line.
            Ok(record) if (expected..end).contains(&record.seq) && record.seq <= last => {
                found.fill(record.seq - expected);
                found.link(&record);
                found.last_offset = line.offset;
            }
            _ if (line.bytes.len() as u64) < LINE_BYTES_MIN => {}
            _ => {
                let lines = found.leaves.len() + found.carried.len();
                if found.carried.len() > CARRIED_MAX
                    || lines_max.is_some_and(|most| lines as u64 >= most)
                {
                    break;
                }
                found.carried.push(carried_hash(line.bytes));
            }
        }
    }
    Ok(found)
}

impl Salvage {
    /// All leaves, if every one is known.
    pub(super) fn whole(&self) -> Option<Vec<Hash>> {
        self.leaves.iter().copied().collect()
    }

    /// Leaves of `gap` records that are not good: their own hashes where each has its line.
    fn fill(&mut self, gap: u64) {
        let gap = usize::try_from(gap).unwrap_or(usize::MAX);
        if self.carried.len() == gap {
            self.leaves.append(&mut self.carried);
        } else {
            self.leaves.extend(std::iter::repeat_n(None, gap));
            self.carried.clear();
        }
    }

    /// The next good line, and what it says of the one before.
    fn link(&mut self, record: &Record<'_>) {
        if let (Some(before), Ok(digits)) = (
            self.leaves.last_mut(),
            <&[u8; 64]>::try_from(record.prev.as_bytes()),
        ) {
            *before = Some(leaf(digits));
        }
        self.leaves.push(Some(leaf(&record.hash)));
        self.chain = Some(Chain::resume(record.seq + 1, record.hash));
        self.last_boot.note(record);
    }
}

/// The hash that a line carries, whatever the rest of it is.
fn carried_hash(line: &[u8]) -> Option<Hash> {
    let rest = line.strip_suffix(b"\"}")?;
    let (_, digits) = rest.split_last_chunk::<64>()?;
    let text = std::str::from_utf8(digits).ok()?;
    is_hash(text).then(|| leaf(digits))
}

#[cfg(test)]
mod tests {
    use super::super::Chain;
    use super::super::reader::Lines;
    use super::*;

    /// Ten lines, each with its hash.
    fn lines() -> (Vec<Vec<u8>>, Vec<Hash>) {
        let mut chain = Chain::genesis();
        (0..10)
            .map(|n| {
                let mut line = Vec::new();
                chain.append(&mut line, |e| {
                    e.text("kind", "governance");
                    e.uint("n", n);
                });
                (line, leaf(chain.head()))
            })
            .unzip()
    }

    /// The leaves that are not as they were, after `change`; `None` is one that is unknown.
    fn check(change: impl Fn(&mut Vec<Vec<u8>>), len: usize, unknown: &[usize]) {
        let (mut lines, hashes) = lines();
        change(&mut lines);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, lines.concat()).unwrap();
        let found = salvage(&path, 0, None, None).unwrap();
        assert_eq!(found.leaves.len(), len);
        for (at, leaf) in found.leaves.iter().enumerate() {
            let expected = (!unknown.contains(&at)).then_some(hashes[at]);
            assert_eq!(*leaf, expected, "leaf {at}");
        }
        assert_eq!(found.whole().is_some(), unknown.is_empty());
        let mut last = Lines::open_at(&path, found.last_offset).unwrap();
        assert!(last.next().unwrap().unwrap().complete);
    }

    // A few kilobytes of zstd hold any number of lines.
    #[test]
    fn what_bad_lines_take_is_bounded() {
        let (good, hashes) = lines();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.jsonl.zst");
        let junk = [vec![b'x'; 200], b"\n".to_vec()].concat().repeat(1_000);
        for (bad, kept, leaves) in [
            (vec![b'\n'; 4 << 20], 0, 10),
            (b"{}\n".repeat(1 << 20), 0, 10),
            // More lines than the segment can have: nothing behind them is looked for.
            (junk, 7, 3),
        ] {
            let text = [good[..3].concat(), bad, good[3..].concat()].concat();
            std::fs::write(&path, zstd::encode_all(&text[..], 3).unwrap()).unwrap();
            let found = salvage(&path, 0, Some(10), None).unwrap();
            assert_eq!(found.leaves.len(), leaves);
            assert!(found.carried.capacity() <= 2 * kept + 4, "{kept}");
            assert_eq!(found.carried.len(), kept);
            assert_eq!(found.leaves[2], Some(hashes[2]));
        }
    }

    /// Changes a byte of a line, counted from its end where `at` is negative.
    fn flip(line: &mut [u8], at: isize) {
        let at = if at < 0 {
            line.len() - at.unsigned_abs()
        } else {
            at.unsigned_abs()
        };
        line[at] ^= 1;
    }

    #[test]
    fn leaves_of_bad_lines_come_from_their_neighbours() {
        check(|_| {}, 10, &[]);
        check(|lines| flip(&mut lines[4], 20), 10, &[]);
        check(|lines| flip(&mut lines[0], 20), 10, &[]);
        // The hash member itself: the next line has it as well.
        check(|lines| flip(&mut lines[4], -10), 10, &[]);
        let both = |from: usize| {
            move |lines: &mut Vec<Vec<u8>>| {
                for line in &mut lines[from..from + 2] {
                    flip(line, 20);
                }
            }
        };
        // Two in a row: the first still carries its own.
        check(both(4), 10, &[]);
        check(both(8), 8, &[]);
        let without_hash = |lines: &mut Vec<Vec<u8>>| {
            let at = lines[4].len() - 10;
            lines[4][at] = b'_';
            flip(&mut lines[5], 20);
        };
        check(without_hash, 10, &[4]);
    }

    #[test]
    fn leaves_of_lines_that_are_gone_come_from_their_neighbours() {
        check(|lines| drop(lines.remove(4)), 10, &[]);
        check(|lines| lines.insert(4, b"foreign\n".to_vec()), 10, &[]);
        check(|lines| lines.insert(4, lines[2].clone()), 10, &[]);
        // A newline gone: two lines are one.
        check(|lines| _ = lines[4].pop(), 10, &[4]);
        check(|lines| _ = lines[9].pop(), 9, &[]);
    }

    #[test]
    fn a_compressed_segment_is_read_to_its_end() {
        let (mut lines, hashes) = lines();
        lines.remove(7);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.jsonl.zst");
        let mut frame = zstd::encode_all(&lines.concat()[..], 19).unwrap();
        std::fs::write(&path, &frame).unwrap();
        let found = salvage(&path, 0, None, None).unwrap();
        assert_eq!(found.whole(), Some(hashes));
        frame.truncate(frame.len() / 2);
        std::fs::write(&path, &frame).unwrap();
        assert_eq!(salvage(&path, 0, None, None).unwrap().leaves.len(), 0);
    }

    #[test]
    fn no_more_lines_than_asked_for() {
        let (lines, hashes) = lines();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, lines.concat()).unwrap();
        let found = salvage(&path, 0, Some(4), None).unwrap();
        assert_eq!(found.whole().unwrap(), hashes[..4]);
    }
}
