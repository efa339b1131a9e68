//! RECORD: what is written down about one request.
//!
//! A worker fills a fixed-size [`Event`] and pushes it into its ring; the ledger's writer thread
//! turns it into a canonical line with [`Encoder`]. [`DecisionLine`] reads such a line back, for
//! replay and explanation. No clock, no file: the numbers come from the pipeline, the frame from
//! the ledger.

mod action_lists;
mod case;
mod change;
mod compare;
mod consistency;
mod encode;
mod event;
mod id;
mod keys;
mod line;
mod shape;
mod text;

pub use case::{case_id, case_of};
pub use change::{BundleChange, BundleMembers, BundleResult, GovernanceAct};
pub use compare::{Comparison, Difference, JUDGED_MEMBERS};
pub use consistency::contradictions;
pub use encode::Encoder;
pub use event::{DecisionEvent, Event, EventEnding, Outcome, OutcomeEvent, Phase};
pub use id::DecisionId;
pub use line::{DecisionLine, LineError, MEMBER_COUNT, MEMBERS};
pub use shape::{SHAPE_BYTES_MAX, unmatched_shape};
pub use text::InlineText;

#[cfg(test)]
mod tests;
