//! tidegate: an inline governance gateway for HTTP APIs.

pub mod units;

pub mod contract;
pub mod decision;
pub mod enforcement;
pub mod observation;
pub mod pipeline;
pub mod record;
pub mod risk;

pub mod bundle;
pub mod policy;
pub mod rulebook;
pub mod schema;

pub mod key_file;
pub mod ledger;

pub mod admin;
pub mod gateway;
pub mod telemetry;
pub mod tls;

pub mod config;
pub mod diagnostic;
pub mod openapi;
pub mod yaml;

pub mod replay;
pub mod selftest;
pub mod simulate;

pub mod assembly;
pub mod cli;
