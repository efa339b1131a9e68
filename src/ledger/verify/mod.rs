//! Checks a ledger offline: every line by itself, the chain, the accounts, the tree and its signed
//! heads, and in a directory the files that the records vouch for.
//!
//! Reads what the writer wrote with code of its own; the two share only the hash rule, the format's
//! constants, the names of files and the form of a note. Changes nothing; needs no lock. Segments
//! are checked side by side ([`part`]) and joined in their order ([`join`]); memory is bounded for
//! each segment, whatever its length. The first broken rule in the order of the log is named.

mod accounts;
mod evidence;
mod heads;
mod join;
mod keys;
mod lines;
mod numbers;
mod part;
mod pieces;
mod removed;
mod report;
mod side_by_side;
mod steps;
mod told;
mod tree;
mod tree_check;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::directory::{SegmentName, file_name, has_traces, list_segments};
use super::line::Record;
use super::opening::origin_matches;
use super::reader::Lines;
use heads::{Head, Heads, newest};
use join::{Log, fewer, first};
use keys::Keys;
pub use keys::TrustedKey;
use part::{Job, lone};
use report::{At, RESTORE, broken};
pub use report::{Damage, Report, Verdict};
use tree::{Hash, Tree, from_hex};

/// A head that was kept elsewhere.
#[derive(Debug, Clone)]
pub struct KnownHead(Known);

#[derive(Debug, Clone)]
enum Known {
    Note(Head),
    Record(u64, Hash),
}

impl KnownHead {
    /// Reads a signed note, or `SEQ:HASH` of one record.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let pair = std::str::from_utf8(bytes)
            .ok()
            .map(str::trim)
            .and_then(|text| {
                let (seq, hash) = text.split_once(':')?;
                Some(Known::Record(seq.parse().ok()?, from_hex(hash.as_bytes())?))
            });
        match pair {
            Some(pair) => Ok(Self(pair)),
            None => Ok(Self(Known::Note(Head::parse(bytes)?))),
        }
    }
}

/// What to check, and against what.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Only notes by these keys count, and one must be there; empty = the ledger's own keys.
    pub keys: Vec<TrustedKey>,
    /// A head kept elsewhere: it must be covered and fit.
    pub head: Option<KnownHead>,
    /// Only records from this number on.
    pub from: Option<u64>,
    /// Only records up to this number.
    pub to: Option<u64>,
    /// Segments that are checked side by side; 0 = as many as there are cores.
    pub threads: usize,
}

/// Checks a ledger directory or one segment file.
///
/// # Errors
/// What the system answers when the files cannot be read.
pub fn verify(path: &Path) -> io::Result<Report> {
    verify_with(path, &VerifyOptions::default())
}

/// Checks a ledger directory or one segment file, whole or in part, against given keys and heads.
///
/// # Errors
/// What the system answers when the files cannot be read.
pub fn verify_with(path: &Path, options: &VerifyOptions) -> io::Result<Report> {
    let (report, missed) = Check::new(path, options)?.run(&[])?;
    if missed.is_empty() {
        return Ok(report);
    }
    // Checkpoint records about sizes that lay too far back, with no note in heads.log: now that
    // the sizes are known, once more.
    Ok(Check::new(path, options)?.run(&missed)?.0)
}

