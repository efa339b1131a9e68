//! A quick look at a raw path: most paths hold nothing that needs a closer one.
//!
//! Eight bytes are looked at together, as one word. Invariant: true is a promise, false only
//! means "look closer"; the scan byte by byte in `path` decides, and a test compares both.

/// The byte in all eight places.
const fn all(byte: u8) -> u64 {
    0x0101_0101_0101_0101 * byte as u64
}

const TOP: u64 = all(0x80);

/// Whether a path is canonical as it was sent, for the simplest of reasons: it begins with a
/// slash, holds ASCII from `(` on without `;`, `\` and `?`, and no segment is empty or begins with a
/// dot.
///
/// False for paths so long that their segments have to be counted (where no segment is empty, at
/// most every second byte is a slash), and for very short ones.
#[inline]
pub(super) fn is_plainly_canonical(raw_path: &[u8], segments_max: usize) -> bool {
    let Some(last) = raw_path.last_chunk() else {
        return false;
    };
    if raw_path.first() != Some(&b'/') || raw_path.len() > 2 * segments_max {
        return false;
    }
    let (mut odd, mut after_slash) = (0, 0);
    for word in raw_path.as_chunks().0 {
        look_at(*word, &mut odd, &mut after_slash);
    }
    // Overlaps the word before, so it needs no slash from it.
    look_at(*last, &mut odd, &mut 0);
    odd & TOP == 0
}

/// Sets top bits of `odd` where a byte of the word needs a closer look. `after_slash` is the top
/// bit of the first byte where the word before ended with a slash.
#[inline(always)]
fn look_at(bytes: [u8; 8], odd: &mut u64, after_slash: &mut u64) {
    let word = u64::from_le_bytes(bytes);
    // Adding 0x7f to a byte below 0x80 sets its top bit unless the byte is 0; bytes from 0x80 on
    // spoil their neighbours, and are odd themselves.
    let is_not = |byte: u8| (word ^ all(byte)).wrapping_add(all(0x7f));
    let below_parenthesis = word.wrapping_sub(all(b'(')) & !word;
    let above_tilde = word | word.wrapping_add(all(1));
    let slashes = !is_not(b'/') & TOP;
    // Dot and slash are neighbours: with the lowest bit set both are the slash.
    let dots_and_slashes = !((word | all(1)) ^ all(b'/')).wrapping_add(all(0x7f));
    // And with bit 2 set, `;` is `?`.
    let parameters_and_queries = !((word | all(4)) ^ all(b'?')).wrapping_add(all(0x7f));
    *odd |= below_parenthesis | above_tilde | !is_not(b'\\') | parameters_and_queries;
    *odd |= (slashes << 8 | *after_slash) & dots_and_slashes;
    *after_slash = slashes >> 56;
}
