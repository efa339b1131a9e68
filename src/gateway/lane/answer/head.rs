//! Reads the head of an upstream's answer.
//!
//! Invariant: it is read with the parser and the leniency of Pingora, and refused for what Pingora
//! or the hooks refuse it for: all of that is the upstream's garbage. How the body ends is decided
//! here, once. Deliberately not here: what of the head the client gets.

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::str;

use httparse::{Header, ParserConfig, Response, Status};
use smallvec::SmallVec;

use crate::gateway::folded::is;

/// Fields of one head at most.
pub(crate) const FIELDS_MAX: usize = 256;
/// Beyond this an unfinished head is not read on.
const HEAD_BYTES_MAX: usize = 1_048_575;
/// What the `http` crate takes for a name at most.
const NAME_BYTES_MAX: usize = u16::MAX as usize;
/// Fields that an answer can take away.
const NOMINATED_MAX: usize = 16;
/// Fields for which nothing is allocated.
const FIELDS_USUAL: usize = 32;

/// How the body of an upstream's answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// There is none, whatever the fields say: to HEAD, and with 1xx, 204 and 304.
    None,
    /// After so many bytes, which may be 0.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Close,
}

/// What the full proxy calls the garbage of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The head of an answer, in the bytes that were read.
#[derive(Debug)]
pub(crate) struct AnswerHead<'s, 'b> {
    /// 100 to 999, never 101.
    pub(crate) status: u16,
    /// How many of the bytes are the head.
    pub(crate) len: usize,
    /// How the body behind it ends.
    pub(crate) body: BodyEnd,
    /// Whether the upstream's connection may carry another request, once the body is complete and
    /// nothing came behind it.
    pub(crate) keeps: bool,
    pub(super) reason: &'b str,
    pub(super) is_http_10: bool,
    pub(super) fields: &'s [Header<'b>],
    /// One for each field.
    pub(super) kinds: SmallVec<[Kind; FIELDS_USUAL]>,
    pub(super) seen: Seen,
    bytes: &'b [u8],
    /// Whether `Connection` may name other fields.
    is_nominating: bool,
    /// Some value may go over more than one line.
    is_folded: bool,
}

/// Which fields a head has that are more than passed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen(u8);

/// A field by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Other = 0,
    Length = 1,
    Coding = 2,
    Connection = 4,
    KeepAlive = 8,
    ProxyConnection = 16,
    Date = 32,
    Tidegate = 64,
}

impl Seen {
    pub(super) fn has(self, kind: Kind) -> bool {
        self.0 & kind as u8 != 0
    }

    fn note(&mut self, kind: Kind) {
        self.0 |= kind as u8;
    }
}

impl Kind {
    /// The kind of a name in any case of letters.
    #[inline]
    pub(super) fn of(name: &str) -> Self {
        let name = name.as_bytes();
        match name.len() {
            4 if is(name, b"date") => Self::Date,
            10 if is(name, b"connection") => Self::Connection,
            10 if is(name, b"keep-alive") => Self::KeepAlive,
            14 if is(name, b"content-length") => Self::Length,
            16 if is(name, b"proxy-connection") => Self::ProxyConnection,
            17 if is(name, b"transfer-encoding") => Self::Coding,
            _ if begins(name, b"tidegate-") => Self::Tidegate,
            _ => Self::Other,
        }
    }
}

/// Whether a text begins with another one of small letters and dashes. With its length known this
/// is one comparison; what differs from a letter or a dash in that bit alone is no letter, or a CR,
/// which no text has here.
#[inline]
fn begins<const N: usize>(text: &[u8], small: &[u8; N]) -> bool {
    let start = text.first_chunk::<N>();
    start.is_some_and(|start| start.map(|byte| byte | 0x20) == *small)
}

