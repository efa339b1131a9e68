//! Checks a ledger offline: every line by itself, the chain, the accounts, and in a directory the
//! files that the records vouch for.
//!
//! Reads what the writer wrote with code of its own; the two share only the hash rule, the format's
//! constants and the names of files. Changes nothing. Stops at the first broken rule and names it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{file_name, list_segments};
use super::evidence::Evidence;
use super::frame::{GENESIS_PREV, LINE_BYTES_MAX};
use super::identity::Accounts;
use super::line::{LineFault, Record};
use super::opening::origin_matches;
use super::reader::{DirectoryLines, Line};

/// The first broken rule: where, which, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Byte offset of the line in the file; 0 where the file as a whole is meant.
    pub offset: u64,
    /// The line's number in the file, from 1; 0 where the file as a whole is meant.
    pub line: u64,
    /// The number that the record there should carry, or of the record that vouches for the file.
    pub seq: u64,
    /// The rule in words.
    pub rule: String,
    /// What the rule asks for there; may be empty.
    pub expected: String,
    /// What stands there; may be empty.
    pub found: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What became of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Every rule holds.
    Intact,
    /// Every rule holds up to an unfinished last line, as a crash leaves it.
    TornTail(Damage),
    /// A rule is broken.
    Damaged(Damage),
}

/// The result of a check: what was read before its end, and the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Good records read.
    pub records: u64,
    /// The number of the first one.
    pub first_seq: Option<u64>,
    /// The number of the last one.
    pub last_seq: Option<u64>,
    /// The hash of the last one, 64 hex digits; zeros without any.
    pub head: String,
    /// Segments in the directory.
    pub segments: u64,
    /// Records of kind `decision`.
    pub decisions: u64,
    /// Records of kind `outcome`.
    pub outcomes: u64,
    /// Events that `loss` records count.
    pub lost: u64,
    /// Numbers of unclosed boots that are neither written nor lost, and what `close` records say.
    pub unaccounted: u64,
    /// What became of the check.
    pub verdict: Verdict,
}

const RESTORE: &str = "keep the directory as evidence and compare with a copy; the records before this one are intact";
const TORN: &str = "the next start of the gateway moves the torn tail to quarantine/ and reports it; to accept it now: --allow-torn-tail";

/// Checks a ledger directory or one segment file.
///
/// # Errors
/// What the system answers when the files cannot be read.
pub fn verify(path: &Path) -> io::Result<Report> {
    let mut check = Check::new(path)?;
    let verdict = match check.run(path)? {
        None => Verdict::Intact,
        Some(verdict) => verdict,
    };
    Ok(Report {
        records: check.records,
        first_seq: check.first_seq,
        last_seq: check.next_seq.filter(|_| check.records > 0).map(|n| n - 1),
        head: String::from_utf8_lossy(&check.head).into_owned(),
        segments: check.files.len() as u64,
        decisions: check.accounts.decisions,
        outcomes: check.accounts.outcomes,
        lost: check.accounts.lost,
        unaccounted: check.accounts.unaccounted(),
        verdict,
    })
}

struct Check {
    files: Vec<PathBuf>,
    records: u64,
    first_seq: Option<u64>,
    next_seq: Option<u64>,
    head: [u8; 64],
    genesis: Option<[u8; 64]>,
    accounts: Accounts,
    evidence: Evidence,
    /// The instances that opened this ledger.
    instances: Vec<String>,
    /// Segments that a `fault` record gives up.
    given_up: Vec<String>,
    scratch: Vec<u8>,
}

/// Where a line stands.
struct Place<'a> {
    file: &'a Path,
    line: u64,
    offset: u64,
    newest: bool,
    /// The number that the file's name promises for its first line.
    promised: Option<u64>,
}

impl Check {
    fn new(path: &Path) -> io::Result<Self> {
        let files = if path.is_dir() {
            list_segments(path)?.into_iter().map(|s| s.path).collect()
        } else {
            vec![path.to_path_buf()]
        };
        Ok(Self {
            files,
            records: 0,
            first_seq: None,
            next_seq: None,
            head: GENESIS_PREV,
            genesis: None,
            accounts: Accounts::default(),
            evidence: Evidence::default(),
            instances: Vec::new(),
            given_up: Vec::new(),
            scratch: Vec::new(),
        })
    }

