//! What is said at a start: by whoever starts, in the `open` record, and by what was found.

use std::path::Path;

use super::frame::BootId;
use super::high_water::{HighWater, RootMark};
use super::previous::Previous;
use super::quarantine::TornTail;
use super::recovery::{DamagedRecords, Found};
use super::stats::KeptDamage;

/// What the `open` record says about this start.
#[derive(Debug, Clone)]
pub struct OpenFacts {
    /// This start; the same id stands in the decision ids.
    pub boot: BootId,
    /// The name of this instance; also the name in the ledger's `origin`.
    pub instance: String,
    /// The version of the program.
    pub version: String,
    /// The content digest of the rulebook in force: SHA-256 of its bytes, 64 hex digits.
    pub policy_hash: String,
    /// The id of the client key, where there is one.
    pub client_key_id: Option<String>,
    /// Where the rulebook comes from, where that is told.
    pub bundle: Option<OpenBundle>,
}

/// Where the rulebook of a start comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenBundle {
    /// Plain files that nobody signed.
    Unsigned,
    /// Bundles: the digest of the one in force, if there is one yet, and the high-water mark.
    Bundles {
        /// The one in force.
        in_force: Option<String>,
        /// The greatest place that one in force ever had here.
        high_water: Option<HighWater>,
        /// The newest root that held here.
        root: Option<RootMark>,
    },
}

/// What `start` found in the directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Records that the chain had before, those of older segments that are gone included.
    pub records: u64,
    /// The torn tail that was cut off and kept.
    pub torn: Option<TornTail>,
    /// Damage to promised records; they were left as they are, and a new segment began.
    pub damaged: Option<DamagedRecords>,
    /// True when records were there and the last of them was not a `close`.
    pub unclosed: bool,
    /// Numbers that the boot before made and that left no trace: exact after a kill. `None` where its
    /// counters are gone or do not fit, and for a boot that closed.
    pub unaccounted: Option<u64>,
    /// True when the directory is not the one that the boot before wrote to.
    pub moved: bool,
    /// True when keys or `checkpoint` records say that the ledger is signed, and neither
    /// `heads.log` nor `checkpoint` has a note of it.
    pub heads_missing: bool,
}

impl Recovered {
    pub(super) fn of(found: &Found) -> Self {
        let previous = found.previous.as_ref();
        Self {
            records: found.chain.next_seq(),
            torn: found.torn.clone(),
            damaged: found.damaged.clone(),
            unclosed: !found.closed,
            unaccounted: previous.map(Previous::total_unaccounted),
            moved: found.moved,
            heads_missing: found.heads_missing,
        }
    }

    /// The damage as the gauges tell it, in a ledger that lies in `dir`.
    pub(super) fn kept_damage(&self, dir: &Path) -> Option<KeptDamage> {
        self.damaged.as_ref().map(|damaged| KeptDamage {
            seq: damaged.seq,
            file: dir.join(&damaged.segment),
            offset: damaged.offset,
            rule: damaged.rule.clone(),
        })
    }
}
