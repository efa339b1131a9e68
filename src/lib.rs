//! tidegate: an inline governance gateway for HTTP APIs.

pub mod ledger;
pub mod units;

pub mod observation;

pub mod contract;

pub mod risk;

pub mod decision;

pub mod enforcement;

pub mod pipeline;

pub mod record;

pub mod policy;

pub mod rulebook;

pub mod telemetry;
