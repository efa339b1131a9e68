//! The files of one gateway, in a folder of their own, and the program's other verbs on them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::wire::eventually;

/// Contracts that most tests can use.
const CONTRACTS: &str = r#"version: 1
contracts:
  - {id: status_v1, owner: me, endpoint: "GET /api/v1/status"}
  - {id: deploy_get_v1, owner: me, endpoint: "GET /api/v1/deployments/{id}", allowed_methods: [GET, HEAD]}
  - {id: deploy_change_v1, owner: me, endpoint: "PATCH /api/v1/deployments/{id}"}
  - {id: upload_v1, owner: me, endpoint: "POST /upload"}
"#;

/// The files of one gateway.
pub(crate) struct Installation {
    folder: TempDir,
    main: String,
    contracts: String,
    policy: String,
}

impl Installation {
    /// One worker, one listener and one upstream, observing.
    pub(crate) fn in_front_of(upstream: SocketAddr) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            main: format!(
                r#"version: 1
tier: observe_only
threads: 1
listeners: [{{bind: "127.0.0.1:0"}}]
upstreams: {{main: {{servers: ["{upstream}"]}}}}
contracts: contracts
policy: policy.yaml
state_dir: state
admin: {{bind: "127.0.0.1:0"}}
"#
            ),
            contracts: CONTRACTS.to_owned(),
            policy: "version: 1\nname: test\n".to_owned(),
        }
    }

    /// The same with the refusing tier.
    pub(crate) fn controlling(self) -> Self {
        self.with("tier: observe_only", "tier: control")
    }

    /// The same with as much time for its running requests as the slowest machine may need before the
    /// test lets them end.
    pub(crate) fn draining_for_long(self) -> Self {
        self.and("timeouts: {drain_ms: 60000}")
    }

    /// The same with another line in `tidegate.yaml`.
    pub(crate) fn with(mut self, old: &str, new: &str) -> Self {
        assert!(self.main.contains(old), "{old}");
        self.main = self.main.replace(old, new);
        self
    }

    /// The same with one more line in `tidegate.yaml`.
    pub(crate) fn and(mut self, line: &str) -> Self {
        self.main += line;
        self.main += "\n";
        self
    }

    /// The same with one more contract.
    pub(crate) fn contract(mut self, line: &str) -> Self {
        self.contracts += "  - ";
        self.contracts += line;
        self.contracts += "\n";
        self
    }

    /// The same with one more line in the policy.
    pub(crate) fn policy(mut self, line: &str) -> Self {
        self.policy += line;
        self.policy += "\n";
        self
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.path("state/ledger")
    }

    /// Waits until a gateway that serves can be taken over from: a moment after it has begun to.
    pub(crate) fn until_it_can_be_taken_over(&self) {
        let bell = self.path("state/upgrade.sock");
        eventually("the bell", || bell.exists());
    }

    /// Puts the files there.
    pub(crate) fn write(&self) {
        std::fs::create_dir_all(self.path("contracts")).unwrap();
        std::fs::write(self.path("tidegate.yaml"), &self.main).unwrap();
        std::fs::write(self.path("contracts/a.yaml"), &self.contracts).unwrap();
        std::fs::write(self.path("policy.yaml"), &self.policy).unwrap();
    }

    /// The command `tidegate VERB -c tidegate.yaml ...`, all its streams closed or piped.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = program();
        command.arg(verb).arg("-c").arg(self.path("tidegate.yaml"));
        command
    }

    /// Runs the gateway where it is expected not to start.
    pub(crate) fn run_in_vain(&self) -> Ran {
        Ran::of(self.command("run").output().unwrap())
    }

    /// `tidegate ledger verify` on the ledger, with more arguments.
    pub(crate) fn verify(&self, more: &[&str]) -> Ran {
        let mut command = program();
        command.args(["ledger", "verify"]).arg(self.ledger());
        Ran::of(command.args(more).output().unwrap())
    }

    /// `tidegate replay` on the ledger: how many decisions, and that all follow from their inputs.
    pub(crate) fn replay(&self) -> u64 {
        let mut command = program();
        command.arg("replay").arg(self.ledger());
        let ran = Ran::of(command.args(["--format", "json"]).output().unwrap());
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let counted: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(counted["differences"], 0, "{counted}");
        assert_eq!(counted["unreadable"], 0, "{counted}");
        counted["decisions"].as_u64().unwrap()
    }

    /// All whole lines of the ledger; none while there is no ledger.
    pub(crate) fn records(&self) -> Vec<Value> {
        let Ok(folder) = std::fs::read_dir(self.ledger()) else {
            return Vec::new();
        };
        let mut segments: Vec<PathBuf> = folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .collect();
        segments.sort();
        let mut records = Vec::new();
        for segment in segments {
            let text = String::from_utf8_lossy(&std::fs::read(segment).unwrap()).into_owned();
            // The gateway may be writing: what stands behind the last line end is no line yet.
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            records.extend(
                whole
                    .lines()
                    .map(|line| -> Value { serde_json::from_str(line).expect("a line of JSON") }),
            );
        }
        records
    }

    /// The decisions in the ledger, in the order in which they were made: on their way refusals
    /// overtake. One that took long has two records, and on a machine that stands still any may
    /// have: it is told here as if it had one.
    pub(crate) fn decisions(&self) -> Vec<Value> {
        let (outcomes, mut records): (Vec<Value>, Vec<Value>) = self
            .records()
            .into_iter()
            .filter(|record| record["kind"] == "decision" || record["kind"] == "outcome")
            .partition(|record| record["kind"] == "outcome");
        for outcome in outcomes {
            let id = &outcome["decision_id"];
            let decision = records
                .iter_mut()
                .find(|record| record["decision_id"] == *id);
            // The decision itself may have been counted in place of written.
            if let Some(decision) = decision {
                end(decision, &outcome);
            }
        }
        records.sort_by_key(|record| (record["ts_us"].as_u64(), record["n"].as_u64()));
        records
    }
}

/// Puts into a decision what the record of its end says.
fn end(decision: &mut Value, outcome: &Value) {
    assert_eq!(decision["outcome"], "open", "{decision}");
    for member in ["latency_us", "status", "upstream_error", "upstream_status"] {
        if let Some(value) = outcome.get(member) {
            decision[member] = value.clone();
        }
    }
    let is_error =
        outcome["upstream_error"].is_string() || outcome["upstream_status"].as_u64() >= Some(500);
    decision["error_count"] = u8::from(is_error).into();
    let was_forwarded = decision["upstream"].is_string();
    decision["outcome"] = if was_forwarded { "done" } else { "refused" }.into();
}

/// What a verb that ended has said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, without what the environment of the tests would tell it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TIDEGATE_") || name_text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command.stdin(Stdio::null());
    command
}
