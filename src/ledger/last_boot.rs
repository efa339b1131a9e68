//! What the newest lines say of the boots that wrote them: who opened, who closed, and how many
//! numbers of one boot they account for. No allocation for an ordinary line.

use std::collections::BTreeSet;

use super::acceptance::Claim;
use super::frame::BootId;
use super::line::Record;
use super::scan::as_counts;

/// What an `open` record said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) instance: String,
    pub(super) policy_hash: String,
    pub(super) client_key_id: Option<String>,
}

/// What a run of lines, read from its start, says of boots.
#[derive(Debug, Clone)]
pub(super) struct LastBoot {
    /// The boot that wrote last, where a line names it.
    pub(super) boot: Option<String>,
    /// The newest `open`.
    pub(super) opened: Option<Opened>,
    /// The last line is a `close`; records of the same boot that say nothing of requests may follow
    /// it, as they do in older ledgers.
    pub(super) closed: bool,
    /// All lines are of those that may follow a `close`.
    only_trailing: bool,
    /// Rollbacks that records say were accepted; whose words that are is not checked here.
    pub(super) accepted: Vec<Claim>,
    /// Size, root and signature of the newest `checkpoint`; not checked here.
    pub(super) checkpoint: Option<(u64, String, String)>,
    /// One of them has no `checkpoint` behind it: the key of the notes before may be unknown here.
    pub(super) is_rolled_back: bool,
    /// A record tells of a key.
    pub(super) has_key: bool,
    /// A record tells of a signed head.
    pub(super) has_head: bool,
    /// Digests of the rulebooks that `open` and `bundle` records name.
    pub(super) rulebooks: BTreeSet<String>,
    /// A record names the boot whose numbers are counted, as its own or as one that it knows of.
    pub(super) names_counting: bool,
    /// The first `open` since which there were only records of a start.
    pub(super) opened_at: Option<u64>,
    /// The boot whose numbers are counted, as its eight digits.
    counting: Option<String>,
    /// Numbers accounted for, by worker.
    counts: Vec<u64>,
    /// The lines go back to that boot's `open` or to a checkpoint that has the sum of those before.
    anchored: bool,
}

impl LastBoot {
    /// Counts the numbers of `counting`.
    pub(super) fn new(counting: Option<BootId>) -> Self {
        Self {
            boot: None,
            opened: None,
            closed: false,
            only_trailing: true,
            accepted: Vec::new(),
            checkpoint: None,
            is_rolled_back: false,
            has_key: false,
            has_head: false,
            rulebooks: BTreeSet::new(),
            names_counting: false,
            opened_at: None,
            counting: counting.map(|boot| boot.to_string()),
            counts: vec![0; 256],
            anchored: false,
        }
    }

    /// Takes the next line in.
    pub(super) fn note(&mut self, record: &Record<'_>) {
        let trails = self.may_trail(record);
        self.closed &= trails;
        self.only_trailing &= trails;
        match record.kind {
            "open" => self.opened_at = self.opened_at.or(Some(record.seq)),
            "key" | "fault" => {}
            _ => self.opened_at = None,
        }
        match record.kind {
            "decision" => self.decision(record),
            "rollup" | "loss" => self.counted(record),
            "checkpoint" => self.checkpoint(record),
            "open" => self.open(record),
            "close" => {
                self.named(record);
                self.closed = true;
            }
            "fault" => self.fault(record),
            "key" => self.has_key = true,
            "bundle" => self.rulebook(record),
            _ => {}
        }
    }

    /// Whether a closed boot stays closed with this line behind its `close`.
    fn may_trail(&self, record: &Record<'_>) -> bool {
        let boot = record.text("boot");
        match record.kind {
            "fault" => true,
            "checkpoint" | "key" => self.boot.is_none() || boot == self.boot.as_deref(),
            _ => false,
        }
    }

    /// Numbers that the lines account for, by worker; `None` where older lines are needed for it.
    pub(super) fn accounted(&self) -> Option<&[u64]> {
        self.anchored.then_some(&*self.counts)
    }