struct Check<'a> {
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
    fn new(path: &'a Path, options: &'a VerifyOptions) -> io::Result<Self> {
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

    fn run(mut self, missed: &[u64]) -> io::Result<(Report, Vec<u64>)> {
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

    /// What can be said only at the end: notes, and what records and files say of each other.
    /// `whole`: the lines were read to their end.
    fn judge(&mut self, log: &mut Log<'_>, whole: bool) -> io::Result<(u64, Option<Damage>)> {
        let to_the_end = whole && self.options.to.is_none();
        if to_the_end {
            log.heads_beyond()?;
            self.newest_note(log)?;
        }
        let (superseded, misfit) = log.judge_heads()?;
        if !whole {
            return Ok((superseded, misfit));
        }
        let mut wrong = misfit;
        if wrong.is_none() {
            wrong = self.asked_for(log, to_the_end);
        }
        if wrong.is_none() {
            wrong = Self::superseded(log);
        }
        if wrong.is_none() && self.whole && self.options.from.is_none() {
            wrong = self.origin(log)?;
        }
        if wrong.is_none() {
            wrong = self.removals(log);
        }
        if wrong.is_none() && self.whole {
            wrong = log.evidence.check(&self.dir)?.map(|broken| Damage {
                file: self.path.join(broken.file),
                offset: 0,
                line: 0,
                seq: broken.seq,
                rule: broken.rule.to_owned(),
                expected: broken.expected,
                found: broken.found,
                remedy: broken.remedy,
            });
        }
        self.left_out(log);
        Ok((superseded, wrong))
    }

    /// The file `checkpoint`.
    fn newest_note(&self, log: &mut Log<'_>) -> io::Result<()> {
        let Some((file, head)) = &self.newest else {
            return Ok(());
        };
        let size = head.checkpoint.size;
        let at = At {
            seq: size.saturating_sub(1),
            ..At::default()
        };
        let there = log.next_seq.unwrap_or(0);
        if log.is_given_up(head)? {
            // The newest note of a log that was rolled back a moment ago.
            return Ok(());
        }
        if size > there {
            if log.keys.trusted.is_none() || log.keys.signer(&head.note).is_some() {
                let damage = fewer(there, size).at(file, at);
                log.misfits.push(join::Misfit {
                    size,
                    offset: 0,
                    damage,
                });
            }
            return Ok(());
        }
        if let Some(size) = log.check_head(file, at, head) {
            log.signed_size = log.signed_size.max(size);
        }
        Ok(())
    }

    /// The head that was kept elsewhere, and the keys that the caller trusts.
    fn asked_for(&mut self, log: &mut Log<'_>, to_the_end: bool) -> Option<Damage> {
        let there = log.next_seq.unwrap_or(0);
        let about = |seq: u64| At {
            seq,
            ..At::default()
        };
        match self.options.head.as_ref().map(|head| &head.0) {
            None => {}
            Some(Known::Record(seq, hash)) => {
                let file = self.path;
                let named = |found: String| {
                    let rule = "the record of the head kept elsewhere is in the ledger";
                    Some(broken(rule, hex::encode(hash), found).at(file, about(*seq)))
                };
                match log.watched {
                    Some(found) if found == *hash => {}
                    Some(found) => return named(hex::encode(found)),
                    None if *seq >= there && to_the_end => {
                        return Some(fewer(there, seq + 1).at(file, about(*seq)));
                    }
                    None => self.notes.push(format!(
                        "the head kept elsewhere: record {seq} was not read"
                    )),
                }
            }
            Some(Known::Note(head)) => {
                let size = head.checkpoint.size;
                let at = about(size.saturating_sub(1));
                if size > there {
                    if to_the_end {
                        return Some(fewer(there, size).at(self.path, at));
                    }
                    self.notes.push(format!(
                        "the head kept elsewhere: {size} records were not read"
                    ));
                    return None;
                }
                let (known, keys) = (log.roots.contains_key(&size), log.unknown_keys);
                let counted = log.check_head(self.path, at, head);
                if let Some(misfit) = log.misfits.pop() {
                    return Some(misfit.damage);
                }
                if counted.is_none() {
                    let rule = "the head kept elsewhere is signed by a key given with --key";
                    return Some(broken(rule, "a trusted key", "another").at(self.path, at));
                }
                if !known {
                    self.notes.push("the root of the head kept elsewhere: the log before this segment is not known".to_owned());
                }
                if log.unknown_keys > keys {
                    self.notes
                        .push("the signature of the head kept elsewhere: give --key".to_owned());
                }
                log.signed_size = log.signed_size.max(counted.unwrap_or(0));
            }
        }
        if log.keys.trusted.is_some() && log.signed_size == 0 {
            let rule = "at least one head is signed by a key given with --key";
            return Some(broken(rule, "a signed head", "none").of_file(self.path, 0));
        }
        None
    }

    /// A segment may end in lines that its successor repeats only if a `fault` says so.
    fn superseded(log: &Log<'_>) -> Option<Damage> {
        let plain = |path: &PathBuf| {
            let name = file_name(path);
            name.strip_suffix(".zst").unwrap_or(&name).to_owned()
        };
        let unexplained = |path: &&PathBuf| !log.given_up.contains(&plain(path));
        let file = log.superseded.iter().find(unexplained)?;
        let rule = "lines repeated by the next segment are explained by a fault record";
        let expected = format!("a fault naming {}", plain(file));
        Some(broken(rule, expected, "none").of_file(file, log.next_seq.unwrap_or(0)))
    }

    fn removals(&mut self, log: &Log<'_>) -> Option<Damage> {
        let signed = log.signed_size > 0 || log.epochs.current().is_some() || !log.keys.none();
        let partial = !self.whole || self.options.to.is_some() || self.options.from.is_some();
        match log
            .removals
            .judge(signed.then_some(log.signed_size), partial)
        {
            Ok(notes) => {
                self.notes.extend(notes);
                if partial && log.stubs > 0 {
                    self.notes.push("which record named the stubs".to_owned());
                }
                None
            }
            Err(damage) => Some(Damage {
                file: self.dir.join(&damage.file),
                ..*damage
            }),
        }
    }

    /// The origin names this chain and an instance that opened it.
    fn origin(&self, log: &Log<'_>) -> io::Result<Option<Damage>> {
        let Some(genesis) = &log.genesis else {
            return Ok(None);
        };
        self.origin_among(&log.instances, genesis)
    }

    /// The same by record 0 alone, if that is here and good.
    fn origin_alone(&self) -> io::Result<Option<Damage>> {
        let first = list_segments(self.path)?.into_iter().next();
        let Some(first) = first.filter(|first| first.first_seq == 0) else {
            return Ok(None);
        };
        let (mut lines, mut scratch) = (Lines::of_segment(&first)?, Vec::new());
        let Ok(Some(line)) = lines.next() else {
            return Ok(None);
        };
        let Ok(record) = Record::check(line.bytes, &mut scratch) else {
            return Ok(None);
        };
        let instances: Vec<String> = record
            .text("instance")
            .map(str::to_owned)
            .into_iter()
            .collect();
        self.origin_among(&instances, &record.hash)
    }

    fn origin_among(&self, instances: &[String], genesis: &[u8; 64]) -> io::Result<Option<Damage>> {
        let file = self.path.join("origin");
        let genesis = String::from_utf8_lossy(genesis).into_owned();
        let text = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let name = text.rsplit_once('/').map(|(name, _)| name);
        let known = instances.iter().any(|known| Some(known.as_str()) == name);
        if known && origin_matches(&text, &genesis) {
            return Ok(None);
        }
        Ok(Some(Damage {
            file,
            offset: 0,
            line: 1,
            seq: 0,
            rule: "origin is the name of an instance that opened the ledger and the first 16 digits of the genesis hash".to_owned(),
            expected: format!(
                "{}/{}",
                instances.join("|"),
                genesis.get(..16).unwrap_or_default()
            ),
            found: text.trim_end().to_owned(),
            remedy: RESTORE,
        }))
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

    /// Says what could not be checked.
    fn left_out(&mut self, log: &Log<'_>) {
        let mut say = |count: usize, what: &str| {
            if count > 0 {
                self.notes.push(format!("{what} ({count})"));
            }
        };
        say(
            log.unknown_roots as usize,
            "roots of signed heads: the log before them is not known",
        );
        say(log.missed.len(), "roots at sizes inside removed segments");
        say(
            log.unknown_keys as usize,
            "signatures: no key or no origin is known; give --key",
        );
        let signed = log.checkpoints > 0 && self.whole;
        if signed && log.heads.entries.is_empty() {
            self.notes.push(
                "whether the end was cut off: heads.log is not there; give --head".to_owned(),
            );
        }
        if signed && log.keys.listed.is_none() && log.keys.trusted.is_none() {
            self.notes
                .push("whose keys these are: log.vkey is not there; give --key".to_owned());
        }
        let unsigned = log
            .rolled_back
            .iter()
            .filter(|rolled| rolled.seq >= log.signed_size);
        for rolled in unsigned {
            self.notes.push(format!(
                "who accepted the rollback in record {}: no signature covers it yet",
                rolled.seq
            ));
        }
        if !self.whole {
            self.notes
                .push("the files beside the segment, and the segments after it".to_owned());
        }
        if self.options.from.is_some() || self.options.to.is_some() {
            let (from, to) = self.range();
            if from < self.oldest {
                let last = to.min(self.oldest - 1);
                self.notes.push(format!(
                    "records {from} to {last}: their segments are gone, the oldest record here is {}",
                    self.oldest
                ));
            }
            self.notes
                .push("records in segments outside the range of --from and --to".to_owned());
        }
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

/// The name of the log: from its file, else from what the caller knows of it.
fn origin_of(dir: &Path, options: &VerifyOptions) -> Option<String> {
    let text = fs::read_to_string(dir.join("origin")).ok();
    let own = text
        .as_deref()
        .and_then(|text| text.strip_suffix('\n'))
        .map(str::to_owned);
    let of_head = || match &options.head {
        Some(KnownHead(Known::Note(head))) => Some(head.checkpoint.origin.clone()),
        _ => None,
    };
    let of_key = || {
        options
            .keys
            .iter()
            .find_map(|key| key.name().map(str::to_owned))
    };
    own.or_else(of_head).or_else(of_key)
}
