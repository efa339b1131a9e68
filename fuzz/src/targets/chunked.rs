//! Chunked bodies: the scanner finds the same end whatever pieces the bytes come in, and where a
//! reader written apart finds it.

use tidegate::gateway::fuzzing;

/// The first byte says how long the pieces are.
pub fn run(bytes: &[u8]) {
    let Some((piece, body)) = bytes.split_first() else {
        return;
    };
    let whole = fuzzing::chunked([body]);
    let pieces = fuzzing::chunked(body.chunks(usize::from(piece % 16) + 1));
    // What a refusal has let pass before it is not the same: in pieces, more of them are past.
    let ended = |read: fuzzing::Chunks| (!read.malformed).then_some((read.passed, read.done));
    assert_eq!(ended(whole), ended(pieces), "{body:?}");
    assert_eq!(whole.malformed, pieces.malformed, "{body:?}");
    if whole.done {
        assert_eq!(end_of(body), Some(whole.passed), "{body:?}");
    } else if !whole.malformed {
        assert_eq!(whole.passed, body.len(), "bytes held back before the end");
        assert_eq!(end_of(body), None, "{body:?}");
    }
}

/// Where a chunked body ends, line by line; `None` where it does not end, or is malformed.
fn end_of(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = line_at(body, at)?;
        let text = std::str::from_utf8(line.split(|byte| *byte == b';').next()?).ok()?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(digits.then_some(text)?, 16).ok()?;
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        at = at.checked_add(size)?;
        (body.get(at..at.checked_add(2)?)? == b"\r\n").then_some(())?;
        at += 2;
    }
    loop {
        let line = line_at(body, at)?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some(at);
        }
    }
}

fn line_at(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    rest.get(..end)
}
