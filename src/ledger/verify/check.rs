//! One check: what lies beside the segments is read first, then the segments, then both are judged.
//!
//! Invariant: the first broken rule in the order of the log is named, and what could not be checked is
//! said. Not here: rules of lines (`part`), of the log as a whole (`join`).

mod ending;
mod origin;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::directory::{SegmentName, has_traces, list_segments};
use super::super::line::Record;
use super::super::reader::Lines;
use super::heads::{Head, Heads, newest};
use super::join::{Log, first};
use super::keys::Keys;
use super::options::{Known, KnownHead, VerifyOptions};
use super::part::{Job, lone};
use super::report::{Damage, Report, Verdict, broken};
use super::tree::Tree;
use super::{removed, side_by_side, told};
use origin::origin_of;

/// One check of a directory or a lone segment.
pub(super) struct Check<'a> {
    path: &'a Path,
    options: &'a VerifyOptions,
    whole: bool,
    /// The directory, or the one that the lone segment lies in.
    dir: PathBuf,
    keys: Keys,
    heads: Heads,
    newest: Option<(PathBuf, Head)>,
    segments: Vec<SegmentName>,
    /// The first record of the oldest segment.
    oldest: u64,
    /// A rule that is broken before any line is read.
    wrong: Option<Damage>,
    notes: Vec<String>,
}

