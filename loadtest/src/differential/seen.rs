//! What one gateway made of an exchange, as lines that can be compared.
//!
//! Left out are: the value of `Tidegate-Decision-Id` and its copy in problems (a random boot), a
//! `Date` that the gateway made, the upstream's own port where a request had no Host, the numbers of time in `RateLimit` (`t`) and `Retry-After`, and
//! where chunks end (both depend on when bytes come). Nothing else.

use super::client::{Ended, Got};
use super::exchange::{Exchange, shown};
use super::message::{Body, Framing};
use super::recorder::Arrival;

/// The date that scripts use; any other is the gateway's.
const SCRIPTED_DATE: &[u8] = b"Tue, 15 Nov 1994 08:12:31 GMT";
/// Hexadecimal digits of a decision id.
const ID_DIGITS: usize = 22;
const DECISION_ID: &str = "tidegate-decision-id";

/// One side of an exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    /// Of what the client saw, fields in their order.
    pub(super) client: Vec<String>,
    /// Of what the upstream saw.
    pub(super) upstream: Vec<String>,
    /// Decision ids that the client was told.
    pub(super) ids: Vec<String>,
    /// Attempts in chunks that were cut off, because their client sent no good chunk or left. Not
    /// compared: whether the head has gone on by then depends on a connection being at hand.
    pub(super) cut: usize,
    /// Which upstream connection each attempt came by; not compared, for each way has its own.
    pub(super) connections: Vec<usize>,
    /// Whether each attempt came on a connection that had carried another request.
    pub(super) reused: Vec<bool>,
    /// Of attempts that came on a connection which was not to be used again, why not. Not compared,
    /// for which connections are at hand depends on the way: each gateway is judged by itself.
    pub(super) misused: Vec<&'static str>,
}

/// Lines of what the client and the upstreams saw.
pub(super) fn lines(
    exchange: &Exchange,
    seen: &super::client::Seen,
    arrivals: &[(&'static str, Vec<Arrival>)],
) -> Lines {
    let mut lines = Lines::default();
    for (n, got) in seen.answers.iter().enumerate() {
        answer(&mut lines, n + 1, got);
    }
    let ended = match seen.ended {
        Ended::Open => "is kept",
        Ended::Closed => "is closed by the gateway",
        Ended::Silent => "is silent where an answer is due",
        Ended::Left => "was left by the client",
    };
    lines.client.push(format!("connection {ended}"));
    if !seen.rest.is_empty() {
        lines.client.push(format!("rest {}", masked(&seen.rest)));
    }
    for (group, arrivals) in arrivals {
        for (n, arrival) in arrivals.iter().enumerate() {
            request(&mut lines, exchange, &format!("{group} {}", n + 1), arrival);
        }
    }
    lines
}

fn answer(lines: &mut Lines, n: usize, got: &Got) {
    let at = format!("answer {n}");
    lines
        .client
        .push(format!("{at}: {}", got.head.start.escape_ascii()));
    let own = got
        .head
        .values("proxy-status")
        .any(|v| v.starts_with(b"tidegate"));
    let ids: Vec<String> = got
        .head
        .values(DECISION_ID)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect();
    for (name, value) in &got.head.fields {
        let value = field_value(name, value, own);
        lines
            .client
            .push(format!("{at} field {}: {value}", name.escape_ascii()));
    }
    lines.client.push(format!("{at} framing {:?}", got.framing));
    if let Some(fault) = got.head.fault {
        lines.client.push(format!("{at} is malformed: {fault}"));
    }
    lines.client.push(format!("{at} body {}", body(&got.body)));
    lines.ids.extend(ids);
}

fn field_value(name: &[u8], value: &[u8], own: bool) -> String {
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let text = value.escape_ascii().to_string().replace("\\\"", "\"");
    match name.as_str() {
        DECISION_ID => form_of(&text),
        "date" if value != SCRIPTED_DATE => "(now)".to_owned(),
        "retry-after" if own => form_of(&text),
        "ratelimit" => without_times(&text),
        _ => text,
    }
}

/// A text with its digits and letters of hexadecimal numbers masked.
fn form_of(text: &str) -> String {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    match digits == text.len() {
        true => format!("({} digits)", digits.max(2)),
        false => text.to_owned(),
    }
}

/// The address of a recorder, which a request of HTTP/1.0 without Host goes to by name.
fn without_port(value: &str) -> String {
    match value.strip_prefix("127.0.0.1:") {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => "(upstream)".to_owned(),
        _ => value.to_owned(),
    }
}

/// `"client";r=4;t=6` without the seconds.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(";t=") {
        let (front, back) = rest.split_at(at + 3);
        out += front;
        out.push('_');
        rest = back.trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    out + rest
}

fn body(body: &Body) -> String {
    match body {
        Body::Whole(content, trailers, _) => {
            let trailers = match trailers.is_empty() {
                true => String::new(),
                false => format!(" and trailers {}", shown(trailers)),
            };
            let (long, text) = (digest(content), masked(content));
            format!("of {} bytes{long} {text}{trailers}", content.len())
        }
        Body::Part(content) => {
            format!("broken off: {} bytes {}", content.len(), masked(content))
        }
        Body::Broken(why) => format!("is malformed: {why}"),
    }
}

/// Bytes as text, decision ids and dates of now masked.
fn masked(bytes: &[u8]) -> String {
    let text = shown(bytes);
    let mut out = String::new();
    let mut run = String::new();
    for letter in text.chars().chain(['\n']) {
        if letter.is_ascii_hexdigit() {
            run.push(letter);
            continue;
        }
        out += if run.len() == ID_DIGITS { "(id)" } else { &run };
        run.clear();
        out.push(letter);
    }
    let date = "Date: ";
    if let Some(at) = out.find(date) {
        let from = at + date.len();
        let to = from + SCRIPTED_DATE.len();
        if out
            .get(from..to)
            .is_some_and(|found| found.as_bytes() != SCRIPTED_DATE)
        {
            out.replace_range(from..to, "(now)");
        }
    }
    out.trim_end().to_owned()
}

/// Of long bodies alone, whose middle is not shown.
fn digest(content: &[u8]) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    if content.len() < 1_000 {
        return String::new();
    }
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!(" ({:016x})", hasher.finish())
}

