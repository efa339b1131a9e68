//! The folded view of a path: what a server may take it for that reads paths more loosely.
//!
//! It detects and never decides. Folded are case, runs of slashes and a slash at the end, what
//! follows `;`, a raw `#` or a NUL, dot segments, spaces, control characters and dots at the ends
//! of segments, backslashes, escapes of any depth and kind. Invariants: the work is linear in the
//! path with at most [`DECODINGS`] passes; a path longer than [`FOLDED_BYTES_MAX`] is not folded.
//! Deliberately not here: Unicode normalisation and width, and endings such as `.json`.

use crate::contract::path::SEGMENTS_MAX;

/// The longest path that is folded; the edge refuses targets that are longer.
const FOLDED_BYTES_MAX: usize = 8 * 1024;
/// How often escapes are decoded, at most.
const DECODINGS: usize = 3;
/// Stands for an encoded slash that is no separator; no path holds it after folding otherwise.
const KEPT_SLASH: u8 = 0x1e;

/// What was folded, one bit each; part of the ledger format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Folds(u16);

impl Folds {
    /// Upper case.
    pub const CASE: Self = Self(1);
    /// Runs of slashes, or a slash at the end.
    pub const SLASHES: Self = Self(2);
    /// What follows `;` in a segment.
    pub const PARAMETERS: Self = Self(4);
    /// Dot segments.
    pub const DOTS: Self = Self(8);
    /// Dots, spaces and control characters at the ends of segments.
    pub const ENDS: Self = Self(16);
    /// A backslash for a slash.
    pub const BACKSLASH: Self = Self(32);
    /// Escapes that a canonical path keeps or refuses.
    pub const ESCAPES: Self = Self(64);
    /// Escapes of escapes, `%u0041`, overlong UTF-8.
    pub const TWICE: Self = Self(128);
    /// What follows `#` or a NUL.
    pub const REST: Self = Self(256);
    /// The path of the contract itself.
    pub const CONTRACT: Self = Self(512);

    /// All of them, in the order of their bits, with their words.
    const NAMES: [(Self, &'static str); 10] = [
        (Self::CASE, "case"),
        (Self::SLASHES, "slashes"),
        (Self::PARAMETERS, "parameters after ';'"),
        (Self::DOTS, "dot segments"),
        (Self::ENDS, "ends of segments"),
        (Self::BACKSLASH, "backslashes"),
        (Self::ESCAPES, "escapes"),
        (Self::TWICE, "escapes of escapes"),
        (Self::REST, "what follows '#' or NUL"),
        (Self::CONTRACT, "the path of the contract"),
    ];
    /// The largest number that a record can hold.
    pub const BITS_MAX: u16 = 1023;

    /// The number in records.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The folds of a record's number.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::BITS_MAX)
    }

    /// Whether nothing was folded.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What was folded, in words.
    #[must_use]
    pub fn in_words(self) -> String {
        let folded = Self::NAMES.iter().filter(|(fold, _)| self.0 & fold.0 != 0);
        let words: Vec<&str> = folded.map(|(_, words)| *words).collect();
        words.join(", ")
    }

    const fn note(&mut self, fold: Self, happened: bool) {
        if happened {
            self.0 |= fold.0;
        }
    }
}

/// How much is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As by a server that cleans a path before it routes: everything.
    Cleaned,
    /// As by a server that routes first: case, escapes but for slashes, a slash at the end.
    Routed,
}

/// A folded path; begins with `/`, UTF-8.
pub(super) struct Folded {
    pub(super) path: String,
    pub(super) folds: Folds,
}

/// The folded view of a path as it was sent; `None` where it is too long, or no path.
pub(super) fn fold(raw_path: &[u8], reading: Reading) -> Option<Folded> {
    if raw_path.len() > FOLDED_BYTES_MAX {
        return None;
    }
    let mut folds = Folds::default();
    let path = cut(raw_path, b'#', &mut folds);
    let bytes = decode_all(path, reading, &mut folds);
    let bytes = cut(&bytes, 0, &mut folds);
    let text = lower(bytes, &mut folds);
    let path = match reading {
        Reading::Cleaned => clean(&text, &mut folds)?,
        Reading::Routed => {
            let shorter = text.strip_suffix('/').filter(|rest| !rest.is_empty());
            folds.note(Folds::SLASHES, shorter.is_some());
            shorter.unwrap_or(&text).to_owned()
        }
    };
    let is_path = path.starts_with('/') && path.matches('/').count() <= SEGMENTS_MAX;
    is_path.then_some(Folded { path, folds })
}

/// Whether folding can change a canonical path at all: most are as they are under any reading.
pub(super) fn may_change(path: &[u8]) -> bool {
    let is_plain = |byte: &u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || matches!(byte, b'-' | b'_' | b'~' | b'/')
    };
    let mut before = None;
    for byte in path {
        if !is_plain(byte) || (byte == &b'/' && before == Some(byte)) {
            return true;
        }
        before = Some(byte);
    }
    before == Some(&b'/')
}

