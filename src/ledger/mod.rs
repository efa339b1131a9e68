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
mod counters;
mod directory;
mod disk;
mod entry;
mod error;
mod evidence;
mod frame;
mod handle;
mod identity;
mod intake;
mod key;
mod line;
mod merkle;
mod note;
mod opening;
mod output;
mod pressure;
#[cfg(test)]
mod pressure_tests;
mod ranges;
mod reader;
mod recovery;
mod ring;
mod rollup;
mod rulebooks;
mod scan;
mod segment;
mod stats;
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
pub use pressure::Pressure;
pub use reader::{DirectoryLines, Line, Lines};
pub use recovery::TornTail;
pub use ring::{Consumer, Lane, Producer, Source, ring};
pub use rollup::{Encode, Summary};
pub use scan::{Members, NotCanonical, as_counts, as_pairs, as_text, as_uint};
pub use stats::{RingMark, Snapshot};
pub use tail::Tail;
pub use tree_file::{TreeBuilder, TreeFile, TreeHash};
pub use verify::{Damage, Report, Verdict, verify};
