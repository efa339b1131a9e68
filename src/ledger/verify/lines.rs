//! The verifier's own reading: lines as slices of one buffer, without a copy of each.
//!
//! Invariant: the buffer holds at most one line of the longest allowed length and one block.

use std::io::{self, BufRead, Read};

use super::super::directory::SegmentName;
use super::super::frame::LINE_BYTES_MAX;
use super::super::source::SegmentSource;

/// What is asked of the system at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// One line without its newline.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLine<'a> {
    /// Where it begins in the plain text.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
    /// False without a newline, or where the line is too long to be one of ours.
    pub(super) complete: bool,
}

/// The lines of one segment file.
#[derive(Debug)]
pub(super) struct RawLines {
    source: SegmentSource,
    buffer: Vec<u8>,
    /// The unread part of the buffer.
    start: usize,
    end: usize,
    /// Where `start` is in the plain text.
    offset: u64,
}

impl RawLines {
    /// Opens a listed segment, also where it was compressed since it was listed.
    pub(super) fn open(segment: &SegmentName) -> io::Result<Self> {
        let source = match SegmentSource::open(&segment.path, 0) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {
                SegmentSource::open(&segment.to_compressed().path, 0).map_err(|_| gone)?
            }
            opened => opened?,
        };
        Ok(Self {
            source,
            buffer: vec![0; 2 * BLOCK_BYTES],
            start: 0,
            end: 0,
            offset: 0,
        })
    }

    /// The next line; `None` at the end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<RawLine<'_>>> {
        let mut searched = 0;
        let (length, complete) = loop {
            let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
            let mut rest = unread.get(searched..).unwrap_or_default();
            // The standard library's search for one byte; on a slice it cannot fail.
            let found = searched + rest.skip_until(b'\n')?;
            if found > 0 && unread.get(found - 1) == Some(&b'\n') && found > searched {
                break (found, found <= LINE_BYTES_MAX + 1);
            }
            searched = unread.len();
            if searched > LINE_BYTES_MAX {
                break (searched, false);
            }
            if self.fill()? == 0 {
                if searched == 0 {
                    return Ok(None);
                }
                break (searched, false);
            }
        };
        let (offset, from) = (self.offset, self.start);
        self.offset += length as u64;
        self.start += length;
        let bytes = self.buffer.get(from..from + length).unwrap_or_default();
        Ok(Some(RawLine {
            offset,
            bytes: bytes.strip_suffix(b"\n").unwrap_or(bytes),
            complete,
        }))
    }

    /// True if nothing follows.
    pub(super) fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.start == self.end && self.fill()? == 0)
    }

    /// Where the next line begins.
    pub(super) const fn position(&self) -> u64 {
        self.offset
    }

    fn fill(&mut self) -> io::Result<usize> {
        if self.buffer.len() - self.end < BLOCK_BYTES {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.buffer.len() - self.end < BLOCK_BYTES {
                self.buffer.resize(self.end + BLOCK_BYTES, 0);
            }
        }
        loop {
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(free) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_whatever_the_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let lengths = [
            0,
            5,
            BLOCK_BYTES - 7,
            BLOCK_BYTES,
            LINE_BYTES_MAX,
            1,
            3 * BLOCK_BYTES,
        ];
        let mut text = Vec::new();
        for length in lengths {
            text.extend(std::iter::repeat_n(b'x', length));
            text.push(b'\n');
        }
        text.extend(b"rest");
        std::fs::write(&path, &text).unwrap();
        let mut lines = RawLines::open(&SegmentName::unnamed(&path)).unwrap();
        let mut at = 0;
        for length in lengths {
            let line = lines.next_line().unwrap().unwrap();
            assert_eq!(
                (line.offset, line.bytes.len(), line.complete),
                (at, length, true)
            );
            at += length as u64 + 1;
        }
        let line = lines.next_line().unwrap().unwrap();
        assert_eq!((line.bytes, line.complete), (&b"rest"[..], false));
        assert!(lines.next_line().unwrap().is_none());
        assert!(lines.at_end().unwrap());
        std::fs::write(&path, vec![b'x'; 4 << 20]).unwrap();
        let mut lines = RawLines::open(&SegmentName::unnamed(&path)).unwrap();
        assert!(!lines.next_line().unwrap().unwrap().complete);
        assert!(lines.buffer.len() < 3 << 20, "memory stays bounded");
    }
}
