//! One segment of a path, packed into three words that compare and hash in a few cycles.

/// A segment: its bytes padded with zeros (no path that is looked up holds a NUL, folded or not, so
/// that is unique), or for a long one digest, place in `long_literals`, and a mark that no ASCII text
/// can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u64; 3]);

/// Bytes of a word.
const WORD: usize = 8;
/// The mark of a long segment.
const LONG: u64 = u64::MAX;
/// A bit that the word of a segment of fewer than eight bytes never has.
const NEVER_SHORT: u64 = 1 << 63;

impl Key {
    /// The key of an empty segment, such as the last one of `/a/`.
    pub(super) const EMPTY: Self = Self([0; 3]);

    /// Whether it is that of a long segment.
    #[inline]
    pub(super) const fn is_long(self) -> bool {
        let [.., mark] = self.0;
        mark == LONG
    }

    /// Whether both are long and have one digest.
    pub(super) const fn same_digest(self, other: Self) -> bool {
        let ([a, _, mark], [b, _, other_mark]) = (self.0, other.0);
        a == b && mark == LONG && other_mark == LONG
    }

    /// The place of a long segment's bytes.
    pub(super) const fn place(self) -> u64 {
        let [_, place, _] = self.0;
        place
    }

    /// The same long segment with the place of its bytes.
    pub(super) const fn at_place(self, place: u64) -> Self {
        let [digest, _, mark] = self.0;
        Self([digest, place, mark])
    }

    /// Whether it is that of a segment of fewer than eight bytes, packed into `word`. One
    /// comparison says so: the last byte of any other key's first word is not 0.
    #[inline]
    pub(super) const fn is_word(self, word: u64) -> bool {
        let [first, ..] = self.0;
        first == word
    }

    /// Where a table begins to look for this segment below `parent`.
    #[inline]
    pub(super) const fn home(self, parent: u32) -> usize {
        let [a, b, c] = self.0;
        // A long segment has its digest in the first word, and its place must not count.
        if b != 0 && c != LONG {
            return Self::word_home(parent, a ^ mix(b, c));
        }
        Self::word_home(parent, a)
    }

    /// The same of a segment of fewer than eight bytes, packed into `word`.
    #[inline]
    pub(super) const fn word_home(parent: u32, word: u64) -> usize {
        mix(
            word ^ (parent as u64).wrapping_mul(0xe703_7ed1_a0b4_28db),
            0,
        ) as usize
    }
}

/// Both halves of a product, folded: each bit of the input reaches each bit of the result.
const fn mix(a: u64, b: u64) -> u64 {
    let product = (a ^ 0xa076_1d64_78bd_642f) as u128 * (b ^ 0x9e37_79b9_7f4a_7c15) as u128;
    (product >> 64) as u64 ^ product as u64
}

/// A segment as it was read from a path.
pub(super) struct Read {
    /// Its bytes, packed; a long one has no place yet.
    pub(super) key: Key,
    /// How many bytes it has.
    pub(super) len: usize,
}

/// Reads the segment that `text` begins with.
pub(super) fn read_segment(text: &[u8]) -> Read {
    let (first, len) = read_word(text, text);
    if len < WORD {
        let key = Key([first, 0, 0]);
        return Read { key, len };
    }
    read_more(text, text, first)
}

/// The way of segments of eight bytes and more, of which `first` has been read. `rest` is the end
/// of `path` from the segment on, here and below.
pub(super) fn read_more(path: &[u8], rest: &[u8], first: u64) -> Read {
    let word_at = |at: usize| read_word(path, rest.get(at..).unwrap_or_default());
    let (second, more) = word_at(WORD);
    if more < WORD {
        let (key, len) = (Key([first, second, 0]), WORD + more);
        return Read { key, len };
    }
    let (third, more) = word_at(2 * WORD);
    let (mut word, mut count) = match more {
        WORD => word_at(3 * WORD),
        _ => (0, 0),
    };
    if count == 0 {
        let (key, len) = (Key([first, second, third]), 2 * WORD + more);
        return Read { key, len };
    }
    let (mut digest, mut len) = (mix(first, second) ^ mix(third, 0), 3 * WORD);
    loop {
        digest = mix(digest, word);
        len += count;
        if count < WORD {
            let key = Key([digest | NEVER_SHORT, 0, LONG]);
            return Read { key, len };
        }
        (word, count) = word_at(len);
    }
}

/// How many bytes the segment has.
pub(super) fn segment_len(path: &[u8], rest: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let (_, count) = read_word(path, rest.get(len..).unwrap_or_default());
        len += count;
        if count < WORD {
            return len;
        }
    }
}

/// Up to eight bytes of the segment, zero-padded, and how many there are.
#[inline(always)]
pub(super) fn read_word(path: &[u8], rest: &[u8]) -> (u64, usize) {
    let (word, available) = match rest.first_chunk::<WORD>() {
        Some(chunk) => (u64::from_le_bytes(*chunk), WORD),
        None => (tail_word(path, rest), rest.len()),
    };
    // The lowest zero byte of `word ^ "////////"` is the first slash.
    let x = word ^ 0x2f2f_2f2f_2f2f_2f2f;
    let zeros = x.wrapping_sub(0x0101_0101_0101_0101) & !x & 0x8080_8080_8080_8080;
    if zeros == 0 {
        return (word, available);
    }
    let count = zeros.trailing_zeros() / 8;
    (word & ((1 << (count * 8)) - 1), count as usize)
}

/// The last bytes of a path, fewer than eight; read as the end of its last eight where it has
/// eight, since that is one load.
#[inline]
fn tail_word(path: &[u8], rest: &[u8]) -> u64 {
    if rest.is_empty() {
        return 0;
    }
    if let Some(chunk) = path.last_chunk::<WORD>() {
        return u64::from_le_bytes(*chunk) >> (8 * (WORD - rest.len()));
    }
    let mut word = 0;
    for byte in rest.iter().rev() {
        word = word << 8 | u64::from(*byte);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::{read_more, read_segment, read_word, segment_len};

    #[test]
    fn a_segment_ends_at_a_slash_or_at_the_end() {
        for len in 0..40 {
            let name = "x".repeat(len);
            for after in ["", "/", "/y", "/yyyyyyyyyyyy"] {
                let path = format!("/{name}{after}");
                let (path, rest) = (path.as_bytes(), &path.as_bytes()[1..]);
                let alone = read_segment(name.as_bytes());
                let (first, count) = read_word(path, rest);
                assert_eq!((count, alone.len), (len.min(8), len), "{path:?}");
                assert_eq!(segment_len(path, rest), len, "{path:?}");
                assert_eq!(alone.key.is_word(first), len < 25, "{path:?}");
                if len < 8 {
                    continue;
                }
                let read = read_more(path, rest, first);
                assert_eq!((read.len, read.key), (len, alone.key), "{path:?}");
                assert_eq!(read.key.home(7), alone.key.home(7));
            }
        }
    }

    #[test]
    fn no_longer_segment_is_taken_for_a_short_one() {
        for len in 8..60 {
            let longer = read_segment("a".repeat(len).as_bytes()).key;
            for short in 0..8 {
                let (word, _) = read_word(&[], "a".repeat(short).as_bytes());
                assert!(!longer.is_word(word), "{len} {short}");
            }
            let [first, ..] = longer.0;
            assert_ne!(first >> 56, 0, "{len}");
        }
    }
}
