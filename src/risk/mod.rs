//! ASSESS: how risky a request is, and why.
//!
//! Each factor is a small pure function from [`Signals`](crate::observation::Signals) and the
//! contract's terms to a [`Reading`]; one table says whom a factor speaks about and with which
//! factors it is correlated. The score keeps every reading and every contribution, so that a
//! person can be told why. Nothing here decides.

mod assessment;
mod error_budget;
mod error_rate;
mod factors;
mod latency;
mod traffic;

pub use assessment::{Assessment, assess, canary_hash_needed};
pub use error_budget::{budget_remaining_bp, burn_thousandths};
pub use factors::{Family, Reading, Subject, TABLE};
