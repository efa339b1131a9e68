//! One segment, checked by itself: lines, canonical form, self hash, the chain inside, its leaves,
//! and what the log as a whole has to be asked about.
//!
//! Keeps no line. Memory: one block, the window of [`Pieces`], and one value for each record that is
//! neither a decision in sequence nor an outcome.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::directory::SegmentName;
use super::super::frame::{GENESIS_PREV, LINE_BYTES_MAX};
use super::super::line::{LineFault, Record, carried_leaf};
use super::evidence::Evidence;
use super::keys::{Keys, note_of};
use super::lines::{RawLine, RawLines};
use super::pieces::Pieces;
use super::report::{At, Broken, Damage, RESTORE, TORN, broken};
use super::steps::{Signed, Step, decision, step_of};
use super::tree::{Hash, Piece};
use super::tree_check::{TreeCheck, TreeText};

/// What to read of a segment, and what is known before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) segment: &'a SegmentName,
    /// The last one: it alone may end in an unfinished line.
    pub(super) newest: bool,
    /// So many lines belong to it; what follows is repeated by its successor.
    pub(super) lines: Option<u64>,
    /// Records below are read for their hashes alone.
    pub(super) from: u64,
    /// The last record to be read.
    pub(super) to: u64,
    /// Sizes at which roots will be asked for, ascending.
    pub(super) wanted: &'a [u64],
    pub(super) keys: &'a Keys,
    /// Whose leaf is asked for.
    pub(super) watched: Option<u64>,
    /// Hand out each number by itself instead of runs, so that a conflict has an exact place.
    pub(super) fine: bool,
}

/// What is known of a segment.
#[derive(Debug)]
pub(super) struct Part {
    /// The number, prev and place of the first line that was checked.
    pub(super) first: Option<(u64, [u8; 64], At)>,
    /// The number of the first line that was read.
    pub(super) first_leaf: Option<u64>,
    pub(super) next_seq: u64,
    pub(super) head: [u8; 64],
    pub(super) records: u64,
    pub(super) decisions: u64,
    pub(super) outcomes: u64,
    pub(super) pieces: Vec<Piece>,
    /// Place, size and root of each checkpoint record.
    pub(super) checkpoints: Vec<(At, u64, Hash)>,
    /// The signer of each checkpoint record by its number, where a known key signed it.
    pub(super) signers: BTreeMap<u64, Option<[u8; 4]>>,
    pub(super) stubs: u64,
    pub(super) stubs_sha256: String,
    pub(super) evidence: Evidence,
    pub(super) instances: Vec<String>,
    pub(super) genesis: Option<[u8; 64]>,
    pub(super) watched: Option<Hash>,
    /// More lines than its successor left to it.
    pub(super) superseded: bool,
    /// An unfinished last line.
    pub(super) torn: Option<Damage>,
    /// The first broken rule in its lines; what was read before it counts.
    pub(super) broken: Option<Damage>,
    /// Its tree file says something else.
    pub(super) tree: Option<Damage>,
}

impl Part {
    const fn new(next_seq: u64) -> Self {
        Self {
            first: None,
            first_leaf: None,
            next_seq,
            head: GENESIS_PREV,
            records: 0,
            decisions: 0,
            outcomes: 0,
            pieces: Vec::new(),
            checkpoints: Vec::new(),
            signers: BTreeMap::new(),
            stubs: 0,
            stubs_sha256: String::new(),
            evidence: Evidence::new(),
            instances: Vec::new(),
            genesis: None,
            watched: None,
            superseded: false,
            torn: None,
            broken: None,
            tree: None,
        }
    }
}

/// Takes a step; false ends the reading.
pub(super) type Take<'t> = dyn FnMut(At, Step) -> bool + 't;

/// Reads one segment.
pub(super) fn read(job: &Job<'_>, take: &mut Take<'_>) -> io::Result<Part> {
    let first = job.segment.first_seq;
    let mut reading = Reading {
        job,
        part: Part::new(first),
        linked: false,
        runs: Vec::new(),
        pieces: Pieces::new(first, job.wanted),
        tree: TreeCheck::default(),
        stubs: Sha256::new(),
        take,
        ended: false,
    };
    match reading.run() {
        Ok(()) => {}
        // Damage of a frame, not a disk that does not answer.
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let broken = broken("a compressed segment is whole zstd frames", "", error);
            let at = At {
                seq: reading.part.next_seq,
                ..At::default()
            };
            reading.part.broken = Some(broken.at(&job.segment.path, at));
        }
        Err(error) => return Err(error),
    }
    Ok(reading.finish())
}

