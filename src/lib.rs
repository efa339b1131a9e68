//! tidegate: an inline governance gateway for HTTP APIs.

pub mod units;

pub mod contract;
pub mod policy;
