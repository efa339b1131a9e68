//! tidegate: an inline governance gateway for HTTP APIs.

pub mod units;

pub mod contract;
pub mod policy;

pub mod diagnostic;
pub mod yaml;

pub mod config;

pub mod cli;
