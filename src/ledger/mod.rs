//! The append-only record of what was decided: hashed lines that a third party can check with
//! ordinary tools, written behind the requests and never in their way.
//!
//! The way of a record: a worker pushes an event into its [`ring()`]; the writer thread pops it, the
//! caller's encoder pushes its members into an [`EntryBuilder`], [`Chain`] numbers, links and
//! hashes the line, [`LogTree`] takes the hash as a leaf, the segment takes the line, a second
//! thread syncs it; then a checkpoint over it is signed, and its note kept.
//! Invariants: nothing here blocks a request; no count is lost in silence; no evidence is deleted;
//! nothing is signed before it is synced.
//! What was written is looked after by the keeper: verified again, compressed, given up in time.
//! Not here: decisions (the encoder is given).

mod acceptance;
mod boot;
mod census;
mod chain;
mod clock;
mod counters;
#[cfg(test)]
mod crash_tests;
mod digits;
mod directory;
mod disk;
mod ending;
mod entry;
mod error;
mod facts;
#[cfg(test)]
pub(crate) mod fixture;
mod frame;
mod handle;
mod heads;
mod high_water;
mod history;
mod intake;
mod jobs;
mod keeper;
mod key;
mod last_boot;
mod line;
mod made;
mod merkle;
mod missing;
mod note;
mod note_store;
mod opening;
mod output;
mod pressure;
#[cfg(test)]
mod pressure_tests;
mod previous;
mod proof;
mod quarantine;
mod ranges;
mod reader;
mod record_proof;
mod recovery;
#[cfg(test)]
mod recovery_tests;
mod repair;
mod ring;
mod rollup;
mod rulebooks;
mod salvage;
mod scan;
mod segment;
mod settings;
mod sha;
mod signing;
mod source;
mod stats;
mod stored_tree;
mod survey;
mod sync;
mod tail;
#[cfg(test)]
mod tests;
mod tiles;
mod tree;
mod tree_file;
mod unopened;
mod verify;
mod waiting;
mod writer;

pub use census::{Census, census};
pub use chain::Chain;
pub use directory::SegmentName;
pub use entry::{EntryBuilder, Key};
pub use error::LedgerError;
pub use facts::{OpenBundle, OpenFacts, Recovered};
pub use frame::{BootId, GENESIS_PREV, INTEGER_MAX, KINDS, LINE_BYTES_MAX, entry_hash, hex64};
pub use handle::{Ledger, Start};
pub use high_water::{HighWater, Remembered, RootMark, high_water};
pub use keeper::{
    Class, Keeper, KeeperSettings, NewestFacts, Offline, OfflineError, Planned, Space,
    check_redactable, known_damage, newest_facts, plan_prune,
};
pub use key::{KeyError, LedgerKey};
pub use line::{LineFault, Record};
pub use merkle::{Frontier, Hash, node};
pub use note::{Checkpoint, NoteSignature, SignedNote, VerifierKey};
pub use pressure::Pressure;
pub use quarantine::TornTail;
pub use reader::{DirectoryLines, Line, Lines};
pub use record_proof::{GrowthProof, RecordProof, SignedHead, prove};
pub use recovery::DamagedRecords;
pub use repair::{Repair, RepairError, recover};
pub use ring::{Consumer, Lane, Producer, Source, ring};
pub use rollup::{Encode, Summary};
pub use scan::{Members, NotCanonical, as_counts, as_pairs, as_text, as_uint};
pub use settings::{Settings, SyncMode};
pub use stats::{Kept, KeptDamage, RingMark, Snapshot};
pub use stored_tree::{ProofError, StoredTree};
pub use tail::Tail;
pub use tiles::{TileReport, export_tiles};
pub use tree::LogTree;
pub use tree_file::{TreeBuilder, TreeFile, TreeHash, TreeMark};
pub use unopened::{LostBoot, lost_boots};
pub use verify::{
    Damage, KnownHead, Report, TrustedKey, Verdict, VerifyOptions, verify, verify_with,
};
