//! Reads one request head strictly: what two readers could understand differently is refused.
//!
//! Invariant: a head that passes here is read by Pingora in the same way, byte for byte, so a
//! refusal in parsing always happens here, where it is answered, counted and recorded.
//! Deliberately not here: the path as contracts see it; `contract` makes it canonical.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};

use self::fields::Fields;
use crate::gateway::governor::ParseRefusal;
use crate::gateway::settings::{FIELDS_CEILING, Limits};

mod fields;
mod nomination;
mod target;

pub(super) use fields::{decimal, is_host};
pub(super) use target::check_bytes as check_target_bytes;

/// How the body behind a head ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection: Pingora must see everything that comes.
    Unframed,
}

/// A head that can be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, from the start of the buffer.
    pub(super) len: usize,
    /// The body that follows.
    pub(super) framing: Framing,
    /// Whether the client asks for another protocol behind this request.
    pub(super) may_switch: bool,
}

/// Twice the longest registered method.
pub(super) const METHOD_BYTES_MAX: usize = 32;

/// Reads the head at the front of `bytes`; `None` while it is not complete.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, ParseRefusal> {
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_CEILING];
    let fields_max = limits.fields_max.min(FIELDS_CEILING);
    let mut request = Request::new(&mut []);
    let room = fields.get_mut(..fields_max).unwrap_or_default();
    let status = request.parse_with_uninit_headers(bytes, room);
    let len = match status.map_err(refusal_of)? {
        Status::Complete(len) => len,
        Status::Partial => return Ok(None),
    };
    let head = bytes.get(..len).unwrap_or_default();
    if len > limits.head_bytes_max {
        return Err(ParseRefusal::HeadTooLarge);
    }
    lines_end_with_crlf(head, request.headers.len())?;
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default().as_bytes();
    let http_11 = request.version == Some(1);
    if method.len() > METHOD_BYTES_MAX {
        return Err(ParseRefusal::RequestLine);
    }
    if method == "CONNECT" {
        return Err(ParseRefusal::Connect);
    }
    if target.len() > limits.target_bytes_max {
        return Err(ParseRefusal::TargetTooLong);
    }
    let fields = Fields::collect(request.headers)?;
    let host = fields.host(http_11)?;
    target::check(method, target, host)?;
    let framing = fields.framing(http_11)?;
    fields.check_method(method, framing)?;
    Ok(Some(Head {
        len,
        framing,
        // HTTP/1.0 has no 101.
        may_switch: fields.upgrade && http_11,
    }))
}

fn refusal_of(error: httparse::Error) -> ParseRefusal {
    match error {
        httparse::Error::TooManyHeaders => ParseRefusal::TooManyFields,
        httparse::Error::Version => ParseRefusal::Version,
        httparse::Error::HeaderName | httparse::Error::HeaderValue => ParseRefusal::Field,
        httparse::Error::NewLine => ParseRefusal::LineEnd,
        httparse::Error::Token | httparse::Error::Status => ParseRefusal::RequestLine,
    }
}

/// Each line ends with CRLF and holds no other CR or LF; so there is no folded line either.
///
/// httparse lets no CR pass without its LF, and takes a bare LF for the end of a line. So one look
/// at the byte before each LF, and at their number, tells the rest.
fn lines_end_with_crlf(head: &[u8], fields: usize) -> Result<(), ParseRefusal> {
    let mut lines = 0;
    for at in memchr::memchr_iter(b'\n', head) {
        if at == 0 || head.get(at - 1) != Some(&b'\r') {
            return Err(ParseRefusal::LineEnd);
        }
        lines += 1;
    }
    // The request line, one line per field, the empty line.
    if lines == fields + 2 {
        Ok(())
    } else {
        Err(ParseRefusal::LineEnd)
    }
}

#[cfg(test)]
mod tests;
