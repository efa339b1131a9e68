//! One of the two gateways, with an upstream and a ledger of its own.
//!
//! Everything is the same for both but ports and the switch of the fast lane: contracts, policy,
//! tier, and the key that names clients in records.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;

use super::exchange::Door;
use super::generate::SLOTS;
use super::recorder::Recorder;
use crate::process::Process;
use crate::site::{PATIENCE, Setup, Site, free};

/// The key of tidegate.yaml that switches the fast lane.
const LANE_KEY: &str = "fast_lane";
/// The same on both sides, so that records name a client alike.
const CLIENT_KEY: [u8; 16] = *b"0123456789abcdef";

/// How a request is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By the lane where it takes it.
    Lane,
    /// By the full proxy alone.
    Full,
}

/// The rules of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// No state decides: whatever the order, the same is done.
    Steady,
    /// Limits, circuits and conduct decide, as they are shipped.
    Shipped,
}

/// A running gateway with its upstreams.
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) site: Site,
    process: Process,
    observe: SocketAddr,
    /// Of each slot: its own upstream, that which pushes back, that for what is set apart.
    pub(super) slots: Vec<[Recorder; 3]>,
    /// Of what no contract has.
    pub(super) common: Recorder,
}

impl Side {
    /// Starts one with its files in `folder`.
    pub(super) fn start(
        folder: &Path,
        name: &'static str,
        way: Way,
        rules: Rules,
    ) -> anyhow::Result<Self> {
        let common = Recorder::start(true)?;
        let mut slots = Vec::new();
        for _ in 0..SLOTS {
            slots.push([
                Recorder::start(false)?,
                Recorder::start(false)?,
                Recorder::start(false)?,
            ]);
        }
        let setup = Setup {
            contracts: 0,
            threads: 1,
            tier: "control",
            ..Setup::observing(common.address)
        };
        let site = Site::prepare(&folder.join(name), &setup)?;
        let observe = free()?;
        let listeners = format!("listeners: [{{ bind: \"{}\" }}", site.listen);
        let second = format!("{listeners}, {{ bind: \"{observe}\", tier: observe_only }}");
        site.amend(&listeners, &second)?;
        let groups = format!("  orders: {{ servers: [\"{}\"] }}\n", common.address);
        site.amend(&groups, &upstreams(&common, &slots))?;
        let on = way == Way::Lane;
        site.amend("version: 1\n", &format!("version: 1\n{LANE_KEY}: {on}\n"))?;
        site.write("contracts/own.yaml", &contracts())?;
        if rules == Rules::Steady {
            site.write("policy.yaml", &steady(&site)?)?;
        }
        keep_key(&site)?;
        let process = site.start().with_context(|| format!("start {name}"))?;
        Ok(Self {
            name,
            site,
            process,
            observe,
            slots,
            common,
        })
    }

    /// Where a listener is.
    pub(super) fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Control => self.site.listen,
            Door::Observe => self.observe,
        }
    }

    /// Ends it in order, so that its ledger is whole.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.process.stop(PATIENCE)?;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(())
    }
}

fn keep_key(site: &Site) -> anyhow::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let state = site.folder().join("state");
    std::fs::create_dir_all(&state)?;
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o700))?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(state.join("client.key"))?;
    std::io::Write::write_all(&mut file, &CLIENT_KEY)?;
    Ok(())
}

fn upstreams(common: &Recorder, slots: &[[Recorder; 3]]) -> String {
    let group = |name: &str, recorder: &Recorder| {
        // Nobody is left out: that would depend on time.
        format!(
            "  {name}: {{ servers: [\"{}\"], eject: {{ failures: 0 }} }}\n",
            recorder.address
        )
    };
    let mut text = group("orders", common);
    for (slot, [own, push, apart]) in slots.iter().enumerate() {
        text += &group(&format!("own{slot}"), own);
        text += &group(&format!("push{slot}"), push);
        text += &group(&format!("apart{slot}"), apart);
    }
    text
}

