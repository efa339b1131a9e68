//! Reads messages of either side as they are, spelling and order of fields included.
//!
//! It forgives what a comparison can print, and says what is malformed. Not here: whether a
//! message should have passed; two gateways are compared, neither is judged.

/// Name and value of a field, as they came.
pub(super) type Field = (Vec<u8>, Vec<u8>);

/// The head of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Request line or status line.
    pub(super) start: Vec<u8>,
    /// In their order.
    pub(super) fields: Vec<Field>,
    /// Bytes, the empty line included.
    pub(super) len: usize,
    /// What no message may hold.
    pub(super) fault: Option<&'static str>,
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes.
    Length(usize),
    /// In chunks.
    Chunked,
    /// Until the connection ends.
    Close,
}

/// What a body is read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// Bytes are missing; what there is so far.
    Part(Vec<u8>),
    /// Whole: its content, the trailers as they came, and the bytes that it took.
    Whole(Vec<u8>, Vec<u8>, usize),
    /// No body that can be read.
    Broken(&'static str),
}

/// The head at the front; `None` while it is not whole.
pub(super) fn head(bytes: &[u8]) -> Option<Head> {
    let end = find(bytes, b"\r\n\r\n")?;
    let text = bytes.get(..end)?;
    let mut lines = split_lines(text);
    let start = lines.next().unwrap_or_default().to_vec();
    let mut fault = text
        .iter()
        .enumerate()
        .any(|(at, byte)| is_stray(text, at, *byte))
        .then_some("control bytes or a bare line end in the head");
    let mut fields = Vec::new();
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            fault = fault.or(Some("a field without colon"));
            fields.push((line.to_vec(), Vec::new()));
            continue;
        };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default();
        fields.push((name.to_vec(), value.trim_ascii().to_vec()));
    }
    Some(Head {
        start,
        fields,
        len: end + 4,
        fault,
    })
}

fn is_stray(text: &[u8], at: usize, byte: u8) -> bool {
    match byte {
        b'\n' => at == 0 || text.get(at - 1) != Some(&b'\r'),
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        b'\t' | b' '..=b'~' | 0x80.. => false,
        _ => true,
    }
}

fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match find(bytes, b"\r\n") {
            Some(end) => {
                rest = bytes.get(end + 2..);
                bytes.get(..end)
            }
            None => rest.take(),
        }
    })
}

/// Where `what` begins for the first time.
pub(super) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

impl Head {
    /// The values of a field, whatever the case of its name.
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let of = move |(key, _): &&Field| key.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(of).map(|(_, v)| v.as_slice())
    }

    /// Of a status line; 0 where it has none.
    pub(super) fn status(&self) -> u16 {
        let code = self.start.get(9..12).unwrap_or_default();
        let code = std::str::from_utf8(code).ok();
        code.and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// How the body of a request ends.
    pub(super) fn request_framing(&self) -> Framing {
        self.declared().unwrap_or(Framing::None)
    }

    /// How the body of an answer ends.
    pub(super) fn answer_framing(&self, to_head: bool) -> Framing {
        let status = self.status();
        if to_head || status < 200 || matches!(status, 204 | 304) {
            return Framing::None;
        }
        self.declared().unwrap_or(Framing::Close)
    }

    fn declared(&self) -> Option<Framing> {
        if self.values("transfer-encoding").next().is_some() {
            return Some(Framing::Chunked);
        }
        let length = self.values("content-length").next()?;
        let length = std::str::from_utf8(length).ok()?.parse().ok()?;
        Some(Framing::Length(length))
    }
}

/// Reads a body; `ended` says that nothing follows these bytes.
pub(super) fn body(bytes: &[u8], framing: Framing, ended: bool) -> Body {
    match framing {
        Framing::None => Body::Whole(Vec::new(), Vec::new(), 0),
        Framing::Length(length) => match bytes.get(..length) {
            Some(body) => Body::Whole(body.to_vec(), Vec::new(), length),
            None => Body::Part(bytes.to_vec()),
        },
        Framing::Close if ended => Body::Whole(bytes.to_vec(), Vec::new(), bytes.len()),
        Framing::Close => Body::Part(bytes.to_vec()),
        Framing::Chunked => chunks(bytes),
    }
}

