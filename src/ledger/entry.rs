//! Builds one canonical line in a caller's buffer: sorted members, no spaces, integers only. Here are
//! the frame of a line, and arrays and objects in it.
//!
//! Invariants: members are pushed in ascending key order (checked in debug builds); the frame's
//! own members `prev`, `seq` and `v` are put in at their sorted places; every string that leaves
//! here is printable ASCII, so RFC 8785, jq and this builder agree on its bytes.
//! Not here: members of one value (`values`), and what the members mean.

mod key;
#[cfg(test)]
mod tests;
mod values;

use super::digits::{Decimal, NumberList, is_plain_text};
use super::frame::{FORMAT_VERSION, INTEGER_MAX};
use key::FRAME;
pub use key::Key;

/// Room for a line of the usual size, made once instead of at each of its members.
const USUAL_BYTES: usize = 2_048;

/// Collects the members of one entry. Obtained from [`super::Chain::append`].
#[derive(Debug)]
pub struct EntryBuilder<'a> {
    out: &'a mut Vec<u8>,
    /// Where the entry begins in `out`.
    start: usize,
    seq: u64,
    prev: &'a [u8; 64],
    /// How many of `FRAME` are already written.
    framed: usize,
    last_key: &'static str,
    decision: bool,
}

impl<'a> EntryBuilder<'a> {
    /// Opens an entry at the end of `out`.
    pub(super) fn begin(out: &'a mut Vec<u8>, seq: u64, prev: &'a [u8; 64]) -> Self {
        out.reserve(USUAL_BYTES);
        Self {
            start: out.len(),
            out,
            seq,
            prev,
            framed: 0,
            last_key: "",
            decision: false,
        }
    }

    /// True once the entry's kind is `decision`: such a line accounts for a worker's number.
    pub(super) const fn is_decision(&self) -> bool {
        self.decision
    }

    /// The number of the record.
    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    /// Writes what is left of the frame and closes the entry: its last byte is `}`.
    pub(super) fn finish(mut self) {
        self.frame_members(FRAME.len());
        // Every member begins with a comma, and with the frame there always is a first one.
        if let Some(first) = self.out.get_mut(self.start) {
            *first = b'{';
        }
        self.out.push(b'}');
    }

    /// Writes the frame up to its member of that number.
    #[inline(never)]
    fn frame_members(&mut self, up_to: usize) {
        while self.framed < up_to {
            match self.framed {
                0 => {
                    self.out.extend_from_slice(b",\"prev\":\"");
                    self.out.extend_from_slice(self.prev);
                    self.out.push(b'"');
                }
                1 => {
                    self.out.extend_from_slice(b",\"seq\":");
                    self.digits(self.seq);
                }
                _ => {
                    self.out.extend_from_slice(b",\"v\":");
                    self.digits(FORMAT_VERSION);
                }
            }
            self.framed += 1;
        }
    }

    /// What comes before a key: its place is looked after here.
    #[inline(always)]
    fn place(&mut self, key: &Key) {
        debug_assert!(
            self.last_key < key.name && !FRAME.contains(&key.name) && key.name != "hash",
            "member {} after {}",
            key.name,
            self.last_key
        );
        if cfg!(debug_assertions) {
            self.last_key = key.name;
        }
        if self.framed < usize::from(key.framed) {
            self.frame_members(usize::from(key.framed));
        }
    }

    /// Everything before a value that is not a string. The copy is longer than needed, because then
    /// its length is known: two stores, and no call.
    #[inline(always)]
    fn key(&mut self, key: &Key) {
        self.place(key);
        let end = self.out.len() + key.len();
        self.out.extend_from_slice(&key.bytes);
        self.out.truncate(end);
    }

    /// Everything before the text of a string.
    #[inline(always)]
    fn key_of_text(&mut self, key: &Key) {
        self.place(key);
        let end = self.out.len() + key.len() + 1;
        self.out.extend_from_slice(&key.bytes);
        self.out.truncate(end);
    }

