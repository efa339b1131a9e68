//! What stands between method and version: a path, `*`, or an address that agrees with Host.
//!
//! Invariant: a target that passes reaches an upstream as it stands here, if nothing else is put
//! in its place. Deliberately not here: the path as contracts see it.

use crate::gateway::governor::ParseRefusal;

pub(super) fn check(method: &str, target: &[u8], host: Option<&[u8]>) -> Result<(), ParseRefusal> {
    if target == b"*" {
        return match method {
            "OPTIONS" => Ok(()),
            _ => Err(ParseRefusal::TargetForm),
        };
    }
    if target.first() != Some(&b'/') {
        absolute_form_agrees(target, host)?;
    }
    check_bytes(target)
}

/// The bytes of path and query, whatever stands before them.
pub(in crate::gateway::edge) fn check_bytes(target: &[u8]) -> Result<(), ParseRefusal> {
    if is_plain(target) {
        return Ok(());
    }
    let query = target.iter().position(|byte| *byte == b'?');
    let (path, query) = target.split_at(query.unwrap_or(target.len()));
    if all(path, is_path_byte) && all(query, is_query_byte) {
        Ok(())
    } else {
        Err(ParseRefusal::TargetBytes)
    }
}

/// Whether all bytes are such as path and query may both hold: nearly always. False also means that
/// there are too few to look at sixteen together.
fn is_plain(target: &[u8]) -> bool {
    // The end first, which overlaps what comes before it.
    target.last_chunk().is_some_and(are_plain) && target.as_chunks().0.iter().all(are_plain)
}

/// Without a way out, and said in ranges, so that the compiler makes a vector of them.
#[inline(always)]
fn are_plain(bytes: &[u8; 16]) -> bool {
    let odd = bytes.iter().fold(0, |odd, byte| {
        let is_plain = (b'$'..=b';').contains(byte)
            | (b'?'..=b'_').contains(byte)
            | (b'a'..=b'~').contains(byte)
            | (*byte == b'=');
        odd | u8::from(!is_plain)
    });
    odd == 0
}

/// Looks at all bytes, also behind one that is refused: without a way out the compiler takes several
/// at once.
fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is(*byte))
}

/// `http://host/path` is accepted when its host is the one in the Host field.
fn absolute_form_agrees(target: &[u8], host: Option<&[u8]>) -> Result<(), ParseRefusal> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| {
        let (front, rest) = target.split_at_checked(scheme.len())?;
        front
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then_some(rest)
    });
    let rest = rest.ok_or(ParseRefusal::TargetForm)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
    // Names of hosts mean the same in any case.
    let agrees = host.is_some_and(|host| host.eq_ignore_ascii_case(authority));
    if agrees && http::uri::Authority::try_from(authority).is_ok() {
        Ok(())
    } else {
        Err(ParseRefusal::TargetForm)
    }
}

/// What Pingora carries in a path without changing it. A fragment is not part of a target.
fn is_path_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'<' | b'>' | b'`')
}

/// What Pingora carries in a query without changing it.
fn is_query_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'#' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use super::{check_bytes, is_path_byte, is_query_byte};

    #[test]
    fn the_quick_look_agrees_with_the_slow_one() {
        for len in [1, 15, 16, 17, 33, 48] {
            for at in 0..len {
                for byte in 0..=255 {
                    let mut target = vec![b'a'; len];
                    target[at] = byte;
                    let split = target.iter().position(|byte| *byte == b'?').unwrap_or(len);
                    let (path, query) = target.split_at(split);
                    let is_good = path.iter().all(|byte| is_path_byte(*byte))
                        && query.iter().all(|byte| is_query_byte(*byte));
                    let shown = target.escape_ascii();
                    assert_eq!(check_bytes(&target).is_ok(), is_good, "{shown}");
                }
            }
        }
    }
}
