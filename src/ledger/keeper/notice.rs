//! What the ledger itself says was given up: its `prune` and `redact` records, and the `fault`
//! records that name a segment whose end is repeated by the next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::frame::GENESIS_PREV;
use super::super::line::{Record, is_hash};
use super::super::reader::Lines;
use super::super::scan::as_pairs;
use super::class::Class;
use super::files::name_of;
use super::pace::Pace;
use super::stub::StubSet;
use super::trouble::Trouble;

/// What a record gives up of its segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// All of it: the file goes.
    Whole,
    /// The records of a class.
    Class(Class),
    /// The records of these numbers, both ends included.
    Ranges(Vec<(u64, u64)>),
}

/// A `prune` or `redact` record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// The segment that it names, by its first number.
    pub(super) first_seq: u64,
    /// The number after its last record, and that record's hash; a `redact` record leaves them
    /// out, so they are 0 and zeros where one was read.
    pub(super) next_seq: u64,
    pub(super) head: [u8; 64],
    /// What is given up.
    pub(super) what: What,
    /// All stubs that the segment has once this is carried out; `None` where it goes whole.
    pub(super) stubs: Option<StubSet>,
}

impl Notice {
    /// Reads a record; `None` where it is neither, or not of the form.
    pub(super) fn read(record: &Record<'_>) -> Option<Self> {
        let segment = record.text("segment")?;
        let first_seq = segment.strip_prefix("seg-")?.parse().ok()?;
        if segment != name_of(first_seq) {
            return None;
        }
        let what = match (record.kind, record.text("mode")) {
            ("prune", Some("segment")) => What::Whole,
            ("prune", Some("stubs")) => What::Class(Class::from_key(record.text("class")?)?),
            ("redact", _) => What::Ranges(as_pairs(record.member("ranges")?)?),
            _ => return None,
        };
        let stubs = || {
            Some(StubSet {
                count: record.uint("stubs")?,
                sha256: hash(record.text("stubs_sha256")?)?,
            })
        };
        let stubs = match what {
            What::Whole => None,
            _ => Some(stubs()?),
        };
        let (next_seq, head) = match what {
            What::Ranges(_) => (0, GENESIS_PREV),
            _ => (record.uint("next_seq")?, hash(record.text("head")?)?),
        };
        Some(Self {
            first_seq,
            next_seq,
            head,
            what,
            stubs,
        })
    }
}

fn hash(text: &str) -> Option<[u8; 64]> {
    let text = Some(text).filter(|text| is_hash(text))?;
    text.as_bytes().try_into().ok()
}

/// All such records that were seen so far.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// By the number of the record that says it.
    by_seq: BTreeMap<u64, Notice>,
    given_up: BTreeSet<String>,
    /// How far the newest segment was read.
    read: Option<(PathBuf, u64)>,
}

impl Notices {
    /// Takes a checked record in, whatever its kind.
    pub(super) fn note(&mut self, record: &Record<'_>) {
        match record.kind {
            "prune" | "redact" => {
                if let Some(notice) = Notice::read(record) {
                    self.by_seq.insert(record.seq, notice);
                }
            }
            "fault" => self
                .given_up
                .extend(record.text("segment").map(str::to_owned)),
            _ => {}
        }
    }

    /// Takes in what another pass has seen.
    pub(super) fn merge(&mut self, other: Self) {
        self.by_seq.extend(other.by_seq);
        self.given_up.extend(other.given_up);
    }

    /// Reads on in the newest segment, from where it was read to.
    pub(super) fn catch_up(&mut self, newest: &Path, pace: &mut Pace) -> Result<(), Trouble> {
        let io = |error| Trouble::io("reading", newest, error);
        let offset = match &self.read {
            Some((path, offset)) if path == newest => *offset,
            _ => 0,
        };
        let mut lines = Lines::open_at(newest, offset).map_err(io)?;
        let (mut end, mut scratch) = (offset, Vec::new());
        while let Some(line) = lines.next().map_err(io)?.filter(|line| line.complete) {
            end = line.offset + line.bytes.len() as u64 + 1;
            pace.spend(line.bytes.len() + 1)?;
            // Almost every line is a decision; those need not be hashed for this.
            if is_meant(line.bytes)
                && let Ok(record) = Record::check(line.bytes, &mut scratch)
            {
                self.note(&record);
            }
        }
        self.read = Some((newest.to_path_buf(), end));
        Ok(())
    }

    /// The records with their numbers, the oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Notice)> {
        self.by_seq.iter().map(|(seq, notice)| (*seq, notice))
    }

    /// Whether a record says that a segment has exactly these stubs.
    pub(super) fn explain(&self, first_seq: u64, stubs: &StubSet) -> bool {
        self.all().any(|(_, notice)| {
            notice.first_seq == first_seq && notice.stubs.as_ref() == Some(stubs)
        })
    }

    /// Whether a `fault` record gives this file up.
    pub(super) fn gives_up(&self, file_name: &str) -> bool {
        self.given_up.contains(file_name)
    }

    /// The record that says that the segment went whole, with its number.
    pub(super) fn whole(&self, first_seq: u64) -> Option<(u64, &Notice)> {
        self.all()
            .find(|(_, notice)| notice.first_seq == first_seq && notice.what == What::Whole)
    }

    /// The newest record that leaves stubs in a segment, with its number.
    pub(super) fn newest_stubs(&self, first_seq: u64) -> Option<(u64, &Notice)> {
        self.all()
            .filter(|(_, notice)| notice.first_seq == first_seq && notice.stubs.is_some())
            .last()
    }

    /// Takes in a record of this process.
    pub(super) fn insert(&mut self, seq: u64, notice: Notice) {
        self.by_seq.insert(seq, notice);
    }

    /// Whether a record says that what came before number `seq` went, up to the hash `prev`.
    pub(super) fn lead_to(&self, seq: u64, prev: &[u8; 64]) -> bool {
        self.all().any(|(_, notice)| {
            notice.what == What::Whole && notice.next_seq == seq && notice.head == *prev
        })
    }
}

/// Whether a line may be of one of the kinds.
fn is_meant(line: &[u8]) -> bool {
    const KIND: &[u8] = b"\"kind\":\"";
    let Some(at) = line.windows(KIND.len()).position(|part| part == KIND) else {
        return false;
    };
    let kind = line.get(at + KIND.len()..).unwrap_or_default();
    ["prune\"", "redact\"", "fault\""]
        .iter()
        .any(|name| kind.starts_with(name.as_bytes()))
}