    fn run(&mut self, path: &Path) -> io::Result<Option<Verdict>> {
        if let Some(damage) = self.files_that_are_none(path)? {
            return Ok(Some(Verdict::Damaged(damage)));
        }
        let newest = self.files.last().cloned().unwrap_or_default();
        let mut lines = DirectoryLines::open(path)?;
        let mut at: (PathBuf, u64) = (PathBuf::new(), 0);
        let mut torn = None;
        while let Some((segment, line)) = lines.next()? {
            if at.0 != segment.path {
                at = (segment.path.clone(), 0);
            }
            at.1 += 1;
            let place = Place {
                file: &segment.path,
                line: at.1,
                offset: line.offset,
                newest: segment.path == newest,
                promised: (segment.named && at.1 == 1).then_some(segment.first_seq),
            };
            match self.line(&place, &line) {
                None => {}
                // The last line: what can still be damaged counts more than that it is unfinished.
                Some(verdict @ Verdict::TornTail(_)) => torn = Some(verdict),
                damaged => return Ok(damaged),
            }
        }
        let superseded = lines.superseded().to_vec();
        if let Some(damaged) = self.superseded(&superseded).or(self.origin(path)?) {
            return Ok(Some(damaged));
        }
        Ok(self.evidence(path)?.or(torn))
    }

    /// A ledger has segments, and each was born with a record in it.
    fn files_that_are_none(&self, path: &Path) -> io::Result<Option<Damage>> {
        let bare = |file: &Path, rule: &str| Damage {
            file: file.to_path_buf(),
            offset: 0,
            line: 0,
            seq: 0,
            rule: rule.to_owned(),
            expected: String::new(),
            found: String::new(),
            remedy: "name the directory that the gateway writes to, or bring the segments back",
        };
        if self.files.is_empty() {
            return Ok(Some(bare(path, "a ledger has at least one segment")));
        }
        for file in &self.files {
            if fs::metadata(file)?.len() == 0 {
                return Ok(Some(bare(
                    file,
                    "an empty file is not a segment of a ledger",
                )));
            }
        }
        Ok(None)
    }