fn request(lines: &mut Lines, exchange: &Exchange, at: &str, arrival: &Arrival) {
    lines.connections.push(arrival.place.0);
    lines.reused.push(arrival.place.1 > 0);
    if arrival.framing == Framing::Chunked && matches!(arrival.body, Body::Part(_)) {
        lines.cut += 1;
        return;
    }
    let out = &mut lines.upstream;
    if !arrival.rest.is_empty() {
        out.push(format!("{at} rest {}", shown(&arrival.rest)));
        return;
    }
    out.push(format!("{at}: {}", arrival.head.start.escape_ascii()));
    for (name, value) in &arrival.head.fields {
        let value = without_port(&value.escape_ascii().to_string());
        out.push(format!("{at} field {}: {value}", name.escape_ascii()));
    }
    out.push(format!("{at} framing {:?}", arrival.framing));
    if let Some(fault) = arrival.head.fault {
        out.push(format!("{at} is malformed: {fault}"));
    }
    if !exchange.body_races {
        // How much of a body came that was cut depends on when it was.
        let body = match &arrival.body {
            Body::Part(_) => "broken off".to_owned(),
            whole => body(whole),
        };
        out.push(format!("{at} body {body}"));
    }
    lines.misused.extend(arrival.tainted);
}

/// How two lists of lines differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Differs {
    /// Not at all.
    Not,
    /// Fields of different names stand in another order; nothing else.
    Order,
    /// Otherwise: the lines of one alone, and of the other alone.
    Otherwise(Vec<String>, Vec<String>),
}

/// Compares lines of one kind.
pub(super) fn compare(one: &[String], other: &[String]) -> Differs {
    if one == other {
        return Differs::Not;
    }
    let (mut left, mut right) = (one.to_vec(), other.to_vec());
    left.sort_by_key(|line| place_of(line));
    right.sort_by_key(|line| place_of(line));
    if left == right {
        return Differs::Order;
    }
    let alone = |these: &[String], those: &[String]| -> Vec<String> {
        let mut those: Vec<&String> = those.iter().collect();
        let mut alone = Vec::new();
        for line in these {
            match those.iter().position(|other| *other == line) {
                Some(at) => _ = those.remove(at),
                None => alone.push(line.clone()),
            }
        }
        alone
    };
    let (a, b) = (alone(&left, &right), alone(&right, &left));
    if a.is_empty() && b.is_empty() {
        return Differs::Otherwise(left, right);
    }
    Differs::Otherwise(a, b)
}

/// What a line is sorted by: its message, and for fields the name; fields of one name keep their
/// order, for a sort is stable.
fn place_of(line: &str) -> String {
    match line.split_once(" field ") {
        Some((at, field)) => {
            let name = field.split(": ").next().unwrap_or(field);
            format!("{at} field {}", name.to_ascii_lowercase())
        }
        None => line.split(' ').take(3).collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_of_different_names_is_forgiven() {
        let lines = |texts: &[&str]| -> Vec<String> {
            texts.iter().map(|text| (*text).to_owned()).collect()
        };
        let base = [
            "answer 1: HTTP/1.1 200 OK",
            "answer 1 field A: 1",
            "answer 1 field B: 2",
            "answer 1 field A: 3",
        ];
        let check = |other: &[&str], expected: fn(&Differs) -> bool| {
            let differs = compare(&lines(&base), &lines(other));
            assert!(expected(&differs), "{other:?}: {differs:?}");
        };
        check(&base, |d| *d == Differs::Not);
        check(&[base[0], base[2], base[1], base[3]], |d| {
            *d == Differs::Order
        });
        let otherwise = |d: &Differs| matches!(d, Differs::Otherwise(..));
        check(&[base[0], base[3], base[2], base[1]], otherwise);
        check(&[base[0], base[1], base[2]], otherwise);
        check(
            &[base[0], base[1], "answer 1 field b: 2", base[3]],
            otherwise,
        );
        check(
            &["answer 1: HTTP/1.1 201 OK", base[1], base[2], base[3]],
            otherwise,
        );
        check(
            &["answer 2: HTTP/1.1 200 OK", base[1], base[2], base[3]],
            otherwise,
        );
    }

    #[test]
    fn what_changes_with_time_is_masked_and_nothing_else() {
        let check = |name: &str, value: &str, own, expected: &str| {
            assert_eq!(
                field_value(name.as_bytes(), value.as_bytes(), own),
                expected
            );
        };
        check(
            "Date",
            "Tue, 15 Nov 1994 08:12:31 GMT",
            false,
            "Tue, 15 Nov 1994 08:12:31 GMT",
        );
        check("Date", "Fri, 20 Nov 2026 20:20:24 GMT", false, "(now)");
        check(
            "Tidegate-Decision-Id",
            "0123456789abcdef012345",
            false,
            "(22 digits)",
        );
        check("Tidegate-Decision-Id", "forged!", false, "forged!");
        check("Retry-After", "10", true, "(2 digits)");
        check("Retry-After", "0", false, "0");
        check(
            "RateLimit",
            "\"a\";r=9;t=1, \"b\";r=0;t=60",
            false,
            "\"a\";r=9;t=_, \"b\";r=0;t=_",
        );
        check("X", "1", false, "1");
    }
}
