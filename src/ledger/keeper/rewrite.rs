//! Replaces records of a closed segment by stubs: a rewritten copy in the place of the file.
//!
//! Invariants: the record that names the stubs is durable and signed before [`swap`] is called; the
//! copy has exactly those stubs, and its chain holds, before it gets the name; all other bytes are
//! the old ones. A crash leaves the old file or the new one.

use std::io;
use std::path::Path;

use super::super::directory::temporary;
use super::super::disk::{Disk, DiskFile};
use super::super::line::Record;
use super::check::{Checked, read};
use super::class::{Class, is_frame};
use super::compress::Packing;
use super::files::Closed;
use super::notice::What;
use super::pace::Pace;
use super::stub::{Stub, StubCounter, StubSet};
use super::trouble::Trouble;
use super::walk::{damage, walk};

/// Whether a record becomes a stub.
fn goes(what: &What, record: &Record<'_>) -> bool {
    let meant = match what {
        What::Whole => false,
        What::Class(class) => Class::of(record) == *class,
        What::Ranges(ranges) => ranges
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&record.seq)),
    };
    meant && !is_frame(record.kind)
}

/// All stubs that the segment will have, those that it has among them.
pub(super) fn plan(closed: &Closed, what: &What, pace: &mut Pace) -> Result<StubSet, Trouble> {
    let mut stubs = StubCounter::default();
    walk(&closed.path(), closed, pace, |step| {
        if step.record.is_none_or(|record| goes(what, record)) {
            stubs.push(step.seq);
        }
        Ok(())
    })?;
    Ok(stubs.finish())
}

/// Puts the rewritten copy in the place of the file; gives what it holds. Lines behind those that
/// count are not copied: the next segment has them.
pub(super) fn swap(
    disk: &Disk,
    closed: &Closed,
    what: &What,
    expected: &StubSet,
    pace: &mut Pace,
) -> Result<Checked, Trouble> {
    let target = closed.path();
    let under_way = temporary(&target);
    let io = |error| Trouble::io("rewriting", &target, error);
    let mut copy = Copy::new(disk, &under_way, !closed.plain).map_err(io)?;
    let mut line = Vec::new();
    walk(&target, closed, pace, |step| {
        line.clear();
        if step.record.is_some_and(|record| goes(what, record)) {
            let stub = Stub {
                seq: step.seq,
                prev: step.prev,
                hash: step.hash,
            };
            stub.write(&mut line);
        } else {
            line.extend_from_slice(step.bytes);
        }
        copy.write(&line).map_err(io)
    })?;
    copy.finish().map_err(io)?;
    let written = read(&under_way, closed, pace)?;
    if written.stubs != *expected {
        disk.remove(&under_way).map_err(io)?;
        let rule = "the record that gives records up names exactly those that are there";
        return Err(damage(&target, closed.first_seq, 0, rule.to_owned()));
    }
    disk.rename(&under_way, &target).map_err(io)?;
    disk.sync_folder(closed.dir()).map_err(io)?;
    Ok(written)
}

/// The new file in the form of the old one.
enum Copy {
    Plain(DiskFile, Vec<u8>),
    Packed(Packing),
}

/// Lines are collected to this before they are written.
const WRITE_BYTES: usize = 256 * 1024;

impl Copy {
    fn new(disk: &Disk, path: &Path, packed: bool) -> io::Result<Self> {
        if packed {
            return Packing::new(disk, path).map(Self::Packed);
        }
        Ok(Self::Plain(disk.create(path)?, Vec::new()))
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Packed(packing) => packing.write_all(line),
            Self::Plain(file, waiting) => {
                waiting.extend_from_slice(line);
                if waiting.len() < WRITE_BYTES {
                    return Ok(());
                }
                file.write_all(waiting)?;
                waiting.clear();
                Ok(())
            }
        }
    }

    /// Ends the file; durable on return.
    fn finish(self) -> io::Result<()> {
        match self {
            Self::Packed(packing) => packing.finish(),
            Self::Plain(file, waiting) => {
                file.write_all(&waiting)?;
                file.sync()
            }
        }
    }
}
