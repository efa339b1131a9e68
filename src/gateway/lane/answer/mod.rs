//! What an upstream's answer says, and the head that the client gets for it.
//!
//! Invariant: the bytes of a head are those that Pingora and the hooks write for the same answer,
//! in the same order; what they refuse is refused. Only requests of HTTP/1.1 that ask for no other
//! protocol are answered here. Deliberately not here: bodies, sockets, and what an answer means for
//! the records.

mod date;
mod head;
mod order;
mod ours;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use date::DateLine;
#[cfg(test)]
pub(crate) use head::Malformed;
pub(crate) use head::{AnswerHead, BodyEnd, FIELDS_MAX, read};
pub(crate) use ours::OurFields;
pub(crate) use write::{ClientBody, write, write_interim};
