//! Reads the canonical form strictly: accepts exactly the bytes that RFC 8785 would give again.
//!
//! Narrower than JSON on purpose: sorted unique keys, no spaces, strings of printable ASCII with
//! only `\"` and `\\` escaped, integers below 2^53, booleans; no floats, no null.
//! Written apart from the builder, so that the two check each other.

use super::frame::INTEGER_MAX;

/// Arrays and objects nest at most this deep.
const DEPTH_MAX: usize = 8;

/// Where and why bytes are not canonical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotCanonical {
    /// Byte offset inside the entry.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

/// The members of an entry, in order, each as key and raw value; ends after the first error.
#[derive(Debug)]
pub struct Members<'a>(RawMembers<'a>);

impl<'a> Members<'a> {
    /// Reads `entry`, which must be one object and nothing else.
    #[must_use]
    pub const fn new(entry: &'a [u8]) -> Self {
        Self(RawMembers::new(entry))
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<(&'a str, &'a [u8]), NotCanonical>;

    fn next(&mut self) -> Option<Self::Item> {
        // A key is printable ASCII by then.
        let text = |(key, raw)| (std::str::from_utf8(key).unwrap_or_default(), raw);
        self.0.next().map(|member| member.map(text))
    }
}

/// Key and raw value.
type RawMember<'a> = (&'a [u8], &'a [u8]);

/// The same with keys as bytes: for who reads every line and few of its members.
#[derive(Debug)]
pub(super) struct RawMembers<'a> {
    bytes: &'a [u8],
    at: usize,
    last_key: &'a [u8],
    done: bool,
}

impl<'a> RawMembers<'a> {
    pub(super) const fn new(entry: &'a [u8]) -> Self {
        Self {
            bytes: entry,
            at: 0,
            last_key: b"",
            done: false,
        }
    }

    fn step(&mut self) -> Result<Option<RawMember<'a>>, NotCanonical> {
        let first = self.at == 0;
        if first {
            self.at = expect(self.bytes, 0, b'{', "an object")?;
        }
        match self.bytes.get(self.at) {
            Some(b'}') => {
                if self.at + 1 == self.bytes.len() {
                    return Ok(None);
                }
                return Err(wrong(self.at + 1, "the end of the entry"));
            }
            Some(b',') if !first => self.at += 1,
            _ if first => {}
            _ => return Err(wrong(self.at, "a comma or the closing brace")),
        }
        let (key, value_at) = member_key(self.bytes, self.at, self.last_key)?;
        let end = value(self.bytes, value_at, 1)?;
        self.last_key = key;
        self.at = end;
        Ok(Some((
            key,
            self.bytes.get(value_at..end).unwrap_or_default(),
        )))
    }
}

impl<'a> Iterator for RawMembers<'a> {
    type Item = Result<RawMember<'a>, NotCanonical>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step().transpose();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

/// The number of a raw value, if it is an unsigned integer.
#[must_use]
pub fn as_uint(raw: &[u8]) -> Option<u64> {
    if raw.is_empty() {
        return None;
    }
    raw.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let tens = number.checked_mul(10).filter(|_| digit < 10)?;
        tens.checked_add(u64::from(digit))
    })
}

/// The text of a raw value, if it is a string without escapes.
#[must_use]
pub fn as_text(raw: &[u8]) -> Option<&str> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if inner.contains(&b'\\') {
        return None;
    }
    std::str::from_utf8(inner).ok()
}

/// The pairs of a raw value `[[first,last],...]`.
#[must_use]
pub fn as_pairs(raw: &[u8]) -> Option<Vec<(u64, u64)>> {
    let inner = std::str::from_utf8(raw)
        .ok()?
        .strip_prefix('[')?
        .strip_suffix(']')?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner
        .strip_prefix('[')?
        .strip_suffix(']')?
        .split("],[")
        .map(|pair| {
            let (first, last) = pair.split_once(',')?;
            Some((first.parse().ok()?, last.parse().ok()?))
        })
        .collect()
}

/// The members of a raw value that is an object of name to unsigned integer.
#[must_use]
pub fn as_counts(raw: &[u8]) -> Option<Vec<(&str, u64)>> {
    Members::new(raw)
        .map(|member| {
            member
                .ok()
                .and_then(|(key, raw)| Some((key, as_uint(raw)?)))
        })
        .collect()
}

const fn wrong(at: usize, expected: &'static str) -> NotCanonical {
    NotCanonical { at, expected }
}

