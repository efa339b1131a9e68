//! What is left of a record that was given up: its number, its hash and that of the one before.

use sha2::{Digest, Sha256};

use super::super::frame::{FORMAT_VERSION, hex64};
use super::super::line::is_hash;
use super::super::scan::{Members, as_text, as_uint};

/// What each stub begins with; no other kind does.
const BEGIN: &[u8] = b"{\"kind\":\"stub\",";
/// `,"hash":"` + 64 digits + `"}`.
const HASH_MEMBER_BYTES: usize = 9 + 64 + 2;

/// A stub's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stub {
    pub(super) seq: u64,
    pub(super) prev: [u8; 64],
    pub(super) hash: [u8; 64],
}

impl Stub {
    /// Whether a line says that it is one.
    pub(super) fn is_meant(line: &[u8]) -> bool {
        line.starts_with(BEGIN)
    }

    /// Reads a line, given without its newline; only the exact form is one.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let split = line.len().checked_sub(HASH_MEMBER_BYTES)?;
        let (body, tail) = line.split_at_checked(split)?;
        let hash = tail.strip_prefix(b",\"hash\":\"")?.strip_suffix(b"\"}")?;
        let hash = Some(hash).filter(|hash| std::str::from_utf8(hash).is_ok_and(is_hash))?;
        let entry = [body, b"}"].concat();
        let (mut seq, mut prev) = (None, None);
        for member in Members::new(&entry) {
            match member.ok()? {
                ("seq", raw) => seq = as_uint(raw),
                ("prev", raw) => prev = as_text(raw).filter(|text| is_hash(text)),
                _ => {}
            }
        }
        let stub = Self {
            seq: seq?,
            prev: prev?.as_bytes().try_into().ok()?,
            hash: hash.try_into().ok()?,
        };
        let mut exact = Vec::new();
        stub.write(&mut exact);
        (exact.strip_suffix(b"\n") == Some(line)).then_some(stub)
    }

    /// Appends the line, its newline included.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(BEGIN);
        out.extend_from_slice(b"\"prev\":\"");
        out.extend_from_slice(&self.prev);
        let rest = format!("\",\"seq\":{},\"v\":{FORMAT_VERSION},\"hash\":\"", self.seq);
        out.extend_from_slice(rest.as_bytes());
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(b"\"}\n");
    }
}

/// All stubs of a segment in one value: how many, and the SHA-256 over their numbers, decimal, each
/// followed by a newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StubSet {
    pub(super) count: u64,
    pub(super) sha256: [u8; 64],
}

/// Takes the numbers in, ascending.
#[derive(Debug, Clone, Default)]
pub(super) struct StubCounter {
    count: u64,
    hash: Sha256,
}

impl StubCounter {
    pub(super) fn push(&mut self, seq: u64) {
        self.count += 1;
        self.hash.update(format!("{seq}\n"));
    }

    pub(super) fn finish(self) -> StubSet {
        StubSet {
            count: self.count,
            sha256: hex64(&self.hash.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_is_a_stub() {
        let stub = Stub {
            seq: 42,
            prev: [b'a'; 64],
            hash: [b'b'; 64],
        };
        let mut line = Vec::new();
        stub.write(&mut line);
        let text = String::from_utf8(line).unwrap();
        let text = text.trim_end();
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(
            text,
            format!(r#"{{"kind":"stub","prev":"{a}","seq":42,"v":1,"hash":"{b}"}}"#)
        );
        assert_eq!(Stub::parse(text.as_bytes()), Some(stub));
        for broken in [
            text.replace(":42", ":042"),
            text.replace("\"v\":1", "\"v\":2"),
            text.replace("\"v\":1", "\"v\":1,\"x\":1"),
            text.replace(&b, &"B".repeat(64)),
            text.replace(&a, &"a".repeat(63)),
            text.replace(r#""seq":42,"#, ""),
            String::new(),
        ] {
            assert_eq!(Stub::parse(broken.as_bytes()), None, "{broken}");
        }
    }

    #[test]
    fn the_set_is_what_sha256sum_says() {
        let mut counter = StubCounter::default();
        [3, 4, 10].into_iter().for_each(|seq| counter.push(seq));
        let set = counter.finish();
        // printf '3\n4\n10\n' | sha256sum
        let expected = "c0b8cb57f3eaf3cb9b5a071b03fcb5c59b1f191b4c6653a9d97c57d1e5910066";
        assert_eq!(set.count, 3);
        assert_eq!(std::str::from_utf8(&set.sha256), Ok(expected));
    }
}
