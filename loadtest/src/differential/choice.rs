//! Small helpers to draw from tables.

use crate::random::Random;

/// One of a list.
pub(super) fn pick<'a, T: ?Sized>(random: &mut Random, list: &[&'a T]) -> &'a T {
    let place = random.below(list.len() as u64) as usize;
    list[place]
}

/// One of a list by weight.
pub(super) fn weighted<T: Copy>(random: &mut Random, list: &[(u64, T)]) -> T {
    let total = list.iter().map(|(weight, _)| weight).sum();
    let mut drawn = random.below(total);
    for (weight, item) in list {
        if drawn < *weight {
            return *item;
        }
        drawn -= weight;
    }
    list[0].1
}

/// `bytes` in pieces, cut at up to `cuts` places.
pub(super) fn cut(random: &mut Random, bytes: &[u8], cuts: u64) -> Vec<Vec<u8>> {
    let mut places: Vec<usize> = (0..cuts)
        .map(|_| 1 + random.below(bytes.len().saturating_sub(1) as u64) as usize)
        .collect();
    places.push(bytes.len());
    places.sort_unstable();
    places.dedup();
    let mut from = 0;
    let mut pieces = Vec::new();
    for place in places {
        pieces.push(bytes[from..place.min(bytes.len())].to_vec());
        from = place.min(bytes.len());
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// So many bytes of a body, the same for one length.
pub(super) fn filler(length: usize) -> Vec<u8> {
    (0..length).map(|n| b'a' + (n % 26) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole() {
        let mut random = Random::new(1);
        for length in 0..40 {
            let bytes = filler(length);
            assert_eq!(cut(&mut random, &bytes, 4).concat(), bytes);
        }
    }
}
