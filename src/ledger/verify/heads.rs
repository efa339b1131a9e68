//! The notes beside the segments: `heads.log` and `checkpoint`.
//!
//! Read before the segments, so that a gateway that goes on signing meanwhile does not look as if
//! records were missing. Kept in memory is where each note lies, not the note.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::super::note::{Checkpoint, SignedNote};
use super::report::{At, Broken, Damage, TORN, broken};

/// A longer note is none of ours.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
const FORM: &str = "heads.log is signed checkpoints, each followed by an empty line";

/// A signed checkpoint, its form checked and nothing else.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) note: SignedNote,
    pub(super) checkpoint: Checkpoint,
}

impl Head {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let note = SignedNote::parse(bytes)?;
        let checkpoint = Checkpoint::from_text(&note.text)?;
        Ok(Self { note, checkpoint })
    }

    /// One signature under the log's name over nothing but the three lines: what a `checkpoint`
    /// record stands for.
    pub(super) fn is_plain(&self) -> bool {
        let [signature] = self.note.signatures.as_slice() else {
            return false;
        };
        signature.name == self.checkpoint.origin && self.note.text == self.checkpoint.text()
    }
}

/// Where a note lies in `heads.log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) line: u64,
}

/// `heads.log`, by size.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) path: PathBuf,
    file: Option<File>,
    /// Ascending by size, then by place.
    pub(super) entries: Vec<Entry>,
    /// The last note is unfinished.
    pub(super) torn: Option<Damage>,
}

impl Heads {
    /// Reads the places of all notes; empty where there is no such file.
    pub(super) fn read(dir: &Path) -> io::Result<Result<Self, Box<Damage>>> {
        let path = dir.join("heads.log");
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Ok(Self::default()));
            }
            opened => opened?,
        };
        let mut this = Self {
            path,
            file: Some(file.try_clone()?),
            ..Self::default()
        };
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let (mut offset, mut line) = (0, 1);
        let mut note = Vec::new();
        while let Some((lines, whole)) = next_note(&mut reader, &mut note)? {
            let at = At {
                seq: 0,
                line,
                offset,
            };
            if !whole && (note.len() as u64) < NOTE_BYTES_MAX {
                let found = format!("{} bytes of an unfinished note", note.len());
                let mut torn = broken(FORM, "a whole note", found).at(&this.path, at);
                torn.remedy = TORN;
                this.torn = Some(torn);
                break;
            }
            let head = note.strip_suffix(b"\n").map(Head::parse);
            match head {
                Some(Ok(head)) => this.entries.push(Entry {
                    size: head.checkpoint.size,
                    offset,
                    bytes: note.len() as u32 - 1,
                    line,
                }),
                wrong => {
                    let rule = wrong
                        .and_then(Result::err)
                        .unwrap_or("a note ends with a newline");
                    return Ok(Err(Box::new(broken(FORM, rule, "").at(&this.path, at))));
                }
            }
            offset += note.len() as u64;
            line += lines;
        }
        this.entries.sort_unstable();
        Ok(Ok(this))
    }

    /// The sizes, ascending.
    pub(super) fn sizes(&self) -> Vec<u64> {
        self.entries.iter().map(|entry| entry.size).collect()
    }

    /// The note at a place.
    pub(super) fn head(&self, entry: &Entry) -> io::Result<Result<Head, Broken>> {
        let mut bytes = vec![0; entry.bytes as usize];
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(&mut bytes, entry.offset)?;
        Ok(Head::parse(&bytes).map_err(|rule| broken(FORM, rule, "")))
    }

    /// Where a note stands, for a report; it is about the last record that it covers.
    pub(super) fn at(entry: &Entry) -> At {
        At {
            seq: entry.size.saturating_sub(1),
            line: entry.line,
            offset: entry.offset,
        }
    }
}

/// Reads up to the empty line after the signatures; gives the lines, and whether it was reached.
fn next_note(reader: &mut impl BufRead, note: &mut Vec<u8>) -> io::Result<Option<(u64, bool)>> {
    note.clear();
    let (mut lines, mut empty) = (0, 0);
    loop {
        let before = note.len();
        let room = NOTE_BYTES_MAX.saturating_sub(before as u64);
        let read = reader.by_ref().take(room).read_until(b'\n', note)?;
        if read == 0 || note.last() != Some(&b'\n') {
            return Ok((!note.is_empty()).then_some((lines, false)));
        }
        lines += 1;
        if read == 1 {
            empty += 1;
            if empty == 2 {
                return Ok(Some((lines, true)));
            }
        }
    }
}

/// The file `checkpoint`, where it is.
pub(super) fn newest(dir: &Path) -> io::Result<Option<(PathBuf, Result<Head, Broken>)>> {
    let path = dir.join("checkpoint");
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let rule = "checkpoint is one signed checkpoint";
    let head = Head::parse(&bytes).map_err(|why| broken(rule, why, ""));
    Ok(Some((path, head)))
}
