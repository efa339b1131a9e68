//! What reached the upstream: how many requests, and which came more than once.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// So many ids are remembered; beyond it `ids_forgotten` says how many were not.
const IDS_MAX: usize = 4_000_000;

/// The running count; shared by all connections.
#[derive(Default)]
pub struct Count(Mutex<State>);

#[derive(Default)]
struct State {
    seen: Seen,
    // Hashes of ids: enough to find repeats, a tenth of the memory.
    ids: HashSet<u64>,
}

/// The counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Complete heads read.
    pub requests: u64,
    /// Of these, how many carried an `x-request-id` that had come before.
    pub duplicates: u64,
    /// Of these, how many carried none.
    pub without_id: u64,
    /// Ids that came after the memory for them was full.
    pub ids_forgotten: u64,
}

impl Seen {
    /// As `/_count` prints it.
    #[must_use]
    pub fn to_json(self) -> Value {
        json!({
            "requests": self.requests,
            "duplicates": self.duplicates,
            "without_id": self.without_id,
            "ids_forgotten": self.ids_forgotten,
        })
    }
}

impl Count {
    /// Counts one request.
    pub fn note(&self, id: Option<&str>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.seen.requests += 1;
        let Some(id) = id else {
            state.seen.without_id += 1;
            return;
        };
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let hash = hasher.finish();
        if state.ids.contains(&hash) {
            state.seen.duplicates += 1;
        } else if state.ids.len() < IDS_MAX {
            state.ids.insert(hash);
        } else {
            state.seen.ids_forgotten += 1;
        }
    }

    /// The counts now.
    pub fn seen(&self) -> Seen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).seen
    }

    /// Starts from zero.
    pub fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}
