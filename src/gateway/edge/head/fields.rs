//! The fields that decide where a message ends, whom it is for, and what may happen to it.
//!
//! Invariant: of each such field there is one, and it has one reading. Deliberately not here:
//! which fields pass on; `gateway::fields` says that.

use httparse::Header;

use super::Framing;
use super::nomination::{NAMES_MAX, names_in};
use crate::gateway::folded::is;
use crate::gateway::governor::ParseRefusal;

/// What a head says about itself.
#[derive(Default)]
pub(super) struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    pub(super) upgrade: bool,
    /// Names in `Connection`.
    nominated: usize,
    /// `Max-Forwards: 0`.
    last_hop: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn collect(headers: &[Header<'a>]) -> Result<Self, ParseRefusal> {
        let mut fields = Self::default();
        for header in headers {
            // Nearly every field is passed over by the length of its name alone.
            if matches!(header.name.len(), 4 | 6 | 7 | 10 | 12 | 14 | 17) {
                fields.note(header)?;
            }
        }
        Ok(fields)
    }

    fn note(&mut self, header: &Header<'a>) -> Result<(), ParseRefusal> {
        let name = header.name.as_bytes();
        let (slot, doubled) = match name.len() {
            4 if is(name, b"host") => (&mut self.host, ParseRefusal::Host),
            14 if is(name, b"content-length") => (&mut self.length, ParseRefusal::ContentLength),
            17 if is(name, b"transfer-encoding") => {
                (&mut self.encoding, ParseRefusal::TransferEncoding)
            }
            7 if is(name, b"upgrade") => {
                self.upgrade = true;
                return Ok(());
            }
            10 if is(name, b"connection") => return self.nominate(header.value),
            6 if is(name, b"expect") && !is(header.value, b"100-continue") => {
                return Err(ParseRefusal::Expectation);
            }
            12 if is(name, b"max-forwards") => {
                self.last_hop = decimal(header.value) == Some(0);
                return Ok(());
            }
            _ => return Ok(()),
        };
        match slot.replace(header.value) {
            Some(_) => Err(doubled),
            None => Ok(()),
        }
    }

    fn nominate(&mut self, value: &[u8]) -> Result<(), ParseRefusal> {
        self.nominated += names_in(value).ok_or(ParseRefusal::Nomination)?;
        if self.nominated <= NAMES_MAX {
            Ok(())
        } else {
            Err(ParseRefusal::Nomination)
        }
    }

    /// The host the request is for; HTTP/1.0 may leave it out.
    pub(super) fn host(&self, http_11: bool) -> Result<Option<&'a [u8]>, ParseRefusal> {
        match self.host {
            Some(host) if is_host(host) => Ok(Some(host)),
            None if !http_11 => Ok(None),
            _ => Err(ParseRefusal::Host),
        }
    }

    pub(super) fn framing(&self, http_11: bool) -> Result<Framing, ParseRefusal> {
        let length = match (self.encoding, self.length) {
            (Some(_), Some(_)) => return Err(ParseRefusal::LengthAndEncoding),
            (Some(encoding), None) if http_11 && is(encoding, b"chunked") => None,
            (Some(_), None) => return Err(ParseRefusal::TransferEncoding),
            (None, Some(length)) => Some(decimal(length).ok_or(ParseRefusal::ContentLength)?),
            (None, None) => Some(0),
        };
        Ok(match length {
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        })
    }

    /// What the method itself does not allow: content in TRACE, and another hop where the client
    /// wants none. The gateway has no answer of its own to either method.
    pub(super) fn check_method(&self, method: &str, framing: Framing) -> Result<(), ParseRefusal> {
        match method {
            "TRACE" if framing != Framing::Length(0) => Err(ParseRefusal::BodyNotAllowed),
            "TRACE" | "OPTIONS" if self.last_hop => Err(ParseRefusal::MaxForwards),
            _ => Ok(()),
        }
    }
}

/// Digits only, at most 18 of them, so the number cannot overflow.
pub(in crate::gateway::edge) fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 {
        return None;
    }
    value.iter().try_fold(0u64, |sum, byte| {
        byte.is_ascii_digit()
            .then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// A name or an address, with a port or without; no user, no path.
pub(in crate::gateway::edge) fn is_host(value: &[u8]) -> bool {
    let end = match value.first() {
        Some(b'[') => value.iter().position(|byte| *byte == b']').map(|at| at + 1),
        // A name has no colon, so the port is what begins where it ends.
        _ => value
            .iter()
            .position(|byte| NAME_BYTES.get(usize::from(*byte)) != Some(&true)),
    };
    let (host, rest) = value.split_at(end.unwrap_or(value.len()));
    let plain = match host {
        [] => false,
        [b'[', inner @ .., b']'] => inner.iter().all(|byte| is_address_byte(*byte)),
        [first, ..] => *first != b'[',
    };
    let port = match rest {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    plain && port
}

/// Which bytes may stand in the name of a host: looked up, since each request has one.
static NAME_BYTES: [bool; 256] = name_bytes();

#[allow(clippy::indexing_slicing, reason = "the index is below 256")]
const fn name_bytes() -> [bool; 256] {
    let mut bytes = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        bytes[byte] = is_name_byte(byte as u8);
        byte += 1;
    }
    bytes
}

/// What may stand in the name of a host.
const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
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

/// What may stand between brackets: an address, perhaps with its zone.
fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'.' | b'%' | b'-' | b'_' | b'~')
}
