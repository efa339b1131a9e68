//! The admin listener: health, metrics, status and explanations, for operators on this host.
//!
//! It listens on loopback only (nothing here asks who is calling), on a thread of its own, so it
//! answers while workers are busy. A GET changes nothing; three POSTs load the files, hand in a
//! bundle and lower the tier. Requests that a web page could have made are refused, see `guard` and `change`.

mod activation;
mod baselines;
mod bundle;
mod change;
mod circuits;
mod contracts;
mod decision;
mod guard;
mod health;
mod held;
mod ledger;
mod problem;
mod router;
mod scrape;
mod server;
mod state;
#[cfg(test)]
mod tests;

pub use activation::{
    Activation, Finding, KillSwitchState, Later, Levers, Lowering, Standing, Trigger,
};
pub use bundle::{Attempt, BundleStanding, Emergency, NO_BUNDLE, Submission};
pub use server::{Admin, AdminError, AdminPort};
pub use state::{AdminParts, AdminState};
