//! Bundles: contracts and policy as one signed artifact, and the documents that say who may sign.
//!
//! Reading order: [`envelope`] (bytes and signatures over them), [`manifest`] (who made what, for
//! whom, until when), [`payload`] (manifest and content in canonical form), [`root`] (principals,
//! keys, thresholds), [`refusal`] (one code for each reason to refuse), [`change`] (what a bundle
//! does to those it governs), [`verify`] (the one way from bytes to a bundle that counts). docs/bundle-format.md is the
//! specification. Everything here is pure: no file, no clock, no random number. Bytes that were not
//! checked yet are called `unverified`.

pub mod change;
pub mod envelope;
#[cfg(test)]
pub(crate) mod fixture;
pub mod manifest;
pub mod payload;
pub mod refusal;
pub mod root;
mod shelf;
mod text;
pub mod verify;

pub use text::{digest_hex, key_id, public_base64, public_key};