struct Reading<'a, 't> {
    job: &'a Job<'a>,
    part: Part,
    /// The line before was read, so the next one has to follow it.
    linked: bool,
    /// Consecutive numbers that were not handed out yet, by boot and worker.
    runs: Vec<(At, u32, u8, u64, u64)>,
    pieces: Pieces<'a>,
    tree: TreeCheck,
    stubs: Sha256,
    take: &'a mut Take<'t>,
    ended: bool,
}

impl Reading<'_, '_> {
    fn run(&mut self) -> io::Result<()> {
        if self.job.segment.named {
            let path = &self.job.segment.path;
            let tree = path.with_file_name(format!("{}.tree", self.job.segment.stem()));
            match TreeText::read(&tree)? {
                None => {}
                Some(Ok(text)) => self.tree = TreeCheck::new(Some(text)),
                Some(Err(damage)) => {
                    self.part.tree = Some(Damage {
                        seq: self.job.segment.first_seq,
                        ..*damage
                    });
                }
            }
        }
        let mut lines = RawLines::open(self.job.segment)?;
        let mut scratch = Vec::with_capacity(4_096);
        let mut at = At::default();
        loop {
            if self.job.lines.is_some_and(|lines| at.line >= lines) {
                self.part.superseded = !lines.at_end()?;
                return Ok(());
            }
            let position = lines.position();
            let next = lines
                .next_line()
                .map_err(|error| damaged(error, position))?;
            let Some(line) = next else { return Ok(()) };
            at = At {
                seq: self.part.next_seq,
                line: at.line + 1,
                offset: line.offset,
            };
            if self.part.first_leaf.is_some() && at.seq > self.job.to {
                return Ok(());
            }
            if let Err(broken) = self.line(at, &line, &mut scratch) {
                if self.part.torn.is_none() {
                    let at = At {
                        seq: self.part.next_seq,
                        ..at
                    };
                    self.part.broken = Some(broken.at(&self.job.segment.path, at));
                }
                return Ok(());
            }
            if self.ended {
                return Ok(());
            }
        }
    }

    fn line(&mut self, at: At, line: &RawLine<'_>, scratch: &mut Vec<u8>) -> Result<(), Broken> {
        if !line.complete {
            return Err(self.incomplete(at, line));
        }
        if at.seq < self.job.from && self.job.segment.named {
            return self.passed(at, line.bytes);
        }
        let mut buffer = std::mem::take(scratch);
        let checked = match Record::check(line.bytes, &mut buffer) {
            Ok(record) => self.record(at, &record),
            Err(fault) => Err(match &fault {
                LineFault::SelfHash { computed, carried } => {
                    broken(fault.rule(), computed, carried)
                }
                _ => broken(fault.rule(), "", ""),
            }),
        };
        *scratch = buffer;
        checked
    }

    fn incomplete(&mut self, at: At, line: &RawLine<'_>) -> Broken {
        let found = format!("{} bytes without one", line.bytes.len());
        let broken = broken("a line ends with a newline", "a newline", found);
        // The first line of a segment is durable before the segment has its name.
        if self.job.newest && at.offset > 0 && line.bytes.len() <= LINE_BYTES_MAX {
            let mut torn = broken.clone().at(&self.job.segment.path, at);
            torn.remedy = TORN;
            self.part.torn = Some(torn);
        }
        broken
    }

    /// A line before the asked for ones: only its hash is taken.
    fn passed(&mut self, at: At, line: &[u8]) -> Result<(), Broken> {
        let Some((head, leaf)) = carried_leaf(line) else {
            return Err(broken(LineFault::HashMember.rule(), "", ""));
        };
        self.leaf(at.seq, leaf);
        self.part.head = head;
        self.linked = true;
        Ok(())
    }

    fn record(&mut self, at: At, record: &Record<'_>) -> Result<(), Broken> {
        let start = !self.linked;
        if start && !self.job.segment.named {
            self.part.next_seq = record.seq;
            self.pieces = Pieces::new(record.seq, self.job.wanted);
        }
        let expected = self.part.next_seq;
        if record.seq != expected {
            let rule = if start {
                "a segment is named after its first record"
            } else {
                "records are numbered without gaps"
            };
            return Err(broken(rule, expected, record.seq));
        }
        if (!start || expected == 0) && record.prev.as_bytes() != self.part.head {
            let head = String::from_utf8_lossy(&self.part.head);
            return Err(broken(
                "prev is the hash of the line before",
                head,
                record.prev,
            ));
        }
        if record.seq == 0 && record.kind != "open" {
            return Err(broken("record 0 is of kind open", "open", record.kind));
        }
        let at = At {
            seq: expected,
            ..at
        };
        self.step(at, record)?;
        self.part
            .evidence
            .note(record)
            .map_err(|rule| broken(rule, "", ""))?;
        self.linked = true;
        if self.part.first.is_none() {
            let prev = <[u8; 64]>::try_from(record.prev.as_bytes()).unwrap_or(GENESIS_PREV);
            self.part.first = Some((expected, prev, at));
        }
        if expected == 0 {
            self.part.genesis = Some(record.hash);
        }
        self.part.head = record.hash;
        self.part.records += 1;
        self.leaf(expected, record.leaf);
        Ok(())
    }