    /// An array of unsigned integers.
    pub fn uints(&mut self, key: impl Into<Key>, values: impl IntoIterator<Item = u64>) {
        self.numbers(
            &key.into(),
            values
                .into_iter()
                .map(|value| (false, value.min(INTEGER_MAX))),
        );
    }

    /// An array of signed integers.
    pub fn ints(&mut self, key: impl Into<Key>, values: impl IntoIterator<Item = i64>) {
        let parts = |value: i64| (value < 0, value.unsigned_abs().min(INTEGER_MAX));
        self.numbers(&key.into(), values.into_iter().map(parts));
    }

    /// An array of numbers, each as its sign and its magnitude. They are put together beside the
    /// line: how far that has got is in a register, while the line's length is in memory.
    #[inline(always)]
    fn numbers(&mut self, key: &Key, values: impl Iterator<Item = (bool, u64)>) {
        self.key(key);
        self.out.push(b'[');
        let empty = self.out.len();
        let mut list = NumberList::new();
        for (is_negative, magnitude) in values {
            if list.is_full() {
                list.move_to(self.out);
            }
            list.push(is_negative, Decimal::of(magnitude));
        }
        list.move_to(self.out);
        self.close(empty, b']');
    }

    /// An array of strings.
    pub fn names<'s>(&mut self, key: impl Into<Key>, values: impl IntoIterator<Item = &'s str>) {
        self.array(key, values, |this, name| {
            this.out.push(b'"');
            this.string(name.as_bytes());
        });
    }

    /// An array of strings out of closed sets of ours: see [`Self::word`].
    #[inline(always)]
    pub fn words(&mut self, key: impl Into<Key>, values: impl IntoIterator<Item = &'static str>) {
        self.array(key, values, |this, word| {
            debug_assert!(is_plain_text(word.as_bytes()), "{word}");
            this.out.push(b'"');
            this.out.extend_from_slice(word.as_bytes());
            this.out.push(b'"');
        });
    }

    /// An array that was put together before, out of such words.
    #[inline(always)]
    pub fn list(&mut self, key: impl Into<Key>, list: &str) {
        debug_assert!(list.starts_with('[') && list.ends_with(']'), "{list}");
        self.key(&key.into());
        self.out.extend_from_slice(list.as_bytes());
    }

    /// An array of `[first, last]` pairs.
    pub fn pairs(&mut self, key: impl Into<Key>, values: impl IntoIterator<Item = (u64, u64)>) {
        self.array(key, values, |this, (first, last)| {
            this.out.push(b'[');
            this.digits(first);
            this.out.push(b',');
            this.digits(last);
            this.out.push(b']');
        });
    }

    /// An object of name to unsigned integer. Names ascend and need no escaping.
    pub fn counts<'s>(
        &mut self,
        key: impl Into<Key>,
        values: impl IntoIterator<Item = (&'s str, u64)>,
    ) {
        self.key(&key.into());
        self.out.push(b'{');
        let empty = self.out.len();
        let mut last = "";
        for (name, value) in values {
            debug_assert!(
                last < name && is_plain_text(name.as_bytes()),
                "{name} after {last}"
            );
            last = name;
            self.out.push(b'"');
            self.out.extend_from_slice(name.as_bytes());
            self.out.extend_from_slice(b"\":");
            self.digits(value);
            self.out.push(b',');
        }
        self.close(empty, b'}');
    }

    #[inline(always)]
    fn array<T>(
        &mut self,
        key: impl Into<Key>,
        values: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.key(&key.into());
        self.out.push(b'[');
        let empty = self.out.len();
        for value in values {
            item(self, value);
            self.out.push(b',');
        }
        self.close(empty, b']');
    }

    /// Ends a list: its trailing comma, if it has one, becomes the bracket.
    fn close(&mut self, empty: usize, bracket: u8) {
        if self.out.len() > empty {
            self.out.pop();
        }
        self.out.push(bracket);
    }
}
