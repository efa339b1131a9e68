//! tidegate: an inline governance gateway for HTTP APIs.

pub mod ledger;
pub mod units;