/// Reads a head from the front of what an upstream sent. `None` where it is not complete yet.
/// `asked_with_head` says that the method was HEAD. `slots` has room for [`FIELDS_MAX`] fields.
///
/// # Errors
///
/// Where the full proxy fails for the upstream's garbage: what is no head, too many fields, a head
/// that does not end, a status below 100, lengths that contradict each other, a transfer coding
/// other than `chunked` alone, a change of protocol.
pub(crate) fn read<'s, 'b>(
    bytes: &'b [u8],
    slots: &'s mut [MaybeUninit<Header<'b>>; FIELDS_MAX],
    asked_with_head: bool,
) -> Result<Option<AnswerHead<'s, 'b>>, Malformed> {
    let mut config = ParserConfig::default();
    config.allow_spaces_after_header_name_in_responses(true);
    config.allow_obsolete_multiline_headers_in_responses(true);
    let mut parsed = Response::new(&mut []);
    let len = match config.parse_response_with_uninit_headers(&mut parsed, bytes, slots) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if bytes.len() > HEAD_BYTES_MAX => return Err(Malformed),
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Malformed),
    };
    let fields: &'s [Header<'b>] = parsed.headers;
    let head_bytes = bytes.get(..len).unwrap_or_default();
    let lines = memchr::memchr_iter(b'\n', head_bytes).count();
    let mut head = AnswerHead {
        status: parsed.code.filter(|code| *code >= 100).ok_or(Malformed)?,
        len,
        body: BodyEnd::Close,
        keeps: false,
        reason: parsed.reason.unwrap_or_default(),
        is_http_10: parsed.version == Some(0),
        fields,
        kinds: SmallVec::new(),
        seen: Seen::default(),
        bytes: head_bytes,
        is_nominating: false,
        is_folded: lines != fields.len() + 2,
    };
    for field in fields {
        if field.name.len() > NAME_BYTES_MAX {
            return Err(Malformed);
        }
        let kind = Kind::of(field.name);
        head.seen.note(kind);
        head.kinds.push(kind);
    }
    head.frame(asked_with_head)?;
    Ok(Some(head))
}

