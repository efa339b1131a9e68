//! Reads a segment's bytes, plain or compressed, line by line, at the keeper's pace.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::super::frame::LINE_BYTES_MAX;
use super::super::stats::KeptDamage;
use super::pace::Pace;
use super::trouble::Trouble;

/// Read-ahead.
const READ_BYTES: usize = 256 * 1024;

/// A segment's bytes in either form.
pub(super) enum Bytes {
    Plain(File),
    Packed(Box<zstd::stream::read::Decoder<'static, BufReader<File>>>),
}

impl Bytes {
    /// Opens a segment; its name says which form it has.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if path.extension().is_some_and(|suffix| suffix == "zst") || is_packed_temporary(path) {
            let decoder = zstd::stream::read::Decoder::new(file)?;
            return Ok(Self::Packed(Box::new(decoder)));
        }
        Ok(Self::Plain(file))
    }
}

/// A compressed copy before it has its name.
fn is_packed_temporary(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(".zst.tmp"))
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Packed(decoder) => decoder.read(into),
        }
    }
}

/// The lines of one segment.
pub(super) struct Text<'a> {
    path: PathBuf,
    reader: BufReader<Bytes>,
    line: Vec<u8>,
    offset: u64,
    pace: &'a mut Pace,
}

/// One line, its newline included.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextLine<'a> {
    /// Where it begins in the plain bytes.
    pub(super) offset: u64,
    /// Its bytes; without a newline only at the end of the file, or where it is too long.
    pub(super) bytes: &'a [u8],
}

impl<'a> Text<'a> {
    pub(super) fn open(path: &Path, pace: &'a mut Pace) -> Result<Self, Trouble> {
        let bytes = Bytes::open(path).map_err(|error| unreadable(path, 0, 0, error))?;
        Ok(Self {
            path: path.to_path_buf(),
            reader: BufReader::with_capacity(READ_BYTES, bytes),
            line: Vec::with_capacity(2_048),
            offset: 0,
            pace,
        })
    }

    /// The next line; `None` at the end. `seq` is the number that it should carry.
    pub(super) fn next(&mut self, seq: u64) -> Result<Option<TextLine<'_>>, Trouble> {
        self.offset += self.line.len() as u64;
        self.line.clear();
        let read = (&mut self.reader)
            .take(LINE_BYTES_MAX as u64 + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(|error| unreadable(&self.path, seq, self.offset, error))?;
        self.pace.spend(read)?;
        Ok((read > 0).then_some(TextLine {
            offset: self.offset,
            bytes: &self.line,
        }))
    }
}

/// Bytes that the system cannot give, or that do not unpack, are damage: the evidence is not there.
/// A file that went away or may not be read is not.
fn unreadable(path: &Path, seq: u64, offset: u64, error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            Trouble::io("reading", path, error)
        }
        _ => Trouble::Damaged(KeptDamage {
            seq,
            file: path.to_path_buf(),
            offset,
            rule: format!("a closed segment can be read ({error})"),
        }),
    }
}
