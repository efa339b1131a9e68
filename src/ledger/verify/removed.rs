//! Records that are gone: stubs, and whole segments at the beginning of the log. Each needs a
//! `prune` or `redact` record that names it, under a signature where the ledger is signed.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::super::directory::SegmentName;
use super::part::Part;
use super::report::{At, Broken, Damage, broken};
use super::steps::Removal;
use super::tree::{Hash, Tree};
use super::tree_check::{TreeText, removed};

/// A segment that is there, or whose tree file stands for it.
#[derive(Debug, Clone)]
struct Known {
    next_seq: u64,
    head: String,
    gone: bool,
}

/// The removals that records name, and what is gone.
#[derive(Debug, Default)]
pub(super) struct Removals {
    named: Vec<(PathBuf, At, Removal)>,
    segments: BTreeMap<u64, Known>,
    stubbed: Vec<Stubbed>,
}

/// A segment with stubs in it.
#[derive(Debug)]
struct Stubbed {
    path: PathBuf,
    stem: String,
    first_seq: u64,
    count: u64,
    sha256: String,
}

impl Removals {
    /// Takes a `prune` or `redact` record in.
    pub(super) fn note(&mut self, file: &Path, at: At, removal: Removal) {
        self.named.push((file.to_path_buf(), at, removal));
    }

    /// Takes a segment in that was read.
    pub(super) fn segment(&mut self, segment: &SegmentName, part: &Part) {
        let first_seq = part.first_leaf.unwrap_or(segment.first_seq);
        let known = Known {
            next_seq: part.next_seq,
            head: String::from_utf8_lossy(&part.head).into_owned(),
            gone: false,
        };
        self.segments.insert(first_seq, known);
        if part.stubs > 0 {
            self.stubbed.push(Stubbed {
                path: segment.path.clone(),
                stem: segment.stem(),
                first_seq,
                count: part.stubs,
                sha256: part.stubs_sha256.clone(),
            });
        }
    }

    /// How many records are in segments that are gone.
    pub(super) fn pruned(&self) -> u64 {
        let gone = self.segments.iter().filter(|(_, known)| known.gone);
        gone.map(|(first, known)| known.next_seq - first).sum()
    }

    /// What is wrong with the removals, at the end of the log. `signed` is the newest size that a
    /// signature vouches for; `None` in a ledger without signatures. `partial`: records that could
    /// name a removal may be out of view.
    pub(super) fn judge(
        &self,
        signed: Option<u64>,
        partial: bool,
    ) -> Result<Vec<String>, Box<Damage>> {
        for (file, at, removal) in &self.named {
            if let Some(broken) = self.overreaching(removal) {
                return Err(Box::new(broken.at(file, *at)));
            }
        }
        let covered = |at: &At| signed.is_none_or(|size| at.seq < size);
        for stubbed in &self.stubbed {
            let names = |(_, at, removal): &&(PathBuf, At, Removal)| {
                let set = removal.stubs.as_ref();
                removal.segment == stubbed.stem
                    && set.is_some_and(|(n, sha)| *n == stubbed.count && *sha == stubbed.sha256)
                    && covered(at)
            };
            if !partial && !self.named.iter().any(|named| names(&named)) {
                let rule = "stubs stand only where a signed prune or redact record names them";
                let found = format!("{} stubs, sha256 {}", stubbed.count, stubbed.sha256);
                let expected = self.said_of(&stubbed.stem);
                let damage = broken(rule, expected, found);
                return Err(Box::new(damage.of_file(&stubbed.path, stubbed.first_seq)));
            }
        }
        match self.judge_gone(&covered) {
            Err(_) if partial => Ok(vec![
                "which records named the removal of the segments that are gone".to_owned(),
            ]),
            judged => judged,
        }
    }

    fn said_of(&self, stem: &str) -> String {
        let of_it = self
            .named
            .iter()
            .filter(|(_, _, removal)| removal.segment == stem);
        let sets = of_it.filter_map(|(_, at, removal)| {
            let (count, sha256) = removal.stubs.as_ref()?;
            Some(format!("record {}: {count} stubs, sha256 {sha256}", at.seq))
        });
        let text = sets.collect::<Vec<_>>().join("; ");
        if text.is_empty() {
            return format!("a record that names {stem}");
        }
        text
    }

