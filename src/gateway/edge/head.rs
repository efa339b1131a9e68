//! Reads one request head strictly: what two readers could understand differently is refused.
//!
//! Invariant: a head that passes here is read by Pingora in the same way, byte for byte, so a
//! refusal in parsing always happens here, where it is answered, counted and recorded.
//! Deliberately not here: the path as contracts see it; `contract` makes it canonical.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Status};

use crate::gateway::governor::ParseRefusal;
use crate::gateway::settings::{FIELDS_CEILING, Limits};

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
    if method == "CONNECT" {
        return Err(ParseRefusal::Connect);
    }
    if target.len() > limits.target_bytes_max {
        return Err(ParseRefusal::TargetTooLong);
    }
    let fields = Fields::collect(request.headers)?;
    let host = fields.host(http_11)?;
    check_target(method, target, host)?;
    let framing = fields.framing(http_11)?;
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
fn lines_end_with_crlf(head: &[u8], fields: usize) -> Result<(), ParseRefusal> {
    let cr = head.iter().filter(|byte| **byte == b'\r').count();
    let lf = head.iter().filter(|byte| **byte == b'\n').count();
    let rest = head.get(1..).unwrap_or_default();
    let crlf = head
        .iter()
        .zip(rest)
        .filter(|(first, second)| **first == b'\r' && **second == b'\n')
        .count();
    // The request line, one line per field, the empty line.
    if cr == crlf && lf == crlf && crlf == fields + 2 {
        Ok(())
    } else {
        Err(ParseRefusal::LineEnd)
    }
}

/// The fields that decide where a message ends and whom it is for.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    upgrade: bool,
}

impl<'a> Fields<'a> {
    fn collect(headers: &[Header<'a>]) -> Result<Self, ParseRefusal> {
        let mut fields = Self::default();
        for header in headers {
            let (slot, doubled) = match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => {
                    (&mut fields.host, ParseRefusal::Host)
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    (&mut fields.length, ParseRefusal::ContentLength)
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    (&mut fields.encoding, ParseRefusal::TransferEncoding)
                }
                7 if header.name.eq_ignore_ascii_case("upgrade") => {
                    fields.upgrade = true;
                    continue;
                }
                _ => continue,
            };
            if slot.replace(header.value).is_some() {
                return Err(doubled);
            }
        }
        Ok(fields)
    }

    /// The host the request is for; HTTP/1.0 may leave it out.
    fn host(&self, http_11: bool) -> Result<Option<&'a [u8]>, ParseRefusal> {
        match self.host {
            Some(host) if is_host(host) => Ok(Some(host)),
            None if !http_11 => Ok(None),
            _ => Err(ParseRefusal::Host),
        }
    }

    fn framing(&self, http_11: bool) -> Result<Framing, ParseRefusal> {
        let length = match (self.encoding, self.length) {
            (Some(_), Some(_)) => return Err(ParseRefusal::LengthAndEncoding),
            (Some(encoding), None) if http_11 && encoding.eq_ignore_ascii_case(b"chunked") => None,
            (Some(_), None) => return Err(ParseRefusal::TransferEncoding),
            (None, Some(length)) => Some(decimal(length).ok_or(ParseRefusal::ContentLength)?),
            (None, None) => Some(0),
        };
        Ok(match length {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        })
    }
}

/// Digits only, at most 18 of them, so the number cannot overflow.
pub(super) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// Whether it can name a host.
pub(super) fn is_host(host: &[u8]) -> bool {
    !host.is_empty() && host.iter().all(|byte| is_host_byte(*byte))
}

/// What may stand in a host and port, names and addresses alike; no user, no path.
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b':'
                | b'['
                | b']'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b';'
                | b'='
        )
}

fn check_target(method: &str, target: &[u8], host: Option<&[u8]>) -> Result<(), ParseRefusal> {
    if target == b"*" {
        return match method {
            "OPTIONS" => Ok(()),
            _ => Err(ParseRefusal::TargetForm),
        };
    }
    if target.first() != Some(&b'/') {
        absolute_form_agrees(target, host)?;
    }
    check_target_bytes(target)
}

/// The bytes of path and query, whatever stands before them.
pub(super) fn check_target_bytes(target: &[u8]) -> Result<(), ParseRefusal> {
    let query = target.iter().position(|byte| *byte == b'?');
    let (path, query) = target.split_at(query.unwrap_or(target.len()));
    if path.iter().all(|byte| is_path_byte(*byte)) && query.iter().all(|byte| is_query_byte(*byte))
    {
        Ok(())
    } else {
        Err(ParseRefusal::TargetBytes)
    }
}

/// `http://host/path` is accepted when its host is the one in the Host field.
fn absolute_form_agrees(target: &[u8], host: Option<&[u8]>) -> Result<(), ParseRefusal> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (front, rest) = target.split_at_checked(scheme.len())?;
        front
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    });
    let rest = rest.ok_or(ParseRefusal::TargetForm)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    // Names of hosts mean the same in any case.
    let agrees = host.is_some_and(|host| host.eq_ignore_ascii_case(authority));
    if agrees && http::uri::Authority::try_from(authority).is_ok() {
        Ok(())
    } else {
        Err(ParseRefusal::TargetForm)
    }
}

/// What Pingora carries in a path without changing it. A fragment is not part of a target.
fn is_path_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'<' | b'>' | b'`')
}

/// What Pingora carries in a query without changing it.
fn is_query_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

#[cfg(test)]
mod tests;
