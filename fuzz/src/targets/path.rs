//! The canonical path: one spelling, stable, no longer than what was sent.

use tidegate::contract::{SEGMENTS_MAX, canonicalise, split_query};

/// The laws of one path.
pub fn run(bytes: &[u8]) {
    let (path, query) = split_query(bytes);
    let parts = path.len() + query.map_or(0, |query| query.len() + 1);
    assert_eq!(parts, bytes.len(), "the query takes a byte of the path");
    let Ok(canonical) = canonicalise(path) else {
        return;
    };
    let text = canonical.as_bytes();
    assert!(text.is_ascii() && text.starts_with(b"/"));
    assert!(text.len() <= path.len(), "canonical form grew");
    assert_eq!(canonical.as_str().as_bytes(), text);
    assert!(text.iter().filter(|byte| **byte == b'/').count() <= SEGMENTS_MAX);
    assert_eq!(canonical.is_as_sent(), text == path, "{path:?}");
    let again = canonicalise(text).expect("a canonical path is a path");
    assert_eq!(again.as_bytes(), text, "not stable");
    assert!(again.is_as_sent());
    assert_eq!(again.has_encoded_slash(), canonical.has_encoded_slash());
    assert_eq!(again.has_empty_segment(), canonical.has_empty_segment());
    merged(&canonical);
}

/// Merging slashes leaves a path that has a canonical form, and none to merge.
fn merged(canonical: &tidegate::contract::CanonicalPath<'_>) {
    let merged = canonical.merged();
    assert!(!merged.contains("//"));
    let again = canonicalise(merged.as_bytes()).expect("a merged path is a path");
    assert_eq!(again.as_str(), &*merged);
    assert!(!again.has_empty_segment());
}
