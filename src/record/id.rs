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

impl DecisionId {
    /// The digits: boot 8, worker 2, n 12.
    #[must_use]
    pub fn digits(self) -> [u8; 22] {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let value = u128::from(self.boot) << 56
            | u128::from(self.worker) << 48
            | u128::from(self.n & 0xffff_ffff_ffff);
        let mut digits = [b'0'; 22];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let nibble = (value >> (4 * place)) & 15;
            *digit = HEX.get(nibble as usize).copied().unwrap_or(b'0');
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
