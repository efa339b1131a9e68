//! The newest lines of a ledger, and those that follow while it is written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::directory::{SegmentName, list_segments};
use super::reader::Lines;

/// Read backwards in steps of this.
const STEP_BYTES: u64 = 64 * 1024;

/// Reads on where the ledger ends.
#[derive(Debug)]
pub struct Tail {
    dir: PathBuf,
    segment: SegmentName,
    lines: Lines,
}

impl Tail {
    /// Starts `count` lines before the end of the newest segment, or at its start.
    ///
    /// # Errors
    /// What the system answers; `NotFound` for a directory without segments.
    pub fn open(dir: &Path, count: u64) -> io::Result<Self> {
        let segment = list_segments(dir)?.pop().ok_or_else(|| {
            let text = format!("{} has no ledger segments", dir.display());
            io::Error::new(io::ErrorKind::NotFound, text)
        })?;
        let offset = if segment.is_compressed() {
            offset_of_last_line(&segment.path, count)?
        } else {
            offset_of_last(&segment.path, count)?
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            lines: Lines::open_at(&segment.path, offset)?,
            segment,
        })
    }

    /// The next complete line without its newline; `None` when there is none yet. A later call
    /// goes on with what was written meanwhile, also in a new segment.
    ///
    /// # Errors
    /// What the system answers.
    pub fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.next_line_by(list_segments)
    }

    fn next_line_by(
        &mut self,
        list: impl Fn(&Path) -> io::Result<Vec<SegmentName>>,
    ) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.read()? {
                return Ok(Some(line));
            }
            let newer = list(&self.dir)?
                .into_iter()
                .find(|segment| segment.first_seq > self.segment.first_seq);
            let Some(newer) = newer else {
                return Ok(None);
            };
            // The last lines of this one may have come between the look at it and the list; now that
            // a newer one has its name, no more will come.
            if let Some(line) = self.read()? {
                return Ok(Some(line));
            }
            self.lines = Lines::of_segment(&newer)?;
            self.segment = newer;
        }
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.lines.next()?.filter(|line| line.complete);
        Ok(line.map(|line| line.bytes.to_vec()))
    }
}

/// Where the last `count` complete lines of a file start.
fn offset_of_last(path: &Path, count: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut end = file.metadata()?.len();
    // The newline that ends the first wanted line's predecessor is the (count + 1)-th from the end.
    let mut wanted = count.saturating_add(1);
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&mut file).take(end - start).read_to_end(&mut block)?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            wanted -= 1;
            if wanted == 0 {
                return Ok(start + at as u64 + 1);
            }
        }
        end = start;
    }
    Ok(0)
}

/// The same for a file that cannot be read backwards: once to count, once to get there, so that
/// memory does not grow with `count`.
fn offset_of_last_line(path: &Path, count: u64) -> io::Result<u64> {
    let mut complete = 0_u64;
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next()? {
        complete += u64::from(line.complete);
    }
    let mut lines = Lines::open(path)?;
    for _ in 0..complete.saturating_sub(count) {
        lines.next()?;
    }
    Ok(lines.position())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_that_came_just_before_the_next_segment_are_not_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let old = SegmentName::new(dir.path(), 0).path;
        std::fs::write(&old, b"zero\n").unwrap();
        let mut tail = Tail::open(dir.path(), 1).unwrap();
        let mut found = Vec::new();
        // The writer is quick: it ends one segment and begins the next between two looks.
        let list = |dir: &Path| {
            let new = SegmentName::new(dir, 2).path;
            if !new.exists() {
                let mut old = std::fs::OpenOptions::new().append(true).open(&old)?;
                old.write_all(b"one\n")?;
                std::fs::write(new, b"two\n")?;
            }
            list_segments(dir)
        };
        while let Some(line) = tail.next_line_by(list).unwrap() {
            found.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(found, ["zero", "one", "two"]);
    }

    #[test]
    fn the_tail_of_a_compressed_segment_is_that_of_its_text() {
        let text = b"one\ntwo\nthree\n";
        for (count, expected) in [
            (0, &[][..]),
            (2, &["two", "three"]),
            (9, &["one", "two", "three"]),
        ] {
            for compressed in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let plain = SegmentName::new(dir.path(), 0);
                if compressed {
                    let frame = zstd::encode_all(&text[..], 3).unwrap();
                    std::fs::write(plain.to_compressed().path, frame).unwrap();
                } else {
                    std::fs::write(plain.path, text).unwrap();
                }
                let mut tail = Tail::open(dir.path(), count).unwrap();
                let mut found = Vec::new();
                while let Some(line) = tail.next_line().unwrap() {
                    found.push(String::from_utf8(line).unwrap());
                }
                assert_eq!(found, expected, "{count} {compressed}");
            }
        }
    }
}
