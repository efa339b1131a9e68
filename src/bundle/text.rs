//! The spelling of names, digests and keys in bundles and roots: one spelling for each value.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

/// The longest name of a bundle, principal, role or audience.
const NAME_CHARS_MAX: usize = 64;

/// Whether a text is 1 to 64 of a-z, 0-9, `_`, `.`, `-`: the spelling of ids everywhere here.
#[must_use]
pub(super) fn is_name(text: &str) -> bool {
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
    (1..=NAME_CHARS_MAX).contains(&text.len()) && text.bytes().all(known)
}

/// SHA-256 of bytes as 64 hex digits in lower case.
#[must_use]
pub fn digest_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether a text is 64 hex digits in lower case.
#[must_use]
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// The name of a key: SHA-256 of its 32 public bytes, 64 hex digits.
#[must_use]
pub fn key_id(key: &VerifyingKey) -> String {
    digest_hex(key.as_bytes())
}

/// A public key from base64 of its 32 bytes; weak keys, for which anybody can sign, are none.
#[must_use]
pub fn public_key(base64: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(base64).ok()?.try_into().ok()?;
    let key = VerifyingKey::from_bytes(&bytes).ok()?;
    (!key.is_weak()).then_some(key)
}

/// The base64 of a public key.
#[must_use]
pub fn public_base64(key: &VerifyingKey) -> String {
    STANDARD.encode(key.as_bytes())
}
