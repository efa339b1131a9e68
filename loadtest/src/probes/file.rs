//! The probe files: plain text, one entry per probe.
//!
//! ```text
//! == name
//! rfc: 9112-3.2
//! accept: refuse | normalise | forward   (one or two of them)
//! count: 2          how many requests the bytes are (1 when left out)
//! before: 1         how many of them are legal and stand before the one in question
//! absent: a, b      fields that may not reach the upstream (of an answer: the client)
//! > bytes of the client; a `$` at the end of a line is CRLF, `>~` waits a moment first
//! < bytes of the upstream, written when it has read a request; `<~` waits a moment first
//! end: close        the upstream closes behind its bytes
//! ```
//!
//! Escapes: `\r \n \t \s \\ \xNN` and `\*N{text}` for N times a text.

use anyhow::{Context as _, bail, ensure};

/// What may become of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accept {
    /// Not passed on: an error, or the end of the connection.
    pub refuse: bool,
    /// Passed on in a form that is legal and has one reading.
    pub normalise: bool,
    /// Legal as it is: it has to be passed on.
    pub forward: bool,
}

/// One message, or a few, and what may become of them.
#[derive(Debug, Clone, Default)]
pub struct Probe {
    /// File and name.
    pub name: String,
    /// The RFC and its section.
    pub rfc: String,
    /// What may become of it.
    pub accept: Accept,
    /// How many requests the client's bytes are.
    pub count: usize,
    /// How many of them are legal and come first.
    pub before: usize,
    /// Fields that may not arrive at the other side, in lower case.
    pub absent: Vec<String>,
    /// What the client sends, with a pause between the pieces.
    pub sends: Vec<Vec<u8>>,
    /// What the upstream answers; nothing for an ordinary answer.
    pub answers: Vec<Vec<u8>>,
    /// Whether the upstream closes behind its answer.
    pub closes: bool,
}

impl Probe {
    /// Whether the answer is what is probed.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        !self.answers.is_empty()
    }
}

const FILES: &[(&str, &str)] = &[
    ("line", include_str!("../../probes/request-line.txt")),
    ("field", include_str!("../../probes/fields.txt")),
    ("framing", include_str!("../../probes/framing.txt")),
    ("chunk", include_str!("../../probes/chunks.txt")),
    ("hop", include_str!("../../probes/connection.txt")),
    ("answer", include_str!("../../probes/answers.txt")),
];
const IDENTITY: &str = include_str!("../../probes/identity.txt");

/// The probes that every proxy can be scored by.
///
/// # Errors
/// When a file does not keep to the format; place and rule are in the message.
pub fn all() -> anyhow::Result<Vec<Probe>> {
    let mut probes = Vec::new();
    for (group, text) in FILES {
        probes.extend(parse(group, text)?);
    }
    Ok(probes)
}

/// The probes of fields by which a client would speak for the gateway.
///
/// # Errors
/// As [`all`].
pub fn identity() -> anyhow::Result<Vec<Probe>> {
    parse("identity", IDENTITY)
}

fn parse(group: &str, text: &str) -> anyhow::Result<Vec<Probe>> {
    let mut probes: Vec<Probe> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = || format!("{group}, line {}", number + 1);
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            let name = format!("{group}/{name}");
            ensure!(
                probes.iter().all(|other| other.name != name),
                "{}: {name} twice",
                place()
            );
            probes.push(Probe {
                name,
                count: 1,
                ..Probe::default()
            });
            continue;
        }
        let probe = probes.last_mut().with_context(place)?;
        member(probe, line).with_context(place)?;
    }
    for probe in &probes {
        let Accept {
            refuse,
            normalise,
            forward,
        } = probe.accept;
        ensure!(
            refuse || normalise || forward,
            "{} accepts nothing",
            probe.name
        );
        ensure!(!probe.sends.is_empty(), "{} sends nothing", probe.name);
        ensure!(!probe.rfc.is_empty(), "{} names no section", probe.name);
    }
    Ok(probes)
}

fn member(probe: &mut Probe, line: &str) -> anyhow::Result<()> {
    if let Some(bytes) = line.strip_prefix('>') {
        return piece(&mut probe.sends, bytes);
    }
    if let Some(bytes) = line.strip_prefix('<') {
        return piece(&mut probe.answers, bytes);
    }
    let (key, value) = line.split_once(':').context("key: value")?;
    let value = value.trim();
    match key {
        "rfc" => value.clone_into(&mut probe.rfc),
        "count" => probe.count = value.parse()?,
        "before" => probe.before = value.parse()?,
        "absent" => {
            let names = value.split(',').map(|name| name.trim().to_lowercase());
            probe.absent.extend(names);
        }
        "end" => probe.closes = value == "close",
        "accept" => {
            for word in value.split('|') {
                match word.trim() {
                    "refuse" => probe.accept.refuse = true,
                    "normalise" => probe.accept.normalise = true,
                    "forward" => probe.accept.forward = true,
                    other => bail!("accept: {other}"),
                }
            }
        }
        other => bail!("no key {other}"),
    }
    Ok(())
}

fn piece(pieces: &mut Vec<Vec<u8>>, text: &str) -> anyhow::Result<()> {
    let (later, text) = match text.strip_prefix('~') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let bytes = unescaped(text.strip_prefix(' ').unwrap_or(text))?;
    match pieces.last_mut() {
        Some(last) if !later => last.extend(bytes),
        _ => pieces.push(bytes),
    }
    Ok(())
}

fn unescaped(text: &str) -> anyhow::Result<Vec<u8>> {
    let (text, crlf) = match text.strip_suffix('$') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.extend(before.as_bytes());
        let mut chars = escape.chars();
        chars.next();
        match chars.next().context("an escape")? {
            'r' => out.push(b'\r'),
            'n' => out.push(b'\n'),
            't' => out.push(b'\t'),
            's' => out.push(b' '),
            '\\' => out.push(b'\\'),
            'x' => {
                let digits = escape.get(2..4).context("two digits")?;
                out.push(u8::from_str_radix(digits, 16)?);
                chars.nth(1);
            }
            '*' => {
                let (times, behind) = chars.as_str().split_once('{').context("{")?;
                let (text, behind) = behind.split_once('}').context("}")?;
                out.extend(unescaped(text)?.repeat(times.parse()?));
                chars = behind.chars();
            }
            other => bail!("no escape {other}"),
        }
        rest = chars.as_str();
    }
    out.extend(rest.as_bytes());
    if crlf {
        out.extend(b"\r\n");
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::{all, identity, unescaped};

    #[test]
    fn escapes_become_bytes() {
        let check = |text, bytes: &[u8]| assert_eq!(unescaped(text).unwrap(), bytes, "{text}");
        check("GET /$", b"GET /\r\n");
        check(r"a\r\n\t\s\\\x00\xffb", b"a\r\n\t \\\0\xffb");
        check(r"\*3{ab}c", b"abababc");
        check(r"\*2{a\r\n}$", b"a\r\na\r\n\r\n");
        assert!(unescaped(r"\q").is_err());
    }

    #[test]
    fn the_set_is_large_and_well_formed() {
        assert!(all().unwrap().len() >= 150, "{}", all().unwrap().len());
        assert!(!identity().unwrap().is_empty());
    }
}
