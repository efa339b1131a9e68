//! tidegate: an inline governance gateway for HTTP APIs.

pub mod gateway;
pub mod units;
