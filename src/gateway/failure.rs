//! What Pingora's errors mean.
//!
//! Invariant: every error has exactly one [`Failure`], so status, record and metric agree.
//! Deliberately not here: the answers; they are in `respond`.

use std::io;

use pingora::{Error, ErrorSource, ErrorType};

use super::governor::Failure;

/// Says what went wrong.
pub(crate) fn classify(error: &Error) -> Failure {
    match error.esource() {
        ErrorSource::Downstream => match error.etype() {
            ErrorType::InvalidHTTPHeader => Failure::NotForwardable,
            ErrorType::Custom(INVALID_CHUNK) => Failure::BodyMalformed,
            _ if is_malformed_body(error) => Failure::BodyMalformed,
            _ => Failure::ClientAbort,
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

/// Whether the edge found what no reader may guess at; the system has no error of this kind.
fn is_malformed_body(error: &Error) -> bool {
    let cause = error.cause.as_deref();
    cause
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
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

/// The name of our own error for an upstream group without an address.
pub(crate) const NO_ADDRESS: &str = "no upstream address";

#[cfg(test)]
mod tests {
    use pingora::{Error, ErrorType};

    use super::{Failure, NO_ADDRESS, classify};

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
        let ours = classify(&Error::new_in(ErrorType::InternalError));
        assert_eq!(ours, Failure::Internal);
    }
}
