//! A small signed ledger, built record by record, with every file that belongs to it.
//!
//! Lines come from the real chain, notes from the real key; what the accounts, heads and tree files
//! say is computed here, apart from writer and verifier.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tidegate::ledger::{
    Chain, Checkpoint, EntryBuilder, Frontier, Hash, LedgerKey, TreeBuilder, hex64,
};

pub(crate) const RULEBOOK: &[u8] = b"{}";
pub(crate) const POLICY_HASH: &str =
    "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// One line and its leaf.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) line: Vec<u8>,
    leaf: Hash,
}

/// A ledger under construction.
#[derive(Clone)]
pub(crate) struct Site {
    chain: Chain,
    tree: Frontier,
    /// First number and lines of each segment.
    pub(crate) segments: Vec<(u64, Vec<Made>)>,
    pub(crate) notes: Vec<String>,
    pub(crate) vkeys: Vec<String>,
    key: LedgerKey,
    pub(crate) origin: String,
    boot: u32,
    next_n: u64,
    accounted: u64,
    /// `n` of the current boot that nothing accounts for.
    missing: u64,
    clock: u64,
}

fn text(hash: &[u8; 64]) -> String {
    String::from_utf8(hash.to_vec()).unwrap()
}

impl Site {
    /// A ledger whose genesis differs by `nonce`.
    pub(crate) fn new(nonce: u8, key: u8) -> Self {
        let mut site = Self {
            chain: Chain::genesis(),
            tree: Frontier::new(),
            segments: vec![(0, Vec::new())],
            notes: Vec::new(),
            vkeys: Vec::new(),
            key: LedgerKey::from_seed([key; 32]),
            origin: String::new(),
            boot: 1,
            next_n: 0,
            accounted: 0,
            missing: 0,
            clock: 1_767_225_600_000_000,
        };
        site.record(|e, ts| {
            e.text("boot", "00000001");
            e.text("instance", "gateway-1");
            e.text("kind", "open");
            e.hex("nonce", &[nonce; 16]);
            e.text("policy_hash", POLICY_HASH);
            e.uint("ts_us", ts);
            e.text("version", "1");
        });
        site.origin = format!("gateway-1/{}", &text(site.chain.head())[..16]);
        site.use_key(key);
        site
    }

