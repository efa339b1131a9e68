//! DECIDE: what the risk warrants.
//!
//! `decide` knows rules, score and signals; it does not know what the tier allows. A decision is
//! a value with its reasons, never an error.

mod decide;
mod shed;

pub use crate::units::{Reason, ReasonSet};
pub use decide::{Decision, band_of, decide};
pub use shed::{
    SHED_SHARE_MAX_BP, numbered_hash, only_shedding_refuses, rollout_hash, shed_hash, shed_share,
};
