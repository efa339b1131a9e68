//! A configuration that says everything there is to say, and what the readers find in changes of it.

use std::collections::BTreeMap;
use std::path::Path;

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::bundle::envelope::{Envelope, ROOT_TYPE};
use tidegate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
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

pub(crate) const DOCUMENTS: [Full; 7] = [
    Full {
        name: "charter",
        file: "charter.yaml",
        full: charter,
    },
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
        name: "exemptions",
        file: "contracts/exemptions.yaml",
        full: exemptions,
    },
    Full {
        name: "owners",
        file: "contracts/OWNERS.yaml",
        full: owners,
    },
    Full {
        name: "policy",
        file: "policy.yaml",
        full: policy,
    },
    Full {
        name: "self-tests",
        file: "self-tests.yaml",
        full: self_tests,
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
        "environment": "sandbox",
        "instances": 1,
        "watch": true,
        "threads": 1,
        // HTTP/2 with TLS and without exclude each other.
        "listeners": [
            { "bind": "127.0.0.1:0", "tier": "control", "http2": true, "proxy_protocol": false,
              "tls": { "certificates": [{ "cert": "a.pem", "key": "a.key" }],
                       "client_ca": "ca.pem", "client_auth": "required" } },
            { "bind": "127.0.0.1:0", "h2c": false },
        ],
        "upstreams": { "main": {
                           "servers": [{ "address": "127.0.0.1:9000", "weight": 1 }],
                           "balance": "round_robin",
                           "protocol": "http1",
                           "tls": { "server_name": "a", "ca": "ca.pem", "cert": "a.pem", "key": "a.key", "verify": true },
                           "eject": { "failures": 5, "base_ms": 10_000, "max_percent": 50 },
                           "health": { "path": "/healthz", "interval_ms": 3_600_000, "timeout_ms": 100,
                                       "healthy": 2, "unhealthy": 3, "expect": "200..299" } },
                       "other": { "servers": ["127.0.0.1:9001"] } },
        "default_upstream": "main",
        "trusted_proxies": ["10.0.0.0/8"],
        "caller_header": "x-caller",
        "contracts": "contracts",
        "policy": "policy.yaml",
        "self_tests": "self-tests.yaml",
        "charter": "charter.yaml",
        "bundle": { "root": "root.json", "dir": "bundles", "on_none": "refuse" },
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
        "fast_lane": false,
        "timeouts": { "body_ms": 1_800_000, "connect_ms": 3000, "drain_ms": 8_000, "drain_notice_ms": 0,
                      "handshake_ms": 10_000, "header_ms": 10_000, "idle_ms": 60_000,
                      "upstream_idle_ms": 30_000, "rate_grace_ms": 5_000,
                      "tunnel_idle_ms": 300_000, "tunnel_age_ms": 86_400_000 },
        "limits": { "connections": 16_384, "connections_per_address": 1024,
                    "handshakes": 4096, "requests_per_connection": 1000, "body_rate_min": 240,
                    "response_rate_min": 0 },
    })
}

/// A root of one person, who signed it.
fn root() -> Vec<u8> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let parts = RootParts {
        version: 1,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: false,
        expires_at_us: 1 << 52,
        principals: vec![Principal {
            name: "alice".to_owned(),
            keys: vec![key.verifying_key()],
            roles: [Role::Author, Role::Approver, Role::Root].into(),
        }],
        groups: BTreeMap::new(),
        thresholds: Thresholds {
            authority: 1,
            breaking: 1,
            breakglass: 1,
            loosen: 1,
            root: 1,
            tighten: 1,
        },
    };
    let payload = Root::new(parts).unwrap().to_payload().unwrap();
    let mut envelope = Envelope::unsigned(ROOT_TYPE, payload);
    envelope.sign(&key).unwrap();
    envelope.to_bytes()
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
            "backup_owner": "you",
            "service": "shop",
            "version": "1.0.0",
            "lifecycle": {
                "status": "deprecated", "deprecated_on": "2026-01-31", "sunset_on": "2027-01-31",
                "successor": "b", "stability": "stable",
                "migration_guide": "https://example.org/move",
            },
            "openapi": "../shop.yaml#/paths/~1a~1{x}/get",
            "proto": "../shop.proto",
            "max_latency_ms": 1000,
            "timeout_ms": 30_000,
            "error_budget": 0.01,
            "circuit_threshold": 0.5,
            "rate_limit_rpm": 6000,
            "burst": 600,
            "per_client": { "key": "peer", "rate_limit_rpm": 600, "burst": 60 },
            "consumers": ["checkout"],
            "max_in_flight": 100,
            "body_bytes_max": 1000,
            "upgrade": ["websocket"],
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
        }, {
            "id": "b",
            "endpoint": "GET /b/{x}",
        }],
    })
}

fn charter() -> Value {
    json!({ "version": 1, "compatibility_mode": "backward", "deployment": "rolling" })
}

fn exemptions() -> Value {
    let one = |about: &str, what: &str| {
        json!({ "rule": "C123", about: what, "owner": "me", "reason": "it is so",
                "expires": "2027-01-31" })
    };
    json!({ "version": 1, "exemptions": [one("contract", "a"), one("file", "a.yaml")] })
}

fn owners() -> Value {
    let one = |about: &str, what: &str| json!({ about: what, "owner": "me", "backup_owner": "you", "service": "shop" });
    json!({
        "version": 1,
        "owners": [one("contract", "a"), one("file", "a.yaml"), one("folder", ".")],
        "services": { "shop": { "upstreams": ["main"] } },
        "handles": { "me": "@me" },
    })
}

/// Two, because some keys exclude each other.
fn self_tests() -> Value {
    json!({
        "version": 1,
        "tests": [{
            "name": "one",
            "request": { "method": "GET", "url": "/a/1", "headers": { "x-a": "1" },
                         "trusted": false, "caller": "checkout" },
            "state": {
                "tier": "control", "circuit": "half_open", "probes": "spent", "band": "low",
                "failed": "3 of 100", "slow": "30% of 200", "retries": "1 of 10", "in_flight": 1,
                "waiting": 1, "latency": { "p95_ms": 10.5, "baseline_ms": 10 },
                "traffic": { "offered": 100, "usual": 90, "spread": 3 },
                "burn": { "5m": "1 of 10", "30m": "1 of 10", "1h": "1 of 10", "6h": "1 of 10",
                          "3d": "1 of 10" },
                "class_mix": { "retries": "10%", "ordinary": "80%", "high": "10%" },
                "client_limit": "spent", "client_refusals": 1, "rate_limit": "free in 300 ms",
                "retry": "no", "ledger": "available", "draw": "12.5%",
            },
            "expect": {
                "decision": "DROP", "contract": "a", "reasons": [], "deciding": "CIRCUIT_OPEN",
                "taken": ["log"], "withheld": ["log"], "way": "refuse", "status": 503,
                "tier": "control", "band": "low",
            },
        }, {
            "name": "two",
            "request": { "url": "/nowhere" },
            "state": { "slow_start": "50%" },
            "expect": { "decision": "ALLOW", "contract": "_unmatched", "only_reasons": [],
                        "status": "closed" },
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
        "consumer_not_declared": { "action": "quarantine" },
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
        std::fs::create_dir(folder.path().join("bundles")).unwrap();
        std::fs::write(folder.path().join("root.json"), root()).unwrap();
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
