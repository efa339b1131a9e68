//! One segment of a path, packed into three words that compare and hash in a few cycles.

/// A segment: its bytes padded with zeros (a canonical path holds no NUL, so that is unique),
/// or for a long one digest, place in `long_literals`, and a mark that no ASCII text can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(pub(super) [u64; 3]);

/// The mark of a long segment.
pub(super) const LONG: u64 = u64::MAX;

impl Key {
    /// Whether both are the same words; compared in registers, which `==` on the array is not.
    #[inline(always)]
    pub(super) const fn is(self, other: Self) -> bool {
        let ([a, b, c], [x, y, z]) = (self.0, other.0);
        (a ^ x) | (b ^ y) | (c ^ z) == 0
    }

    /// Whether it is the key of a segment too long for three words.
    #[inline(always)]
    pub(super) const fn is_long(self) -> bool {
        let [.., mark] = self.0;
        mark == LONG
    }

    /// A digest of the bytes.
    #[inline]
    pub(super) const fn digest(self) -> u64 {
        let [a, b, c] = self.0;
        if c == LONG {
            return a;
        }
        let mut digest = digest_of_word(a);
        if b != 0 {
            digest = mix(digest ^ b, 0xc2b2_ae3d_27d4_eb4f);
            if c != 0 {
                digest = mix(digest ^ c, 0x1656_67b1_9e37_79f9);
            }
        }
        digest
    }
}

/// The digest of a segment of one word.
#[inline]
const fn digest_of_word(word: u64) -> u64 {
    mix(word, 0x9e37_79b9_7f4a_7c15)
}

/// Both halves of a product, folded: each bit of the input reaches each bit of the result.
#[inline]
pub(super) const fn mix(a: u64, b: u64) -> u64 {
    let product = (a ^ 0xa076_1d64_78bd_642f) as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

/// A segment as it was read from a path.
#[derive(Clone, Copy)]
pub(super) struct Read {
    /// Its bytes, packed; a long one has no place yet.
    pub(super) key: Key,
    /// The key's digest.
    pub(super) digest: u64,
    /// How many bytes it has.
    pub(super) len: usize,
}

impl Read {
    const fn of(key: Key, len: usize) -> Self {
        Self {
            key,
            digest: key.digest(),
            len,
        }
    }
}

/// Reads the segment at `at`, eight bytes at a time: finds its end and packs its bytes.
#[inline(always)]
pub(super) fn read_segment(path: &[u8], at: usize) -> Read {
    let (first, len) = read_word(path, at);
    if len < 8 {
        return Read {
            key: Key([first, 0, 0]),
            digest: digest_of_word(first),
            len,
        };
    }
    read_longer(path, at, first)
}

/// The way of segments that do not end in their first word: apart, so that the way of the
/// others needs no memory but registers.
#[inline(never)]
fn read_longer(path: &[u8], at: usize, first: u64) -> Read {
    let mut words = [first, 0, 0];
    let mut len = 8;
    for word in words.iter_mut().skip(1) {
        let (bytes, count) = read_word(path, at + len);
        *word = bytes;
        len += count;
        if count < 8 {
            return Read::of(Key(words), len);
        }
    }
    read_long(path, at, words, len)
}

#[cold]
#[inline(never)]
fn read_long(path: &[u8], at: usize, words: [u64; 3], mut len: usize) -> Read {
    let mut digest = Key(words).digest();
    loop {
        let (bytes, count) = read_word(path, at + len);
        if count == 0 && len == 24 {
            return Read::of(Key(words), len);
        }
        digest = mix(digest ^ bytes, 0x9e37_79b9_7f4a_7c15);
        len += count;
        if count < 8 {
            return Read::of(Key([digest, 0, LONG]), len);
        }
    }
}

/// Up to eight bytes of the segment at `at`, zero-padded, and how many there are.
#[inline(always)]
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