    /// A `prune` names a segment as it is.
    fn overreaching(&self, removal: &Removal) -> Option<Broken> {
        let (first, next, head) = removal.bounds.as_ref()?;
        let known = self.segments.get(first)?;
        if known.next_seq == *next && known.head == *head {
            return None;
        }
        let rule = "a prune names a segment as it is: its numbers and its last hash";
        let expected = format!("{first} to {}, {}", known.next_seq, known.head);
        Some(broken(rule, expected, format!("{first} to {next}, {head}")))
    }

    /// Segments at the beginning that are gone are named. The oldest may be named by records that
    /// are gone with later ones: removal goes from the oldest on.
    fn judge_gone(&self, covered: &impl Fn(&At) -> bool) -> Result<Vec<String>, Box<Damage>> {
        let named = |first: u64| {
            self.named.iter().any(|(_, at, removal)| {
                let is_it = removal.bounds.as_ref().is_some_and(|(f, _, _)| *f == first);
                is_it && removal.stubs.is_none() && covered(at)
            })
        };
        let gone = self.segments.iter().filter(|(_, known)| known.gone);
        let (mut unnamed, mut any) = (None, false);
        for (first, known) in gone {
            if named(*first) {
                any = true;
            } else if any {
                return Err(missing(*first));
            } else {
                unnamed = Some((*first, known.next_seq));
            }
        }
        match unnamed {
            Some((first, _)) if !any => Err(missing(first)),
            Some((_, next)) => Ok(vec![format!(
                "records 0 to {} are gone, and so are the records that named their removal",
                next - 1
            )]),
            None => Ok(Vec::new()),
        }
    }
}

fn missing(first: u64) -> Box<Damage> {
    let rule = "a segment is missing only where a signed prune record names it";
    let file = format!("seg-{first:016}.jsonl");
    let mut damage = broken(
        rule,
        format!("a prune record of mode segment for {first}"),
        "none",
    )
    .of_file(file, first);
    damage.remedy = "bring the segment back from a copy; the records after it are intact";
    Box::new(damage)
}

/// The tree over the records before `first_seq`, from the tree files, with the hash of the last of
/// them. `gone` says of a segment whether its lines are no longer there.
pub(super) struct Before {
    pub(super) tree: Tree,
    pub(super) head: String,
    pub(super) roots: BTreeMap<u64, Hash>,
}

/// Reads the tree files from 0 up to `first_seq`.
pub(super) fn before(
    dir: &Path,
    first_seq: u64,
    wanted: &[u64],
    gone: impl Fn(u64) -> bool,
    removals: &mut Removals,
) -> io::Result<Result<Before, Box<Damage>>> {
    let mut this = Before {
        tree: Tree::default(),
        head: String::new(),
        roots: BTreeMap::new(),
    };
    while this.tree.size() < first_seq {
        let at = this.tree.size();
        let path = dir.join(format!("seg-{at:016}.tree"));
        let text: TreeText = match removed(&path)? {
            Ok(text) => text,
            Err(damage) => {
                return Ok(Err(Box::new(Damage { seq: at, ..*damage })));
            }
        };
        if text.first_seq != at || text.next_seq > first_seq {
            let rule = "tree files follow one another up to the first segment that is there";
            let found = format!("{} to {}", text.first_seq, text.next_seq);
            let damage = broken(rule, format!("{at} to at most {first_seq}"), found);
            return Ok(Err(Box::new(damage.of_file(path, at))));
        }
        for piece in &text.pieces {
            // The file's hashes follow one another, so each is a subtree here.
            let _ = this.tree.push(*piece);
            let size = this.tree.size();
            if wanted.binary_search(&size).is_ok() {
                this.roots.insert(size, this.tree.root());
            }
        }
        this.head.clone_from(&text.head);
        let known = Known {
            next_seq: text.next_seq,
            head: text.head,
            gone: gone(at),
        };
        removals.segments.insert(at, known);
    }
    Ok(Ok(this))
}
