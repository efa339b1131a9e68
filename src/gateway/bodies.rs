//! Request bodies against the bound of their contract.
//!
//! Invariant: a body that says that it is too long goes nowhere, and of one that turns out to be so
//! no byte beyond the bound does. Deliberately not here: how fast a body has to come; the edge
//! watches that.

use bytes::Bytes;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType, Result};

use super::failure::BODY_TOO_LARGE;
use super::governor::{Failure, Forward};
use super::passage::Passage;

/// Whether the head announces more than the contract takes.
pub(crate) fn declares_too_much(session: &Session, forward: &Forward) -> bool {
    let Some(most) = forward.body_bytes_max else {
        return false;
    };
    let length = session
        .req_header()
        .headers
        .get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > most)
}

/// Counts a part of the body before it goes on; an error once there is too much of it.
pub(crate) fn count(passage: &mut Passage, part: Option<&Bytes>) -> Result<()> {
    let most = passage.forward().and_then(|forward| forward.body_bytes_max);
    let (Some(most), Some(part)) = (most, part) else {
        return Ok(());
    };
    // What goes through a tunnel is no body.
    if passage.upstream_status == 101 {
        return Ok(());
    }
    passage.body_bytes = passage.body_bytes.saturating_add(part.len() as u64);
    if passage.body_bytes > most {
        return Err(too_large());
    }
    Ok(())
}

/// The error that stands for [`Failure::BodyTooLarge`].
pub(crate) fn too_large() -> Box<Error> {
    Error::new_down(ErrorType::Custom(BODY_TOO_LARGE))
}

/// Whether an upstream is silent while the client still owes bytes of its body. Nobody can know then
/// what the upstream waits for, so the silence is the client's: it must not be able to speak for the
/// health of a server by saying nothing.
pub(crate) fn is_waited_for(error: &Error, passage: &Passage) -> bool {
    passage.has_body
        && !passage.body_ended
        && *error.esource() == ErrorSource::Upstream
        && *error.etype() == ErrorType::ReadTimedout
}

/// Whether the client may be in the middle of sending when it is answered.
pub(crate) const fn is_cut(failure: Failure) -> bool {
    matches!(
        failure,
        Failure::BodyMalformed | Failure::BodyTooSlow | Failure::BodyTooLarge
    )
}