    fn leaf(&mut self, seq: u64, leaf: Hash) {
        self.part.first_leaf.get_or_insert(seq);
        if self.job.watched == Some(seq) {
            self.part.watched = Some(leaf);
        }
        self.pieces.push(leaf, &mut self.tree);
        self.part.next_seq = seq + 1;
    }

    fn step(&mut self, at: At, record: &Record<'_>) -> Result<(), Broken> {
        match record.kind {
            "decision" => {
                self.part.decisions += 1;
                self.number(at, decision(record)?);
                return Ok(());
            }
            "outcome" => {
                self.part.outcomes += 1;
                return Ok(());
            }
            "open" => {
                let instance = record.text("instance").unwrap_or_default();
                if !self.part.instances.iter().any(|known| known == instance) {
                    self.part.instances.push(instance.to_owned());
                }
            }
            "stub" => {
                self.part.stubs += 1;
                self.stubs.update(format!("{}\n", at.seq));
            }
            _ => {}
        }
        let Some(step) = step_of(record)? else {
            return Ok(());
        };
        if let Step::Checkpoint(signed) = &step {
            self.pieces.ask(signed.size);
            self.part.checkpoints.push((at, signed.size, signed.root));
            let signer = self.signer(signed);
            self.part.signers.insert(at.seq, signer);
        }
        self.hand_out_runs();
        self.give(at, step);
        Ok(())
    }

    /// The signature is checked here, on this thread, where its key is known by now.
    fn signer(&self, signed: &Signed) -> Option<[u8; 4]> {
        let origin = self.job.keys.origin.as_deref()?;
        let note = note_of(origin, signed.size, &signed.root, &signed.signature);
        self.job.keys.signer(&note)
    }

    fn number(&mut self, at: At, (boot, worker, n): (u32, u8, u64)) {
        if !self.job.fine {
            let own = |run: &&mut (At, u32, u8, u64, u64)| run.1 == boot && run.2 == worker;
            if let Some(run) = self.runs.iter_mut().find(own) {
                if run.4 + 1 == n {
                    run.4 = n;
                    return;
                }
                let (from, _, _, first, last) = std::mem::replace(run, (at, boot, worker, n, n));
                self.give(
                    from,
                    Step::Lines {
                        boot,
                        worker,
                        first,
                        last,
                    },
                );
                return;
            }
            self.runs.push((at, boot, worker, n, n));
            return;
        }
        let (first, last) = (n, n);
        self.give(
            at,
            Step::Lines {
                boot,
                worker,
                first,
                last,
            },
        );
    }

    fn hand_out_runs(&mut self) {
        for (at, boot, worker, first, last) in std::mem::take(&mut self.runs) {
            self.give(
                at,
                Step::Lines {
                    boot,
                    worker,
                    first,
                    last,
                },
            );
        }
    }

    fn give(&mut self, at: At, step: Step) {
        if !self.ended && !(self.take)(at, step) {
            self.ended = true;
        }
    }

    fn finish(mut self) -> Part {
        self.hand_out_runs();
        let (next, head) = (self.part.next_seq, self.part.head);
        let whole = self.part.broken.is_none() && next <= self.job.to && !self.ended;
        self.part.pieces = self.pieces.finish(&mut self.tree);
        if whole && self.part.tree.is_none() {
            let first = self.job.segment.first_seq;
            self.part.tree = self.tree.finish(first, next, &head, self.job.newest);
        }
        if self.part.records == 0
            && whole
            && self.part.first_leaf.is_none()
            && self.part.torn.is_none()
        {
            self.part.broken = Some(Damage {
                remedy: RESTORE,
                ..broken("an empty file is not a segment of a ledger", "", "")
                    .of_file(&self.job.segment.path, next)
            });
        }
        self.part.stubs_sha256 = hex::encode(self.stubs.finalize());
        self.part
    }
}

fn damaged(error: io::Error, position: u64) -> io::Error {
    if error.kind() != io::ErrorKind::InvalidData {
        return error;
    }
    let text = format!("{error}, at byte {position} of its text");
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The segment that a path alone names.
pub(super) fn lone(path: &Path) -> SegmentName {
    SegmentName::of(path).unwrap_or_else(|| SegmentName::unnamed(path))
}
