//! Mutations of seeds without coverage: seeded, so that a run can be repeated.

/// SplitMix64: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    /// Of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.number() % n.max(1) as u64).unwrap_or(0)
    }
}

/// Bytes that mean something to one reader or another.
const TOKENS: &[&[u8]] = &[
    b"/",
    b"..",
    b".",
    b"%2f",
    b"%2F",
    b"%2e",
    b"%25",
    b"%5c",
    b";",
    b"//",
    b"%00",
    b"%c0%af",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b": ",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: a\r\n",
    b"HTTP/1.1",
    b"0\r\n\r\n",
    b"5\r\n",
    b";a=b",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b"null",
    b"18446744073709551615",
    b"-1",
    b"\"hash\":\"",
    b"- ",
    b"  ",
    b"'",
    b"#",
    b"id: a\n",
    b"endpoint: GET /a\n",
    b"\xff",
    b"\xe2\x82\xac",
    b"=",
    b"{id}",
];

/// Changes `bytes` in one to eight places; `other` is another seed to take pieces from.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], bytes_max: usize) {
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        match random.below(8) {
            0 => flip(random, bytes, at),
            1 => bytes.insert(at, random.number() as u8),
            2 => {
                let end = (at + 1 + random.below(8)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 | 4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..at, token.iter().copied());
            }
            5 => {
                let end = (at + 1 + random.below(32)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            6 => {
                let from = random.below(other.len() + 1);
                let end = (from + random.below(64)).min(other.len());
                bytes.splice(at..at, other[from..end].iter().copied());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.number() as u8;
                }
            }
        }
    }
    bytes.truncate(bytes_max);
}

fn flip(random: &mut Random, bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}
