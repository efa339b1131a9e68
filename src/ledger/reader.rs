//! Streams the lines of a segment or of a whole directory, plain or compressed; checks nothing but
//! the newline. Offsets are always those of the plain text.
//!
//! Invariant: memory is bounded by one line of [`LINE_BYTES_MAX`]; a longer one is handed out cut
//! and marked incomplete. A segment whose successor starts inside it (its file system failed, and
//! the unsynced lines were written again) is read up to there.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::directory::{SegmentName, list_segments};
use super::frame::LINE_BYTES_MAX;
use super::source::SegmentSource;

/// Read-ahead: large enough that the kernel's cost per line vanishes.
const READ_BYTES: usize = 256 * 1024;

/// One line of a file.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Byte offset of its first byte in the file.
    pub offset: u64,
    /// The bytes, without the newline.
    pub bytes: &'a [u8],
    /// False for a last line without newline.
    pub complete: bool,
}

/// The lines of one file.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<SegmentSource>,
    line: Vec<u8>,
    offset: u64,
}

impl Lines {
    /// Opens a segment at its start; a name that ends in `.zst` is read as zstd.
    ///
    /// # Errors
    /// What the system answers.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(path, 0)
    }

    /// Opens a segment at a byte offset, which should be the start of a line.
    ///
    /// # Errors
    /// What the system answers.
    pub fn open_at(path: &Path, offset: u64) -> io::Result<Self> {
        Ok(Self::over(SegmentSource::open(path, offset)?, offset))
    }

    /// Opens a listed segment at its start, also where it was compressed since it was listed.
    pub(super) fn of_segment(segment: &SegmentName) -> io::Result<Self> {
        match Self::open(&segment.path) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound && !segment.compressed => {
                Self::open(&segment.to_compressed().path).map_err(|_| gone)
            }
            opened => opened,
        }
    }

    fn over(source: SegmentSource, offset: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(READ_BYTES, source),
            line: Vec::with_capacity(2_048),
            offset,
        }
    }

    /// The next line, or `None` at the end of the file. After an incomplete line the caller may
    /// call again once the file has grown: the rest is then handed out together with it.
    ///
    /// # Errors
    /// What the system answers; [`io::ErrorKind::InvalidData`] for a damaged zstd frame.
    #[allow(clippy::should_implement_trait)] // lends its buffer, which an Iterator cannot
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        if self.line.last() == Some(&b'\n') {
            self.offset += self.line.len() as u64;
            self.line.clear();
        }
        let room = (LINE_BYTES_MAX + 1).saturating_sub(self.line.len());
        (&mut self.reader)
            .take(room as u64)
            .read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let body = self.line.strip_suffix(b"\n");
        Ok(Some(Line {
            offset: self.offset,
            bytes: body.unwrap_or(&self.line),
            complete: body.is_some(),
        }))
    }

    /// Where the next line starts, if the line handed out last was complete.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.offset + self.line.len() as u64
    }
}

/// The lines of all segments of a directory, or of one segment file, in order.
#[derive(Debug)]
pub struct DirectoryLines {
    segments: std::vec::IntoIter<SegmentName>,
    current: Option<Current>,
    superseded: Vec<PathBuf>,
}

#[derive(Debug)]
struct Current {
    name: SegmentName,
    lines: Lines,
    /// Lines still to be read; `None` for the newest segment.
    left: Option<u64>,
}

impl DirectoryLines {
    /// Opens a ledger directory or a single segment.
    ///
    /// # Errors
    /// What the system answers.
    pub fn open(path: &Path) -> io::Result<Self> {
        let segments = if path.is_dir() {
            list_segments(path)?
        } else {
            vec![SegmentName::of(path).unwrap_or_else(|| SegmentName::unnamed(path))]
        };
        Ok(Self {
            segments: segments.into_iter(),
            current: None,
            superseded: Vec::new(),
        })
    }

    /// The next line with the segment it stands in.
    ///
    /// # Errors
    /// What the system answers.
    #[allow(clippy::should_implement_trait)] // lends its buffer, which an Iterator cannot
    pub fn next(&mut self) -> io::Result<Option<(&SegmentName, Line<'_>)>> {
        while !self.ready()? {
            let Some(name) = self.segments.next() else {
                return Ok(None);
            };
            let next_first = self.segments.as_slice().first().map(|next| next.first_seq);
            self.current = Some(Current {
                lines: Lines::of_segment(&name)?,
                left: next_first.map(|next| next.saturating_sub(name.first_seq)),
                name,
            });
        }
        let Some(current) = &mut self.current else {
            return Ok(None);
        };
        current.left = current.left.map(|left| left.saturating_sub(1));
        let line = current.lines.next()?;
        Ok(line.map(|line| (&current.name, line)))
    }

    /// True if the current segment has a line to give; closes it otherwise.
    fn ready(&mut self) -> io::Result<bool> {
        let Some(current) = &mut self.current else {
            return Ok(false);
        };
        let more = !current.lines.at_end()?;
        if more && current.left != Some(0) {
            return Ok(true);
        }
        if more {
            self.superseded.push(current.name.path.clone());
        }
        self.current = None;
        Ok(false)
    }

    /// Segments read so far that hold more than what their successor left to them.
    #[must_use]
    pub fn superseded(&self) -> &[PathBuf] {
        &self.superseded
    }
}

impl Lines {
    fn at_end(&mut self) -> io::Result<bool> {
        Ok(self.reader.fill_buf()?.is_empty())
    }
}
