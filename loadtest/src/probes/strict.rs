//! Reads messages as RFC 9112 writes them, and forgives nothing.
//!
//! It says of each message whether it is malformed: one of these that a proxy has sent on is a
//! fault of the proxy, however many servers would understand it.

type Field = (String, Vec<u8>);
/// What a message is read as: `None` while it is not complete.
pub(super) type Reading<T> = Result<Option<T>, &'static str>;

/// A whole request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) len: usize,
    pub(super) method: String,
    pub(super) target: Vec<u8>,
    pub(super) fields: Vec<Field>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) len: usize,
    pub(super) status: u16,
    pub(super) fields: Vec<Field>,
    pub(super) body: Vec<u8>,
}

/// Reads the request at the front of `bytes`.
pub(super) fn request(bytes: &[u8]) -> Reading<Request> {
    let Some((line, fields, len)) = head(bytes)? else {
        return Ok(None);
    };
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("request line");
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err("method");
    }
    if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
        return Err("version");
    }
    check_target(method, target)?;
    check_host(version, target, &fields)?;
    let body = match framing(&fields)? {
        Framing::Length(length) => length_of(bytes, len, length),
        Framing::Chunked if version == b"HTTP/1.0" => return Err("chunked in HTTP/1.0"),
        Framing::Chunked => chunks(bytes.get(len..).unwrap_or_default())?.map(|(n, _)| n),
        Framing::None => Some(0),
    };
    Ok(body.map(|body| Request {
        len: len + body,
        method: String::from_utf8_lossy(method).into_owned(),
        target: target.to_vec(),
        fields,
    }))
}

fn check_target(method: &[u8], target: &[u8]) -> Result<(), &'static str> {
    let legal =
        |byte: &u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'"' | b'<' | b'>');
    if !target.iter().all(legal) {
        return Err("bytes of the target");
    }
    match target.first() {
        Some(b'/') => Ok(()),
        Some(b'*') if target.len() == 1 && method == b"OPTIONS" => Ok(()),
        Some(_) if target.starts_with(b"http://") => Ok(()),
        _ => Err("form of the target"),
    }
}

fn check_host(version: &[u8], target: &[u8], fields: &[Field]) -> Result<(), &'static str> {
    let mut hosts = fields.iter().filter(|(name, _)| name == "host");
    let host = hosts.next().map(|(_, value)| value.as_slice());
    if hosts.next().is_some() {
        return Err("two Host fields");
    }
    let Some(host) = host else {
        return match version {
            b"HTTP/1.0" => Ok(()),
            _ => Err("no Host"),
        };
    };
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]!$&'()*+;=%".contains(byte);
    if host.is_empty() || !host.iter().all(legal) {
        return Err("Host");
    }
    if let Some(rest) = target.strip_prefix(b"http://") {
        let end = rest.iter().position(|byte| b"/?".contains(byte));
        let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if !authority.eq_ignore_ascii_case(host) {
            return Err("Host and target disagree");
        }
    }
    Ok(())
}

/// Reads the answer at the front of `bytes`; `ended` says that nothing follows them.
pub(super) fn response(bytes: &[u8], ended: bool, to_head: bool) -> Reading<Response> {
    let Some((line, fields, len)) = head(bytes)? else {
        return Ok(None);
    };
    let legal = line.len() >= 13 && line.starts_with(b"HTTP/1.") && line.get(12) == Some(&b' ');
    let code = line
        .get(9..12)
        .and_then(|code| std::str::from_utf8(code).ok());
    let status: u16 = match code.and_then(|code| code.parse().ok()) {
        Some(status) if legal && (100..1000).contains(&status) => status,
        _ => return Err("status line"),
    };
    let framing = framing(&fields)?;
    let rest = bytes.get(len..).unwrap_or_default();
    let bare = status < 200 || status == 204;
    if bare && !matches!(framing, Framing::None) {
        return Err("framing of an answer that has no body");
    }
    let body = if bare || status == 304 || to_head {
        Some((0, Vec::new()))
    } else {
        match framing {
            Framing::Length(length) => {
                let length = length_of(bytes, len, length);
                length.map(|n| (n, rest.get(..n).unwrap_or_default().to_vec()))
            }
            Framing::Chunked => chunks(rest)?,
            Framing::None => ended.then(|| (rest.len(), rest.to_vec())),
        }
    };
    Ok(body.map(|(body_len, body)| Response {
        len: len + body_len,
        status,
        fields,
        body,
    }))
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    Length(u64),
    Chunked,
    None,
}

fn framing(fields: &[Field]) -> Result<Framing, &'static str> {
    let of = |wanted: &str| -> Vec<&[u8]> {
        let values = fields.iter().filter(|(name, _)| name == wanted);
        values.map(|(_, value)| value.as_slice()).collect()
    };
    match (
        of("content-length").as_slice(),
        of("transfer-encoding").as_slice(),
    ) {
        ([], []) => Ok(Framing::None),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        ([], _) => Err("Transfer-Encoding"),
        ([digits], []) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let number = std::str::from_utf8(digits)
                .ok()
                .and_then(|n| n.parse().ok());
            number.map(Framing::Length).ok_or("Content-Length")
        }
        (_, []) => Err("Content-Length"),
        _ => Err("Content-Length and Transfer-Encoding"),
    }
}

