//! The policy: thresholds, weights, stages, and what each tier may do.
//!
//! `rules` is what the stages read; the canonical form and the digest that names a rulebook
//! stand beside it. Bundles and signatures will stand on these.

mod bounds;
pub mod canonical;
pub mod charter;
pub mod file;
pub mod rules;
pub mod self_tests;