impl<'b> AnswerHead<'_, 'b> {
    /// Whether another head follows: 100, 102 and above, which have no body.
    pub(crate) fn is_interim(&self) -> bool {
        self.status < 200
    }

    /// `Retry-After` as the client gets it; the first where there are more.
    pub(crate) fn retry_after(&self) -> Option<Cow<'b, [u8]>> {
        const NAME: &str = "retry-after";
        let mut named = self.fields.iter();
        let field = named.find(|field| field.name.eq_ignore_ascii_case(NAME))?;
        let is_taken = self.nominates(NAME);
        (!is_taken).then(|| self.value(field))
    }

    /// A value in one line. Pingora makes one of a folded one.
    #[inline]
    pub(super) fn value(&self, field: &Header<'b>) -> Cow<'b, [u8]> {
        if self.is_folded && field.value.contains(&b'\n') {
            Cow::Owned(unfolded(field.value))
        } else {
            Cow::Borrowed(field.value)
        }
    }

    pub(super) fn values(&self, kind: Kind) -> impl Iterator<Item = Cow<'b, [u8]>> {
        let fields = self.fields.iter().zip(&self.kinds);
        let named = fields.filter(move |(_, of)| **of == kind);
        named.map(|(field, _)| self.value(field))
    }

    /// The line of a field, where it stands in the head as it is written.
    #[inline]
    pub(super) fn line(&self, field: &Header<'b>) -> Option<&'b [u8]> {
        let name_at = field.name.as_ptr().addr();
        let begin = name_at.checked_sub(self.bytes.as_ptr().addr())?;
        let value_at = field.name.len() + 2;
        let end = value_at + field.value.len();
        if self.is_folded || field.value.as_ptr().addr() != name_at + value_at {
            return None;
        }
        let line = self.bytes.get(begin..begin + end + 2)?;
        let is_plain = line.get(field.name.len()..value_at)? == b": " && line.ends_with(b"\r\n");
        is_plain.then_some(line)
    }

    /// The status line, where it stands in the head as it is written.
    pub(super) fn status_line(&self) -> Option<&'b [u8]> {
        let line = self.bytes.get(..15 + self.reason.len())?;
        let is_plain =
            line.starts_with(b"HTTP/1.") && line.get(12) == Some(&b' ') && line.ends_with(b"\r\n");
        is_plain.then_some(line)
    }

    /// Hands over the names of the fields that `Connection` takes away.
    pub(super) fn for_each_nominated(&self, mut take: impl FnMut(&str)) {
        if !self.is_nominating {
            return;
        }
        let mut left = NOMINATED_MAX;
        for value in self.values(Kind::Connection) {
            let tokens = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            for token in tokens {
                if is(token, b"keep-alive") || is(token, b"close") {
                    continue;
                }
                if left == 0 {
                    return;
                }
                left -= 1;
                // What frames the message stays, whatever an upstream nominates.
                let name = str::from_utf8(token).ok();
                let name = name.filter(|name| {
                    !matches!(Kind::of(name), Kind::Length | Kind::Coding | Kind::Date)
                });
                if let Some(name) = name {
                    take(name);
                }
            }
        }
    }

    fn nominates(&self, name: &str) -> bool {
        let mut found = false;
        self.for_each_nominated(|token| found |= token.eq_ignore_ascii_case(name));
        found
    }

    /// Decides how the body ends, and whether the connection is of use behind it.
    fn frame(&mut self, asked_with_head: bool) -> Result<(), Malformed> {
        let has_coding = self.seen.has(Kind::Coding);
        let length = match (has_coding, self.seen.has(Kind::Length)) {
            // A transfer coding overrides lengths, so nobody looks at those.
            (false, true) => Some(self.one_length()?),
            _ => None,
        };
        let is_bodiless = matches!(self.status, 100..200 | 204);
        if self.status == 101 || (has_coding && !is_bodiless && !self.is_chunked_alone()) {
            return Err(Malformed);
        }
        self.body = match length {
            _ if is_bodiless || self.status == 304 || asked_with_head => BodyEnd::None,
            _ if has_coding => BodyEnd::Chunked,
            Some(length) => BodyEnd::Length(length),
            None => BodyEnd::Close,
        };
        let says_keep = self.says_keep().unwrap_or(!self.is_http_10);
        let is_delimited = self.body != BodyEnd::Close && !(self.is_http_10 && has_coding);
        self.keeps = says_keep && is_delimited;
        Ok(())
    }

    fn is_chunked_alone(&self) -> bool {
        let mut codings = self.values(Kind::Coding);
        let first = codings.next();
        first.is_some_and(|coding| is(&coding, b"chunked")) && codings.next().is_none()
    }

    /// The one length that all fields and all members of their lists say.
    fn one_length(&self) -> Result<u64, Malformed> {
        let mut one = None;
        for value in self.values(Kind::Length) {
            let is_visible = |byte: &u8| matches!(*byte, b' '..=b'~' | b'\t');
            if !value.iter().all(is_visible) {
                return Err(Malformed);
            }
            for length in value.split(|byte| *byte == b',') {
                let length = digits(length.trim_ascii()).ok_or(Malformed)?;
                if one.is_some_and(|one| one != length) {
                    return Err(Malformed);
                }
                one = Some(length);
            }
        }
        one.ok_or(Malformed)
    }

    /// What the `Connection` fields say of the connection, where they say anything. Notes whether
    /// there is more to them. Pingora reads the first of them alone and would send the next request
    /// to a server that has closed; here any `close` counts.
    fn says_keep(&mut self) -> Option<bool> {
        if !self.seen.has(Kind::Connection) {
            return None;
        }
        let mut values = self.values(Kind::Connection);
        let value = values.next()?;
        // In a list only `close` counts.
        let closes = |value: &[u8]| {
            let mut tokens = value.split(|byte| *byte == b',');
            tokens.any(|token| is(token.trim_ascii(), b"close"))
        };
        let (keeps, mut closed) = (is(&value, b"keep-alive"), closes(&value));
        let mut is_only = true;
        for further in values {
            is_only = false;
            closed |= closes(&further);
        }
        self.is_nominating = !is_only || !(keeps || is(&value, b"close"));
        if closed {
            return Some(false);
        }
        keeps.then_some(true)
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// The lines of a value with one space between them; empty ones count for nothing.
fn unfolded(value: &[u8]) -> Vec<u8> {
    let mut lines = value.split(|byte| *byte == b'\n');
    let mut one = lines.next().unwrap_or_default().trim_ascii_end().to_vec();
    for line in lines
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
    {
        if !one.is_empty() {
            one.push(b' ');
        }
        one.extend_from_slice(line);
    }
    one
}