fn decode_all(raw_path: &[u8], reading: Reading, folds: &mut Folds) -> Vec<u8> {
    let mut bytes = raw_path.to_vec();
    for pass in 0..DECODINGS {
        if !bytes.contains(&b'%') {
            break;
        }
        bytes = decode(&bytes, reading, pass, folds);
    }
    shorten_overlong(bytes, folds)
}

fn decode(bytes: &[u8], reading: Reading, pass: usize, folds: &mut Folds) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            decoded.push(*first);
        } else if let Some((char, after)) = unicode_escape(tail) {
            folds.note(Folds::TWICE, true);
            decoded.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            rest = after;
        } else if let Some((byte, after)) = escape(tail) {
            let is_kept = !(byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
            folds.note(Folds::TWICE, pass > 0);
            folds.note(Folds::ESCAPES, pass == 0 && is_kept);
            let is_slash = matches!(byte, b'/' | b'\\');
            decoded.push(match reading {
                Reading::Routed if is_slash => KEPT_SLASH,
                Reading::Routed | Reading::Cleaned => byte,
            });
            rest = after;
        } else {
            decoded.push(*first);
        }
    }
    decoded
}

fn escape(tail: &[u8]) -> Option<(u8, &[u8])> {
    let (digits, after) = tail.split_at_checked(2)?;
    let value = hex(digits)?;
    Some((u8::try_from(value).ok()?, after))
}

/// `%u0041`, as some servers of old take it.
fn unicode_escape(tail: &[u8]) -> Option<(char, &[u8])> {
    let [b'u' | b'U', tail @ ..] = tail else {
        return None;
    };
    let (digits, after) = tail.split_at_checked(4)?;
    Some((char::from_u32(hex(digits)?)?, after))
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// ASCII in two or three bytes, which is no UTF-8, as lax decoders take it.
fn shorten_overlong(bytes: Vec<u8>, folds: &mut Folds) -> Vec<u8> {
    if !bytes.iter().any(|byte| matches!(byte, 0xc0 | 0xc1 | 0xe0)) {
        return bytes;
    }
    let mut short = Vec::with_capacity(bytes.len());
    let mut rest = &bytes[..];
    while let [first, tail @ ..] = rest {
        let (byte, after) = match rest {
            [0xc0 | 0xc1, low @ 0x80..=0xbf, after @ ..] => {
                ((first & 1) << 6 | (low & 0x3f), after)
            }
            [0xe0, high @ 0x80..=0x81, low @ 0x80..=0xbf, after @ ..] => {
                ((high & 1) << 6 | (low & 0x3f), after)
            }
            _ => (*first, tail),
        };
        folds.note(Folds::TWICE, after.len() < tail.len());
        short.push(byte);
        rest = after;
    }
    short
}

/// An encoded `#` or `?` is a letter like others, in ordinary paths too; only a raw `#` ends one.
fn cut<'a>(bytes: &'a [u8], end: u8, folds: &mut Folds) -> &'a [u8] {
    let at = bytes.iter().position(|byte| *byte == end);
    folds.note(Folds::REST, at.is_some());
    at.and_then(|at| bytes.get(..at)).unwrap_or(bytes)
}

/// Lower case; the two letters that only become ASCII through upper case as well.
fn lower(bytes: &[u8], folds: &mut Folds) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lower = text.to_lowercase().replace('\u{17f}', "s");
    folds.note(Folds::CASE, lower != text);
    lower
}