    /// Puts what older lines say before this; for a boot's run over several segments.
    pub(super) fn preceded_by(&mut self, older: &Self) {
        if self.only_trailing {
            self.closed = older.closed && (self.boot.is_none() || self.boot == older.boot);
            self.only_trailing = older.only_trailing;
        }
        self.boot = self.boot.take().or_else(|| older.boot.clone());
        self.opened = self.opened.take().or_else(|| older.opened.clone());
        self.has_key |= older.has_key;
        self.has_head |= older.has_head;
        self.names_counting |= older.names_counting;
        self.accepted.splice(0..0, older.accepted.iter().cloned());
        if !self.anchored {
            for (count, before) in self.counts.iter_mut().zip(&older.counts) {
                *count = count.saturating_add(*before);
            }
            self.anchored = older.anchored;
        }
    }

    fn decision(&mut self, record: &Record<'_>) {
        let (Some(id), _, Some(worker)) = record.numbered else {
            return;
        };
        if id.get(..8).is_some() && id.get(..8) == self.counting.as_deref() {
            self.add(worker, 1);
        }
    }

    fn counted(&mut self, record: &Record<'_>) {
        if self.is_counting(record)
            && let (Some(worker), Some(count)) = (record.uint("worker"), record.uint("count"))
        {
            self.add(worker, count);
        }
    }

    fn add(&mut self, worker: u64, count: u64) {
        let slot = usize::try_from(worker).unwrap_or(usize::MAX);
        if let Some(slot) = self.counts.get_mut(slot) {
            *slot = slot.saturating_add(count);
        }
    }

    fn is_counting(&self, record: &Record<'_>) -> bool {
        self.counting.is_some() && record.text("boot") == self.counting.as_deref()
    }

    /// A checkpoint has the sum of everything before it.
    fn checkpoint(&mut self, record: &Record<'_>) {
        self.named(record);
        self.is_rolled_back = false;
        self.has_head = true;
        let (root, signature) = (record.text("root"), record.text("signature"));
        if let (Some(size), Some(root), Some(signature)) = (record.uint("size"), root, signature) {
            self.checkpoint = Some((size, root.to_owned(), signature.to_owned()));
        }
        if !self.is_counting(record) {
            return;
        }
        let Some(accounted) = record.member("accounted").and_then(as_counts) else {
            return;
        };
        self.counts.fill(0);
        for (worker, count) in accounted {
            self.add(u64::from_str_radix(worker, 16).unwrap_or(u64::MAX), count);
        }
        self.anchored = true;
    }

    fn open(&mut self, record: &Record<'_>) {
        self.named(record);
        self.rulebook(record);
        for key in ["previous_boot", "missing_boot"] {
            self.names_counting |=
                self.counting.is_some() && record.text(key) == self.counting.as_deref();
        }
        let text = |key| record.text(key).map(str::to_owned);
        if let (Some(instance), Some(policy_hash)) = (text("instance"), text("policy_hash")) {
            self.opened = Some(Opened {
                instance,
                policy_hash,
                client_key_id: text("client_key_id"),
            });
        }
        if self.is_counting(record) {
            self.counts.fill(0);
            self.anchored = true;
        }
    }

    fn fault(&mut self, record: &Record<'_>) {
        if let Some(accepted) = Claim::of(record) {
            self.accepted.push(accepted);
            self.is_rolled_back = true;
        }
    }

    fn rulebook(&mut self, record: &Record<'_>) {
        if let Some(digest) = record.text("policy_hash")
            && !self.rulebooks.contains(digest)
        {
            self.rulebooks.insert(digest.to_owned());
        }
    }

    fn named(&mut self, record: &Record<'_>) {
        self.names_counting |= self.is_counting(record);
        let boot = record.text("boot");
        if boot.is_some() && boot != self.boot.as_deref() {
            self.boot = boot.map(str::to_owned);
        }
    }
}
