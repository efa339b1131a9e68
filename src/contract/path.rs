//! The canonical form of a request path: one spelling for each path, matched *and* forwarded.
//!
//! The worst bugs of gateways are one bug: the policy looked at one spelling of a path and the
//! upstream at another. So a path is made canonical once; what cannot be made canonical is a
//! [`PathFault`] and belongs to no contract. Unreserved characters are decoded once, hex digits
//! are upper case, nothing else changes: no folding of case or width, and `/a/` is not `/a`.
//! `%2F` and `//` are kept and flagged, because the contract decides about them. What follows `;`
//! is part of its segment; a segment of nothing else is refused.
//!
//! Invariants: the result is ASCII; making it canonical again changes nothing; the usual path
//! costs one scan and no allocation. Not here: the query, which is never touched.

use std::borrow::Cow;

use crate::contract::PathFault;
use crate::contract::path_scan::is_plainly_canonical;

/// The most segments a path may have; also bounds the depth of a route lookup.
pub const SEGMENTS_MAX: usize = 64;

/// A path in its only spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath<'a> {
    /// ASCII; kept as bytes, because most requests never ask for the text.
    bytes: Cow<'a, [u8]>,
    has_encoded_slash: bool,
    has_empty_segment: bool,
}

impl CanonicalPath<'_> {
    /// The canonical text; ASCII, begins with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always ASCII, so always UTF-8.
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The canonical bytes: what is matched and forwarded.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it holds `%2F`, which only a contract can allow.
    #[must_use]
    pub const fn has_encoded_slash(&self) -> bool {
        self.has_encoded_slash
    }

    /// Whether it holds `//`, which only a contract can allow.
    #[must_use]
    pub const fn has_empty_segment(&self) -> bool {
        self.has_empty_segment
    }

    /// Whether the path was sent in its canonical spelling.
    #[must_use]
    pub const fn is_as_sent(&self) -> bool {
        matches!(self.bytes, Cow::Borrowed(_))
    }

    /// The same path with each run of slashes made one; the same bytes where there is none.
    #[must_use]
    pub fn merged(&self) -> Cow<'_, str> {
        if !self.has_empty_segment {
            return Cow::Borrowed(self.as_str());
        }
        let mut merged = String::with_capacity(self.bytes.len());
        for c in self.as_str().chars() {
            if c != '/' || !merged.ends_with('/') {
                merged.push(c);
            }
        }
        Cow::Owned(merged)
    }
}

/// Splits an origin-form target at its first `?`; the query does not hold the `?`.
#[must_use]
pub fn split_query(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        Some(at) => {
            let (path, rest) = target.split_at(at);
            (path, rest.get(1..))
        }
        None => (target, None),
    }
}

/// The canonical form of a path without query.
///
/// # Errors
/// The first fault of a byte from the left, else the first fault of the whole path.
#[inline]
pub fn canonicalise(raw_path: &[u8]) -> Result<CanonicalPath<'_>, PathFault> {
    if is_plainly_canonical(raw_path, SEGMENTS_MAX) {
        return Ok(CanonicalPath {
            bytes: Cow::Borrowed(raw_path),
            has_encoded_slash: false,
            has_empty_segment: false,
        });
    }
    look_closer(raw_path)
}

#[inline(never)]
fn look_closer(raw_path: &[u8]) -> Result<CanonicalPath<'_>, PathFault> {
    let seen = scan(raw_path)?;
    if seen.slashes > SEGMENTS_MAX {
        return Err(PathFault::TooManySegments);
    }
    if seen.escapes {
        return decode(raw_path);
    }
    let text = std::str::from_utf8(raw_path).map_err(|_| PathFault::RawHighByte)?;
    if seen.dots && has_dot_segment(text) {
        return Err(PathFault::DotSegment);
    }
    if seen.parameters && has_bare_parameters(text) {
        return Err(PathFault::BareParameters);
    }
    Ok(CanonicalPath {
        bytes: Cow::Borrowed(raw_path),
        has_encoded_slash: false,
        has_empty_segment: seen.empty_segment,
    })
}

/// What one look at the raw bytes tells.
#[derive(Default)]
struct Seen {
    slashes: usize,
    escapes: bool,
    /// A segment begins with a dot.
    dots: bool,
    parameters: bool,
    empty_segment: bool,
}

const PLAIN: u8 = 0;
const SLASH: u8 = 1;
const DOT: u8 = 2;
const PERCENT: u8 = 3;
const PARAMETERS: u8 = 4;
const REFUSED: u8 = 5;

/// What each raw byte means to the scan.
static CLASSES: [u8; 256] = classes();

#[allow(clippy::indexing_slicing, reason = "the index is below 256")]
const fn classes() -> [u8; 256] {
    let mut classes = [PLAIN; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'/' => SLASH,
            b'.' => DOT,
            b'%' => PERCENT,
            b';' => PARAMETERS,
            0x00..=0x20 | 0x7f..=0xff | b'\\' | b'#' | b'?' => REFUSED,
            _ => PLAIN,
        };
        byte += 1;
    }
    classes
}

