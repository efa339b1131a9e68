//! Writes the head of an answer for the client.
//!
//! Invariant: step for step what Pingora and the hooks do with an answer: mend the framing, take
//! out what was meant for one connection, set what the gateway says, chunk what has no length, and
//! say the date and what becomes of the connection. Deliberately not here: reading the head.

use bytes::BytesMut;
use httparse::Header;

use super::head::{AnswerHead, BodyEnd, Kind};
use super::order::{Entry, Order, Source};
use super::ours::OurFields;

/// How the body goes to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientBody {
    /// Not at all: the head is the answer.
    None,
    /// As it is, so many bytes.
    Length(u64),
    /// In chunks, with a last one.
    Chunked,
}

/// Status line, date and what stands between the fields.
const HEAD_BYTES_BEYOND: usize = 160;

/// Writes the head of a final answer, and tells how its body goes. `date` is the line of `Date` with its end;
/// `client_keeps` that the client's connection stays.
pub(crate) fn write(
    head: &AnswerHead<'_, '_>,
    ours: &OurFields,
    date: &[u8],
    client_keeps: bool,
    out: &mut BytesMut,
) -> ClientBody {
    let mut order = passed(head);
    for index in 0..ours.len() {
        order.set(ours, u16::try_from(index).unwrap_or(u16::MAX));
    }
    let is_unbounded = head.body == BodyEnd::Close;
    if is_unbounded {
        order.push(Source::Chunked, Kind::Coding);
    }
    order.put(Source::Date, Kind::Date);
    order.put(Source::Connection, Kind::Connection);
    out.reserve(head.len + ours.bytes() + date.len() + HEAD_BYTES_BEYOND);
    status_line(head, is_unbounded, out);
    for entry in &order.entries {
        match entry.source {
            Source::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Source::Date => out.extend_from_slice(date),
            Source::Connection if client_keeps => {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
            Source::Connection => out.extend_from_slice(b"Connection: close\r\n"),
            Source::Ours(index) => our_field(ours, index, out),
            Source::Upstream(_) | Source::OneLength(_) => theirs(head, &order, entry, out),
        }
        if let Some(first) = entry.beside {
            beside(ours, first, out);
        }
    }
    out.extend_from_slice(b"\r\n");
    match head.body {
        BodyEnd::None => ClientBody::None,
        BodyEnd::Length(length) => ClientBody::Length(length),
        BodyEnd::Chunked | BodyEnd::Close => ClientBody::Chunked,
    }
}

/// Writes an interim head. It carries nothing of ours, and another head follows it.
pub(crate) fn write_interim(head: &AnswerHead<'_, '_>, out: &mut BytesMut) {
    let order = passed(head);
    out.reserve(head.len + HEAD_BYTES_BEYOND);
    status_line(head, false, out);
    for entry in &order.entries {
        theirs(head, &order, entry, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The upstream's fields that pass.
fn passed<'a, 'b>(head: &AnswerHead<'a, 'b>) -> Order<'a, 'b> {
    let seen = head.seen;
    let mut order = Order::of(head);
    if seen.has(Kind::Length) {
        let is_bodiless = head.is_interim() || head.status == 204;
        if is_bodiless || seen.has(Kind::Coding) {
            order.remove(Kind::Length);
        } else {
            one_length(head, &mut order);
        }
    }
    if seen.has(Kind::Coding) && (head.is_interim() || head.status == 204) {
        order.remove(Kind::Coding);
    }
    if seen.has(Kind::Tidegate) {
        order.remove_ours();
    }
    if seen.has(Kind::Connection) {
        head.for_each_nominated(|name| order.remove_named(name));
        order.remove(Kind::Connection);
    }
    for kind in [Kind::KeepAlive, Kind::ProxyConnection] {
        if seen.has(kind) {
            order.remove(kind);
        }
    }
    order
}

/// All lengths are equal; the client is told one of them.
fn one_length(head: &AnswerHead<'_, '_>, order: &mut Order<'_, '_>) {
    let mut lengths = head.values(Kind::Length);
    let is_list = lengths.next().is_some_and(|length| length.contains(&b','));
    let is_one = !is_list && (!order.has_doubles || lengths.next().is_none());
    if let Some(entry) = order.find(Kind::Length).filter(|_| !is_one)
        && let Source::Upstream(index) = entry.source
    {
        entry.source = Source::OneLength(index);
    }
}

fn status_line(head: &AnswerHead<'_, '_>, is_unbounded: bool, out: &mut BytesMut) {
    let is_upgraded = head.is_http_10 && is_unbounded;
    if let Some(line) = head.status_line().filter(|_| !is_upgraded) {
        out.extend_from_slice(line);
        return;
    }
    // HTTP/1.0 knows no chunks, so what is chunked here is of 1.1.
    let version: &[u8] = if head.is_http_10 && !is_upgraded {
        b"HTTP/1.0 "
    } else {
        b"HTTP/1.1 "
    };
    out.extend_from_slice(version);
    out.extend_from_slice(itoa::Buffer::new().format(head.status).as_bytes());
    out.extend_from_slice(b" ");
    out.extend_from_slice(head.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a name of the upstream's with all its values.
fn theirs(head: &AnswerHead<'_, '_>, order: &Order<'_, '_>, entry: &Entry, out: &mut BytesMut) {
    let (Source::Upstream(index) | Source::OneLength(index)) = entry.source else {
        return;
    };
    let mut fields = order.fields.iter().skip(usize::from(index));
    let Some(first) = fields.next() else {
        return;
    };
    if matches!(entry.source, Source::OneLength(_)) {
        let value = head.value(first);
        let one = value.split(|byte| *byte == b',').next().unwrap_or_default();
        field("Content-Length", one.trim_ascii(), out);
        return;
    }
    their_field(head, first, out);
    if order.has_doubles {
        for other in fields.filter(|other| other.name.eq_ignore_ascii_case(first.name)) {
            their_field(head, other, out);
        }
    }
}

#[inline]
fn their_field<'b>(head: &AnswerHead<'_, 'b>, theirs: &Header<'b>, out: &mut BytesMut) {
    match head.line(theirs) {
        Some(line) => out.extend_from_slice(line),
        None => field(theirs.name, &head.value(theirs), out),
    }
}

fn our_field(ours: &OurFields, index: u16, out: &mut BytesMut) {
    if let Some(ours) = ours.get(usize::from(index)) {
        out.extend_from_slice(ours.line);
    }
}

/// Writes a field of ours that stands beside another one, and those after it of its name.
fn beside(ours: &OurFields, first: u16, out: &mut BytesMut) {
    let Some(name) = ours.get(usize::from(first)).map(|first| first.name) else {
        return;
    };
    let all = (usize::from(first)..).map_while(|index| ours.get(index));
    for one in all.filter(|one| one.is_beside && one.name.eq_ignore_ascii_case(name)) {
        out.extend_from_slice(one.line);
    }
}

fn field(name: &str, value: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
