//! The `close` of a boot stays its last record, whatever the disk does after it.
//!
//! Invariant: nothing is chained behind a `close`. A stall that is open when the boot ends is told of
//! before it; one that has to be told of later, because a segment is given up, takes the `close`
//! back: none of it is durable then, and it is chained again behind the `fault`.

use std::fmt;

use super::super::chain::Chain;
use super::super::entry::EntryBuilder;
use super::super::tree::LogTree;
use super::{Output, Remedy};

/// Pushes the members of the `close`.
type Members = Box<dyn Fn(&mut EntryBuilder<'_>) + Send>;

/// A `close` that is chained, and what stood before it.
pub(super) struct End {
    members: Members,
    chain: Chain,
    tree: LogTree,
    news: u64,
    /// The length of its line.
    bytes: usize,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End")
            .field("chain", &self.chain)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Output {
    /// Chains the last record. `members` are asked again where it has to be taken back.
    pub(in super::super) fn append_last(
        &mut self,
        members: impl Fn(&mut EntryBuilder<'_>) + Send + 'static,
    ) {
        // One that gives its segment up is told of when that happens.
        if let Some(mut stall) = self.stall.take() {
            if stall.remedy != Remedy::Replace && !stall.recorded {
                self.record_fault(&stall);
                stall.recorded = true;
            }
            self.stall = Some(stall);
        }
        self.chain_last(Box::new(members));
    }

    fn chain_last(&mut self, members: Members) {
        let (chain, tree, news) = (self.chain.clone(), self.tree.clone(), self.news);
        let before = self.current.len();
        self.append(&members);
        self.end = Some(End {
            members,
            chain,
            tree,
            news,
            bytes: self.current.len() - before,
        });
    }

    /// True when the last record is chained.
    pub(super) const fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Chains by `append` in front of the `close`, if there is one; nothing where that is durable. Only
    /// while all that is not durable is about to be written anew.
    pub(super) fn append_before_last(&mut self, append: impl FnOnce(&mut Self)) {
        let Some(end) = self.end.take() else {
            append(self);
            return;
        };
        if self.durable.size == self.next_seq() {
            self.end = Some(end);
            return;
        }
        // The newest line lies at the end of the newest buffer that has any.
        let newest = if self.current.is_empty() {
            &mut self.syncing
        } else {
            &mut self.current
        };
        newest.truncate(newest.len().saturating_sub(end.bytes));
        self.chain = end.chain;
        self.tree = end.tree;
        self.news = end.news;
        append(self);
        self.chain_last(end.members);
    }
}
