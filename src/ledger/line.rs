//! Takes a line apart again: entry, hash, members of the frame. The reading half of the format.

use super::frame::{FORMAT_VERSION, KINDS, entry_hash, hex64};
use super::scan::{Members, NotCanonical, RawMembers, as_text, as_uint};

/// What stands between the entry's last member and the line's end.
const HASH_KEY: &[u8] = b",\"hash\":\"";
/// `,"hash":"` + 64 digits + `"}`.
const HASH_MEMBER_BYTES: usize = HASH_KEY.len() + 64 + 2;
/// How the entry of a stub begins, and how many members it has: `kind`, `prev`, `seq`, `v`.
const STUB_BEGINS: &[u8] = b"{\"kind\":\"stub\",";
const STUB_MEMBERS: usize = 4;

/// Why a line is not a record; each is a rule of the format with its own name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineFault {
    /// `hash` is not the last member.
    HashMember,
    /// The bytes do not hash to the value that the line carries.
    SelfHash {
        /// The hash that the bytes give.
        computed: String,
        /// The hash that the line carries.
        carried: String,
    },
    /// The entry is not in canonical form.
    Canonical(NotCanonical),
    /// A member of the frame is missing or has the wrong type or value.
    Frame(&'static str),
}

impl LineFault {
    /// The rule in words.
    #[must_use]
    pub fn rule(&self) -> String {
        match self {
            Self::HashMember => "the last member of a line is hash, 64 hex digits".to_owned(),
            Self::SelfHash { .. } => "hash is SHA-256 of a zero byte and the entry".to_owned(),
            Self::Canonical(fault) => format!(
                "an entry is canonical JSON: at its byte {} expected {}",
                fault.at, fault.expected
            ),
            Self::Frame(member) => format!("the frame member {member} is missing or not valid"),
        }
    }
}

/// A line whose self hash, canonical form and frame were checked.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The number of the line.
    pub seq: u64,
    /// The hash of the line before, 64 hex digits.
    pub prev: &'a str,
    /// The hash of this line, 64 hex digits.
    pub hash: [u8; 64],
    /// The same as bytes: the record's leaf in the tree.
    pub(super) leaf: [u8; 32],
    /// One of [`KINDS`].
    pub kind: &'a str,
    /// Member `decision_id`, `n` and `worker` where they are there: picked up on the way, because
    /// the accounts need them of almost every line.
    pub(super) numbered: (Option<&'a str>, Option<u64>, Option<u64>),
    /// Member `policy_hash` where it is there, for the same reason; empty if it is not plain text.
    pub(super) policy_hash: Option<&'a str>,
    /// The canonical bytes that are hashed.
    entry: &'a [u8],
    /// The line itself, newline excluded.
    line_len: usize,
}

impl<'a> Record<'a> {
    /// Reads and checks one line, given without its newline. `entry_buffer` is scratch space.
    ///
    /// # Errors
    /// The first rule that the line breaks.
    pub fn check(line: &[u8], entry_buffer: &'a mut Vec<u8>) -> Result<Self, LineFault> {
        let split = line
            .len()
            .checked_sub(HASH_MEMBER_BYTES)
            .ok_or(LineFault::HashMember)?;
        let (body, tail) = line.split_at(split);
        let carried = tail
            .strip_prefix(HASH_KEY)
            .and_then(|rest| rest.strip_suffix(b"\"}"))
            .and_then(|digits| <&[u8; 64]>::try_from(digits).ok())
            .ok_or(LineFault::HashMember)?;
        entry_buffer.clear();
        entry_buffer.extend_from_slice(body);
        entry_buffer.push(b'}');
        let leaf = entry_hash(entry_buffer);
        let computed = hex64(&leaf);
        if computed != *carried {
            if let Some(leaf) = stub_leaf(entry_buffer, carried) {
                return Self::frame(entry_buffer, *carried, leaf, line.len());
            }
            return Err(LineFault::SelfHash {
                computed: String::from_utf8_lossy(&computed).into_owned(),
                carried: String::from_utf8_lossy(carried).into_owned(),
            });
        }
        Self::frame(entry_buffer, computed, leaf, line.len())
    }