fn chunks(bytes: &[u8]) -> Body {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = find(rest, b"\r\n") else {
            return Body::Part(content);
        };
        let digits = rest
            .get(..end)
            .and_then(|line| line.split(|b| *b == b';').next());
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(size) = digits.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok())
        else {
            return Body::Broken("chunk size");
        };
        at += end + 2;
        if size == 0 {
            return trailers(bytes, at, content);
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(data) = rest.get(..size) else {
            content.extend(rest);
            return Body::Part(content);
        };
        content.extend(data);
        match rest.get(size..size + 2) {
            None => return Body::Part(content),
            Some(b"\r\n") => at += size + 2,
            Some(_) => return Body::Broken("end of a chunk"),
        }
    }
}

fn trailers(bytes: &[u8], at: usize, content: Vec<u8>) -> Body {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.starts_with(b"\r\n") {
        return Body::Whole(content, Vec::new(), at + 2);
    }
    match find(rest, b"\r\n\r\n") {
        Some(end) => {
            let lines = rest.get(..end).unwrap_or_default().to_vec();
            Body::Whole(content, lines, at + end + 4)
        }
        None => Body::Part(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_spelling_and_order() {
        let read = head(b"GET / HTTP/1.1\r\nhOst:  a \r\nB: \xff\r\n\r\nrest").unwrap();
        assert_eq!(read.start, b"GET / HTTP/1.1");
        assert_eq!(read.fields[0], (b"hOst".to_vec(), b"a".to_vec()));
        assert_eq!(read.fields[1], (b"B".to_vec(), b"\xff".to_vec()));
        assert_eq!((read.len, read.fault), (35, None));
        assert!(head(b"GET / HTTP/1.1\r\nHost: a\r\n").is_none());
        assert!(
            head(b"GET / HTTP/1.1\nHost: a\r\n\r\n")
                .unwrap()
                .fault
                .is_some()
        );
        assert!(
            head(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
                .unwrap()
                .fault
                .is_some()
        );
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        let check = |bytes: &[u8], framing, ended, expected| {
            assert_eq!(
                body(bytes, framing, ended),
                expected,
                "{}",
                bytes.escape_ascii()
            );
        };
        let whole = |content: &[u8], trailers: &[u8], len| {
            Body::Whole(content.to_vec(), trailers.to_vec(), len)
        };
        check(b"abc", Framing::Length(2), false, whole(b"ab", b"", 2));
        check(b"a", Framing::Length(2), true, Body::Part(b"a".to_vec()));
        check(b"abc", Framing::Close, true, whole(b"abc", b"", 3));
        check(b"abc", Framing::Close, false, Body::Part(b"abc".to_vec()));
        check(
            b"1;x\r\na\r\n0\r\n\r\nzz",
            Framing::Chunked,
            false,
            whole(b"a", b"", 13),
        );
        check(
            b"0\r\nT: 1\r\n\r\n",
            Framing::Chunked,
            false,
            whole(b"", b"T: 1", 11),
        );
        check(
            b"1\r\nab",
            Framing::Chunked,
            false,
            Body::Part(b"a".to_vec()),
        );
        check(
            b"z\r\n",
            Framing::Chunked,
            false,
            Body::Broken("chunk size"),
        );
        check(
            b"1\r\nabc",
            Framing::Chunked,
            false,
            Body::Broken("end of a chunk"),
        );
    }

    #[test]
    fn what_has_no_body_has_none() {
        let check = |start: &str, to_head, expected| {
            let read = head(format!("{start}\r\nContent-Length: 5\r\n\r\n").as_bytes()).unwrap();
            assert_eq!(read.answer_framing(to_head), expected, "{start}");
        };
        check("HTTP/1.1 200 OK", false, Framing::Length(5));
        check("HTTP/1.1 200 OK", true, Framing::None);
        check("HTTP/1.1 204 No", false, Framing::None);
        check("HTTP/1.1 304 No", false, Framing::None);
        check("HTTP/1.1 103 Hints", false, Framing::None);
    }
}
