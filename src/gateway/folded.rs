//! Whether a text is a known one, in any case.
//!
//! Names of fields come in any case, and a request has a dozen of them. What they are compared with
//! is known when this is compiled, so a comparison takes a word at a time, where
//! `eq_ignore_ascii_case` goes byte by byte.

/// Whether `text` is `lower` in any case; `lower` is in lower case.
#[inline(always)]
pub(super) fn is<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    let Ok(text) = <&[u8; N]>::try_from(text) else {
        return false;
    };
    // All of it is looked at: without a way out the compiler takes several bytes at once.
    let odd = text.iter().zip(lower).fold(0, |odd, (byte, lower)| {
        let case = if lower.is_ascii_lowercase() { 0x20 } else { 0 };
        odd | (byte | case) ^ lower
    });
    odd == 0
}

#[cfg(test)]
mod tests {
    use super::is;

    #[test]
    fn it_says_what_the_standard_library_says() {
        let check = |text: &[u8]| {
            let lower = b"x-9@a`z{[-";
            assert_eq!(
                is(text, lower),
                text.eq_ignore_ascii_case(lower),
                "{text:?}"
            );
        };
        for at in 0..10 {
            for byte in 0..=255 {
                for stem in [b"x-9@a`z{[-", b"X-9@A`Z{[-"] {
                    let mut text = *stem;
                    text[at] = byte;
                    check(&text);
                }
            }
        }
        check(b"");
        check(b"x-9@a`z{[");
        check(b"x-9@a`z{[-x");
    }
}
