//! A folder with a configuration and traffic, and the program run in it.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tidegate::ledger::{entry_hash, hex64};

pub(crate) struct Place {
    dir: TempDir,
}

/// What a run printed, and its exit code.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: i32,
}

const CONTRACTS: &str = r#"version: 1
contracts:
  - id: status_get_v1
    endpoint: "GET /api/v1/status"
    max_latency_ms: 100
    owner: platform
  - id: search_get_v1
    endpoint: "GET /api/v1/search/{term}"
    rate_limit_rpm: 60
    burst: 2
    owner: platform
"#;

impl Place {
    /// A controlling configuration with two contracts, and traffic of every kind.
    pub(crate) fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.path("contracts")).unwrap();
        place.write("contracts/contracts.yaml", CONTRACTS);
        place.write("policy.yaml", "version: 1\nname: plain\n");
        place.write("tidegate.yaml", &configuration("policy.yaml"));
        place.write("traffic.jsonl", &traffic());
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs the program in the folder; what stands in `words` is split at spaces.
    pub(crate) fn run(&self, words: &str) -> Ran {
        self.run_with(words, "")
    }

    /// Runs what is refused with that exit code, with these words in the message and nothing on stdout.
    pub(crate) fn refuses(&self, words: &str, code: i32, want: &str) {
        let ran = self.run(words);
        let found = (ran.code, ran.out.as_str());
        assert_eq!(found, (code, ""), "{words}: {}", ran.err);
        assert!(ran.err.contains(want), "{words}: {}", ran.err);
    }

    pub(crate) fn run_with(&self, words: &str, input: &str) -> Ran {
        self.run_in(&[], words, input)
    }

    /// Runs the program with those variables in its environment, and no others.
    pub(crate) fn run_in(&self, variables: &[(&str, &str)], words: &str, input: &str) -> Ran {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(words.split(' '))
            .current_dir(self.dir.path())
            .env_clear()
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that has ended before it read everything is no fault of the test.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ran {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }

    /// Simulates the traffic into the ledger `l`.
    pub(crate) fn simulated(&self) -> Ran {
        let ran = self.run("simulate traffic.jsonl --ledger l");
        assert_eq!((ran.code, ran.err.as_str()), (0, ""));
        ran
    }

    fn segment(&self) -> PathBuf {
        self.path("l/seg-0000000000000000.jsonl")
    }

    pub(crate) fn ledger_lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.segment()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Writes the ledger as it was.
    pub(crate) fn restore(&self, lines: &[String]) {
        fs::write(self.segment(), lines.join("\n") + "\n").unwrap();
    }

    /// Changes one line of the ledger and nothing else.
    pub(crate) fn edit(&self, number: usize, change: impl Fn(&str) -> String) {
        let mut lines = self.ledger_lines();
        lines[number] = change(&lines[number]);
        fs::write(self.segment(), lines.join("\n") + "\n").unwrap();
    }

    /// Changes one line and makes the chain whole again, as somebody with the disk could.
    pub(crate) fn forge(&self, number: usize, change: impl Fn(&str) -> String) {
        self.edit(number, change);
        let mut prev = "0".repeat(64);
        let mut text = String::new();
        for line in self.ledger_lines() {
            let (entry, _) = line.rsplit_once(",\"hash\":").unwrap();
            let (head, tail) = entry.split_once("\"prev\":\"").unwrap();
            let entry = format!("{head}\"prev\":\"{prev}{}}}", &tail[64..]);
            let hash = hex64(&entry_hash(entry.as_bytes()));
            prev = String::from_utf8(hash.to_vec()).unwrap();
            text += &format!(
                "{},\"hash\":\"{prev}\"}}\n",
                entry.strip_suffix('}').unwrap()
            );
        }
        fs::write(self.segment(), text).unwrap();
    }
}

pub(crate) fn configuration(policy: &str) -> String {
    format!(
        "version: 1\ntier: control\nlisteners: [{{ bind: '127.0.0.1:0' }}]\n\
         upstreams: {{ api: {{ servers: ['127.0.0.1:9'] }} }}\n\
         contracts: contracts/\npolicy: {policy}\nledger: {{ dir: l }}\n"
    )
}

/// 600 requests: known, unknown, wrong method, ambiguous, over the limit, a failing minute.
fn traffic() -> String {
    let mut text = String::new();
    for number in 0..600_u64 {
        let (method, url) = match number % 12 {
            0 => ("GET", "/api/v1/search/tides"),
            1 => ("GET", "/wp-login.php"),
            2 => ("PATCH", "/api/v1/status"),
            3 => ("GET", "http://api.test/api/v1/../secret"),
            _ => ("GET", "/api/v1/status?verbose=1"),
        };
        let status = match (200..400).contains(&number) {
            true if number % 7 == 0 => 0,
            true => 500,
            false => 200,
        };
        text += &format!(
            "{{\"at_ms\":{},\"method\":\"{method}\",\"url\":\"{url}\",\
             \"client\":\"10.0.0.{}\",\"status\":{status},\"latency_ms\":{}}}\n",
            number * 50,
            number % 40,
            10 + number % 5 * 40
        );
    }
    text
}
