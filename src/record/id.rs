//! The id of a decision: boot, worker, number.

/// Names one decision of one start of one gateway; 22 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecisionId {
    /// The start of the process, random.
    pub boot: u32,
    /// The worker.
    pub worker: u8,
    /// The worker's number, below 2^48.
    pub n: u64,
}

/// The two digits of each byte.
static PAIRS: [[u8; 2]; 256] = pairs();

#[allow(clippy::indexing_slicing, reason = "the places are below 256 and 16")]
const fn pairs() -> [[u8; 2]; 256] {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [HEX[byte >> 4], HEX[byte & 15]];
        byte += 1;
    }
    pairs
}

impl DecisionId {
    /// The digits: boot 8, worker 2, n 12.
    #[must_use]
    pub fn digits(self) -> [u8; 22] {
        let value = u128::from(self.boot) << 56
            | u128::from(self.worker) << 48
            | u128::from(self.n & 0xffff_ffff_ffff);
        let mut digits = [b'0'; 22];
        // Of 16 bytes the last eleven.
        let bytes = value.to_be_bytes().into_iter().skip(5);
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
            if let Some(two) = PAIRS.get(usize::from(byte)) {
                *pair = *two;
            }
        }
        digits
    }

    /// The id of 22 lower-case hex digits.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 22 || !text.bytes().all(lower) {
            return None;
        }
        let value = u128::from_str_radix(text, 16).ok()?;
        Some(Self {
            boot: (value >> 56) as u32,
            worker: (value >> 48) as u8,
            n: value as u64 & 0xffff_ffff_ffff,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::DecisionId;

    #[test]
    fn digits_are_boot_worker_number() {
        let id = DecisionId {
            boot: 0xdead_beef,
            worker: 7,
            n: 0x42,
        };
        let text = "deadbeef0700000000004".to_owned() + "2";
        assert_eq!(std::str::from_utf8(&id.digits()), Ok(text.as_str()));
        assert_eq!(DecisionId::from_text(&text), Some(id));
        for bad in [
            "",
            "deadbeef07",
            "DEADBEEF07000000000042",
            "deadbeef0700000000004g",
        ] {
            assert_eq!(DecisionId::from_text(bad), None, "{bad}");
        }
    }
}
