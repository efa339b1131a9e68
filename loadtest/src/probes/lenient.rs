//! Counts requests in the way of servers that forgive much, each in its own direction.
//!
//! Where one of them counts more requests than the client sent, some server of that kind would
//! be smuggled past.

/// What a server forgives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taste {
    pub(super) name: &'static str,
    /// Content-Length counts before Transfer-Encoding.
    length_first: bool,
    /// The last of two Content-Length fields counts.
    last_length: bool,
    /// A line may end with LF alone.
    bare_lf: bool,
    /// `_` in a name is `-`, and spaces around a name mean nothing.
    folds_names: bool,
}

/// The servers that are asked.
pub(super) const TASTES: [Taste; 4] = [
    Taste {
        name: "prefers Content-Length",
        length_first: true,
        last_length: false,
        bare_lf: false,
        folds_names: false,
    },
    Taste {
        name: "prefers Transfer-Encoding",
        length_first: false,
        last_length: true,
        bare_lf: false,
        folds_names: false,
    },
    Taste {
        name: "takes a bare LF",
        length_first: false,
        last_length: false,
        bare_lf: true,
        folds_names: false,
    },
    Taste {
        name: "folds names",
        length_first: true,
        last_length: false,
        bare_lf: true,
        folds_names: true,
    },
];

/// The targets of the requests that a server of this taste sees.
pub(super) fn targets(mut bytes: &[u8], taste: Taste) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        while let Some((b'\r' | b'\n', rest)) = bytes.split_first() {
            bytes = rest;
        }
        let Some((head, len)) = head(bytes, taste) else {
            return seen;
        };
        let line = head.first().map(|line| line.as_str()).unwrap_or_default();
        seen.push(line.split_whitespace().nth(1).unwrap_or(line).to_owned());
        let rest = bytes.get(len..).unwrap_or_default();
        let Some(body) = body(&head, rest, taste) else {
            return seen;
        };
        bytes = rest.get(body..).unwrap_or_default();
    }
}

fn head(bytes: &[u8], taste: Taste) -> Option<(Vec<String>, usize)> {
    let mut lines: Vec<String> = Vec::new();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        let line = bytes.get(start..at)?;
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if taste.bare_lf => line,
            None => continue,
        };
        start = at + 1;
        if line.is_empty() {
            return Some((lines, start));
        }
        lines.push(String::from_utf8_lossy(line).into_owned());
    }
    None
}

/// The length of the body; none where it has not come in full.
fn body(head: &[String], bytes: &[u8], taste: Taste) -> Option<usize> {
    let mut length = None;
    let mut chunked = false;
    for line in head.iter().skip(1) {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let mut name = name.to_ascii_lowercase();
        if taste.folds_names {
            name = name.trim().replace('_', "-");
        }
        match name.as_str() {
            "content-length" if length.is_none() || taste.last_length => {
                let value = value.trim().trim_start_matches('+');
                let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
                length = digits.parse::<usize>().ok();
            }
            "transfer-encoding" => {
                chunked |= value.to_ascii_lowercase().contains("chunked");
            }
            _ => {}
        }
    }
    match (chunked, length) {
        (true, Some(length)) if taste.length_first => (bytes.len() >= length).then_some(length),
        (true, _) => chunks(bytes),
        (false, length) => {
            let length = length.unwrap_or(0);
            (bytes.len() >= length).then_some(length)
        }
    }
}

fn chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(rest.get(..end)?).into_owned();
        let line = line.trim().trim_start_matches("0x").trim_start_matches('+');
        let digits: String = line.chars().take_while(char::is_ascii_hexdigit).collect();
        let size = usize::from_str_radix(&digits, 16).unwrap_or(0);
        at += end + 1;
        if size == 0 {
            return trailers(bytes, at);
        }
        at = at.checked_add(size)?;
        let behind = bytes.get(at..)?;
        at += behind
            .iter()
            .take_while(|byte| b"\r\n".contains(byte))
            .count()
            .min(2);
    }
}

fn trailers(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        at += end + 1;
        if rest.get(..end)?.trim_ascii().is_empty() {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TASTES, targets};

    #[test]
    fn tastes_count_apart() {
        let check = |bytes: &str, expected: [usize; 4]| {
            let counts = TASTES.map(|taste| targets(bytes.as_bytes(), taste).len());
            assert_eq!(counts, expected, "{bytes:?}");
        };
        check(
            "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
            [2, 2, 2, 2],
        );
        let both = "Content-Length: 28\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nX: y\r\n\r\n";
        check(&format!("POST /a HTTP/1.1\r\n{both}"), [1, 2, 2, 1]);
        check("GET /a HTTP/1.1\n\nGET /b HTTP/1.1\n\n", [0, 0, 2, 2]);
        check(
            "PUT /a HTTP/1.1\r\nContent_Length: 20\r\n\r\nGET /b HTTP/1.1\r\n\r\nx",
            [2, 2, 2, 1],
        );
    }
}
