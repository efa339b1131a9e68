//! tidegate: an inline governance gateway for HTTP APIs.

pub mod units;

pub mod contract;
pub mod decision;
pub mod enforcement;
pub mod rulebook;
pub mod pipeline;
pub mod observation;
pub mod policy;
pub mod risk;
