//! Our canonical path against other readers of the same bytes: a reference of our own, written
//! apart; `percent-encoding`, which decodes; `url`, which reads as browsers do.
//!
//! Law: where we accept a path, all of them see one and the same; where the reference has none, we
//! have none.

use percent_encoding::percent_decode;
use tidegate::contract::canonicalise;
use url::Url;

use super::reference;

/// The laws of one path.
pub fn run(bytes: &[u8]) {
    let ours = canonicalise(bytes).ok();
    let reference = reference::canonical(bytes);
    let same = match (&ours, &reference) {
        (None, None) => true,
        (Some(ours), Some(reference)) => {
            ours.as_bytes() == reference.bytes
                && ours.has_encoded_slash() == reference.encoded_slash
                && ours.has_empty_segment() == reference.empty_segment
        }
        _ => false,
    };
    assert!(same, "{bytes:?}: {ours:?} and {reference:?}");
    let Some(ours) = ours else { return };
    let sent: Vec<u8> = percent_decode(bytes).collect();
    let forwarded: Vec<u8> = percent_decode(ours.as_bytes()).collect();
    assert_eq!(sent, forwarded, "decoded once, another path");
    as_browsers_read(bytes, &forwarded);
    as_browsers_read(ours.as_bytes(), &forwarded);
}

/// A path that we accept has no dots to resolve, so a URL of it keeps all of its segments.
fn as_browsers_read(path: &[u8], decoded: &[u8]) {
    let Ok(path) = std::str::from_utf8(path) else {
        return;
    };
    let url = Url::parse(&format!("http://a{path}")).expect("a path that we accept makes a URL");
    assert_eq!(url.host_str(), Some("a"), "{path}");
    assert_eq!((url.query(), url.fragment()), (None, None), "{path}");
    let read: Vec<u8> = percent_decode(url.path().as_bytes()).collect();
    assert_eq!(read, decoded, "{path} is read as {}", url.path());
}
