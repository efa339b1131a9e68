//! A quick look at a raw path: most paths hold nothing that needs a closer one.
//!
//! Sixteen bytes are looked at together, each beside the one before it: written without a branch,
//! so that the compiler makes vectors of it. Invariant: true is a promise, false only means "look
//! closer"; the scan byte by byte in `path` decides, and a test compares both.

/// Bytes that are looked at together.
const LANES: usize = 16;

/// Whether a path is canonical as it was sent, for the simplest of reasons: it begins with a
/// slash, holds ASCII from `(` on without `;`, `\` and `?`, and no segment is empty or begins with a
/// dot.
///
/// False for paths so long that their segments have to be counted (where no segment is empty, at
/// most every second byte is a slash), and for very short ones.
#[inline]
pub(super) fn is_plainly_canonical(raw_path: &[u8], segments_max: usize) -> bool {
    let (Some((b'/', now)), Some((_, before))) = (raw_path.split_first(), raw_path.split_last())
    else {
        return false;
    };
    if raw_path.len() > 2 * segments_max {
        return false;
    }
    let mut odd = [0; LANES];
    // The end first, which overlaps what comes before it.
    match (now.last_chunk(), before.last_chunk()) {
        (Some(now), Some(before)) => look_at(now, before, &mut odd),
        _ => match (both_ends(now), both_ends(before)) {
            (Some(now), Some(before)) => look_at(&now, &before, &mut odd),
            _ => return false,
        },
    }
    for (now, before) in now.as_chunks().0.iter().zip(before.as_chunks().0) {
        look_at(now, before, &mut odd);
    }
    odd == [0; LANES]
}

/// All of eight to fifteen bytes, some of them twice.
#[inline(always)]
fn both_ends(bytes: &[u8]) -> Option<[u8; LANES]> {
    let (first, last) = (bytes.first_chunk()?, bytes.last_chunk()?);
    let [first, last] = [first, last].map(|word| u128::from(u64::from_le_bytes(*word)));
    Some((first | last << 64).to_le_bytes())
}

/// Sets the byte of `odd` where a byte of `now`, which `before` comes before, needs a closer look.
#[inline(always)]
fn look_at(now: &[u8; LANES], before: &[u8; LANES], odd: &mut [u8; LANES]) {
    for ((byte, before), odd) in now.iter().zip(before).zip(odd) {
        // With bit 2 set, `;` is `?`; with the lowest one set, a dot is a slash.
        let is_refused = !(b'('..=b'~').contains(byte) | (*byte == b'\\') | (*byte | 4 == b'?');
        let is_bad_start = (*before == b'/') & (*byte | 1 == b'/');
        *odd |= u8::from(is_refused | is_bad_start);
    }
}