    /// Checks one line; a verdict ends the run.
    fn line(&mut self, place: &Place<'_>, line: &Line<'_>) -> Option<Verdict> {
        let seq = self.next_seq.or(place.promised).unwrap_or(0);
        let damage = |rule: String, expected: String, found: String| Damage {
            file: place.file.to_path_buf(),
            offset: place.offset,
            line: place.line,
            seq,
            rule,
            expected,
            found,
            remedy: RESTORE,
        };
        if !line.complete {
            let rule = "a line ends with a newline".to_owned();
            let found = format!("{} bytes without one", line.bytes.len());
            let damage = damage(rule, "a newline".to_owned(), found);
            // The first line of a segment is durable before the segment has its name.
            let torn = place.newest && line.offset > 0 && line.bytes.len() <= LINE_BYTES_MAX;
            return Some(if torn {
                let remedy = TORN;
                Verdict::TornTail(Damage { remedy, ..damage })
            } else {
                Verdict::Damaged(damage)
            });
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let broken = match Record::check(line.bytes, &mut scratch) {
            Ok(record) => self.record(place, &record),
            Err(fault) => {
                let (expected, found) = match &fault {
                    LineFault::SelfHash { computed, carried } => {
                        (computed.clone(), carried.clone())
                    }
                    _ => Default::default(),
                };
                Some((fault.rule(), expected, found))
            }
        };
        self.scratch = scratch;
        broken.map(|(rule, expected, found)| Verdict::Damaged(damage(rule, expected, found)))
    }

    /// Checks a good record against its neighbours and the accounts.
    fn record(
        &mut self,
        place: &Place<'_>,
        record: &Record<'_>,
    ) -> Option<(String, String, String)> {
        let broken = |rule: &str, expected: &dyn ToString, found: &dyn ToString| {
            Some((rule.to_owned(), expected.to_string(), found.to_string()))
        };
        let expected = self.next_seq.or(place.promised).unwrap_or(record.seq);
        if record.seq != expected {
            return broken("records are numbered without gaps", &expected, &record.seq);
        }
        if let Some(promised) = place.promised.filter(|promised| *promised != record.seq) {
            let rule = "a segment is named after its first record";
            return broken(rule, &promised, &record.seq);
        }
        let linked = self.records > 0 || record.seq == 0;
        if linked && record.prev.as_bytes() != self.head {
            let head = String::from_utf8_lossy(&self.head).into_owned();
            return broken("prev is the hash of the line before", &head, &record.prev);
        }
        if (record.seq == 0 || self.first_seq.is_none() && place.promised == Some(0))
            && record.kind != "open"
        {
            return broken("record 0 is of kind open", &"open", &record.kind);
        }
        if let Err(unbalanced) = self.accounts.note(record) {
            return broken(unbalanced.rule, &unbalanced.expected, &unbalanced.found);
        }
        if let Err(rule) = self.evidence.note(record) {
            return broken(rule, &"", &"");
        }
        if record.kind == "fault"
            && let Some(segment) = record.text("segment")
        {
            self.given_up.push(segment.to_owned());
        }
        if record.kind == "open"
            && let Some(instance) = record.text("instance")
            && !self.instances.iter().any(|known| known == instance)
        {
            self.instances.push(instance.to_owned());
        }
        if record.seq == 0 {
            self.genesis = Some(record.hash);
        }
        self.first_seq.get_or_insert(record.seq);
        self.next_seq = Some(record.seq + 1);
        self.head = record.hash;
        self.records += 1;
        None
    }

    /// A segment may end in lines that its successor repeats only if a `fault` says so.
    fn superseded(&self, segments: &[PathBuf]) -> Option<Verdict> {
        let file = segments
            .iter()
            .find(|path| !self.given_up.contains(&file_name(path)))?;
        Some(Verdict::Damaged(Damage {
            file: file.clone(),
            offset: 0,
            line: 0,
            seq: self.next_seq.unwrap_or(0),
            rule: "lines repeated by the next segment are explained by a fault record".to_owned(),
            expected: format!("a fault naming {}", file_name(file)),
            found: "none".to_owned(),
            remedy: RESTORE,
        }))
    }

    /// The files beside the segments are those that the records vouch for. A lone segment has none.
    fn evidence(&self, path: &Path) -> io::Result<Option<Verdict>> {
        if !path.is_dir() {
            return Ok(None);
        }
        let broken = self.evidence.check(path)?;
        Ok(broken.map(|broken| {
            Verdict::Damaged(Damage {
                file: path.join(broken.file),
                offset: 0,
                line: 0,
                seq: broken.seq,
                rule: broken.rule.to_owned(),
                expected: broken.expected,
                found: broken.found,
                remedy: broken.remedy,
            })
        }))
    }

    /// The origin names this chain and an instance that opened it.
    fn origin(&self, path: &Path) -> io::Result<Option<Verdict>> {
        let (true, Some(genesis)) = (path.is_dir(), &self.genesis) else {
            return Ok(None);
        };
        let file = path.join("origin");
        let genesis = String::from_utf8_lossy(genesis).into_owned();
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let name = text.rsplit_once('/').map(|(name, _)| name);
        let known = self
            .instances
            .iter()
            .any(|known| Some(known.as_str()) == name);
        if known && origin_matches(&text, &genesis) {
            return Ok(None);
        }
        Ok(Some(Verdict::Damaged(Damage {
            file,
            offset: 0,
            line: 1,
            seq: 0,
            rule: "origin is the name of an instance that opened the ledger and the first 16 digits of the genesis hash".to_owned(),
            expected: format!(
                "{}/{}",
                self.instances.join("|"),
                genesis.get(..16).unwrap_or_default()
            ),
            found: text.trim_end().to_owned(),
            remedy: RESTORE,
        })))
    }
}
