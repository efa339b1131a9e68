//! Descriptions of APIs in `OpenAPI` 3.0 and 3.1, as a source of contracts.
//!
//! A description says which operations there are, not what they promise: every operation becomes a
//! contract with its endpoint and nothing else, for people to complete. What cannot become one is
//! said, with its place in the description; nothing is left out in silence.
//! Descriptions are foreign: size, depth and every list are bounded, references are followed a
//! bounded way and never out of the file.
//! Not here: schemas, and files; the caller reads the bytes.

mod base;
mod description;
mod document;
mod naming;
mod operations;
mod reference;
mod stub;

pub use description::{Description, Operation};
pub use document::FILE_BYTES_MAX;
pub use operations::{Import, import};
pub use stub::{Extras, Stub, render};

#[cfg(test)]
mod tests;