    fn frame(
        entry: &'a [u8],
        hash: [u8; 64],
        leaf: [u8; 32],
        line_len: usize,
    ) -> Result<Self, LineFault> {
        let (mut seq, mut prev, mut kind, mut version) = (None, None, None, None);
        let mut numbered = (None, None, None);
        let mut policy_hash = None;
        let mut members = 0;
        for member in RawMembers::new(entry) {
            let (key, raw) = member.map_err(LineFault::Canonical)?;
            members += 1;
            match key {
                b"seq" => seq = as_uint(raw),
                b"prev" => prev = as_text(raw).filter(|text| is_hash(text)),
                b"kind" => kind = as_text(raw).filter(|kind| KINDS.contains(kind)),
                b"v" => version = as_uint(raw).filter(|v| *v == FORMAT_VERSION),
                b"decision_id" => numbered.0 = as_text(raw),
                b"n" => numbered.1 = as_uint(raw),
                b"policy_hash" => policy_hash = Some(as_text(raw).unwrap_or_default()),
                b"worker" => numbered.2 = as_uint(raw),
                _ => {}
            }
        }
        version.ok_or(LineFault::Frame("v"))?;
        if kind == Some("stub") && members != STUB_MEMBERS {
            return Err(LineFault::Frame("kind"));
        }
        Ok(Self {
            seq: seq.ok_or(LineFault::Frame("seq"))?,
            prev: prev.ok_or(LineFault::Frame("prev"))?,
            kind: kind.ok_or(LineFault::Frame("kind"))?,
            hash,
            leaf,
            numbered,
            policy_hash,
            entry,
            line_len,
        })
    }

    /// The members of the entry, the frame's among them, in order.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        Members::new(self.entry).filter_map(Result::ok)
    }

    /// The raw value of one member.
    #[must_use]
    pub fn member(&self, key: &str) -> Option<&'a [u8]> {
        self.members()
            .find_map(|(name, raw)| (name == key).then_some(raw))
    }

    /// An unsigned member.
    #[must_use]
    pub fn uint(&self, key: &str) -> Option<u64> {
        as_uint(self.member(key)?)
    }

    /// A string member without escapes.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&'a str> {
        as_text(self.member(key)?)
    }

    /// The canonical bytes that are hashed.
    #[must_use]
    pub const fn entry(&self) -> &'a [u8] {
        self.entry
    }

    /// Bytes of the line, newline excluded.
    #[must_use]
    pub const fn line_len(&self) -> usize {
        self.line_len
    }
}

/// The leaf that a stub keeps: the only entry whose hash is not its own.
fn stub_leaf(entry: &[u8], carried: &[u8; 64]) -> Option<[u8; 32]> {
    let mut leaf = [0; 32];
    let kept = entry.starts_with(STUB_BEGINS) && is_hash(std::str::from_utf8(carried).ok()?);
    hex::decode_to_slice(carried, &mut leaf).ok()?;
    kept.then_some(leaf)
}

/// The leaf that a line carries, unchecked.
pub(super) fn carried_leaf(line: &[u8]) -> Option<([u8; 64], [u8; 32])> {
    let split = line.len().checked_sub(HASH_MEMBER_BYTES)?;
    let digits = line
        .get(split..)?
        .strip_prefix(HASH_KEY)?
        .strip_suffix(b"\"}")?;
    let carried = <[u8; 64]>::try_from(digits).ok()?;
    let mut leaf = [0; 32];
    hex::decode_to_slice(carried, &mut leaf).ok()?;
    Some((carried, leaf))
}

/// 64 lower-case hex digits.
pub(super) fn is_hash(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() | (b'a'..=b'f').contains(&b);
    // All of them, without a branch at each: the compiler looks at many at once.
    text.len() == 64 && text.bytes().fold(true, |all, b| all & digit(b))
}

#[cfg(test)]
mod tests {
    use super::super::Chain;
    use super::*;

    #[test]
    fn a_written_line_reads_back() {
        let mut chain = Chain::genesis();
        let mut out = Vec::new();
        chain.append(&mut out, |e| {
            e.uint("count", 3);
            e.text("kind", "loss");
        });
        let mut scratch = Vec::new();
        let record = Record::check(out.trim_ascii_end(), &mut scratch).unwrap();
        assert_eq!((record.seq, record.kind), (0, "loss"));
        assert_eq!(record.uint("count"), Some(3));
        assert_eq!(&record.hash, chain.head());
    }

    #[test]
    fn each_broken_rule_has_its_name() {
        let mut chain = Chain::genesis();
        let mut check = |kind: &str, change: fn(String) -> String| {
            let mut out = Vec::new();
            chain.append(&mut out, |e| e.text("kind", kind));
            let line = change(String::from_utf8(out).unwrap().trim_end().to_owned());
            Record::check(line.as_bytes(), &mut Vec::new()).err()
        };
        assert_eq!(check("open", |line| line), None);
        assert_eq!(
            check("nonsense", |line| line),
            Some(LineFault::Frame("kind"))
        );
        assert_eq!(check("open", |_| "{}".into()), Some(LineFault::HashMember));
        assert!(matches!(
            check("open", |line| line.replace("open", "opeN")),
            Some(LineFault::SelfHash { .. })
        ));
    }
}
