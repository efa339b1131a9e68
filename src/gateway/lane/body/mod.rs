//! Where the body of an upstream's answer ends, and how it goes on to the client.
//!
//! Invariant: it is strict where Pingora's reader is and lenient where that is, so a body that
//! breaks there breaks here, after the same bytes. Nothing is copied to find the end. Deliberately
//! not here: sockets, deadlines, heads.

mod chunked;
#[cfg(test)]
mod tests;

use bytes::BytesMut;
use chunked::Chunks;

use super::answer::{BodyEnd, ClientBody};

/// A body that does not end as it said it would. The full proxy calls all of these a reset by the
/// upstream: a connection that ends early, and chunks or trailers that are malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// Follows the body of one answer.
#[derive(Debug)]
pub(crate) struct Relay {
    state: State,
    bytes: u64,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunks),
    Close,
    Complete,
    Broken,
}

impl Relay {
    pub(crate) fn new(end: BodyEnd) -> Self {
        let state = match end {
            BodyEnd::None | BodyEnd::Length(0) => State::Complete,
            BodyEnd::Length(length) => State::Length(length),
            BodyEnd::Chunked => State::Chunked(Chunks::default()),
            BodyEnd::Close => State::Close,
        };
        Self { state, bytes: 0 }
    }

    /// Takes the next part of the body from the front of what was read. `None` where nothing is
    /// left to take: then the body is complete, and what is left of `piece` came behind it, or
    /// `piece` is empty and more has to be read. What is given to one call and not left over counts
    /// as one read, so a piece is given whole and called for until `None`.
    ///
    /// # Errors
    ///
    /// Where the chunks are malformed. What was taken before is the body's nevertheless.
    #[inline]
    pub(crate) fn next<'p>(&mut self, piece: &mut &'p [u8]) -> Result<Option<&'p [u8]>, Broken> {
        let taken: Option<&'p [u8]> = match &mut self.state {
            State::Complete => None,
            State::Broken => return Err(Broken),
            State::Close => Some(std::mem::take(piece)),
            State::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX);
                let (body, rest) = piece.split_at(here.min(piece.len()));
                *piece = rest;
                *left -= body.len() as u64;
                if *left == 0 {
                    self.state = State::Complete;
                }
                Some(body)
            }
            State::Chunked(chunks) => match chunks.next(piece) {
                Ok(body) => {
                    if chunks.is_complete() {
                        self.state = State::Complete;
                    }
                    body
                }
                Err(Broken) => {
                    self.state = State::Broken;
                    return Err(Broken);
                }
            },
        };
        let taken = taken.filter(|body| !body.is_empty());
        self.bytes += taken.map_or(0, |body| body.len() as u64);
        Ok(taken)
    }

    /// The upstream closed its side.
    ///
    /// # Errors
    ///
    /// Where the body is not complete by that.
    pub(crate) fn ended(&mut self) -> Result<(), Broken> {
        match self.state {
            State::Complete => Ok(()),
            State::Close => {
                self.state = State::Complete;
                Ok(())
            }
            State::Length(_) | State::Chunked(_) | State::Broken => {
                self.state = State::Broken;
                Err(Broken)
            }
        }
    }

    /// Whether the body has been taken to its end.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// How many bytes of the body have been taken, without what framed them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes all of a piece and writes it for the client, with the last chunk where there is one.
    /// Returns what is left behind the end: then the upstream's connection is of no use any more.
    ///
    /// # Errors
    ///
    /// As [`Relay::next`]; what came before the error is written.
    pub(crate) fn forward<'p>(
        &mut self,
        mut piece: &'p [u8],
        to: ClientBody,
        out: &mut BytesMut,
    ) -> Result<&'p [u8], Broken> {
        let was_complete = self.is_complete();
        while let Some(body) = self.next(&mut piece)? {
            to.part(body, out);
        }
        if self.is_complete() && !was_complete {
            to.end(out);
        }
        Ok(piece)
    }
}

impl ClientBody {
    /// Writes a part of the body. An empty one writes nothing: in chunks it would be the end.
    pub(crate) fn part(self, body: &[u8], out: &mut BytesMut) {
        match self {
            _ if body.is_empty() => {}
            Self::None => {}
            Self::Length(_) => out.extend_from_slice(body),
            Self::Chunked => {
                chunk_head(body.len(), out);
                out.extend_from_slice(body);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Writes what follows a body that is complete.
    pub(crate) fn end(self, out: &mut BytesMut) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

/// Writes what stands before a chunk of so many bytes, which end with CR LF of their own.
pub(crate) fn chunk_head(bytes: usize, out: &mut BytesMut) {
    let digits = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = u8::try_from((bytes >> (place * 4)) & 0xf).unwrap_or(0);
        let letter = if digit < 10 {
            b'0' + digit
        } else {
            b'A' - 10 + digit
        };
        out.extend_from_slice(&[letter]);
    }
    out.extend_from_slice(b"\r\n");
}
