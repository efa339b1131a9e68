//! Reads chunks.
//!
//! Invariant: line ends are CR LF; the size is of hexadecimal digits, of which there may be none
//! and are 16 at most; extensions and trailers are dropped, within bounds. A chunk whose end is in
//! the same read and wrong gives nothing of that read, as with Pingora. Deliberately not here:
//! writing chunks.

use super::Broken;

/// Bytes of a chunk's size and extensions at most, where they come in more than one read.
const CHUNK_HEAD_BYTES_MAX: u64 = 8 * 1_024;
/// Bytes of trailers at most.
const TRAILER_BYTES_MAX: u64 = 64 * 1_024;
/// Digits of a size at most.
const DIGITS_MAX: u8 = 16;

/// Where in a chunked body the reader is.
#[derive(Debug)]
pub(super) enum Chunks {
    Head(Head),
    /// So many bytes are missing, without the line end behind them.
    Data(u64),
    /// Behind the data, or behind its CR.
    LineEnd {
        cr_read: bool,
    },
    Trailers(Trailers),
    Complete,
}

/// The line before a chunk.
#[derive(Debug, Default)]
pub(super) struct Head {
    size: u64,
    digits: u8,
    part: Part,
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    /// Space behind the size.
    Space,
    Extension,
    /// The CR at the end.
    Cr,
}

/// What follows the last chunk, to the empty line.
#[derive(Debug)]
pub(super) struct Trailers {
    bytes: u64,
    /// How many bytes of CR LF CR LF have been read.
    end_read: u8,
}

impl Default for Chunks {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Chunks {
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Complete)
    }

    /// The next data in what was read.
    pub(super) fn next<'p>(&mut self, piece: &mut &'p [u8]) -> Result<Option<&'p [u8]>, Broken> {
        loop {
            match self {
                Self::Complete => return Ok(None),
                Self::Head(head) => match head.read(piece)? {
                    None => return Ok(None),
                    Some(0) => *self = Self::Trailers(Trailers::default()),
                    Some(size) => *self = Self::Data(size),
                },
                Self::Data(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX);
                    let Some((data, rest)) = piece.split_at_checked(here) else {
                        *left -= piece.len() as u64;
                        let data = std::mem::take(piece);
                        return Ok((!data.is_empty()).then_some(data));
                    };
                    *piece = rest;
                    let mut cr_read = false;
                    let is_over = line_end(piece, &mut cr_read)?;
                    *self = if is_over {
                        Self::default()
                    } else {
                        Self::LineEnd { cr_read }
                    };
                    return Ok(Some(data));
                }
                Self::LineEnd { cr_read } => {
                    if !line_end(piece, cr_read)? {
                        return Ok(None);
                    }
                    *self = Self::default();
                }
                Self::Trailers(trailers) => {
                    if !trailers.read(piece)? {
                        return Ok(None);
                    }
                    *self = Self::Complete;
                }
            }
        }
    }
}

/// Whether the whole line end has been read.
fn line_end(piece: &mut &[u8], cr_read: &mut bool) -> Result<bool, Broken> {
    while let Some((byte, rest)) = piece.split_first() {
        match (*byte, *cr_read) {
            (b'\r', false) => *cr_read = true,
            (b'\n', true) => {
                *piece = rest;
                return Ok(true);
            }
            _ => return Err(Broken),
        }
        *piece = rest;
    }
    Ok(false)
}

impl Head {
    /// The size, once the line has ended.
    fn read(&mut self, piece: &mut &[u8]) -> Result<Option<u64>, Broken> {
        while let Some((byte, rest)) = piece.split_first() {
            *piece = rest;
            self.bytes += 1;
            match (self.part, *byte) {
                (Part::Cr, b'\n') => return self.checked().map(Some),
                (Part::Cr, _) => return Err(Broken),
                (_, b'\r') => self.part = Part::Cr,
                (Part::Extension, _) => {}
                (_, b';') => self.part = Part::Extension,
                (_, b' ' | b'\t') => self.part = Part::Space,
                (Part::Size, byte) => self.digit(byte)?,
                (Part::Space, _) => return Err(Broken),
            }
        }
        if self.bytes > CHUNK_HEAD_BYTES_MAX {
            return Err(Broken);
        }
        Ok(None)
    }

    fn digit(&mut self, byte: u8) -> Result<(), Broken> {
        let digit = char::from(byte).to_digit(16).ok_or(Broken)?;
        if self.digits == DIGITS_MAX {
            return Err(Broken);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        Ok(())
    }

    /// Pingora counts to the end of the chunk from the beginning of its head.
    fn checked(&self) -> Result<u64, Broken> {
        let end = self.bytes.checked_add(self.size);
        let end = end.and_then(|end| end.checked_add(2));
        end.map(|_| self.size).ok_or(Broken)
    }
}

impl Default for Trailers {
    /// Behind the line of the last chunk.
    fn default() -> Self {
        Self {
            bytes: 0,
            end_read: 2,
        }
    }
}

impl Trailers {
    /// Whether the empty line has been read.
    fn read(&mut self, piece: &mut &[u8]) -> Result<bool, Broken> {
        while let Some((byte, rest)) = piece.split_first() {
            let is_end = matches!(byte, b'\r' | b'\n');
            match (self.end_read, *byte) {
                (1 | 3, b'\n') | (0 | 2, b'\r') => {
                    self.end_read += 1;
                    *piece = rest;
                    if self.end_read == 4 {
                        return Ok(true);
                    }
                }
                (2, _) if !is_end => {
                    self.end_read = 0;
                    self.bytes += 2;
                }
                (0, _) if !is_end => self.skip(piece)?,
                _ => return Err(Broken),
            }
        }
        Ok(false)
    }

    fn skip(&mut self, piece: &mut &[u8]) -> Result<(), Broken> {
        let end = memchr::memchr2(b'\r', b'\n', piece).unwrap_or(piece.len());
        self.bytes += end as u64;
        *piece = piece.get(end..).unwrap_or_default();
        if self.bytes > TRAILER_BYTES_MAX {
            return Err(Broken);
        }
        Ok(())
    }
}
