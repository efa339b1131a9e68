//! One segment of a path, packed into three words that compare and hash in a few cycles.

/// A segment: its bytes padded with zeros (a canonical path holds no NUL, so that is unique),
/// or for a long one digest, place in `long_literals`, and a mark that no ASCII text can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u64; 3]);

/// The mark of a long segment.
const LONG: u64 = u64::MAX;

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

    /// Where a table begins to look for this segment below `parent`.
    #[inline]
    pub(super) const fn home(self, parent: u32) -> usize {
        let [a, b, c] = self.0;
        let mut word = a ^ (parent as u64).wrapping_mul(0xe703_7ed1_a0b4_28db);
        // A long segment has its digest in the first word, and its place must not count.
        if b != 0 && c != LONG {
            word ^= mix(b, c);
        }
        mix(word, 0) as usize
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

/// Reads the segment at `at`, eight bytes at a time: finds its end and packs its bytes.
#[inline]
pub(super) fn read_segment(path: &[u8], at: usize) -> Read {
    let (first, len) = read_word(path, at);
    if len < 8 {
        let key = Key([first, 0, 0]);
        return Read { key, len };
    }
    read_more(path, at, first)
}

/// The way of segments of eight bytes and more.
fn read_more(path: &[u8], at: usize, first: u64) -> Read {
    let (second, more) = read_word(path, at + 8);
    if more < 8 {
        let key = Key([first, second, 0]);
        return Read { key, len: 8 + more };
    }
    let (third, more) = read_word(path, at + 16);
    let key = Key([first, second, third]);
    let (mut word, mut count) = match more {
        8 => read_word(path, at + 24),
        _ => (0, 0),
    };
    if count == 0 {
        return Read {
            key,
            len: 16 + more,
        };
    }
    let (mut digest, mut len) = (mix(first, second) ^ mix(third, 0), 24);
    loop {
        digest = mix(digest, word);
        len += count;
        if count < 8 {
            let key = Key([digest, 0, LONG]);
            return Read { key, len };
        }
        (word, count) = read_word(path, at + len);
    }
}

/// Up to eight bytes of the segment at `at`, zero-padded, and how many there are.
#[inline]
fn read_word(path: &[u8], at: usize) -> (u64, usize) {
    let rest = path.get(at..).unwrap_or_default();
    let (word, available) = match rest.first_chunk::<8>() {
        Some(chunk) => (u64::from_le_bytes(*chunk), 8),
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
    if let Some(chunk) = path.last_chunk::<8>() {
        return u64::from_le_bytes(*chunk) >> (8 * (8 - rest.len()));
    }
    let mut word = 0;
    for byte in rest.iter().rev() {
        word = word << 8 | u64::from(*byte);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::read_segment;

    #[test]
    fn a_segment_ends_at_a_slash_or_at_the_end() {
        for len in 0..40 {
            let name = "x".repeat(len);
            for after in ["", "/", "/y", "/yyyyyyyyyyyy"] {
                let path = format!("/{name}{after}");
                let read = read_segment(path.as_bytes(), 1);
                assert_eq!(read.len, len, "{path}");
                let alone = read_segment(name.as_bytes(), 0);
                assert_eq!(alone.key, read.key, "{path}");
            }
        }
    }
}
