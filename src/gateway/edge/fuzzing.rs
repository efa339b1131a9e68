//! The readers of the edge as plain functions of bytes, for fuzz targets and for nobody else.
//!
//! They are private to the edge otherwise: what they read has a meaning only behind its deadlines.

pub use super::proxy_protocol::Fault;
use super::{chunked, head};
use std::net::SocketAddr;

use crate::gateway::governor::ParseRefusal;
use crate::gateway::settings::Limits;

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection.
    Unframed,
}

/// What is known of a head that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its bytes.
    pub len: usize,
    /// The body behind it.
    pub framing: Framing,
}

/// Reads a head under the default limits; `None` while it is not complete.
///
/// # Errors
/// Why it is refused.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, ParseRefusal> {
    let read = head::read(bytes, &Limits::default())?;
    Ok(read.map(|head| Head {
        len: head.len,
        framing: match head.framing {
            head::Framing::Length(length) => Framing::Length(length),
            head::Framing::Chunked => Framing::Chunked,
            head::Framing::Unframed => Framing::Unframed,
        },
    }))
}

/// Reads a PROXY header: its bytes, and the client that it names; `None` while it is not complete.
///
/// # Errors
/// Why it is refused.
pub fn proxy_protocol(bytes: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, Fault> {
    let read = super::proxy_protocol::read(bytes)?;
    Ok(read.map(|header| (header.len, header.source)))
}

/// What the scanner said of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunks {
    /// Bytes that belong to it.
    pub passed: usize,
    /// Whether its end was seen.
    pub done: bool,
    /// Whether it cannot be framed; what passed before does not matter then.
    pub malformed: bool,
}

/// Scans a chunked body that comes in these pieces.
pub fn chunked<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Chunks {
    let mut scanner = chunked::Scanner::new();
    let mut passed = 0;
    for piece in pieces {
        match scanner.advance(piece) {
            Ok(here) => passed += here,
            Err(chunked::Malformed) => {
                return Chunks {
                    passed,
                    done: false,
                    malformed: true,
                };
            }
        }
        if scanner.is_done() {
            break;
        }
    }
    Chunks {
        passed,
        done: scanner.is_done(),
        malformed: false,
    }
}
