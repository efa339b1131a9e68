//! tidegate: an inline governance gateway for HTTP APIs.

pub mod cli;
pub mod ledger;
pub mod units;