    pub(crate) fn record(&mut self, members: impl FnOnce(&mut EntryBuilder<'_>, u64)) -> u64 {
        let mut line = Vec::new();
        self.clock += 1_000;
        let ts = self.clock;
        let seq = self.chain.next_seq();
        let leaf = self.chain.append(&mut line, |entry| members(entry, ts));
        self.tree.push(leaf);
        self.segments
            .last_mut()
            .unwrap()
            .1
            .push(Made { line, leaf });
        seq
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.chain.next_seq()
    }

    pub(crate) fn head(&self) -> String {
        text(self.chain.head())
    }

    /// From here on this key signs, and a `key` record says so.
    pub(crate) fn use_key(&mut self, seed: u8) {
        self.key = LedgerKey::from_seed([seed; 32]);
        let vkey = self.key.verifier(&self.origin).unwrap().to_text();
        let boot = format!("{:08x}", self.boot);
        self.record(|e, ts| {
            e.text("boot", &boot);
            e.text("kind", "key");
            e.uint("ts_us", ts);
            e.text("vkey", &vkey);
        });
        self.vkeys.push(vkey);
    }

    /// Signs with another key, and no record says so.
    pub(crate) fn sign_with(&mut self, seed: u8) {
        self.key = LedgerKey::from_seed([seed; 32]);
    }

    pub(crate) fn decisions(&mut self, count: u64) {
        for _ in 0..count {
            let n = self.next_n;
            let id = format!("{:08x}00{n:012x}", self.boot);
            self.record(|e, ts| {
                e.text("contract_id", "deploy_get_v1");
                e.text("decision", "ALLOW");
                e.text("decision_id", &id);
                e.text("kind", "decision");
                e.uint("n", n);
                e.text("policy_hash", POLICY_HASH);
                e.uint("ts_us", ts);
                e.uint("worker", 0);
            });
            self.next_n += 1;
            self.accounted += 1;
        }
    }

    pub(crate) fn rollup(&mut self, count: u64) {
        self.rollup_with(count, None);
    }

    /// A rollup of `count` decisions, which may be none, with a member `outcomes` if given.
    pub(crate) fn rollup_with(&mut self, count: u64, outcomes: Option<u64>) {
        let (boot, first) = (format!("{:08x}", self.boot), self.next_n);
        let ranges = (count > 0).then(|| (first, first + count - 1));
        self.record(|e, ts| {
            let unmatched = count.min(1);
            let allowed = [
                ("_unmatched:2xx", unmatched),
                ("deploy_get_v1:2xx", count - unmatched),
            ];
            e.counts("allowed", allowed.into_iter().take(2 * unmatched as usize));
            e.text("boot", &boot);
            e.uint("count", count);
            e.text("kind", "rollup");
            if let Some(outcomes) = outcomes {
                e.uint("outcomes", outcomes);
            }
            e.pairs("ranges", ranges);
            e.uint("second", ts / 1_000_000);
            e.uint("ts_us", ts);
            e.uint("worker", 0);
        });
        self.next_n += count;
        self.accounted += count;
    }

    pub(crate) fn loss(&mut self, count: u64) {
        let (boot, first) = (format!("{:08x}", self.boot), self.next_n);
        self.record(|e, ts| {
            e.text("boot", &boot);
            e.uint("count", count);
            e.text("kind", "loss");
            e.uint("others", 1);
            e.pairs("ranges", [(first, first + count - 1)]);
            e.uint("ts_us", ts);
            e.uint("unplaced", 0);
            e.uint("worker", 0);
        });
        self.next_n += count;
        self.accounted += count;
    }

    /// Signs what is there; gives the note.
    pub(crate) fn checkpoint(&mut self) -> String {
        let root = self.tree.root();
        self.checkpoint_of(root)
    }

    /// Signs a given root for the present size.
    pub(crate) fn checkpoint_of(&mut self, root: Hash) -> String {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: self.tree.size(),
            root,
        };
        let note = self.key.sign(&checkpoint).unwrap();
        let id = hex::encode(self.key.verifier(&self.origin).unwrap().id());
        let (boot, accounted) = (format!("{:08x}", self.boot), self.accounted);
        let signature = note.signatures[0].base64.clone();
        self.record(|e, ts| {
            e.counts("accounted", [("00", accounted)]);
            e.text("boot", &boot);
            e.text("key_id", &id);
            e.text("kind", "checkpoint");
            e.hex("root", &root);
            e.text("signature", &signature);
            e.uint("size", checkpoint.size);
            e.uint("ts_us", ts);
        });
        self.notes.push(note.to_text());
        note.to_text()
    }

    /// The next record begins a new segment.
    pub(crate) fn rotate(&mut self) {
        self.segments.push((self.chain.next_seq(), Vec::new()));
    }

    /// A number is made and never written.
    pub(crate) fn forget(&mut self) {
        self.next_n += 1;
        self.missing += 1;
    }

    pub(crate) fn close(&mut self) {
        let (boot, made, missing) = (format!("{:08x}", self.boot), self.next_n, self.missing);
        self.record(|e, ts| {
            e.text("boot", &boot);
            e.text("kind", "close");
            e.counts("made", [("00", made)]);
            e.uint("ts_us", ts);
            e.counts("unaccounted", (missing > 0).then_some(("00", missing)));
        });
    }

    pub(crate) fn outcome(&mut self, n: u64) {
        let id = format!("{:08x}00{n:012x}", self.boot);
        self.record(|e, ts| {
            e.text("decision_id", &id);
            e.text("kind", "outcome");
            e.uint("latency_us", 1_500);
            e.uint("status", 200);
            e.uint("ts_us", ts);
        });
    }

