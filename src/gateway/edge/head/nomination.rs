//! Which fields a client may not call its own by naming them in `Connection`.
//!
//! What `Connection` names is dropped at the gateway. A field that says where the message ends,
//! whom it is for or who sent it would then be judged here and missing behind: one request, two
//! readings. Deliberately not here: dropping the rest; Pingora does that.

/// Names whole; those that end with a hyphen stand for all names that begin so.
const PROTECTED: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "authorization",
    "cookie",
    "forwarded",
    "x-real-ip",
    "x-forwarded-",
    "tidegate-",
    "x-tidegate-",
];

/// Whether a `Connection` of this value names a field that must stay.
pub(super) fn is_protected_by(value: &[u8]) -> bool {
    // What nearly every request says.
    let usual = [b"keep-alive".as_slice(), b"close", b"upgrade"];
    !usual.iter().any(|word| value.eq_ignore_ascii_case(word))
        && value
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii)
            .any(is_protected)
}

fn is_protected(token: &[u8]) -> bool {
    PROTECTED.iter().any(|name| {
        let front = match name.ends_with('-') {
            true => token.get(..name.len()).unwrap_or_default(),
            false => token,
        };
        front.eq_ignore_ascii_case(name.as_bytes())
    })
}
