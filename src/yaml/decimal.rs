//! Decimals as exact integers, never by way of a binary fraction.

/// Why a text is not a decimal that can be kept exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFault {
    /// Not digits with at most one point between them.
    NotADecimal,
    /// More digits after the point than can be kept.
    TooFine,
    /// More than fits.
    TooLarge,
}

/// `text * 10^digits` as an integer: `0.35` with 4 digits is 3500.
///
/// # Errors
/// When the text is no plain decimal, or the result is no integer below 2^63. Zeros at the end
/// of the fraction never count as too fine.
pub fn parse_decimal(text: &str, digits: u32) -> Result<u64, DecimalFault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let has_leading_zero = whole.len() > 1 && whole.starts_with('0');
    if !is_digits(whole) || !is_digits(fraction) || has_leading_zero {
        return Err(DecimalFault::NotADecimal);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > digits as usize {
        return Err(DecimalFault::TooFine);
    }
    let mut value: u64 = 0;
    let padding = digits as usize - fraction.len();
    let zeros = std::iter::repeat_n(b'0', padding);
    for digit in whole.bytes().chain(fraction.bytes()).chain(zeros) {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit - b'0')))
            .filter(|value| *value < 1 << 63)
            .ok_or(DecimalFault::TooLarge)?;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::DecimalFault::{NotADecimal, TooFine, TooLarge};
    use super::parse_decimal;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, digits, expected) in [
            ("0.35", 4, Ok(3_500)),
            ("1", 4, Ok(10_000)),
            ("1.0", 4, Ok(10_000)),
            ("0", 4, Ok(0)),
            ("0.0001", 4, Ok(1)),
            ("0.00010000", 4, Ok(1)),
            ("0.1", 6, Ok(100_000)),
            ("25.5", 2, Ok(2_550)),
            ("0.00001", 4, Err(TooFine)),
            (".5", 4, Err(NotADecimal)),
            ("5.", 4, Err(NotADecimal)),
            ("-0.1", 4, Err(NotADecimal)),
            ("+1", 4, Err(NotADecimal)),
            ("1e2", 4, Err(NotADecimal)),
            ("01.5", 4, Err(NotADecimal)),
            ("1_000", 4, Err(NotADecimal)),
            ("", 4, Err(NotADecimal)),
            (".inf", 4, Err(NotADecimal)),
            ("1.2.3", 4, Err(NotADecimal)),
            ("99999999999999999999", 4, Err(TooLarge)),
        ] {
            assert_eq!(parse_decimal(text, digits), expected, "{text}");
        }
    }
}