fn expect(
    bytes: &[u8],
    at: usize,
    byte: u8,
    expected: &'static str,
) -> Result<usize, NotCanonical> {
    if bytes.get(at) == Some(&byte) {
        Ok(at + 1)
    } else {
        Err(wrong(at, expected))
    }
}

/// Reads `"key":` after `last`; gives the key and where its value starts.
fn member_key<'a>(
    bytes: &'a [u8],
    at: usize,
    last: &[u8],
) -> Result<(&'a [u8], usize), NotCanonical> {
    let start = expect(bytes, at, b'"', "a string")?;
    let end = plain_end(bytes, start);
    if bytes.get(end) != Some(&b'"') {
        string(bytes, at)?;
        return Err(wrong(at, "a key without escapes"));
    }
    let key = bytes.get(start..end).unwrap_or_default();
    // The empty key would sort first; it is not a name, so it is refused with the unsorted ones.
    if !follows(key, last) {
        return Err(wrong(at, "keys in ascending order, each once"));
    }
    Ok((key, expect(bytes, end + 1, b':', "a colon")?))
}

/// Whether a key sorts after the last one. They differ in their first bytes: a call to compare
/// memory costs more than looking at these.
fn follows(key: &[u8], last: &[u8]) -> bool {
    let differ = key.iter().zip(last).find(|(one, other)| one != other);
    differ.map_or(key.len() > last.len(), |(one, other)| one > other)
}

fn value(bytes: &[u8], at: usize, depth: usize) -> Result<usize, NotCanonical> {
    if depth > DEPTH_MAX {
        return Err(wrong(at, "at most 8 levels"));
    }
    match bytes.get(at) {
        Some(b'"') => string(bytes, at),
        Some(b'-' | b'0'..=b'9') => integer(bytes, at),
        Some(b'[') => list(bytes, at + 1, b']', |at| value(bytes, at, depth + 1)),
        Some(b'{') => {
            let mut last: &[u8] = b"";
            list(bytes, at + 1, b'}', |at| {
                let (key, value_at) = member_key(bytes, at, last)?;
                last = key;
                value(bytes, value_at, depth + 1)
            })
        }
        Some(b't') => literal(bytes, at, b"true"),
        Some(b'f') => literal(bytes, at, b"false"),
        _ => Err(wrong(at, "a string, integer, boolean, array or object")),
    }
}

fn literal(bytes: &[u8], at: usize, word: &[u8]) -> Result<usize, NotCanonical> {
    if bytes.get(at..).is_some_and(|rest| rest.starts_with(word)) {
        Ok(at + word.len())
    } else {
        Err(wrong(at, "true or false"))
    }
}

fn list(
    bytes: &[u8],
    mut at: usize,
    bracket: u8,
    mut item: impl FnMut(usize) -> Result<usize, NotCanonical>,
) -> Result<usize, NotCanonical> {
    if bytes.get(at) == Some(&bracket) {
        return Ok(at + 1);
    }
    loop {
        at = item(at)?;
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(byte) if *byte == bracket => return Ok(at + 1),
            _ => return Err(wrong(at, "a comma or the closing bracket")),
        }
    }
}

fn string(bytes: &[u8], at: usize) -> Result<usize, NotCanonical> {
    let mut at = expect(bytes, at, b'"', "a string")?;
    loop {
        at = plain_end(bytes, at);
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'"'), _) => return Ok(at + 1),
            (Some(b'\\'), Some(b'"' | b'\\')) => at += 2,
            (Some(b'\\'), _) => return Err(wrong(at, "no escapes but \\\" and \\\\")),
            (Some(_), _) => return Err(wrong(at, "printable ASCII")),
            (None, _) => return Err(wrong(bytes.len(), "the end of the string")),
        }
    }
}

