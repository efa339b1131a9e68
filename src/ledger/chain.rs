//! Links lines: number, hash of the line before, own hash.
//!
//! Invariant: a line is complete in the buffer, newline included, before the chain moves on.

use super::entry::EntryBuilder;
use super::frame::{GENESIS_PREV, entry_hash, hex64};
use super::merkle::Hash;

/// The end of a chain: what the next line must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    next_seq: u64,
    head: [u8; 64],
}

impl Default for Chain {
    fn default() -> Self {
        Self::genesis()
    }
}

impl Chain {
    /// A chain without lines.
    #[must_use]
    pub const fn genesis() -> Self {
        Self {
            next_seq: 0,
            head: GENESIS_PREV,
        }
    }

    /// A chain that goes on after the line `next_seq - 1`, whose hash is `head`.
    #[must_use]
    pub const fn resume(next_seq: u64, head: [u8; 64]) -> Self {
        Self { next_seq, head }
    }

    /// The number of the next line.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The newest line's hash as 64 hex digits; zeros before the first line.
    #[must_use]
    pub const fn head(&self) -> &[u8; 64] {
        &self.head
    }

    /// Appends one line to `out`: the members that `members` pushes, the frame, the hash and the
    /// newline. Returns the hash, which is also the line's leaf in the Merkle tree.
    pub fn append(
        &mut self,
        out: &mut Vec<u8>,
        members: impl FnOnce(&mut EntryBuilder<'_>),
    ) -> Hash {
        let start = out.len();
        let mut entry = EntryBuilder::begin(out, self.next_seq, &self.head);
        members(&mut entry);
        entry.finish();
        let hash = entry_hash(out.get(start..).unwrap_or_default());
        self.head = hex64(&hash);
        // The entry's closing brace gives way to the last member, the hash.
        out.pop();
        out.extend_from_slice(b",\"hash\":\"");
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b"\"}\n");
        self.next_seq += 1;
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_carries_the_hash_of_the_one_before() {
        let mut chain = Chain::genesis();
        let mut out = Vec::new();
        let leaf = chain.append(&mut out, |e| e.text("kind", "open"));
        let first = std::str::from_utf8(chain.head()).unwrap().to_owned();
        assert_eq!(hex::encode(leaf), first);
        chain.append(&mut out, |e| e.text("kind", "close"));
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let zeros = "0".repeat(64);
        assert_eq!(
            lines[0],
            format!(r#"{{"kind":"open","prev":"{zeros}","seq":0,"v":1,"hash":"{first}"}}"#)
        );
        assert!(lines[1].contains(&format!(r#""prev":"{first}","seq":1"#)));
        assert_eq!(chain.next_seq(), 2);
    }
}
