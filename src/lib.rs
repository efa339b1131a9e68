//! tidegate: an inline governance gateway for HTTP APIs.

pub mod units;
