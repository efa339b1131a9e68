//! Other contracts and rules come into force while the gateway runs, and the kill switch.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::held::holding;
use crate::installation::{Installation, Ran, program};
use crate::process::Process;
use crate::starting::PROBE_TEST;
use crate::wire::{Message, Upstream, eventually};

/// Contracts that tell their version: `GET /probe` belongs to `probe_v{version}`.
fn version(version: u32) -> String {
    let id = format!("probe_v{version}");
    // The place of the contracts that stay is another one in every other version.
    let first = if version.is_multiple_of(2) {
        "  - {id: a_first, owner: me, endpoint: \"GET /first\"}\n"
    } else {
        ""
    };
    format!(
        r#"version: 1
contracts:
{first}  - {{id: {id}, owner: me, endpoint: "GET /probe"}}
  - {{id: status_v1, owner: me, endpoint: "GET /api/v1/status"}}
"#
    )
}

fn write(installation: &Installation, file: &str, text: &str) {
    std::fs::write(installation.path(file), text).unwrap();
}

fn body(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Reloads by way of the admin listener.
fn reload(process: &Process) -> (u16, Value) {
    let answer = process.post("/v1/reload", "{}");
    (answer.status(), body(&answer))
}

/// A verb that asks the running gateway.
fn verb(installation: &Installation, process: &Process, verb: &[&str]) -> Ran {
    let mut command: Command = program();
    command.args(verb).arg("-c");
    command.arg(installation.path("tidegate.yaml"));
    command.arg(format!("--admin={}", process.admin));
    Ran::of(command.output().unwrap())
}

fn events(process: &Process, event: &str) -> Vec<Value> {
    let mut log = process.log();
    log.retain(|entry| entry["event"] == event);
    log
}

/// The log is read by another thread: it may come a moment later.
fn told_in_log(process: &Process, event: &str) {
    eventually(event, || !events(process, event).is_empty());
}

fn controlling(upstream: &Upstream) -> Installation {
    Installation::in_front_of(upstream.address)
        .controlling()
        .and("watch: false")
}

#[test]
fn files_whose_self_tests_fail_leave_the_old_rules() {
    let upstream = Upstream::ok();
    let installation = controlling(&upstream)
        .contract(r#"{id: probe, owner: me, endpoint: "GET /probe"}"#)
        .and("self_tests: self-tests.yaml");
    write(&installation, "self-tests.yaml", PROBE_TEST);
    let process = Process::start(&installation);
    assert_eq!(process.get("/probe").status(), 200);
    // A valid file, without the contract of which the self-test speaks.
    write(&installation, "contracts/a.yaml", &version(1));
    let (status, told) = reload(&process);
    assert_eq!(
        (status, &told["result"]),
        (422, &json!("refused")),
        "{told}"
    );
    let finding = &told["findings"][0];
    assert_eq!(finding["code"], "C406", "{told}");
    let message = finding["message"].as_str().unwrap();
    assert!(message.contains("'a probe has a contract'"), "{told}");
    assert_eq!(process.status()["serial"], 0);
    assert_eq!(process.get("/probe").status(), 200);
    // With the self-test changed as well, it is what is meant.
    let meant = PROBE_TEST.replace("contract: probe", "contract: probe_v1");
    write(&installation, "self-tests.yaml", &meant);
    let (status, told) = reload(&process);
    assert_eq!(
        (status, &told["result"]),
        (200, &json!("activated")),
        "{told}"
    );
}

#[test]
fn every_trigger_takes_the_same_path() {
    let upstream = Upstream::ok();
    let installation = controlling(&upstream);
    let process = Process::start(&installation);
    assert_eq!(process.get("/probe").status(), 404);
    let triggers: [(&str, &dyn Fn()); 3] = [
        ("signal", &|| process.signal(Signal::HUP)),
        ("admin", &|| {
            let (status, told) = reload(&process);
            assert_eq!((status, &told["result"]), (200, &json!("activated")));
            assert_eq!(told["serial"], 2);
        }),
        ("admin", &|| {
            let ran = verb(&installation, &process, &["reload"]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
            assert!(
                ran.stdout.starts_with("activated: serial 3, digest "),
                "{ran:?}"
            );
        }),
    ];
    for (number, (name, pull)) in (1..).zip(triggers) {
        write(&installation, "contracts/a.yaml", &version(number));
        pull();
        eventually("the new rules", || process.status()["serial"] == number);
        assert_eq!(process.get("/probe").status(), 200);
        let status = process.status();
        assert_eq!(status["last_reload"]["trigger"], name);
        assert_eq!(status["last_reload"]["digest"], status["policy_hash"]);
    }
    let (status, told) = reload(&process);
    assert_eq!((status, &told["result"]), (200, &json!("unchanged")));
    assert_eq!(told["serial"], 3, "nothing is swapped for the same");
    let count = |result| process.metric("tidegate_bundle_activations_total", result);
    assert_eq!((count("\"activated\""), count("\"unchanged\"")), (3.0, 1.0));
    eventually("three lines", || {
        events(&process, "rulebook_activated").len() == 3
    });
    process.stop();
    let decisions = installation.decisions();
    let matched: Vec<_> = decisions
        .iter()
        .map(|d| d["contract_id"].as_str())
        .collect();
    let want = [None, Some("probe_v1"), Some("probe_v2"), Some("probe_v3")];
    assert_eq!(matched, want);
    assert_eq!(installation.replay(), 4, "each by the rules of its time");
    assert_eq!(installation.verify(&[]).code, Some(0));
}

#[test]
fn a_change_of_the_files_is_taken_by_itself() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).controlling();
    let process = Process::start(&installation);
    let tells = |what: &str, check: &dyn Fn(&Value) -> bool| {
        eventually(what, || check(&process.status()["last_reload"]));
    };
    write(
        &installation,
        "contracts/b.yaml",
        "version: 1\ncontracts: [",
    );
    tells("a fault", &|last| last["result"] == "refused");
    told_in_log(&process, "reload_failed");
    assert_eq!(process.status()["serial"], 0);
    assert_eq!(
        process.metric("tidegate_config_last_reload_successful", ""),
        0.0
    );
    std::fs::remove_file(installation.path("contracts/b.yaml")).unwrap();
    tells("it to be mended", &|last| last["result"] == "unchanged");
    assert_eq!(
        process.metric("tidegate_config_last_reload_successful", ""),
        1.0
    );
    // As deployments do it: a link is exchanged for one to another folder.
    for number in [1, 2] {
        let release = installation.path(&format!("release{number}"));
        std::fs::create_dir(&release).unwrap();
        std::fs::write(release.join("a.yaml"), version(number)).unwrap();
    }
    let moved = installation.path("moved");
    std::fs::rename(installation.path("contracts"), &moved).unwrap();
    for number in [1, 2] {
        let (link, target) = (installation.path("link"), format!("release{number}"));
        std::os::unix::fs::symlink(target, &link).unwrap();
        std::fs::rename(&link, installation.path("contracts")).unwrap();
        eventually("the release", || process.status()["serial"] == number);
        assert_eq!(process.status()["last_reload"]["trigger"], "watch");
    }
    assert_eq!(process.get("/probe").status(), 200);
    process.stop();
}

#[test]
fn what_takes_a_restart_is_named_and_the_rest_holds() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address).and("watch: false");
    let process = Process::start(&installation);
    assert_eq!(process.get("/probe").status(), 200, "it only observes");
    let main = std::fs::read_to_string(installation.path("tidegate.yaml")).unwrap();
    let changed = main
        .replace("tier: observe_only", "tier: control")
        .replace("threads: 1", "threads: 2\ninstances: 3")
        .replace("main: {", "other: {servers: [\"127.0.0.1:9\"]}, main: {")
        + "default_upstream: main\n";
    write(&installation, "tidegate.yaml", &changed);
    let (status, told) = reload(&process);
    assert_eq!((status, &told["result"]), (200, &json!("activated")));
    assert_eq!(
        told["needs_restart"],
        json!(["instances", "threads", "upstreams"])
    );
    assert_eq!(process.get("/probe").status(), 404, "it controls");
    assert_eq!(process.status()["needs_restart"], told["needs_restart"]);
    told_in_log(&process, "restart_needed");
    let to_other = version(1).replace("\"GET /probe\"", "\"GET /probe\", upstream: other");
    write(&installation, "contracts/a.yaml", &to_other);
    let (status, told) = reload(&process);
    assert_eq!((status, &told["result"]), (422, &json!("refused")));
    let said = told["findings"][0]["message"].as_str().unwrap();
    assert!(
        said.contains("'other'") && said.contains("does not run"),
        "{said}"
    );
    let ran = verb(&installation, &process, &["reload"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("C108"), "{ran:?}");
    let ran = verb(&installation, &process, &["status"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("refused, by admin, "), "{ran:?}");
    process.stop();
}

/// Ways to break the files.
fn broken(number: u32) -> String {
    let whole = version(number);
    match number % 5 {
        0 => whole[..whole.len() / 2].to_owned(),
        1 => format!("{whole}  - {{id: probe_v{number}, owner: me, endpoint: \"GET /x\"}}\n"),
        2 => whole.replace("owner: me", "owner: me, upstream: nowhere"),
        3 => whole.replace("owner: me", "owner: me, rate_limit_rpm: 0"),
        _ => "\u{0}\u{1}".to_owned(),
    }
}

/// Requests without end on kept connections; what they were answered.
struct Load {
    ending: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    clients: Vec<std::thread::JoinHandle<Vec<u16>>>,
}

impl Load {
    fn on(process: &Process) -> Self {
        let (ending, served) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let clients = (0..3).map(|_| {
            let mut client = process.connect();
            let address = process.addresses[0];
            let (ending, served) = (Arc::clone(&ending), Arc::clone(&served));
            std::thread::spawn(move || {
                let mut statuses = Vec::new();
                while !ending.load(Ordering::Relaxed) {
                    let answer = client.get("/probe");
                    statuses.push(answer.status());
                    served.fetch_add(1, Ordering::Relaxed);
                    if answer.field("connection") == Some("close") {
                        client = crate::wire::Client::connect(address);
                    }
                }
                statuses
            })
        });
        Self {
            clients: clients.collect(),
            ending,
            served,
        }
    }

    /// Lets some requests through.
    fn goes_on(&self) {
        let before = self.served.load(Ordering::Relaxed);
        eventually("requests", || {
            self.served.load(Ordering::Relaxed) >= before + 5
        });
    }

    fn end(self) -> Vec<u16> {
        self.ending.store(true, Ordering::Relaxed);
        let clients = self.clients.into_iter();
        clients.flat_map(|client| client.join().unwrap()).collect()
    }
}

#[test]
fn half_of_many_reloads_are_broken_and_no_request_notices() {
    let upstream = Upstream::ok();
    let installation = controlling(&upstream).with("threads: 1", "threads: 2");
    let process = Process::start(&installation);
    write(&installation, "contracts/a.yaml", &version(0));
    assert_eq!(reload(&process).0, 200);
    let load = Load::on(&process);
    let mut good = vec![(0, process.status()["policy_hash"].clone())];
    for number in 1..=60 {
        load.goes_on();
        if number % 2 == 0 {
            write(&installation, "contracts/a.yaml", &version(number));
            let (status, told) = reload(&process);
            assert_eq!(
                (status, &told["result"]),
                (200, &json!("activated")),
                "{told}"
            );
            good.push((number, told["digest"].clone()));
        } else {
            write(&installation, "contracts/a.yaml", &broken(number));
            let (status, told) = reload(&process);
            assert_eq!(
                (status, &told["result"]),
                (422, &json!("refused")),
                "{number}"
            );
            assert!(!told["findings"].as_array().unwrap().is_empty(), "{number}");
            assert_eq!(told["digest"], good.last().unwrap().1, "the old one stays");
        }
        let succeeded = process.metric("tidegate_config_last_reload_successful", "");
        assert_eq!(succeeded, if number % 2 == 0 { 1.0 } else { 0.0 });
    }
    let statuses = load.end();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    eventually("older rules to be forgotten", || {
        process.status()["rulebooks_kept"].as_u64().unwrap() <= 2
    });
    process.stop();
    let verified = installation.verify(&["--format", "json"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    let report: Value = serde_json::from_str(&verified.stdout).unwrap();
    let decisions = installation.decisions();
    // A machine whose disk is busy has some counted in place of written.
    let counted = report["rolled_up"].as_u64().unwrap();
    assert_eq!(
        decisions.len() as u64 + counted,
        statuses.len() as u64,
        "{report}"
    );
    for decision in &decisions {
        let hash = &decision["policy_hash"];
        let (number, _) = good.iter().find(|(_, digest)| digest == hash).unwrap();
        assert_eq!(
            decision["contract_id"],
            format!("probe_v{number}"),
            "{decision}"
        );
        assert_eq!(decision["endpoint_key"], "GET /probe");
    }
    assert_eq!(installation.replay(), decisions.len() as u64);
}

#[test]
fn many_reloads_keep_memory_flat() {
    let upstream = Upstream::ok();
    let installation = controlling(&upstream);
    let process = Process::start(&installation);
    let load = Load::on(&process);
    let resident_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_ascii_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    // Many contracts: kept rulebooks would weigh 40 MiB, far more than what a busy allocator keeps.
    let contracts = |number: u32| {
        let mut text = version(number % 2);
        for extra in 0..250 {
            text += &format!("  - {{id: x{extra}, owner: me, endpoint: \"GET /x{extra}\"}}\n");
        }
        text
    };
    let exchange = |number: u32| {
        write(&installation, "contracts/a.yaml", &contracts(number));
        let (status, told) = reload(&process);
        assert_eq!(
            (status, &told["result"]),
            (200, &json!("activated")),
            "{told}"
        );
    };
    (1..=40).for_each(exchange);
    let after_warming_up = resident_kib();
    (41..=240).for_each(exchange);
    let grown = || resident_kib().saturating_sub(after_warming_up);
    // Beside much other work memory is given back late; what is lost never is.
    let mut more = 241..=300;
    while grown() >= 24 * 1_024
        && let Some(number) = more.next()
    {
        exchange(number);
    }
    let grown = grown();
    assert!(load.end().len() > 100);
    println!("{grown} KiB more after 200 reloads");
    assert!(grown < 24 * 1_024, "{grown} KiB more after 200 reloads");
    eventually("older rules to be forgotten", || {
        process.status()["rulebooks_kept"].as_u64().unwrap() <= 2
    });
    process.stop();
}

#[test]
fn counters_go_on_with_their_contract() {
    let upstream = Upstream::ok();
    let installation = controlling(&upstream);
    let process = Process::start(&installation);
    write(&installation, "contracts/a.yaml", &version(1));
    assert_eq!(reload(&process).0, 200);
    let count = |contract: &str| {
        let label = format!("contract=\"{contract}\"");
        process.metric("tidegate_forwarded_total", &label)
    };
    for _ in 0..3 {
        process.get("/api/v1/status");
        process.get("/probe");
    }
    // In version 2 another contract stands where this one stood, and probe_v1 is gone.
    write(&installation, "contracts/a.yaml", &version(2));
    assert_eq!(reload(&process).0, 200);
    process.get("/api/v1/status");
    process.get("/first");
    process.get("/probe");
    // An answer may be here a moment before it is counted there.
    let counts = || ["status_v1", "probe_v1", "probe_v2", "a_first"].map(count);
    eventually("the counts", || counts() == [4.0, 3.0, 1.0, 1.0]);
    let decisions = process.metric("tidegate_decisions_total", "");
    assert_eq!(decisions, 9.0, "what was counted stays counted");
    eventually("the windows to follow", || {
        let contracts = body(&process.ask("/v1/contracts"));
        let mut rows = contracts["contracts"].as_array().unwrap().iter();
        let row = rows.find(|row| row["id"] == "status_v1").unwrap();
        row["last_60s"]["completed"] == 4
    });
    process.stop();
}

#[test]
fn a_reload_refills_no_limit() {
    let upstream = Upstream::ok();
    let limited = |burst: u32| {
        format!(
            "  - {{id: slow_v1, owner: me, endpoint: \"GET /slow\", rate_limit_rpm: 1, burst: {burst}}}\n"
        )
    };
    let installation = controlling(&upstream);
    installation.write();
    write(
        &installation,
        "contracts/a.yaml",
        &(version(1) + &limited(2)),
    );
    let process = Process::start_again(&installation);
    let ask = || process.get("/slow").status();
    assert_eq!([ask(), ask(), ask()], [200, 200, 429]);
    for number in 2..6 {
        write(
            &installation,
            "contracts/a.yaml",
            &(version(number) + &limited(2)),
        );
        assert_eq!(reload(&process).1["result"], "activated");
        assert_eq!(ask(), 429, "after {number}");
    }
    // A higher limit gives what it is higher by, and no more.
    write(
        &installation,
        "contracts/a.yaml",
        &(version(1) + &limited(3)),
    );
    assert_eq!(reload(&process).1["result"], "activated");
    assert_eq!([ask(), ask()], [200, 429]);
    process.stop();
}

#[test]
fn a_lower_limit_in_flight_holds_at_once_and_counts_older_requests() {
    let (upstream, open) = holding("GET /held");
    let contract = |max: u32| {
        format!(
            "  - {{id: tight_v1, owner: me, endpoint: \"GET /{{*any}}\", max_in_flight: {max}, \
             allow_catch_all: true}}\n"
        )
    };
    let installation = controlling(&upstream);
    installation.write();
    write(
        &installation,
        "contracts/a.yaml",
        &(version(1) + &contract(5)),
    );
    let process = Process::start_again(&installation);
    let mut held = process.connect();
    held.send("GET /held HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("a request in flight", || {
        process.metric("tidegate_inflight_requests", "tight_v1") > 0.0
    });
    let before = process.status()["policy_hash"].clone();
    assert_eq!(process.get("/quick").status(), 200);
    write(
        &installation,
        "contracts/a.yaml",
        &(version(2) + &contract(1)),
    );
    assert_eq!(reload(&process).1["result"], "activated");
    assert_eq!(
        process.get("/quick").status(),
        503,
        "the older one has the place"
    );
    assert_eq!(process.status()["rulebooks_kept"], 2);
    open.send(()).unwrap();
    assert_eq!(held.response().status(), 200);
    eventually("the place", || process.get("/quick").status() == 200);
    eventually("the old rules to be forgotten", || {
        process.status()["rulebooks_kept"] == 1
    });
    process.stop();
    let decisions = installation.decisions();
    let held = decisions.iter().find(|d| d["n"] == 0).unwrap();
    assert_eq!(
        held["policy_hash"], before,
        "judged and ended under the old rules"
    );
    installation.replay();
}

#[test]
fn the_kill_switch_holds_until_it_is_reset() {
    let upstream = Upstream::ok();
    let installation = controlling(&upstream);
    let process = Process::start(&installation);
    assert_eq!(process.get("/unknown").status(), 404);
    let ran = verb(&installation, &process, &["tier", "lower", "observe_only"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(process.get("/unknown").status(), 200, "at once");
    let answer = process.post("/v1/tier", "{\"tier\":\"control\"}");
    assert_eq!(answer.status(), 409, "only downwards");
    write(&installation, "contracts/a.yaml", &version(1));
    assert_eq!(
        reload(&process).1["tier"],
        "OBSERVE_ONLY",
        "against a reload"
    );
    let lowered = |process: &Process| {
        assert_eq!(process.get("/unknown").status(), 200);
        let status = process.status();
        assert_eq!(status["tier"], "OBSERVE_ONLY");
        assert_eq!(status["kill_switch"]["tier"], "OBSERVE_ONLY");
        assert_eq!(process.metric("tidegate_tier", "OBSERVE_ONLY"), 1.0);
        status["kill_switch"]["trouble"].clone()
    };
    assert_eq!(lowered(&process), Value::Null);
    told_in_log(&process, "tier_lowered");
    process.stop();
    let process = Process::start_again(&installation);
    assert_eq!(lowered(&process), Value::Null);
    told_in_log(&process, "kill_switch_holds");
    process.stop();
    // Whoever damages the file does not raise the tier.
    std::fs::write(installation.path("state/tier_ceiling"), "\u{0}").unwrap();
    let process = Process::start_again(&installation);
    let trouble = lowered(&process);
    assert!(
        trouble.as_str().unwrap().contains("tier reset"),
        "{trouble}"
    );
    let ran = verb(&installation, &process, &["tier", "reset"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        process.get("/unknown").status(),
        404,
        "the files decide again"
    );
    assert_eq!(process.status()["kill_switch"]["tier"], Value::Null);
    let ran = verb(&installation, &process, &["healthcheck"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "ready\n"));
    let ran = verb(&installation, &process, &["status", "--format", "json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["tier"], "CONTROL");
    process.stop();
}

#[test]
fn a_verb_without_a_gateway_says_so() {
    let installation = Installation::in_front_of(crate::wire::nobody());
    installation.write();
    let nobody = format!("--admin={}", crate::wire::nobody());
    for verb in [
        &["reload"][..],
        &["status"],
        &["healthcheck"],
        &["tier", "lower", "control"],
    ] {
        let mut command = program();
        command.args(verb).arg(&nobody);
        let ran = Ran::of(command.output().unwrap());
        assert_eq!(ran.code, Some(69), "{verb:?}: {ran:?}");
        assert!(ran.stderr.contains("no gateway answers at"), "{ran:?}");
    }
}
