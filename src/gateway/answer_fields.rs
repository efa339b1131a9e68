//! The fields that the gateway sets on an answer, whoever writes it.
//!
//! Invariant: what is told about a decision is said once and means the same on every answer, be it
//! one of Pingora's or one of the fast lane's. Deliberately not here: which fields those are.

use http::HeaderValue;
use pingora::http::ResponseHeader;
use pingora::{Error, ErrorType, Result};

/// An answer that takes fields.
pub(crate) trait AnswerFields {
    /// Sets a field; it replaces all of that name, in any case of letters.
    ///
    /// # Errors
    ///
    /// Where the value cannot stand in a head: control characters other than a tab.
    fn insert(&mut self, name: &'static str, value: &[u8]) -> Result<()>;

    /// Adds a field beside others of its name.
    ///
    /// # Errors
    ///
    /// As [`AnswerFields::insert`].
    fn append(&mut self, name: &'static str, value: &[u8]) -> Result<()>;
}

impl AnswerFields for ResponseHeader {
    fn insert(&mut self, name: &'static str, value: &[u8]) -> Result<()> {
        self.insert_header(name, valid(value)?)
    }

    fn append(&mut self, name: &'static str, value: &[u8]) -> Result<()> {
        self.append_header(name, valid(value)?).map(drop)
    }
}

fn valid(value: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value).map_err(|_| unsayable())
}

/// The error for a value that cannot stand in a head.
pub(crate) fn unsayable() -> Box<Error> {
    Error::explain(
        ErrorType::InvalidHTTPHeader,
        "a value with control characters",
    )
}