/// The first byte from `at` on that is not printable ASCII, or is a quote or a backslash; else the
/// end. Most of a line is hex digits: looking at eight bytes at once makes the verifier a third faster.
fn plain_end(bytes: &[u8], at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The usual test for a byte below a bound. Its borrow can only raise bits above a byte that is,
    // so the lowest bit is right.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
    let equal = |word: u64, byte: u64| below(word ^ (ONES * byte), 1);
    let special = |word: u64| {
        let named = equal(word, 0x22) | equal(word, 0x5c) | equal(word, 0x7f);
        (word & HIGH) | below(word, 0x20) | named
    };
    let (words, rest) = bytes.get(at..).unwrap_or_default().as_chunks::<8>();
    for (count, word) in words.iter().enumerate() {
        let found = special(u64::from_le_bytes(*word));
        if found != 0 {
            return at + count * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let plain = |byte: &&u8| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().take_while(plain).count()
}

fn integer(bytes: &[u8], at: usize) -> Result<usize, NotCanonical> {
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let mut number = 0_u64;
    let mut end = start;
    while let Some(digit @ b'0'..=b'9') = bytes.get(end) {
        number = number * 10 + u64::from(digit - b'0');
        end += 1;
        if number > INTEGER_MAX {
            return Err(wrong(at, "an integer below 2^53"));
        }
    }
    if bytes.get(start) == Some(&b'0') && (end > start + 1 || negative) {
        return Err(wrong(at, "an integer without leading zero"));
    }
    match bytes.get(end) {
        _ if end == start => Err(wrong(at, "digits")),
        Some(b'.' | b'e' | b'E') => Err(wrong(end, "no fraction or exponent")),
        _ => Ok(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(entry: &str) -> bool {
        Members::new(entry.as_bytes()).all(|member| member.is_ok())
    }

    #[test]
    fn accepts_only_the_canonical_form() {
        for (entry, expected) in [
            (r#"{}"#, true),
            (r#"{"a":1}"#, true),
            (r#"{"a":-1,"b":[1,"x",{"c":true}],"d":{}}"#, true),
            (r#"{"a":9007199254740991}"#, true),
            (r#"{"a":9007199254740992}"#, false),
            (r#"{"a":99999999999999999999999999}"#, false),
            (r#"{"b":1,"a":1}"#, false),
            (r#"{"a":1,"a":1}"#, false),
            (r#"{"":1}"#, false),
            (r#"{ "a":1}"#, false),
            (r#"{"a": 1}"#, false),
            (r#"{"a":1,}"#, false),
            (r#"{,"a":1}"#, false),
            (r#"{"a":1}x"#, false),
            (r#"{"a":01}"#, false),
            (r#"{"a":-0}"#, false),
            (r#"{"a":-}"#, false),
            (r#"{"a":1.0}"#, false),
            (r#"{"a":1e3}"#, false),
            (r#"{"a":null}"#, false),
            (r#"{"a":truE}"#, false),
            (r#"{"a":"\u0041"}"#, false),
            (r#"{"a":"\n"}"#, false),
            (r#"{"a":"\\x0a\""}"#, true),
            ("{\"a\":\"\x7f\"}", false),
            ("{\"a\":\"ä\"}", false),
            (r#"{"a":{"c":1,"b":1}}"#, false),
            (r#"{"a":[1,]}"#, false),
            (r#"{"a":"#, false),
            (r#"{"a":"x"#, false),
            (r#"[]"#, false),
            ("", false),
        ] {
            assert_eq!(accepts(entry), expected, "{entry}");
        }
        assert!(!accepts(&format!(
            "{{\"a\":{}1{}}}",
            "[".repeat(20),
            "]".repeat(20)
        )));
    }

    #[test]
    fn a_string_ends_where_its_bytes_do_at_every_place() {
        for len in 0..20 {
            for (byte, ends) in (0..=255_u8).flat_map(|byte| [(byte, true), (byte, false)]) {
                let mut text = vec![b'x'; len];
                text.push(byte);
                text.extend(b"0123456789ab");
                text.truncate(if ends { len + 1 } else { text.len() });
                let expected = match byte {
                    b'"' | b'\\' => len,
                    0x20..=0x7e => text.len(),
                    _ => len,
                };
                assert_eq!(plain_end(&text, 0), expected, "{byte} at {len}");
            }
        }
        assert_eq!(plain_end(b"ab", 3), 2);
    }

    #[test]
    fn raw_values_are_read_back() {
        assert_eq!(as_uint(b"12"), Some(12));
        assert_eq!(as_uint(b"-1"), None);
        assert_eq!(as_uint(b""), None);
        assert_eq!(as_uint(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(as_uint(b"18446744073709551616"), None);
        assert_eq!(as_text(b"\"ab\""), Some("ab"));
        assert_eq!(as_text(br#""a\"b""#), None);
        assert_eq!(as_pairs(b"[]"), Some(vec![]));
        assert_eq!(as_pairs(b"[[1,2],[4,4]]"), Some(vec![(1, 2), (4, 4)]));
        assert_eq!(as_pairs(b"[1]"), None);
        assert_eq!(
            as_counts(br#"{"00":1,"01":2}"#),
            Some(vec![("00", 1), ("01", 2)])
        );
    }
}
