//! What the sync thread does for the writer: everything that waits for the disk.
//!
//! Each job is a sequence that leaves a valid state wherever it is cut off, and tells how it went.

use std::io;
use std::path::PathBuf;

use super::disk::{Disk, DiskFile};
use super::error::LedgerError;
use super::note_store::NoteStore;
use super::segment::{Naming, NextFile, Segment};

/// One thing to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Make what was written to the file durable, and name it if it has no name yet.
    Sync {
        file: DiskFile,
        naming: Option<Naming>,
    },
    /// Reserve space of a segment ahead of its lines.
    Room {
        file: DiskFile,
        from: u64,
        bytes: u64,
    },
    /// Make the file of the next segment.
    Next { dir: PathBuf, bytes: u64 },
    /// Make a segment of these lines, durable.
    Successor {
        dir: PathBuf,
        first_seq: u64,
        lines: Vec<u8>,
    },
    /// Put a tree file.
    Tree {
        dir: PathBuf,
        name: String,
        text: String,
    },
    /// Keep a signed note.
    Note { store: NoteStore, note: String },
}

/// How it went. Lines and files that a job took come back with its answer.
#[derive(Debug)]
pub(super) enum Answer {
    Synced(io::Result<()>),
    Room,
    Next(io::Result<NextFile>),
    Successor(io::Result<Segment>, Vec<u8>),
    Tree(Result<(), LedgerError>),
    Note(NoteStore, Result<(), LedgerError>),
    /// The thread is gone.
    Gone,
}

impl Job {
    pub(super) fn run(self, disk: &Disk) -> Answer {
        match self {
            Self::Sync { file, naming } => {
                let named = || naming.map_or(Ok(()), |naming| naming.run(disk));
                Answer::Synced(file.sync().and_then(|()| named()))
            }
            Self::Room { file, from, bytes } => {
                // Only an advance: where it fails, the write that needs the space meets the same.
                let _ = file.reserve(from, bytes);
                Answer::Room
            }
            Self::Next { dir, bytes } => Answer::Next(NextFile::create(disk, &dir, bytes)),
            Self::Successor {
                dir,
                first_seq,
                lines,
            } => {
                // A segment is born with durable records, so its successor never needs its name.
                let made = Segment::create(disk, &dir, first_seq, &lines, false);
                Answer::Successor(made, lines)
            }
            Self::Tree { dir, name, text } => Answer::Tree(disk.put(&dir, &name, text.as_bytes())),
            Self::Note { mut store, note } => {
                let kept = store.keep(disk, &note);
                Answer::Note(store, kept)
            }
        }
    }
}