/// Contracts of a slot, whose number stands for `@`; from `rate` on of the phase in turn alone.
const CONTRACTS: &str = r#"
  - { id: w@_o, owner: me, endpoint: "GET /w@/o/{id}", upstream: own@, METHODS }
  - { id: w@_g, owner: me, endpoint: "GET /w@/g/{id}", upstream: own@, allowed_methods: [GET, HEAD] }
  - { id: w@_small, owner: me, endpoint: "GET /w@/small/{id}", upstream: own@, METHODS, body_bytes_max: 1000 }
  - { id: w@_slow, owner: me, endpoint: "GET /w@/slow/{id}", upstream: own@, METHODS, timeout_ms: 200 }
  - { id: w@_e, owner: me, endpoint: "GET /w@/e/{id}", upstream: own@, METHODS, allow_encoded_slash: true }
  - { id: w@_m, owner: me, endpoint: "GET /w@/m/{id}", upstream: own@, METHODS, merge_slashes: true }
  - { id: w@_r, owner: me, endpoint: "GET /w@/r/{*rest}", upstream: own@, METHODS, allow_catch_all: true }
  - { id: w@_push, owner: me, endpoint: "GET /w@/push/{id}", upstream: push@, METHODS }
  - { id: w@_shut, owner: me, endpoint: "GET /w@/shut/{id}", upstream: own@, drop: close }
  - { id: w@_old, owner: me, endpoint: "GET /w@/old/{id}", upstream: own@, METHODS, lifecycle: { status: sunset, deprecated_on: 2020-01-15, sunset_on: 2021-09-01, migration_guide: /guide } }
  - { id: w@_obs, owner: me, endpoint: "GET /w@/obs/{id}", upstream: own@, METHODS, tier: observe_only }
  - { id: w@_who, owner: me, endpoint: "GET /w@/who/{id}", upstream: own@, METHODS, consumers: [somebody], quarantine: { mode: divert, upstream: apart@ } }
  - { id: w@_lim, owner: me, endpoint: "GET /w@/lim/{id}", upstream: own@, METHODS, rate_limit_rpm: 1000000000, burst: 1000000 }
  - { id: w@_ws, owner: me, endpoint: "GET /w@/ws/{id}", upstream: own@, METHODS, upgrade: [websocket] }
  - { id: w@_st, owner: me, endpoint: "GET /w@/st/{id}", upstream: own@, METHODS, stream: true }
  - { id: w@_fix, owner: me, endpoint: "GET /w@/fix", upstream: own@, METHODS }
  - { id: w@_rate, owner: me, endpoint: "GET /w@/rate/{id}", upstream: own@, METHODS, rate_limit_rpm: 6, burst: 3 }
  - { id: w@_mine, owner: me, endpoint: "GET /w@/mine/{id}", upstream: own@, METHODS, rate_limit_rpm: 60, burst: 20, per_client: { key: peer, rate_limit_rpm: 6, burst: 3 } }
  - { id: w@_key, owner: me, endpoint: "GET /w@/key/{id}", upstream: own@, METHODS, rate_limit_rpm: 60, burst: 20, per_client: { key: "header:X-Api-Key", rate_limit_rpm: 6, burst: 2 } }
  - { id: w@_delay, owner: me, endpoint: "GET /w@/delay/{id}", upstream: own@, METHODS, rate_limit_rpm: 30, burst: 2, throttle: { mode: delay, wait_max_ms: 5000, held_max: 20 } }
  - { id: w@_one, owner: me, endpoint: "GET /w@/one/{id}", upstream: own@, METHODS, max_in_flight: 1 }
  - { id: w@_frail, owner: me, endpoint: "GET /w@/frail/{id}", upstream: own@, METHODS, circuit_threshold: 0.1 }
"#;

/// What the probes ask for.
const PROBED: &str = r#"
  - { id: probe, owner: me, endpoint: "GET /p", upstream: own0, METHODS }
  - { id: probe_below, owner: me, endpoint: "GET /p/{rest}", upstream: own0, METHODS }
"#;

fn contracts() -> String {
    const METHODS: &str = "allowed_methods: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE]";
    let of_slot = |slot: usize| CONTRACTS.replace('@', &slot.to_string());
    let all: String = (0..SLOTS).map(of_slot).collect();
    format!("version: 1\ncontracts:{all}{PROBED}").replace("METHODS", METHODS)
}

/// The shipped policy, but that nothing decides which depends on time or on other requests.
fn steady(site: &Site) -> anyhow::Result<String> {
    let mut policy = std::fs::read_to_string(site.folder().join("policy.yaml"))?;
    let numbers = [
        ("broken_in_a_row: 5 ", "broken_in_a_row: 1000000 "),
        ("samples_min: 20 ", "samples_min: 1000000 "),
        ("budget: 0.2 ", "budget: 1.0 "),
    ];
    for (from, to) in numbers {
        policy = exchanged(&policy, from, to)?;
    }
    for factor in [
        "latency",
        "latency_regression",
        "error_rate",
        "error_budget_burn",
        "concurrency",
        "traffic_anomaly",
        "rate_limit",
        "retry_storm",
    ] {
        let from = format!("\n  {factor}: enforced");
        policy = exchanged(&policy, &from, &format!("\n  {factor}: shadow"))?;
    }
    policy += "\nconsumer_not_declared: { action: quarantine }\n";
    Ok(policy)
}

fn exchanged(policy: &str, from: &str, to: &str) -> anyhow::Result<String> {
    anyhow::ensure!(policy.contains(from), "no '{from}' in the policy");
    Ok(policy.replace(from, to))
}
