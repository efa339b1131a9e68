//! What Pingora's errors mean.
//!
//! Invariant: every error has exactly one [`Failure`], so status, record and metric agree.
//! Deliberately not here: the answers; they are in `respond`.

use std::io;

use pingora::{Error, ErrorSource, ErrorType};

use super::edge::Cut;
use super::governor::Failure;

/// Says what went wrong.
pub(crate) fn classify(error: &Error) -> Failure {
    match error.esource() {
        ErrorSource::Downstream => match error.etype() {
            ErrorType::InvalidHTTPHeader => Failure::NotForwardable,
            ErrorType::Custom(INVALID_CHUNK) => Failure::BodyMalformed,
            ErrorType::Custom(BODY_TOO_LARGE) => Failure::BodyTooLarge,
            kind => of_client(kind, io_cause(error)),
        },
        ErrorSource::Upstream => of_upstream(error.etype()),
        ErrorSource::Internal | ErrorSource::Unset => match error.etype() {
            ErrorType::HTTPStatus(_) => Failure::Internal,
            other => of_connect(other).unwrap_or(Failure::Internal),
        },
    }
}

/// What Pingora calls a chunk that it cannot read.
const INVALID_CHUNK: &str = "InvalidChunk";

/// What a client did whose connection broke on the fast lane.
pub(crate) fn of_client_io(error: &io::Error) -> Failure {
    Cut::of(error).map_or(Failure::ClientAbort, of_cut)
}

const fn of_cut(cut: Cut) -> Failure {
    match cut {
        Cut::BodyTooSlow => Failure::BodyTooSlow,
        Cut::AnswerTooSlow => Failure::AnswerTooSlow,
        Cut::TunnelIdle => Failure::TunnelIdle,
        Cut::TunnelAge => Failure::TunnelAge,
        // Seen on the client's side, and the upstream is the silent one.
        Cut::HandshakeTimeout => Failure::Timeout,
    }
}

/// What a client did, by what the edge or the system said of it.
fn of_client(kind: &ErrorType, cause: Option<&io::Error>) -> Failure {
    if let Some(cut) = cause.and_then(Cut::of) {
        return of_cut(cut);
    }
    match kind {
        // The edge found what no reader may guess at; the system has no error of this kind.
        _ if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData) => {
            Failure::BodyMalformed
        }
        ErrorType::ReadTimedout => Failure::BodyTooSlow,
        ErrorType::WriteTimedout => Failure::AnswerTooSlow,
        _ => Failure::ClientAbort,
    }
}

fn io_cause(error: &Error) -> Option<&io::Error> {
    error.cause.as_deref()?.downcast_ref::<io::Error>()
}

fn of_upstream(kind: &ErrorType) -> Failure {
    if let Some(failure) = of_connect(kind) {
        return failure;
    }
    match kind {
        ErrorType::ReadTimedout => Failure::Timeout,
        ErrorType::WriteTimedout | ErrorType::WriteError => Failure::Write,
        ErrorType::ConnectionClosed | ErrorType::ReadError => Failure::Reset,
        ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Error
        | ErrorType::InvalidH2 => Failure::Garbage,
        _ => Failure::Reset,
    }
}

fn of_connect(kind: &ErrorType) -> Option<Failure> {
    Some(match kind {
        ErrorType::ConnectTimedout => Failure::ConnectTimeout,
        ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::ConnectProxyFailure => Failure::Connect,
        ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => Failure::Tls,
        ErrorType::Custom(name) if *name == NO_ADDRESS => Failure::NoAddress,
        _ => return None,
    })
}

/// The name of our own error for a body beyond its bound.
pub(crate) const BODY_TOO_LARGE: &str = "request body too large";
/// The name of our own error for an upstream group without an address.
pub(crate) const NO_ADDRESS: &str = "no upstream address";

#[cfg(test)]
mod tests {
    use pingora::{Error, ErrorType};

    use super::{BODY_TOO_LARGE, Cut, Failure, NO_ADDRESS, classify};

    #[test]
    fn every_side_has_its_failures() {
        let up = |kind| classify(&Error::new_up(kind));
        assert_eq!(up(ErrorType::ConnectRefused), Failure::Connect);
        assert_eq!(up(ErrorType::ConnectTimedout), Failure::ConnectTimeout);
        assert_eq!(up(ErrorType::ReadTimedout), Failure::Timeout);
        assert_eq!(up(ErrorType::ConnectionClosed), Failure::Reset);
        assert_eq!(up(ErrorType::InvalidHTTPHeader), Failure::Garbage);
        assert_eq!(up(ErrorType::Custom(NO_ADDRESS)), Failure::NoAddress);
        let down = classify(&Error::new_down(ErrorType::ConnectionClosed));
        assert_eq!(down, Failure::ClientAbort);
        let malformed = std::io::Error::from(std::io::ErrorKind::InvalidData);
        let down = Error::because(ErrorType::ReadError, "", malformed).into_down();
        assert_eq!(classify(&down), Failure::BodyMalformed);
        for (cut, failure) in [
            (Cut::BodyTooSlow, Failure::BodyTooSlow),
            (Cut::AnswerTooSlow, Failure::AnswerTooSlow),
            (Cut::TunnelIdle, Failure::TunnelIdle),
            (Cut::TunnelAge, Failure::TunnelAge),
            (Cut::HandshakeTimeout, Failure::Timeout),
        ] {
            let cause = std::io::Error::from(cut);
            let down = Error::because(ErrorType::ReadError, "", cause).into_down();
            assert_eq!(classify(&down), failure);
        }
        let down = |kind| classify(&Error::new_down(kind));
        assert_eq!(down(ErrorType::ReadTimedout), Failure::BodyTooSlow);
        assert_eq!(down(ErrorType::WriteTimedout), Failure::AnswerTooSlow);
        let large = ErrorType::Custom(BODY_TOO_LARGE);
        assert_eq!(down(large), Failure::BodyTooLarge);
        let ours = classify(&Error::new_in(ErrorType::InternalError));
        assert_eq!(ours, Failure::Internal);
    }
}