fn length_of(bytes: &[u8], head: usize, length: u64) -> Option<usize> {
    let length = usize::try_from(length).ok()?;
    (bytes.len().checked_sub(head)? >= length).then_some(length)
}

/// First line, fields in lower case, and the length of the whole.
type Head<'a> = (&'a [u8], Vec<Field>, usize);

fn head(bytes: &[u8]) -> Reading<Head<'_>> {
    let Some((lines, len)) = lines(bytes)? else {
        return Ok(None);
    };
    let Some((first, rest)) = lines.split_first() else {
        return Err("an empty line before the message");
    };
    let fields = rest.iter().map(|line| field(line));
    Ok(Some((first, fields.collect::<Result<_, _>>()?, len)))
}

/// Lines up to the empty one, and the length with it.
fn lines(bytes: &[u8]) -> Reading<(Vec<&[u8]>, usize)> {
    let mut lines = Vec::new();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        match byte {
            b'\n' if at == 0 || bytes.get(at - 1) != Some(&b'\r') => return Err("bare LF"),
            b'\r' if next.is_some_and(|next| *next != b'\n') => return Err("bare CR"),
            b'\n' => {
                let line = bytes.get(start..at - 1).unwrap_or_default();
                start = at + 1;
                if line.is_empty() {
                    return Ok(Some((lines, start)));
                }
                lines.push(line);
            }
            b'\r' | b'\t' | b' '..=b'~' | 0x80.. => {}
            _ => return Err("control bytes"),
        }
    }
    Ok(None)
}

fn field(line: &[u8]) -> Result<Field, &'static str> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or("a field without colon")?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err("name of a field");
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    Ok((name, value.to_vec()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Length and content of a chunked body.
fn chunks(bytes: &[u8]) -> Reading<(usize, Vec<u8>)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line = rest.get(..end).unwrap_or_default();
        let line = line
            .strip_suffix(b"\r")
            .ok_or("bare LF behind a chunk size")?;
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err("chunk size");
        }
        if !line.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err("chunk extension");
        }
        let size = std::str::from_utf8(digits).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or("chunk size")?;
        at += end + 1;
        if size == 0 {
            return trailers(bytes, at).map(|end| end.map(|end| (end, body)));
        }
        let Some(data) = bytes.get(at..at + size) else {
            return Ok(None);
        };
        body.extend(data);
        at += size;
        match bytes.get(at..).unwrap_or_default() {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => at += 2,
            _ => return Err("end of a chunk"),
        }
    }
}

/// The end of the trailer section.
fn trailers(bytes: &[u8], at: usize) -> Reading<usize> {
    let Some((lines, len)) = lines(bytes.get(at..).unwrap_or_default())? else {
        return Ok(None);
    };
    for line in lines {
        let (name, _) = field(line)?;
        if matches!(
            name.as_str(),
            "content-length" | "transfer-encoding" | "host"
        ) {
            return Err("a trailer that frames");
        }
    }
    Ok(Some(at + len))
}

#[cfg(test)]
mod tests {
    use super::{request, response};

    #[test]
    fn a_request_is_read_or_broken() {
        let check = |bytes: &str, expected| {
            let got = request(bytes.as_bytes()).map(|read| read.map(|read| read.len));
            assert_eq!(got, expected, "{bytes:?}");
        };
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET", Ok(Some(27)));
        check("GET / HTTP/1.1\r\nHost: a\r\n", Ok(None));
        check("GET / HTTP/1.1\nHost: a\r\n\r\n", Err("bare LF"));
        check("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Err("request line"));
        check("GET / HTTP/1.1\r\n\r\n", Err("no Host"));
        check(
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
            Err("Content-Length"),
        );
        let chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(&format!("{chunked}1\r\nx\r\n0\r\n\r\n"), Ok(Some(66)));
        check(
            &format!("{chunked}1\nx\r\n0\r\n\r\n"),
            Err("bare LF behind a chunk size"),
        );
        check(
            &format!("{chunked}0\r\nHost: b\r\n\r\n"),
            Err("a trailer that frames"),
        );
    }

    #[test]
    fn an_answer_is_read_or_broken() {
        let check = |bytes: &str, ended, expected| {
            let got = response(bytes.as_bytes(), ended, false);
            assert_eq!(
                got.map(|read| read.map(|read| read.len)),
                expected,
                "{bytes:?}"
            );
        };
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
            false,
            Ok(Some(39)),
        );
        check("HTTP/1.1 200 OK\r\n\r\nxy", false, Ok(None));
        check("HTTP/1.1 200 OK\r\n\r\nxy", true, Ok(Some(21)));
        check(
            "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
            true,
            Err("framing of an answer that has no body"),
        );
        check("HTTP/1.1 2000 OK\r\n\r\n", true, Err("status line"));
    }
}