    pub(crate) fn bundle(&mut self) {
        let boot = format!("{:08x}", self.boot);
        self.record(|e, ts| {
            e.text("boot", &boot);
            e.text("kind", "bundle");
            e.text("policy_hash", POLICY_HASH);
            e.text("policy_version", "1");
            e.text("result", "activated");
            e.text("source", "reload");
            e.uint("ts_us", ts);
        });
    }

    pub(crate) fn governance(&mut self) {
        let boot = format!("{:08x}", self.boot);
        self.record(|e, ts| {
            e.text("action", "tier");
            e.text("actor", "admin");
            e.text("boot", &boot);
            e.text("kind", "governance");
            e.text("reason", "drill");
            e.text("result", "done");
            e.uint("ts_us", ts);
        });
    }

    pub(crate) fn fault(&mut self, code: &str) {
        let segment = format!("seg-{:016}.jsonl", self.segments.last().unwrap().0);
        self.record(|e, ts| {
            e.uint("began_us", ts - 500);
            e.text("code", code);
            e.text("error", "No space left on device (os error 28)");
            e.text("kind", "fault");
            e.text("segment", &segment);
            e.uint("ts_us", ts);
        });
    }

    /// The root over what is there.
    pub(crate) fn root(&self) -> Hash {
        self.tree.root()
    }

    /// Right behind an `open`: the acceptance of a rollback, signed by the key in use.
    pub(crate) fn rolled_back(&mut self, size: u64, root: &Hash) {
        let key = self.key.clone();
        self.rolled_back_by(&key, size, root);
    }

    pub(crate) fn rolled_back_by(&mut self, key: &LedgerKey, size: u64, root: &Hash) {
        let (origin, kept) = (self.origin.clone(), self.chain.next_seq() - 1);
        let hex = hex::encode(root);
        let text = format!(
            "tidegate-rollback-accepted\n{origin}\n{kept}\n{size}\n{hex}\nrestored from a copy\n"
        );
        let note = key.sign_text(&origin, text).unwrap();
        self.record(|e, ts| {
            e.text("acceptance", &note.signatures[0].base64);
            e.uint("began_us", ts);
            e.text("code", "LEDGER_ROLLBACK_ACCEPTED");
            e.text("error", "fewer records than were signed");
            e.uint("kept", kept);
            e.text("kind", "fault");
            e.text("reason", "restored from a copy");
            e.hex("signed_root", root);
            e.uint("signed_size", size);
            e.uint("ts_us", ts);
        });
    }

    pub(crate) fn handover(&mut self) {
        let (boot, made) = (format!("{:08x}", self.boot), self.next_n);
        let next = format!("{:08x}", self.boot + 1);
        self.record(|e, ts| {
            e.text("boot", &boot);
            e.text("kind", "handover");
            e.counts("made", [("00", made)]);
            e.text("to_boot", &next);
            e.uint("ts_us", ts);
        });
    }

    /// A new boot; after a kill it tells what the one before made.
    pub(crate) fn open(&mut self, closed: bool) {
        let (made, missing) = (self.next_n, self.missing);
        let previous = format!("{:08x}", self.boot);
        self.boot += 1;
        let boot = format!("{:08x}", self.boot);
        self.record(|e, ts| {
            e.text("boot", &boot);
            e.text("instance", "gateway-1");
            e.text("kind", "open");
            e.text("policy_hash", POLICY_HASH);
            e.text("previous_boot", &previous);
            e.flag("previous_closed", closed);
            if !closed {
                e.counts("previous_made", [("00", made)]);
                e.counts(
                    "previous_unaccounted",
                    (missing > 0).then_some(("00", missing)),
                );
            }
            e.uint("ts_us", ts);
            e.text("version", "1");
        });
        (self.next_n, self.accounted, self.missing) = (0, 0, 0);
    }

    /// Bounds of a segment: first number, next number, last hash.
    pub(crate) fn bounds(&self, at: usize) -> (u64, u64, String) {
        let (first, lines) = &self.segments[at];
        let head = hex64(&lines.last().unwrap().leaf);
        (*first, first + lines.len() as u64, text(&head))
    }

