//! Numbers with a meaning, and the closed vocabularies that every stage shares.
//!
//! Invariant: nothing here reads a clock, a file or another module of this crate.
//! Everything scored, hashed or replayed is an integer; the constructors check the bounds.

mod action;
mod amount;
mod band;
mod date;
mod factor;
mod moment;
mod tier;

pub use action::{Action, ActionSet};
pub use amount::{BasisPoints, Millis, PartsPerMillion, PerMinute, ramp};
pub use band::{Band, Bands};
pub use date::Date;
pub use factor::{FACTOR_COUNT, Factor, FactorSet};
pub use moment::Moment;
pub use tier::Tier;
