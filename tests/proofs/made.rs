//! Ledgers made for these tests: any number of records, cut into segments anywhere, signed at any
//! size; and the deterministic numbers that choose what is tried.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tidegate::ledger::{
    Chain, Checkpoint, EntryBuilder, Frontier, Hash, LedgerKey, TreeBuilder, entry_hash,
};

/// A ledger directory and what should be in it.
pub(crate) struct Made {
    dir: TempDir,
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) entries: Vec<Vec<u8>>,
    pub(crate) leaves: Vec<Hash>,
    pub(crate) key: LedgerKey,
    pub(crate) origin: String,
}

impl Made {
    /// Segments begin at `borders` (the first is 0); all but the last have tree files.
    pub(crate) fn new(records: u64, borders: &[u64]) -> Self {
        Self::with(records, borders, |entry, seq| {
            entry.text("kind", if seq == 0 { "open" } else { "decision" });
            entry.uint("n", seq);
            entry.uint("ts_us", 1_700_000_000_000_000 + seq);
        })
    }

    pub(crate) fn with(
        records: u64,
        borders: &[u64],
        members: impl Fn(&mut EntryBuilder<'_>, u64),
    ) -> Self {
        let mut made = Self {
            dir: tempfile::tempdir().unwrap(),
            lines: Vec::new(),
            entries: Vec::new(),
            leaves: Vec::new(),
            key: LedgerKey::from_seed([7; 32]),
            origin: String::new(),
        };
        let mut chain = Chain::genesis();
        for seq in 0..records {
            let mut line = Vec::new();
            chain.append(&mut line, |entry| members(entry, seq));
            let mut entry = line[..line.len() - 1 - 75].to_vec();
            entry.push(b'}');
            made.leaves.push(entry_hash(&entry));
            made.entries.push(entry);
            made.lines.push(line);
        }
        made.origin = format!("gateway-1/{}", &hex::encode(made.leaves[0])[..16]);
        made.write(borders);
        made
    }

    fn write(&self, borders: &[u64]) {
        fs::write(self.dir().join("origin"), format!("{}\n", self.origin)).unwrap();
        let vkey = self.key.verifier(&self.origin).unwrap().to_text();
        fs::write(self.dir().join("log.vkey"), vkey + "\n").unwrap();
        for (place, first) in borders.iter().enumerate() {
            let end = borders.get(place + 1).copied();
            let range = *first as usize..end.unwrap_or(self.lines.len() as u64) as usize;
            fs::write(self.segment(*first), self.lines[range.clone()].concat()).unwrap();
            if end.is_some() {
                let mut tree = TreeBuilder::new(*first);
                range.clone().for_each(|at| tree.push(self.leaves[at]));
                let head = hex::encode(self.leaves[range.end - 1]);
                let file = tree.finish(head.as_bytes().try_into().unwrap());
                fs::write(self.tree_file(*first), file.to_text()).unwrap();
            }
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn segment(&self, first: u64) -> PathBuf {
        self.dir().join(format!("seg-{first:016}.jsonl"))
    }

    pub(crate) fn tree_file(&self, first: u64) -> PathBuf {
        self.segment(first).with_extension("tree")
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        let mut tree = Frontier::new();
        let leaves = &self.leaves[..size as usize];
        for leaf in leaves {
            tree.push(*leaf);
        }
        tree.root()
    }

    /// Signs a head and puts it where a gateway does; gives the note.
    pub(crate) fn sign(&self, size: u64) -> String {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root: self.root(size),
        };
        let note = self.key.sign(&checkpoint).unwrap().to_text();
        fs::write(self.dir().join("checkpoint"), &note).unwrap();
        let heads = self.dir().join("heads.log");
        let mut heads = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(heads)
            .unwrap();
        writeln!(heads, "{note}").unwrap();
        note
    }
}

/// xorshift64*: the same numbers at each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) % limit
    }
}
