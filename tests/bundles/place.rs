//! A folder with keys, a root and contracts, and the program run in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const CONFIGURATION: &str = "version: 1
listeners: [{ bind: '127.0.0.1:0' }]
upstreams: { api: { servers: ['127.0.0.1:9'] } }
contracts: contracts/
";

pub(crate) struct Place(TempDir);

/// What a run printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

impl Place {
    pub(crate) fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Keys of alice, bob and carol, their signed root, one contract.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        let mut command = "root init --audience edge -o root.json".to_owned();
        for name in ["alice", "bob", "carol"] {
            let public = place.ok(&format!("bundle keygen --out {name}.key")).out;
            command += &format!(" --principal {name}={} --key {name}.key", public.trim());
        }
        place.ok(&command);
        place.write("tidegate.yaml", CONFIGURATION);
        place.contract("a", 60);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
    }

    /// A file with one contract.
    pub(crate) fn contract(&self, id: &str, per_minute: u32) {
        let text = format!(
            "version: 1\ncontracts:\n  - id: {id}\n    endpoint: \"GET /{id}\"\n    \
             rate_limit_rpm: {per_minute}\n    owner: api\n"
        );
        self.write(&format!("contracts/{id}.yaml"), &text);
    }

    /// Runs the program; what stands in `words` is split at spaces.
    pub(crate) fn run(&self, words: &str) -> Ran {
        let out = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(words.split_whitespace())
            .current_dir(self.0.path())
            .env_remove("TIDEGATE_ROOT")
            .output()
            .unwrap();
        Ran {
            code: out.status.code().unwrap(),
            out: String::from_utf8(out.stdout).unwrap(),
            err: String::from_utf8(out.stderr).unwrap(),
        }
    }

    /// Runs what has to work.
    pub(crate) fn ok(&self, words: &str) -> Ran {
        let ran = self.run(words);
        assert_eq!(ran.code, 0, "{words}: {ran:?}");
        ran
    }

    /// Runs what has to be refused with this exit code and these words.
    pub(crate) fn refused(&self, words: &str, code: i32, told: &[&str]) {
        let ran = self.run(words);
        assert_eq!(ran.code, code, "{words}: {ran:?}");
        for told in told {
            assert!(ran.err.contains(told), "{words}: no '{told}': {}", ran.err);
        }
    }

    /// A bundle by alice, signed by these, in the place of the one that was there.
    pub(crate) fn bundle(&self, file: &str, more: &str, signers: &[&str]) {
        self.remove(file);
        let keys: String = signers
            .iter()
            .map(|name| format!(" --key {name}.key"))
            .collect();
        self.ok(&format!(
            "bundle build -o {file} --root root.json --author alice {more}{keys}"
        ));
    }
}