fn scan(raw_path: &[u8]) -> Result<Seen, PathFault> {
    let mut seen = Seen::default();
    let mut after_slash = false;
    if raw_path.first() != Some(&b'/') {
        return Err(PathFault::NotAPath);
    }
    for byte in raw_path {
        let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(REFUSED);
        match class {
            PLAIN => after_slash = false,
            SLASH => {
                seen.slashes += 1;
                seen.empty_segment |= after_slash;
                after_slash = true;
            }
            DOT => {
                seen.dots |= after_slash;
                after_slash = false;
            }
            PARAMETERS => {
                seen.parameters = true;
                after_slash = false;
            }
            PERCENT => {
                seen.escapes = true;
                after_slash = false;
            }
            _ => return Err(fault_of_byte(*byte)),
        }
    }
    Ok(seen)
}

const fn fault_of_byte(byte: u8) -> PathFault {
    match byte {
        b'\\' => PathFault::Backslash,
        b'#' => PathFault::Fragment,
        b'?' => PathFault::NotAPath,
        0x80..=0xff => PathFault::RawHighByte,
        _ => PathFault::ControlByte,
    }
}

/// The way of a path that holds escapes; its raw bytes have passed `scan`.
fn decode(raw_path: &[u8]) -> Result<CanonicalPath<'_>, PathFault> {
    let mut canonical = String::with_capacity(raw_path.len());
    // All bytes decoded: only to see whether they are UTF-8.
    let mut decoded = Vec::with_capacity(raw_path.len());
    let mut has_encoded_slash = false;
    let mut rest = raw_path;
    while let [first, tail @ ..] = rest {
        if *first != b'%' {
            canonical.push(char::from(*first));
            decoded.push(*first);
            rest = tail;
            continue;
        }
        let [high, low, after @ ..] = tail else {
            return Err(PathFault::IncompleteEscape);
        };
        let byte = hex(*high)
            .zip(hex(*low))
            .map(|(high, low)| high << 4 | low)
            .ok_or(PathFault::IncompleteEscape)?;
        match byte {
            0x00..=0x1f | 0x7f => return Err(PathFault::ControlByte),
            b'\\' => return Err(PathFault::Backslash),
            b'/' => has_encoded_slash = true,
            _ => {}
        }
        if is_unreserved(byte) {
            canonical.push(char::from(byte));
        } else {
            canonical.push('%');
            canonical.push(char::from(high.to_ascii_uppercase()));
            canonical.push(char::from(low.to_ascii_uppercase()));
        }
        decoded.push(byte);
        rest = after;
    }
    check_whole(&canonical, &decoded)?;
    let has_empty_segment = canonical.contains("//");
    let bytes = if canonical.as_bytes() == raw_path {
        Cow::Borrowed(raw_path)
    } else {
        Cow::Owned(canonical.into_bytes())
    };
    Ok(CanonicalPath {
        bytes,
        has_encoded_slash,
        has_empty_segment,
    })
}

/// Faults that only the whole path shows. They are looked for in the canonical text, since
/// decoding can put them together from harmless parts (`%25%32%35`).
fn check_whole(canonical: &str, decoded: &[u8]) -> Result<(), PathFault> {
    if is_encoded_twice(canonical) {
        return Err(PathFault::DoubleEncoding);
    }
    if has_dot_segment(canonical) {
        return Err(PathFault::DotSegment);
    }
    if has_bare_parameters(canonical) {
        return Err(PathFault::BareParameters);
    }
    if std::str::from_utf8(decoded).is_err() {
        return Err(PathFault::NotUtf8);
    }
    Ok(())
}

fn is_encoded_twice(canonical: &str) -> bool {
    canonical.match_indices("%25").any(|(at, percent)| {
        let after = canonical.as_bytes().get(at + percent.len()..);
        matches!(after, Some([a, b, ..]) if hex(*a).is_some() && hex(*b).is_some())
    })
}

/// Whether a segment is `.` or `..`, also before `;`. An encoded slash ends a segment here: an
/// upstream that decodes it would see the dots alone.
fn has_dot_segment(canonical: &str) -> bool {
    canonical.split('/').any(|segment| {
        segment.split("%2F").any(|part| {
            let name = part.split(';').next().unwrap_or(part);
            let name = name.split("%3B").next().unwrap_or(name);
            // Some servers cut spaces off.
            matches!(name.trim_end_matches("%20"), "." | "..")
        })
    })
}

/// Whether a segment begins with `;`: a server that cuts parameters off sees it empty.
fn has_bare_parameters(canonical: &str) -> bool {
    let segments = || {
        canonical
            .split('/')
            .flat_map(|segment| segment.split("%2F"))
    };
    segments().any(|segment| segment.starts_with(';') || segment.starts_with("%3B"))
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