    /// A `prune` record; `stubs` are the numbers that become stubs, `None` for the whole file.
    pub(crate) fn prune(&mut self, bounds: &(u64, u64, String), stubs: Option<&[u64]>) {
        let segment = format!("seg-{:016}", bounds.0);
        let digest = stubs.map(digest_of);
        self.record(|e, ts| {
            e.text("boot", "00000000");
            e.text("class", "access");
            e.uint("first_seq", bounds.0);
            e.text("head", &bounds.2);
            e.text("kind", "prune");
            e.text("mode", if stubs.is_some() { "stubs" } else { "segment" });
            e.uint("next_seq", bounds.1);
            e.text("reason", "retention");
            e.text("segment", &segment);
            if let (Some(stubs), Some(digest)) = (stubs, &digest) {
                e.uint("stubs", stubs.len() as u64);
                e.text("stubs_sha256", digest);
            }
            e.uint("ts_us", ts);
        });
    }

    pub(crate) fn redact(&mut self, first_seq: u64, seqs: &[u64]) {
        let (segment, digest) = (format!("seg-{first_seq:016}"), digest_of(seqs));
        self.record(|e, ts| {
            e.text("actor", "dpo");
            e.text("boot", "00000000");
            e.text("kind", "redact");
            e.pairs("ranges", seqs.iter().map(|seq| (*seq, *seq)));
            e.text("reason", "request 17");
            e.text("segment", &segment);
            e.uint("stubs", seqs.len() as u64);
            e.text("stubs_sha256", &digest);
            e.uint("ts_us", ts);
        });
    }

    /// Puts a stub in the place of a record.
    pub(crate) fn stub(&mut self, seq: u64) {
        let made = self
            .segments
            .iter_mut()
            .rev()
            .find(|(first, _)| *first <= seq);
        let (first, lines) = made.unwrap();
        let made = &mut lines[(seq - *first) as usize];
        let line: serde_json::Value = serde_json::from_slice(&made.line).unwrap();
        let (prev, hash) = (
            line["prev"].as_str().unwrap(),
            line["hash"].as_str().unwrap(),
        );
        made.line = format!(
            "{{\"kind\":\"stub\",\"prev\":\"{prev}\",\"seq\":{seq},\"v\":1,\"hash\":\"{hash}\"}}\n"
        )
        .into_bytes();
    }

    /// The files, by name relative to the directory.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let newest = self.segments.len() - 1;
        for (at, (first, lines)) in self.segments.iter().enumerate() {
            let bytes = lines.iter().flat_map(|made| made.line.clone()).collect();
            files.insert(format!("seg-{first:016}.jsonl"), bytes);
            if at < newest {
                let mut tree = TreeBuilder::new(*first);
                lines.iter().for_each(|made| tree.push(made.leaf));
                let head = hex64(&lines.last().unwrap().leaf);
                let tree = tree.finish(&head).to_text().into_bytes();
                files.insert(format!("seg-{first:016}.tree"), tree);
            }
        }
        files.insert(
            "origin".to_owned(),
            format!("{}\n", self.origin).into_bytes(),
        );
        files.insert(
            "log.vkey".to_owned(),
            (self.vkeys.join("\n") + "\n").into_bytes(),
        );
        let heads: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        files.insert("heads.log".to_owned(), heads.into_bytes());
        if let Some(newest) = self.notes.last() {
            files.insert("checkpoint".to_owned(), newest.clone().into_bytes());
        }
        files.insert(format!("rulebooks/{POLICY_HASH}.json"), RULEBOOK.to_vec());
        files
    }

    /// Writes the files to a new directory.
    pub(crate) fn write(&self) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        put_all(dir.path(), &self.files());
        dir
    }
}

pub(crate) fn put_all(dir: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path: PathBuf = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// SHA-256 over the numbers, decimal, each followed by a newline.
fn digest_of(seqs: &[u64]) -> String {
    use sha2::{Digest, Sha256};
    let text: String = seqs.iter().map(|seq| format!("{seq}\n")).collect();
    hex::encode(Sha256::digest(text))
}
