//! The shape of a path that no contract claims: enough for discovery, no identifiers.

use crate::record::InlineText;

/// The most bytes of a shape.
pub const SHAPE_BYTES_MAX: usize = 128;

const SEGMENT_BYTES_MAX: usize = 24;

/// The canonical path with `{}` for segments that look like identifiers: digits, hex of eight or
/// more, UUIDs, or anything longer than 24 bytes.
///
/// Cut at 128 bytes: what is longer is no route that somebody forgot to describe.
#[must_use]
pub fn unmatched_shape(canonical_path: &str) -> InlineText<SHAPE_BYTES_MAX> {
    let mut shape = InlineText::default();
    let mut segments = canonical_path.split('/');
    // The path begins with a slash, so the first piece is empty.
    segments.next();
    for segment in segments {
        let shown = if is_identifier(segment) {
            "{}"
        } else {
            segment
        };
        if !(shape.push("/") && shape.push(shown)) {
            break;
        }
    }
    shape
}

fn is_identifier(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let hex_like = |byte: &u8| byte.is_ascii_hexdigit() || *byte == b'-';
    let digits = |byte: &u8| byte.is_ascii_digit();
    bytes.len() > SEGMENT_BYTES_MAX
        || !bytes.is_empty() && bytes.iter().all(digits)
        || bytes.len() >= 8 && bytes.iter().all(hex_like) && bytes.iter().any(digits)
}

#[cfg(test)]
mod tests {
    use super::{SHAPE_BYTES_MAX, unmatched_shape};

    #[test]
    fn identifiers_are_left_out() {
        let table = [
            ("/", "/"),
            ("/api/v1/orders", "/api/v1/orders"),
            ("/api/v1/orders/1234", "/api/v1/orders/{}"),
            ("/a/0b7f9f3e-2a74-4c11-9a6c-1f0e6f6f5a11/b", "/a/{}/b"),
            ("/a/deadbeef01", "/a/{}"),
            ("/a/decade", "/a/decade"),
            ("/a/abcdefghijklmnopqrstuvwxyz", "/a/{}"),
            ("/a/", "/a/"),
        ];
        for (path, want) in table {
            assert_eq!(unmatched_shape(path).as_str(), want, "{path}");
        }
        let long = "/segment".repeat(40);
        assert!(unmatched_shape(&long).as_str().len() <= SHAPE_BYTES_MAX);
    }
}