fn clean(text: &str, folds: &mut Folds) -> Option<String> {
    folds.note(Folds::BACKSLASH, text.contains('\\'));
    let rest = text.strip_prefix(['/', '\\'])?;
    let mut segments: Vec<&str> = Vec::new();
    for segment in rest.split(['/', '\\']) {
        let name = segment.split(';').next().unwrap_or(segment);
        folds.note(Folds::PARAMETERS, name.len() < segment.len());
        let bare = name.trim_matches(|c: char| c <= ' ' || c == '\u{7f}');
        match bare {
            "." => folds.note(Folds::DOTS, true),
            ".." => {
                folds.note(Folds::DOTS, true);
                segments.pop();
            }
            _ => {
                let bare = bare.trim_end_matches(|c: char| c <= ' ' || c == '\u{7f}' || c == '.');
                folds.note(Folds::ENDS, bare.len() < name.len());
                if !bare.is_empty() {
                    segments.push(bare);
                }
            }
        }
    }
    let mut path = String::with_capacity(text.len());
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if segments.is_empty() {
        path.push('/');
    }
    let separators = |text: &str| text.matches(['/', '\\']).count();
    let has_more = separators(text) > separators(&path) && !text.contains("./");
    folds.note(
        Folds::SLASHES,
        has_more || text.len() > 1 && text.ends_with(['/', '\\']),
    );
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::{Folds, Reading, fold, may_change};

    fn check(raw: &[u8], folded: &str, folds: &[Folds]) {
        let got = fold(raw, Reading::Cleaned).unwrap();
        let wanted = folds.iter().fold(0, |all, fold| all | fold.bits());
        assert_eq!(got.path, folded, "{}", raw.escape_ascii());
        assert_eq!(
            got.folds.in_words(),
            Folds::from_bits(wanted).in_words(),
            "{}",
            raw.escape_ascii()
        );
    }

    #[test]
    fn every_loose_spelling_is_one_path() {
        use Folds as F;
        let table: [(&[u8], &[Folds]); 28] = [
            (b"/a/b", &[]),
            (b"/%61/b", &[]),
            (b"/A/b", &[F::CASE]),
            (b"/%41/b", &[F::CASE]),
            (b"/a//b", &[F::SLASHES]),
            (b"//a/b", &[F::SLASHES]),
            (b"/a/b/", &[F::SLASHES]),
            (b"/a/b;x=1", &[F::PARAMETERS]),
            (b"/a;x/b;", &[F::PARAMETERS]),
            (b"/a/b%3bx", &[F::PARAMETERS, F::ESCAPES]),
            (b"/a/./b", &[F::DOTS]),
            (b"/a/c/../b", &[F::DOTS]),
            (b"/c/%2e%2e/a/b", &[F::DOTS]),
            (b"/a/b.", &[F::ENDS]),
            (b"/a/b%20", &[F::ENDS, F::ESCAPES]),
            (b"/a/b%0a", &[F::ENDS, F::ESCAPES]),
            (b"/a/b ", &[F::ENDS]),
            (b"/a\\b", &[F::BACKSLASH]),
            (b"/a%5cb", &[F::BACKSLASH, F::ESCAPES]),
            (b"/a%2Fb", &[F::ESCAPES]),
            (b"/a%252Fb", &[F::ESCAPES, F::TWICE]),
            (b"/%2561/b", &[F::ESCAPES, F::TWICE]),
            (b"/%25252561/b", &[F::ESCAPES, F::TWICE, F::CASE]),
            (b"/%u0061/b", &[F::TWICE]),
            (b"/a%c0%afb", &[F::ESCAPES, F::TWICE]),
            (b"/a%e0%80%afb", &[F::ESCAPES, F::TWICE]),
            (b"/a/b#c", &[F::REST]),
            (b"/a/b%00.png", &[F::REST, F::ESCAPES]),
        ];
        for (raw, folds) in table {
            // Deeper than any server that anybody has seen: it stays an escape.
            if raw.starts_with(b"/%252525") {
                assert_eq!(fold(raw, Reading::Cleaned).unwrap().path, "/%61/b");
                continue;
            }
            check(raw, "/a/b", folds);
        }
        // These are letters, also to whoever decodes them.
        check(b"/a%3fb%23c", "/a?b#c", &[Folds::ESCAPES]);
        check(b"/", "/", &[]);
        check(b"//", "/", &[F::SLASHES]);
        check(b"/..", "/", &[F::DOTS]);
        check("/É".as_bytes(), "/é", &[F::CASE]);
        check(b"/%C3%89", "/é", &[F::CASE, F::ESCAPES]);
        check("/ſ\u{212a}".as_bytes(), "/sk", &[F::CASE]);
    }

    #[test]
    fn a_server_that_routes_first_keeps_slashes_and_dots() {
        for (raw, folded) in [
            ("/A/b%2Fc", "/a/b\u{1e}c"),
            ("/a/b%252fc/", "/a/b\u{1e}c"),
            ("/a/..", "/a/.."),
            ("/a//b", "/a//b"),
            ("/a/b;c", "/a/b;c"),
            ("/", "/"),
        ] {
            let got = fold(raw.as_bytes(), Reading::Routed).unwrap();
            assert_eq!(got.path, folded, "{raw}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_folded() {
        let long = format!("/{}", "a".repeat(8 * 1024));
        assert!(fold(long.as_bytes(), Reading::Cleaned).is_none());
        assert!(fold("/a".repeat(65).as_bytes(), Reading::Cleaned).is_none());
        assert!(fold(b"a", Reading::Cleaned).is_none());
        assert!(fold(b"", Reading::Cleaned).is_none());
        let slashes = format!("{}/a", "/".repeat(4_000));
        assert_eq!(
            fold(slashes.as_bytes(), Reading::Cleaned).unwrap().path,
            "/a"
        );
    }

    #[test]
    fn a_path_that_folding_cannot_change_is_known_at_a_glance() {
        for (path, expected) in [
            ("/", true),
            ("/a/b-1_2~", false),
            ("/a/B", true),
            ("/a/b/", true),
            ("//a/b", true),
            ("/a//b", true),
            ("/a/b.", true),
            ("/a;b", true),
            ("/a%20", true),
        ] {
            assert_eq!(may_change(path.as_bytes()), expected, "{path}");
            let folded = fold(path.as_bytes(), Reading::Cleaned).unwrap().path;
            assert!(expected || folded == path, "{path}");
        }
    }
}
