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
    let query = target.iter().position(|byte| *byte == b'?');
    let (path, query) = target.split_at(query.unwrap_or(target.len()));
    if path.iter().all(|byte| is_path_byte(*byte)) && query.iter().all(|byte| is_query_byte(*byte))
    {
        Ok(())
    } else {
        Err(ParseRefusal::TargetBytes)
    }
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
