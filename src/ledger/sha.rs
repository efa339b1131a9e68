//! SHA-256 of a tag byte and a message, as the format and RFC 6962 ask for it.
//!
//! The compression is that of the crate; the blocks are cut here, because a message that lies in
//! one piece needs neither a buffer nor a copy, and two in five of the writer's nanoseconds are spent
//! in this function.

use sha2::block_api::compress256;

/// Bytes of a block.
const BLOCK: usize = 64;
/// The last eight bytes of the last block are the length in bits.
const LENGTH_AT: usize = BLOCK - 8;
/// FIPS 180-4, 5.3.3.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// `SHA-256(tag || message)`.
pub(super) fn tagged(tag: u8, message: &[u8]) -> [u8; 32] {
    let mut state = INITIAL;
    let mut first = [0; BLOCK];
    first[0] = tag;
    let rest = match message.split_first_chunk::<{ BLOCK - 1 }>() {
        Some((head, rest)) => {
            first[1..].copy_from_slice(head);
            compress256(&mut state, &[first]);
            let (blocks, rest) = rest.as_chunks::<BLOCK>();
            compress256(&mut state, blocks);
            first = [0; BLOCK];
            rest
        }
        None => message,
    };
    let at = if message.len() < BLOCK - 1 { 1 } else { 0 };
    finish(state, first, at, rest, message.len() + 1)
}

fn finish(
    mut state: [u32; 8],
    mut last: [u8; BLOCK],
    at: usize,
    rest: &[u8],
    total: usize,
) -> [u8; 32] {
    let end = at + rest.len();
    if let Some(place) = last.get_mut(at..end) {
        place.copy_from_slice(rest);
    }
    if let Some(mark) = last.get_mut(end) {
        *mark = 0x80;
    }
    if end >= LENGTH_AT {
        compress256(&mut state, &[last]);
        last = [0; BLOCK];
    }
    last[LENGTH_AT..].copy_from_slice(&(8 * total as u64).to_be_bytes());
    compress256(&mut state, &[last]);
    to_bytes(state)
}

fn to_bytes(state: [u32; 8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

/// `SHA-256(tag || left || right)`.
pub(super) fn tagged_pair(tag: u8, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [0; 2 * BLOCK];
    bytes[0] = tag;
    bytes[1..33].copy_from_slice(left);
    bytes[33..65].copy_from_slice(right);
    bytes[65] = 0x80;
    bytes[126..].copy_from_slice(&(65 * 8_u16).to_be_bytes());
    let mut state = INITIAL;
    compress256(&mut state, bytes.as_chunks().0);
    to_bytes(state)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn every_length_hashes_as_the_crate_does_it() {
        let message: Vec<u8> = (0..=255).cycle().take(1_100).collect();
        for length in (0..400).chain(950..1_100) {
            let message = &message[..length];
            let whole = Sha256::new().chain_update([7]).chain_update(message);
            assert_eq!(
                tagged(7, message),
                <[u8; 32]>::from(whole.finalize()),
                "{length}"
            );
        }
    }

    #[test]
    fn a_pair_hashes_as_the_crate_does_it() {
        let (left, right) = ([3; 32], [0xfe; 32]);
        let whole = [&[1][..], &left, &right].concat();
        assert_eq!(
            tagged_pair(1, &left, &right),
            <[u8; 32]>::from(Sha256::digest(whole))
        );
    }
}
