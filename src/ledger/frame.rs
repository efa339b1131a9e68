//! The frame of a line: format version, kinds, hash rule, boot id, bounds.
//!
//! Writer and verifier share exactly this much; everything else is written twice on purpose, so
//! that a mistake of the writer is not repeated by the verifier.

use std::fmt;

use super::digits::hex16;
use super::sha::tagged;

/// The `v` of every line.
pub(super) const FORMAT_VERSION: u64 = 1;
/// Integers in a record stay below this, so that every JSON reader keeps them exact.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// A longer line is damage; keeps a reader's memory bounded.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// `prev` of the genesis line.
pub const GENESIS_PREV: [u8; 64] = [b'0'; 64];
/// The kinds of record that this version writes and accepts.
pub const KINDS: [&str; 15] = [
    "bundle",
    "checkpoint",
    "close",
    "decision",
    "fault",
    "governance",
    "handover",
    "key",
    "loss",
    "open",
    "outcome",
    "prune",
    "redact",
    "rollup",
    "stub",
];

/// `SHA-256(0x00 || entry)`: id and self-check of a line, `prev` of the next, Merkle leaf.
#[must_use]
pub fn entry_hash(entry: &[u8]) -> [u8; 32] {
    tagged(0, entry)
}

/// A hash as the 64 lower-case hex digits that stand in a line.
#[must_use]
pub fn hex64(hash: &[u8; 32]) -> [u8; 64] {
    let mut text = [0_u8; 64];
    let (places, _) = text.as_chunks_mut();
    let (chunks, _) = hash.as_chunks();
    for (place, chunk) in places.iter_mut().zip(chunks) {
        *place = hex16(*chunk);
    }
    text
}

/// Names one start of the process; 8 hex digits in records and decision ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(u32);

impl BootId {
    /// A fresh id from the kernel's random numbers.
    ///
    /// # Errors
    /// When the kernel gives none (in practice: never after boot).
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 4];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u32::from_be_bytes(bytes)))
    }

    /// A given id: simulation and tests.
    #[must_use]
    pub const fn from_u32(id: u32) -> Self {
        Self(id)
    }

    /// The number behind the eight digits.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// The id of exactly eight lower-case hex digits.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 8 || !text.bytes().all(lower) {
            return None;
        }
        u32::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_eight_lower_case_digits() {
        for (text, expected) in [
            ("0000002a", Some(42)),
            ("ffffffff", Some(u32::MAX)),
            ("FFFFFFFF", None),
            ("2a", None),
            ("+000002a", None),
        ] {
            assert_eq!(
                BootId::from_text(text).map(BootId::as_u32),
                expected,
                "{text}"
            );
        }
        assert_eq!(BootId::from_u32(42).to_string(), "0000002a");
    }

    #[test]
    fn the_hash_is_that_of_the_merkle_leaf() {
        // printf '\0{}' | sha256sum
        let found = hex64(&entry_hash(b"{}"));
        assert_eq!(
            std::str::from_utf8(&found),
            Ok("28a3a18f6cd6406b086e9ffda1f9b8a13dbcf44b0f3f32cb9031a11fd053acf9")
        );
    }
}
