//! The append-only record of what was decided: hashed lines that a third party can check with
//! ordinary tools, written behind the requests and never in their way.
//!
//! The way of a record: a worker pushes an event into its [`ring()`]; the writer thread pops it, the
//! caller's encoder pushes its members into an [`EntryBuilder`], [`Chain`] numbers, links and
//! hashes the line, the segment takes it, a second thread syncs it.
//! Invariants: nothing here blocks a request; no count is lost in silence; no evidence is deleted.
//! Not here: decisions (the encoder is given), checkpoints and proofs, rotation, retention.

mod chain;
mod clock;
#[cfg(test)]
mod crash_tests;
mod directory;
mod disk;
mod ending;
mod entry;
mod error;
mod evidence;
mod frame;
mod handle;
mod heads;
mod history;
mod identity;
mod key;
mod last_boot;
mod line;
mod made;
mod merkle;
mod note;
mod opening;
mod output;
mod previous;
mod quarantine;
mod ranges;
mod reader;
mod recovery;
#[cfg(test)]
mod recovery_tests;
mod repair;
mod ring;
mod rulebooks;
mod salvage;
mod scan;
mod segment;
mod stats;
mod survey;
mod sync;
mod tail;
#[cfg(test)]
mod tests;
mod tree_file;
mod verify;
mod writer;

pub use chain::Chain;
pub use directory::SegmentName;
pub use entry::EntryBuilder;
pub use error::LedgerError;
pub use frame::{BootId, GENESIS_PREV, INTEGER_MAX, KINDS, LINE_BYTES_MAX, entry_hash, hex64};
pub use handle::{Ledger, OpenFacts, Recovered, Settings};
pub use key::{KeyError, LedgerKey};
pub use line::{LineFault, Record};
pub use merkle::{Frontier, Hash, node};
pub use note::{Checkpoint, NoteSignature, SignedNote, VerifierKey};
pub use quarantine::TornTail;
pub use reader::{DirectoryLines, Line, Lines};
pub use recovery::DamagedRecords;
pub use repair::{Repair, RepairError, recover};
pub use ring::{Consumer, Producer, Source, ring};
pub use scan::{Members, NotCanonical, as_counts, as_pairs, as_text, as_uint};
pub use stats::{RingMark, Snapshot};
pub use tail::Tail;
pub use tree_file::{TreeBuilder, TreeFile, TreeHash};
pub use verify::{Damage, Report, Verdict, verify};
