//! The canonical path once more, written from docs alone: first all bytes are decoded, then each
//! rule is asked of the decoded bytes. Slow and plain on purpose.

/// One byte of the path, and whether it was written as an escape.
#[derive(Clone, Copy)]
struct Byte {
    value: u8,
    escaped: bool,
}

impl Byte {
    fn is_unreserved(self) -> bool {
        self.value.is_ascii_alphanumeric() || b"-._~".contains(&self.value)
    }

    /// A slash that separates, for one reader or another.
    fn is_any_slash(self) -> bool {
        self.value == b'/'
    }
}

/// What the reference says of a path.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    /// Whether an escaped slash is in it.
    pub encoded_slash: bool,
    /// Whether two slashes stand side by side.
    pub empty_segment: bool,
}

/// The canonical form; `None` where there is none.
pub fn canonical(raw: &[u8]) -> Option<Reference> {
    let bytes = decoded(raw)?;
    if raw.iter().filter(|byte| **byte == b'/').count() > 64 {
        return None;
    }
    let plain: Vec<u8> = bytes.iter().map(|byte| byte.value).collect();
    let mut segments = bytes.split(|byte| byte.is_any_slash());
    let loose = segments.any(|segment| is_dots(segment) || is_parameters_alone(segment));
    let twice = bytes.windows(3).any(|three| {
        let [percent, a, b] = three else { return false };
        percent.value == b'%' && a.value.is_ascii_hexdigit() && b.value.is_ascii_hexdigit()
    });
    let readable = String::from_utf8(plain).is_ok();
    if loose || twice || !readable {
        return None;
    }
    Some(Reference {
        encoded_slash: bytes.iter().any(|b| b.escaped && b.value == b'/'),
        empty_segment: raw.windows(2).any(|two| two == b"//"),
        bytes: spelled(&bytes),
    })
}

/// Dots alone, for a reader that cuts off parameters, or spaces at the end, which are always escaped.
fn is_dots(segment: &[Byte]) -> bool {
    let name = segment.iter().map(|byte| byte.value);
    let mut name: Vec<u8> = name.take_while(|byte| *byte != b';').collect();
    while name.last() == Some(&b' ') {
        name.pop();
    }
    name == b"." || name == b".."
}

/// Empty for a reader that cuts off parameters.
fn is_parameters_alone(segment: &[Byte]) -> bool {
    segment.first().is_some_and(|byte| byte.value == b';')
}

fn decoded(raw: &[u8]) -> Option<Vec<Byte>> {
    if !raw.starts_with(b"/") {
        return None;
    }
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        let byte = *raw.get(at)?;
        if !(0x21..=0x7e).contains(&byte) || b"\\#?".contains(&byte) {
            return None;
        }
        if byte != b'%' {
            bytes.push(Byte {
                value: byte,
                escaped: false,
            });
            at += 1;
            continue;
        }
        let digits = std::str::from_utf8(raw.get(at + 1..at + 3)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let value = u8::from_str_radix(digits, 16).ok()?;
        if value < 0x20 || value == 0x7f || value == b'\\' {
            return None;
        }
        bytes.push(Byte {
            value,
            escaped: true,
        });
        at += 3;
    }
    Some(bytes)
}

fn spelled(bytes: &[Byte]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in bytes {
        if byte.escaped && !byte.is_unreserved() {
            text.extend(format!("%{:02X}", byte.value).bytes());
        } else {
            text.push(byte.value);
        }
    }
    text
}
