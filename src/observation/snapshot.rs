//! What is worth keeping over a restart, as plain data: times in it are relative to its instant.
//!
//! The last seconds and minutes are not: they are seen anew sooner than they would be believed.
//! How it is written to a file, and which files are believed, is the business of the shell.

use crate::observation::SavedCircuit;
use crate::observation::baseline::BaselineSnapshot;
use crate::observation::burn::BurnSnapshot;
use crate::observation::load::Load;

/// The memory of all routes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Snapshot {
    /// When it was taken, microseconds since 1970.
    pub wall_us: u64,
    /// One for each route.
    pub routes: Vec<RouteSnapshot>,
}

/// The memory of one route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteSnapshot {
    /// The id of its contract.
    pub contract: Box<str>,
    /// Its usual tail.
    pub baseline: BaselineSnapshot,
    /// Its usual load.
    pub load: Load,
    /// Its long windows of failures.
    pub burn: BurnSnapshot,
    /// Its circuits, dry and real; `None` where one never opened.
    pub circuits: [Option<SavedCircuit>; 2],
    /// Theoretical arrival time of its rate limit minus the instant, dry and real, nanoseconds; 0
    /// where it was in the past.
    pub rate_tat_ns: [u64; 2],
    /// The period of that rate limit, nanoseconds; 0 where nothing was used up.
    pub rate_period_ns: u64,
}

impl RouteSnapshot {
    /// Whether the route was ever used: of others only the time is kept.
    pub(super) fn is_used(&self) -> bool {
        let unused = Self {
            contract: self.contract.clone(),
            burn: BurnSnapshot {
                observed_minutes: self.burn.observed_minutes,
                ..BurnSnapshot::default()
            },
            ..Self::default()
        };
        *self != unused
    }
}
