//! Numbers and bytes as text, and the question whether text may stand as it is: eight bytes at a
//! time in one register, because a line is made of little else.
//!
//! Not here: which members a line has, and how text that may not stand as it is is escaped.

/// Each byte of a word the same.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Eight digits, leading zeros among them, the first in the lowest byte; `value` is below 10^8.
const fn eight(value: u32) -> u64 {
    // Halves, then quarters, then digits, each in a lane of its own: no division is left.
    let (high, low) = ((value / 10_000) as u64, (value % 10_000) as u64);
    let halves = high | low << 32;
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let quarters = hundreds | (halves - 100 * hundreds) << 16;
    let tens = ((quarters * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | (quarters - 10 * tens) << 8
}

/// A number below 10^16 in decimal digits.
#[derive(Clone, Copy)]
pub(super) struct Decimal {
    /// The digits, the first in the lowest byte; what is above the last is of no meaning.
    digits: u128,
    count: usize,
}

impl Decimal {
    #[inline(always)]
    pub(super) const fn of(value: u64) -> Self {
        if value < 10 {
            return Self {
                digits: (b'0' as u64 + value) as u128,
                count: 1,
            };
        }
        Self::of_many(value)
    }

    #[inline(never)]
    const fn of_many(value: u64) -> Self {
        debug_assert!(value < 10_000_000_000_000_000);
        const SPLIT: u64 = 100_000_000;
        if value < SPLIT {
            let digits = eight(value as u32);
            let zeros = digits.trailing_zeros() & !7;
            return Self {
                digits: (digits >> zeros | each(b'0')) as u128,
                count: 8 - zeros as usize / 8,
            };
        }
        let (high, low) = (eight((value / SPLIT) as u32), eight((value % SPLIT) as u32));
        let zeros = high.trailing_zeros() & !7;
        let both = (high | each(b'0')) as u128 | ((low | each(b'0')) as u128) << 64;
        Self {
            digits: both >> zeros,
            count: 16 - zeros as usize / 8,
        }
    }

    /// Appends it to a line. All sixteen bytes are copied, because a copy of a known length is no
    /// call, and what is too much is taken back.
    #[inline(always)]
    pub(super) fn push_to(self, out: &mut Vec<u8>) {
        let end = out.len() + self.count;
        out.extend_from_slice(&self.digits.to_le_bytes());
        out.truncate(end);
    }
}

/// Numbers on their way into a line, a comma behind each.
pub(super) struct NumberList {
    text: [u8; 256],
    at: usize,
}

impl NumberList {
    /// A sign, sixteen digits and a comma.
    const NUMBER_BYTES: usize = 18;

    pub(super) const fn new() -> Self {
        Self {
            text: [b','; 256],
            at: 0,
        }
    }

    /// Whether another number may not fit.
    #[inline(always)]
    pub(super) const fn is_full(&self) -> bool {
        self.at + Self::NUMBER_BYTES > self.text.len()
    }

    /// Appends a number; nothing where the list is full.
    #[inline(always)]
    pub(super) fn push(&mut self, is_negative: bool, number: Decimal) {
        let place = self.text.get_mut(self.at..);
        let Some(place) = place.and_then(|place| place.first_chunk_mut::<{ Self::NUMBER_BYTES }>())
        else {
            return;
        };
        let sign = usize::from(is_negative);
        place[0] = b'-';
        let digits = number.digits.to_le_bytes();
        if is_negative {
            place[1..17].copy_from_slice(&digits);
        } else {
            place[..16].copy_from_slice(&digits);
        }
        let end = sign + number.count;
        if let Some(comma) = place.get_mut(end) {
            *comma = b',';
        }
        self.at += end + 1;
    }

    /// Appends all of it to a line, and is empty again.
    #[inline(always)]
    pub(super) fn move_to(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.text.get(..self.at).unwrap_or_default());
        self.at = 0;
    }
}

/// Four bytes as eight lower-case hex digits.
#[inline]
pub(crate) const fn hex8(bytes: [u8; 4]) -> [u8; 8] {
    let value = u32::from_be_bytes(bytes) as u64;
    // Every half byte into a byte of its own.
    let value = (value | value << 16) & 0x0000_ffff_0000_ffff;
    let value = (value | value << 8) & 0x00ff_00ff_00ff_00ff;
    let value = (value | value << 4) & each(15);
    let letters = ((value + each(6)) >> 4) & each(1);
    (value + each(b'0') + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

/// Eight bytes as sixteen.
#[inline]
pub(super) const fn hex16(bytes: [u8; 8]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = bytes;
    let [s, t, u, v, w, x, y, z] = hex8([a, b, c, d]);
    let [i, j, k, l, m, n, o, p] = hex8([e, f, g, h]);
    [s, t, u, v, w, x, y, z, i, j, k, l, m, n, o, p]
}

/// Printable ASCII that JSON writes as it is.
pub(super) const fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte <= 0x7e) & (byte != b'"') & (byte != b'\\')
}

/// Whether all of a text [is plain](is_plain).
#[inline]
pub(super) fn is_plain_text(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk() else {
        return text.iter().all(|byte| is_plain(*byte));
    };
    let (chunks, _) = text.as_chunks();
    // The last eight bytes overlap those before, so that no rest is left to be looked at singly.
    let odd = chunks
        .iter()
        .fold(odd_bytes(*last), |odd, chunk| odd | odd_bytes(*chunk));
    odd == 0
}

/// Not zero where a byte is not plain. Borrows may reach beyond the byte that is meant; then one
/// is meant all the same.
#[inline(always)]
const fn odd_bytes(bytes: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(bytes);
    let control = word.wrapping_sub(each(0x20)) & !word;
    let escaped = zero_bytes(word ^ each(b'"')) | zero_bytes(word ^ each(b'\\'));
    (word | control | escaped | zero_bytes(word ^ each(0x7f))) & each(0x80)
}

/// The highest bit of a byte that is zero, among others.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(each(1)) & !word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_the_standard_library_makes_of_them() {
        let check = |value: u64| {
            let mut out = b"x".to_vec();
            Decimal::of(value).push_to(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("x{value}"));
        };
        (0..20_000).for_each(check);
        for power in (1..16).map(|places| 10_u64.pow(places)) {
            for factor in 1..10 {
                for value in [power * factor - 1, power * factor, power * factor + 1] {
                    check(value);
                }
            }
            check(power + power / 10 * 9 + 7);
        }
        check(super::super::frame::INTEGER_MAX);
        let mut some = 1_u64;
        for _ in 0..100_000 {
            some = some.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            check((some >> 11) % 10_u64.pow(1 + (some % 16) as u32));
        }
    }

    #[test]
    fn bytes_are_hex_as_another_crate_writes_it() {
        for byte in 0..=255_u8 {
            let bytes = [byte, 0, 255, byte.reverse_bits(), 1, byte, !byte, 0x9a];
            assert_eq!(&hex16(bytes)[..], hex::encode(bytes).as_bytes());
        }
    }

    #[test]
    fn text_is_plain_where_each_byte_is() {
        for length in 0..40 {
            let plain = vec![b'a'; length];
            assert!(is_plain_text(&plain), "{length}");
            for at in 0..length {
                for byte in 0..=255 {
                    let mut text = plain.clone();
                    text[at] = byte;
                    assert_eq!(is_plain_text(&text), is_plain(byte), "{byte} at {at}");
                }
            }
        }
        // Neighbours that a borrow could reach.
        for pair in [
            [0x20, 0x21],
            [0x21, 0x20],
            [0x23, 0x22],
            [0x5d, 0x5c],
            [0x7e, 0x7f],
        ] {
            let text = [pair; 8].concat();
            assert_eq!(
                is_plain_text(&text),
                pair.iter().all(|byte| is_plain(*byte))
            );
        }
    }
}
