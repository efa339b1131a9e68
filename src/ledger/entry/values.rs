//! Members of one value, and how a number and a string are written.
//!
//! Invariant: what leaves here is printable ASCII and has no integer from 2^53 on. Not here: the order
//! of members.

use super::super::digits::{Decimal, hex16, is_plain, is_plain_text};
use super::super::frame::INTEGER_MAX;
use super::{EntryBuilder, Key};

impl EntryBuilder<'_> {
    /// A string member. Bytes outside printable ASCII, and the backslash itself, become the four
    /// visible characters `\xNN`, so that the captured text is unambiguous.
    #[inline(always)]
    pub fn text(&mut self, key: impl Into<Key>, value: &str) {
        let key = key.into();
        self.note_kind(&key, value);
        self.bytes(key, value.as_bytes());
    }

    /// Like [`Self::text`], for bytes that need not be UTF-8.
    #[inline(always)]
    pub fn bytes(&mut self, key: impl Into<Key>, value: &[u8]) {
        self.key_of_text(&key.into());
        self.string(value);
    }

    /// A string member out of a closed set of ours: printable, and nothing in it to be escaped.
    #[inline(always)]
    pub fn word(&mut self, key: impl Into<Key>, value: &'static str) {
        debug_assert!(is_plain_text(value.as_bytes()), "{value}");
        let key = key.into();
        self.note_kind(&key, value);
        self.plain(key, value.as_bytes());
    }

    /// A string member of digits and letters that were just made.
    #[inline(always)]
    pub fn plain(&mut self, key: impl Into<Key>, value: &[u8]) {
        debug_assert!(is_plain_text(value));
        self.key_of_text(&key.into());
        self.out.extend_from_slice(value);
        self.out.push(b'"');
    }

    #[inline(always)]
    fn note_kind(&mut self, key: &Key, value: &str) {
        self.decision |= key.name == "kind" && value == "decision";
    }

    /// An integer member; values from 2^53 on are written as 2^53 - 1.
    #[inline(always)]
    pub fn uint(&mut self, key: impl Into<Key>, value: u64) {
        self.key(&key.into());
        self.digits(value);
    }

    /// A signed integer member; the magnitude saturates at 2^53 - 1.
    pub fn int(&mut self, key: impl Into<Key>, value: i64) {
        self.key(&key.into());
        self.signed(value);
    }

    /// A boolean member.
    pub fn flag(&mut self, key: impl Into<Key>, value: bool) {
        self.key(&key.into());
        self.out
            .extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// Bytes as lower-case hex digits.
    #[inline(always)]
    pub fn hex(&mut self, key: impl Into<Key>, value: &[u8]) {
        self.key_of_text(&key.into());
        let (chunks, rest) = value.as_chunks::<8>();
        for chunk in chunks {
            self.out.extend_from_slice(&hex16(*chunk));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            let digits = hex16(last);
            let digits = digits.get(..2 * rest.len());
            self.out.extend_from_slice(digits.unwrap_or_default());
        }
        self.out.push(b'"');
    }

    #[inline(always)]
    pub(super) fn digits(&mut self, value: u64) {
        Decimal::of(value.min(INTEGER_MAX)).push_to(self.out);
    }

    #[inline(always)]
    fn signed(&mut self, value: i64) {
        if value < 0 {
            self.out.push(b'-');
        }
        self.digits(value.unsigned_abs());
    }

    /// The rest of a string whose first quote stands already.
    pub(super) fn string(&mut self, value: &[u8]) {
        if is_plain_text(value) {
            self.out.extend_from_slice(value);
        } else {
            self.escaped(value);
        }
        self.out.push(b'"');
    }

    #[cold]
    fn escaped(&mut self, value: &[u8]) {
        for byte in value {
            match *byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                byte if is_plain(byte) => self.out.push(byte),
                byte => self
                    .out
                    .extend_from_slice(format!("\\\\x{byte:02x}").as_bytes()),
            }
        }
    }
}
