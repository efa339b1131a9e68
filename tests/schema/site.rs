//! A configuration that says everything there is to say, and what the readers find in changes of it.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::config::load;
use tidegate::diagnostic::Severity;

/// A file that says everything.
pub(crate) struct Full {
    /// The name of its schema.
    pub(crate) name: &'static str,
    /// Where it stands.
    pub(crate) file: &'static str,
    /// What it says: each key that there is. A new key is added here too.
    pub(crate) full: fn() -> Value,
}

pub(crate) const DOCUMENTS: [Full; 3] = [
    Full {
        name: "configuration",
        file: "tidegate.yaml",
        full: configuration,
    },
    Full {
        name: "contract",
        file: "contracts/a.yaml",
        full: contract,
    },
    Full {
        name: "policy",
        file: "policy.yaml",
        full: policy,
    },
];

pub(crate) fn document(name: &str) -> &'static Full {
    DOCUMENTS
        .iter()
        .find(|document| document.name == name)
        .unwrap()
}

fn configuration() -> Value {
    json!({
        "version": 1,
        "tier": "control",
        "environment": "production",
        "instances": 1,
        "watch": true,
        "threads": 1,
        "listeners": [{ "bind": "127.0.0.1:0", "tier": "control" }],
        "upstreams": { "main": { "servers": ["127.0.0.1:9000"] },
                       "other": { "servers": ["127.0.0.1:9001"] } },
        "default_upstream": "main",
        "trusted_proxies": ["10.0.0.0/8"],
        "contracts": "contracts",
        "policy": "policy.yaml",
        "ledger": {
            "dir": "ledger", "key": "ledger.key", "sync": "interval", "sync_interval_ms": 100,
            "segment_mib": 256, "segment_hours": 24, "compress": true,
            "retention_days": { "access": 90, "security": 1095 },
            "disk_mib_max": 4096, "on_unavailable": "continue", "heads_every_secs": 60,
        },
        "admin": { "bind": "127.0.0.1:0" },
        "state_dir": "state",
        "metrics": { "series_max": 50_000 },
        "expose_headers": false,
        "timeouts": { "connect_ms": 3000, "header_ms": 10_000, "idle_ms": 60_000,
                      "upstream_idle_ms": 30_000 },
        "limits": { "connections": 16_384, "connections_per_address": 1024,
                    "requests_per_connection": 1000 },
    })
}

fn contract() -> Value {
    json!({
        "version": 1,
        "contracts": [{
            "id": "a",
            "endpoint": "GET /a/{x}",
            "allowed_methods": ["GET"],
            "upstream": "main",
            "owner": "me",
            "max_latency_ms": 1000,
            "timeout_ms": 30_000,
            "error_budget": 0.01,
            "circuit_threshold": 0.5,
            "rate_limit_rpm": 6000,
            "burst": 600,
            "per_client": { "key": "peer", "rate_limit_rpm": 600, "burst": 60 },
            "max_in_flight": 100,
            "stream": false,
            "tier": "control",
            "stage": { "mode": "canary 10%", "remove_by": "2026-12-31" },
            "quarantine": { "mode": "divert", "upstream": "other" },
            "throttle": { "mode": "delay", "wait_max_ms": 500, "held_max": 20 },
            "drop": { "mode": "close" },
            "ledger": "required",
            "allow_encoded_slash": false,
            "merge_slashes": false,
            "allow_catch_all": false,
        }],
    })
}

fn policy() -> Value {
    let factors = [
        "circuit",
        "concurrency",
        "error_budget_burn",
        "error_rate",
        "latency",
        "latency_regression",
        "method_disallowed",
        "rate_limit",
        "retry_storm",
        "traffic_anomaly",
        "unknown_endpoint",
    ];
    let weights: serde_json::Map<String, Value> = factors
        .iter()
        .map(|name| ((*name).to_owned(), json!(0.9)))
        .collect();
    let stage = json!({ "mode": "enforced", "owner": "me", "remove_by": "2026-12-31" });
    let stages: serde_json::Map<String, Value> = factors
        .iter()
        .map(|name| ((*name).to_owned(), stage.clone()))
        .collect();
    json!({
        "version": 1,
        "name": "full",
        "policy_version": "1.0.0",
        "bands": { "low": 0.2, "medium": 0.4, "high": 0.6, "critical": 0.8 },
        "weights": weights,
        "stages": stages,
        "unknown_endpoint": { "action": "quarantine", "answer": 404, "rate_limit_rpm": 600,
                              "burst": 60 },
        "method_disallowed": { "action": "drop" },
        "tiers": { "observe_only": ["log"], "control": ["log"], "autonomous": ["log"] },
        "circuit": { "broken_in_a_row": 5, "samples_min": 20, "slow_share": 0.8, "open_ms": 1000,
                     "open_ms_max": 60_000, "slow_start_ms": 5000 },
        "retry": { "headers": ["x-retry-count"], "budget": 0.2 },
    })
}

/// The files in a folder.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("contracts")).unwrap();
        let site = Self { folder };
        for document in DOCUMENTS {
            site.write(document.file, &(document.full)());
        }
        site
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// JSON is YAML, too.
    fn write(&self, file: &str, value: &Value) {
        std::fs::write(self.path(file), value.to_string()).unwrap();
    }

    /// The errors as (file, code).
    pub(crate) fn findings(&self) -> Vec<(String, String)> {
        let Err(found) = load(&self.path("tidegate.yaml")) else {
            return Vec::new();
        };
        let errors = found.iter().filter(|one| one.severity == Severity::Error);
        errors
            .map(|one| {
                let name = Path::new(&*one.file).file_name().unwrap().to_string_lossy();
                (name.into_owned(), one.code.as_str().to_owned())
            })
            .collect()
    }

    /// The codes of the errors of one file with other content; it is as before afterwards.
    pub(crate) fn findings_of(&self, file: &str, content: &Value) -> Vec<String> {
        self.write(file, content);
        let name = Path::new(file)
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let found = self.findings();
        self.write(
            file,
            &(DOCUMENTS.iter().find(|one| one.file == file).unwrap().full)(),
        );
        let own = found.into_iter().filter(|(found, _)| *found == name);
        own.map(|(_, code)| code).collect()
    }
}
