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
pub(in crate::gateway) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked,
    /// With the connection: Pingora must see everything that comes.
    Unframed,
}

/// A head that can be framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) struct Head {
    /// Its bytes, from the start of the buffer.
    pub(in crate::gateway) len: usize,
    /// The body that follows.
    pub(in crate::gateway) framing: Framing,
    /// Whether the client asks for another protocol behind this request.
    pub(in crate::gateway) may_switch: bool,
}

/// Twice the longest registered method.
pub(super) const METHOD_BYTES_MAX: usize = 32;

/// Where the fields of a head are put while it is looked at.
pub(in crate::gateway) type Slots<'b> = [MaybeUninit<Header<'b>>; FIELDS_CEILING];

/// Slots with nothing in them.
pub(in crate::gateway) const fn slots<'b>() -> Slots<'b> {
    [const { MaybeUninit::uninit() }; FIELDS_CEILING]
}

/// A head that can be framed, with what it says.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Parsed<'h, 'b> {
    pub(in crate::gateway) head: Head,
    pub(in crate::gateway) method: &'b str,
    pub(in crate::gateway) target: &'b [u8],
    /// The Host field; HTTP/1.0 may leave it out.
    pub(in crate::gateway) host: Option<&'b [u8]>,
    /// HTTP/1.1, and not 1.0.
    pub(in crate::gateway) http_11: bool,
    pub(in crate::gateway) fields: &'h [Header<'b>],
    /// All of it as it came; what stands above lies in it.
    pub(in crate::gateway) raw: &'b [u8],
}

/// Reads the head at the front of `bytes`; `None` while it is not complete.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, ParseRefusal> {
    let mut slots = slots();
    let parsed = parse(bytes, limits, &mut slots)?;
    Ok(parsed.map(|parsed| parsed.head))
}

/// The same, with what the head says.
pub(in crate::gateway) fn parse<'h, 'b>(
    bytes: &'b [u8],
    limits: &Limits,
    slots: &'h mut Slots<'b>,
) -> Result<Option<Parsed<'h, 'b>>, ParseRefusal> {
    let fields_max = limits.fields_max.min(FIELDS_CEILING);
    let mut request = Request::new(&mut []);
    let room = slots.get_mut(..fields_max).unwrap_or_default();
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
    Ok(Some(Parsed {
        head: Head {
            len,
            framing,
            // HTTP/1.0 has no 101.
            may_switch: fields.upgrade && http_11,
        },
        method,
        target,
        host,
        http_11,
        fields: request.headers,
        raw: head,
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
    if head.first() == Some(&b'\n') {
        return Err(ParseRefusal::LineEnd);
    }
    let mut ends = LineEnds::default();
    let (Some((_, bytes)), Some((_, before))) = (head.split_first(), head.split_last()) else {
        return Err(ParseRefusal::LineEnd);
    };
    let (bytes, before) = ends.count::<64>(bytes, before);
    let (bytes, before) = ends.count::<16>(bytes, before);
    ends.count::<1>(bytes, before);
    // The request line, one line per field, the empty line.
    if ends.bare == 0 && ends.lines == fields + 2 {
        Ok(())
    } else {
        Err(ParseRefusal::LineEnd)
    }
}

/// What was seen of the ends of lines.
#[derive(Default)]
struct LineEnds {
    /// How many there are.
    lines: usize,
    /// Not 0 where one of them has no CR before it.
    bare: u8,
}

impl LineEnds {
    /// Counts those in `bytes`, each of which has its neighbour at the same place of `before`, in
    /// runs of so many, and returns what is left of both. Runs of a known length, because the
    /// compiler makes vectors of them.
    #[inline(always)]
    fn count<'b, const RUN: usize>(
        &mut self,
        bytes: &'b [u8],
        before: &'b [u8],
    ) -> (&'b [u8], &'b [u8]) {
        let (runs, rest) = bytes.as_chunks::<RUN>();
        let (runs_before, rest_before) = before.as_chunks::<RUN>();
        for (bytes, before) in runs.iter().zip(runs_before) {
            // A run has fewer line ends than a byte can count.
            let mut lines = 0;
            for (byte, before) in bytes.iter().zip(before) {
                let is_end = u8::from(*byte == b'\n');
                lines += is_end;
                self.bare |= is_end & u8::from(*before != b'\r');
            }
            self.lines += usize::from(lines);
        }
        (rest, rest_before)
    }
}

#[cfg(test)]
mod tests;