impl<'a> Check<'a> {
    /// Reads what lies beside the segments, the heads before the list of segments: what is signed
    /// was written before.
    pub(super) fn new(path: &'a Path, options: &'a VerifyOptions) -> io::Result<Self> {
        let whole = path.is_dir();
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = if whole {
            path
        } else {
            parent.unwrap_or(Path::new("."))
        };
        let nothing = if whole {
            !has_traces(path)
        } else {
            SegmentName::of(path).is_none() && !has_record(path)?
        };
        if nothing {
            let text = "it is not a ledger: no segment, no record, no file of a ledger is there";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let mut this = Self {
            path,
            options,
            whole,
            dir: dir.to_path_buf(),
            keys: Keys::new(origin_of(dir, options), &options.keys),
            heads: Heads::default(),
            newest: None,
            segments: Vec::new(),
            oldest: 0,
            wrong: None,
            notes: Vec::new(),
        };
        this.wrong = this.keys.read_list(dir)?;
        if this.wrong.is_some() && whole {
            // Keys bear the log's origin as their name: where that file was changed, it is not the
            // keys that are wrong.
            this.wrong = this.origin_alone()?.or(this.wrong);
        }
        if whole {
            match Heads::read(dir)? {
                Ok(heads) => this.heads = heads,
                Err(damage) => this.wrong = this.wrong.or(Some(*damage)),
            }
            match newest(dir)? {
                Some((file, Ok(head))) => this.newest = Some((file, head)),
                Some((file, Err(broken))) => {
                    this.wrong = this.wrong.or(Some(broken.of_file(file, 0)));
                }
                None => {}
            }
            this.segments = list_segments(path)?;
            this.oldest = this.segments.first().map_or(0, |first| first.first_seq);
        } else {
            this.segments = vec![lone(path)];
        }
        Ok(this)
    }

    pub(super) fn run(mut self, missed: &[u64]) -> io::Result<(Report, Vec<u64>)> {
        let keys = std::mem::take(&mut self.keys);
        let heads = std::mem::take(&mut self.heads);
        let wanted = self.wanted(&heads, missed);
        let mut log = Log::new(&keys, &heads, &wanted);
        let count = self.segments.len() as u64;
        let mut wrong = self.wrong.take();
        if wrong.is_none() {
            wrong = self.files_that_are_none()?;
        }
        if wrong.is_none() {
            wrong = self.read_all(&mut log)?;
        }
        let superseded = if wrong.is_some() && log.records == 0 {
            0
        } else {
            let (superseded, damage) = self.judge(&mut log, wrong.is_none())?;
            wrong = first(wrong, damage);
            superseded
        };
        let torn = log.torn.take().or(heads.torn.clone());
        let verdict = match (wrong, torn) {
            (Some(damage), _) => Verdict::Damaged(damage),
            (None, Some(torn)) => Verdict::TornTail(torn),
            (None, None) if !self.met_range(&log) => Verdict::NothingChecked,
            (None, None) => Verdict::Intact,
        };
        let told_by = match &verdict {
            Verdict::Damaged(damage) if damage.line > 0 && self.whole => {
                told::told_by(&list_segments(&self.dir)?, damage)?
            }
            _ => None,
        };
        let missed = if missed.is_empty() {
            std::mem::take(&mut log.missed)
        } else {
            Vec::new()
        };
        let report = Report {
            records: log.records,
            first_seq: log.first_seq,
            last_seq: log.next_seq.filter(|_| log.records > 0).map(|n| n - 1),
            head: String::from_utf8_lossy(&log.head).into_owned(),
            segments: count,
            decisions: log.decisions,
            outcomes: log.outcomes,
            lost: log.accounts.lost,
            rolled_up: log.accounts.rolled_up,
            outcomes_rolled_up: log.accounts.outcomes_rolled_up,
            unaccounted: log.accounts.unaccounted(),
            checkpoints: log.checkpoints,
            heads: log.heads_good,
            heads_superseded: superseded,
            stubs: log.stubs,
            pruned: log.removals.pruned(),
            signed_size: log.signed_size,
            not_checked: self.notes,
            told_by,
            verdict,
        };
        Ok((report, missed))
    }

    fn wanted(&self, heads: &Heads, missed: &[u64]) -> Vec<u64> {
        let mut wanted = heads.sizes();
        wanted.extend(missed);
        wanted.extend(self.newest.iter().map(|(_, head)| head.checkpoint.size));
        if let Some(KnownHead(Known::Note(head))) = &self.options.head {
            wanted.push(head.checkpoint.size);
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// A ledger has segments, and each was born with a record in it.
    fn files_that_are_none(&self) -> io::Result<Option<Damage>> {
        let bare = |file: &Path, rule: &str| Damage {
            remedy: "name the directory that the gateway writes to, or bring the segments back",
            ..broken(rule, "", "").of_file(file, 0)
        };
        if self.segments.is_empty() {
            return Ok(Some(bare(self.path, "a ledger has at least one segment")));
        }
        for segment in &self.segments {
            match fs::metadata(&segment.path) {
                Ok(facts) if facts.len() == 0 => {
                    let rule = "an empty file is not a segment of a ledger";
                    return Ok(Some(bare(&segment.path, rule)));
                }
                // Compressed since it was listed.
                Err(error) if self.whole && error.kind() == io::ErrorKind::NotFound => {}
                facts => {
                    facts?;
                }
            }
        }
        Ok(None)
    }

    /// Reads the segments and joins them.
    fn read_all(&mut self, log: &mut Log<'_>) -> io::Result<Option<Damage>> {
        let (from, to) = self.range();
        let segments = std::mem::take(&mut self.segments);
        let jobs: Vec<Job<'_>> = segments
            .iter()
            .enumerate()
            .map(|(at, segment)| {
                let next = segments.get(at + 1).map(|next| next.first_seq);
                Job {
                    segment,
                    newest: next.is_none(),
                    lines: next.map(|next| next.saturating_sub(segment.first_seq)),
                    from,
                    to,
                    wanted: log.wanted,
                    keys: log.keys,
                    watched: match &self.options.head {
                        Some(KnownHead(Known::Record(seq, _))) => Some(*seq),
                        _ => None,
                    },
                    fine: false,
                }
            })
            .filter(|job| {
                let end = job.lines.map(|lines| job.segment.first_seq + lines);
                !job.segment.named
                    || (job.segment.first_seq <= to && end.is_none_or(|end| end > from))
            })
            .collect();
        let Some(begin) = jobs.first() else {
            return Ok(None);
        };
        if let Some(damage) = self.begin(log, begin, &segments)? {
            return Ok(Some(damage));
        }
        side_by_side::read(&jobs, self.options.threads, log)
    }

    /// What is known of the log before the first segment that is read.
    fn begin(
        &mut self,
        log: &mut Log<'_>,
        job: &Job<'_>,
        segments: &[SegmentName],
    ) -> io::Result<Option<Damage>> {
        let first_seq = job.segment.first_seq;
        if !job.segment.named {
            self.notes.push("the file is not named as a segment: what is before it, and the roots of signed heads".to_owned());
            return Ok(None);
        }
        let there = segments.first().map_or(0, |segment| segment.first_seq);
        let gone = |seq: u64| self.whole && seq < there;
        match removed::before(&self.dir, first_seq, log.wanted, gone, &mut log.removals)? {
            Ok(before) => {
                log.roots = before.roots;
                log.tree = Some(before.tree);
                log.next_seq = Some(first_seq);
                if first_seq > 0 {
                    log.head = <[u8; 64]>::try_from(before.head.as_bytes()).unwrap_or(log.head);
                }
                Ok(None)
            }
            // Segments of which nothing is left but what the tree files keep.
            Err(damage) if self.whole && there > 0 && self.options.from.is_none() => {
                Ok(Some(*damage))
            }
            Err(damage) => {
                log.tree = (first_seq == 0).then(Tree::default);
                self.notes.push(format!(
                    "the roots of signed heads, and what is before record {first_seq}: {} ({})",
                    damage.rule,
                    damage.file.display()
                ));
                Ok(None)
            }
        }
    }

    /// Whether a record was read that was asked for.
    fn met_range(&self, log: &Log<'_>) -> bool {
        let (from, to) = self.range();
        let (first, next) = (log.first_seq.unwrap_or(0), log.next_seq.unwrap_or(0));
        log.records > 0 && first <= to && next > from
    }

    /// The first and the last record that were asked for.
    fn range(&self) -> (u64, u64) {
        let options = self.options;
        (options.from.unwrap_or(0), options.to.unwrap_or(u64::MAX))
    }
}

/// Whether a file under a foreign name has a record in it. Damaged frames say nothing about that.
fn has_record(file: &Path) -> io::Result<bool> {
    let mut lines = Lines::of_segment(&lone(file))?;
    let mut buffer = Vec::new();
    loop {
        match lines.next() {
            Ok(Some(line)) if Record::check(line.bytes, &mut buffer).is_ok() => return Ok(true),
            Ok(Some(line)) if line.complete => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}
