//! Where a chunked body ends: a scanner that looks at bytes and keeps none.
//!
//! Invariant: it never lets a byte behind the end of the body pass, and it refuses every
//! spelling that two readers could understand differently (bare LF, signs, spaces, endless
//! sizes). Deliberately not here: decoding; Pingora reads the same bytes for their content.

/// Hexadecimal digits of one chunk size: 2^60 bytes at most, so the sum cannot overflow.
const SIZE_DIGITS_MAX: u8 = 15;
/// Bytes of one chunk extension.
const EXTENSION_BYTES_MAX: u16 = 256;
/// Bytes of all trailer fields.
const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// The body cannot be framed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        value: u64,
        seen: u16,
    },
    SizeLf {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a line of the trailer section, or in the name of its field.
    TrailerName {
        seen: u16,
        name: u16,
    },
    TrailerValue {
        seen: u16,
    },
    TrailerLf {
        seen: u16,
    },
    LastLf,
    Nothing,
}

/// Reads one chunked body from its first size line to the end of its trailers.
#[derive(Debug)]
pub(super) struct Scanner(Expect);

impl Scanner {
    /// A scanner at the first byte of the body.
    pub(super) fn new() -> Self {
        Self(Expect::Size {
            value: 0,
            digits: 0,
        })
    }

    /// Whether the whole body has passed.
    pub(super) fn is_done(&self) -> bool {
        self.0 == Expect::Nothing
    }

    /// How many of `bytes` belong to the body; fewer than all of them only at its end.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.0 {
                Expect::Nothing => return Ok(at),
                Expect::Data { left } => {
                    let here = (bytes.len() - at) as u64;
                    let step = left.min(here);
                    at += usize::try_from(step).unwrap_or(usize::MAX);
                    self.0 = match left - step {
                        0 => Expect::DataCr,
                        left => Expect::Data { left },
                    };
                }
                _ => {
                    self.0 = self.step(byte).ok_or(Malformed)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    fn step(&self, byte: u8) -> Option<Expect> {
        match (self.0, byte) {
            (Expect::Size { value, digits }, b'\r') if digits > 0 => Some(Expect::SizeLf { value }),
            (Expect::Size { value, digits }, b';') if digits > 0 => {
                Some(Expect::Extension { value, seen: 0 })
            }
            (Expect::Size { value, digits }, _) if digits < SIZE_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16)?;
                Some(Expect::Size {
                    value: value * 16 + u64::from(digit),
                    digits: digits + 1,
                })
            }
            (Expect::Extension { value, .. }, b'\r') => Some(Expect::SizeLf { value }),
            (Expect::Extension { value, seen }, b'\t' | b' '..=b'~')
                if seen < EXTENSION_BYTES_MAX =>
            {
                Some(Expect::Extension {
                    value,
                    seen: seen + 1,
                })
            }
            (Expect::SizeLf { value: 0 }, b'\n') => Some(Expect::TrailerName { seen: 0, name: 0 }),
            (Expect::SizeLf { value }, b'\n') => Some(Expect::Data { left: value }),
            (Expect::DataCr, b'\r') => Some(Expect::DataLf),
            (Expect::DataLf, b'\n') => Some(Expect::Size {
                value: 0,
                digits: 0,
            }),
            (at, byte) => at.in_trailers(byte),
        }
    }
}

impl Expect {
    /// Behind the last chunk: fields as a head has them, and the empty line.
    fn in_trailers(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::TrailerName { name: 0, .. }, b'\r') => Some(Self::LastLf),
            (Self::LastLf, b'\n') => Some(Self::Nothing),
            (Self::TrailerName { seen, name: 1.. }, b':') => Some(Self::TrailerValue { seen }),
            (Self::TrailerName { seen, name }, byte)
                if seen < TRAILER_BYTES_MAX && is_token_byte(byte) =>
            {
                Some(Self::TrailerName {
                    seen: seen + 1,
                    name: name + 1,
                })
            }
            (Self::TrailerValue { seen }, b'\r') => Some(Self::TrailerLf { seen }),
            (Self::TrailerLf { seen }, b'\n') => Some(Self::TrailerName { seen, name: 0 }),
            (Self::TrailerValue { seen }, b'\t' | b' '..=b'~' | 0x80..)
                if seen < TRAILER_BYTES_MAX =>
            {
                Some(Self::TrailerValue { seen: seen + 1 })
            }
            _ => None,
        }
    }
}

/// What may stand in the name of a field.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Scanner};

    fn check(body: &str, expected: Result<(usize, bool), Malformed>) {
        let mut whole = Scanner::new();
        let got = whole.advance(body.as_bytes()).map(|n| (n, whole.is_done()));
        assert_eq!(got, expected, "in one piece: {body:?}");
        let mut pieces = Scanner::new();
        let mut passed = 0;
        let mut outcome = Ok(());
        for byte in body.as_bytes() {
            match pieces.advance(&[*byte]) {
                Ok(n) => passed += n,
                Err(malformed) => {
                    outcome = Err(malformed);
                    break;
                }
            }
        }
        let got = outcome.map(|()| (passed, pieces.is_done()));
        assert_eq!(got, expected, "byte by byte: {body:?}");
    }

    #[test]
    fn the_end_of_a_body_is_found_exactly() {
        check("0\r\n\r\n", Ok((5, true)));
        check("5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", Ok((15, true)));
        check(
            "A;name=v\r\n0123456789\r\n0\r\nX: y\r\n\r\nrest",
            Ok((33, true)),
        );
        check("0\r\nA:\r\nB-c: d e\r\n\r\nrest", Ok((19, true)));
        check("5\r\nhel", Ok((6, false)));
        check("", Ok((0, false)));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for body in [
            "5\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            "\r\n",
            "5 \r\nhello\r\n",
            "1000000000000000\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA\r\n\r\n",
            "0\r\nA : b\r\n\r\n",
            "0\r\n: b\r\n\r\n",
            "0\r\nA: b\r\n c\r\n\r\n",
            "0\r\nA: b\0\r\n\r\n",
            "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ] {
            check(body, Err(Malformed));
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        check(&format!("1;{}\r\n", "x".repeat(257)), Err(Malformed));
        check(
            &format!("0\r\nA: {}\r\n", "x".repeat(8_200)),
            Err(Malformed),
        );
    }
}
