//! Which fields a client may not call its own by naming them in `Connection`.
//!
//! What `Connection` names is dropped at the gateway. A field that says where the message ends,
//! whom it is for or who sent it would then be judged here and missing behind: one request, two
//! readings. Invariant: what passes here, Pingora accepts, so nothing is refused after a decision that
//! says it was sent on. Deliberately not here: dropping the rest; Pingora does that.

use crate::gateway::folded::is;

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

/// Names in all the `Connection` fields of a head; Pingora takes no more.
pub(super) const NAMES_MAX: usize = 9;

/// How many names a `Connection` of this value has; `None` where one is no token, or names a field
/// that must stay.
pub(super) fn names_in(value: &[u8]) -> Option<usize> {
    // What nearly every request says.
    if is(value, b"keep-alive") || is(value, b"close") || is(value, b"upgrade") {
        return Some(1);
    }
    let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut names = names.filter(|name| !name.is_empty());
    names.try_fold(0, |count, name| {
        let may_be_dropped = name.iter().all(|byte| is_token_byte(*byte)) && !is_protected(name);
        may_be_dropped.then_some(count + 1)
    })
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
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
