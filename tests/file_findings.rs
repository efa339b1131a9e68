//! Files as operators write them, through the built program: what is refused, where, and how it
//! is said. Each case changes one thing in a configuration that passes.

// A test may stop at the first surprise.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const CONFIG: &str = "version: 1
tier: observe_only
listeners: [{ bind: \"127.0.0.1:8080\" }]
upstreams:
  orders: { servers: [\"127.0.0.1:9000\"] }
contracts: contracts/
policy: policy.yaml
ledger: { dir: ledger }
admin: { bind: \"127.0.0.1:9901\" }
state_dir: state
";
const POLICY: &str = "version: 1\nname: default\n";
const CONTRACTS: &str = "version: 1
contracts:
  - id: deploy_get_v1
    endpoint: \"GET /api/v1/deployments/{id}\"
    upstream: orders
    owner: api-team
";
/// EX_CONFIG: a file cannot be used.
const INVALID: i32 = 78;

/// The files of a configuration that passes, with `changes` (file, text) written over them.
fn site(changes: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("contracts")).unwrap();
    let files = [
        ("tidegate.yaml", CONFIG),
        ("policy.yaml", POLICY),
        ("contracts/a.yaml", CONTRACTS),
    ];
    for (file, text) in files.iter().chain(changes) {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    folder
}

fn tidegate(folder: &Path, args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .current_dir(folder)
        .output();
    output.expect("the built program starts")
}

/// The findings of `check` as (code, file name, line).
fn findings(folder: &Path) -> (Vec<(String, String, u64)>, Output) {
    let output = tidegate(
        folder,
        &["check", "-c", "tidegate.yaml", "--format", "json"],
    );
    let value: Value =
        serde_json::from_slice(&output.stdout).expect("check --format json prints JSON");
    let list = value["diagnostics"]
        .as_array()
        .expect("a list of diagnostics");
    let one = |d: &Value| {
        assert!(
            !d["remedy"].as_str().unwrap_or_default().is_empty(),
            "a finding without a remedy: {d}"
        );
        let file = Path::new(d["file"].as_str().unwrap_or_default())
            .file_name()
            .unwrap_or_default();
        let code = d["code"].as_str().unwrap_or_default().to_owned();
        (
            code,
            file.to_string_lossy().into_owned(),
            d["line"].as_u64().unwrap_or(0),
        )
    };
    (list.iter().map(one).collect(), output)
}

/// One change, and the finding that it must lead to.
#[track_caller]
fn check(file: &str, text: &str, code: &str, line: u64) {
    let folder = site(&[(file, text)]);
    let (found, output) = findings(folder.path());
    let name = Path::new(file)
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert!(
        found.contains(&(code.to_owned(), name, line)),
        "{file} {text:?}: {found:?}"
    );
    assert_eq!(output.status.code(), Some(INVALID), "{file} {text:?}");
}

#[test]
fn the_unchanged_files_pass_and_nothing_is_written() {
    let folder = site(&[]);
    let (found, output) = findings(folder.path());
    assert_eq!((found, output.status.code()), (vec![], Some(0)));
    for made in ["ledger", "state"] {
        assert!(!folder.path().join(made).exists(), "check made {made}");
    }
}

// R005
#[test]
fn a_file_may_not_carry_what_is_computed() {
    check(
        "policy.yaml",
        "version: 1\nname: default\npolicy_hash: abcdef\n",
        "C109",
        3,
    );
}

// R008
#[test]
fn two_contracts_of_one_shape_are_refused_with_both_places() {
    let second = CONTRACTS
        .replace("deploy_get_v1", "deploy_other_v1")
        .replace("{id}", "{name}");
    let folder = site(&[("contracts/b.yaml", &second)]);
    let output = tidegate(folder.path(), &["check", "-c", "tidegate.yaml"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(INVALID));
    assert!(
        text.contains("C107") && text.contains("a.yaml") && text.contains("b.yaml"),
        "{text}"
    );
}

// R053
#[test]
fn bands_rise_strictly() {
    for bands in [
        "low: 0.4, medium: 0.4, high: 0.7, critical: 0.9",
        "low: 0.2, medium: 0.8, high: 0.7, critical: 0.9",
    ] {
        let text = format!("version: 1\nname: default\nbands: {{ {bands} }}\n");
        let folder = site(&[("policy.yaml", &text)]);
        let (found, output) = findings(folder.path());
        assert!(
            found.iter().any(|(code, ..)| code == "C201"),
            "{bands}: {found:?}"
        );
        assert_eq!(output.status.code(), Some(INVALID));
    }
}

// R111
#[test]
fn only_version_1_is_read() {
    for (file, text) in [
        ("tidegate.yaml", CONFIG),
        ("policy.yaml", POLICY),
        ("contracts/a.yaml", CONTRACTS),
    ] {
        for version in ["version: 0", "version: 2"] {
            check(file, &text.replacen("version: 1", version, 1), "C015", 1);
        }
    }
}

// R280
#[test]
fn an_admin_address_beyond_loopback_is_refused() {
    for address in ["0.0.0.0:9901", "[::]:9901", "192.0.2.1:9901"] {
        check(
            "tidegate.yaml",
            &CONFIG.replace("127.0.0.1:9901", address),
            "C302",
            9,
        );
    }
}

// R031
#[test]
fn all_errors_of_all_files_come_in_one_run() {
    let folder = site(&[
        (
            "tidegate.yaml",
            &CONFIG.replace("127.0.0.1:9901", "0.0.0.0:9901"),
        ),
        ("policy.yaml", "version: 1\nname: default\nwieghts: {}\n"),
        (
            "contracts/a.yaml",
            &CONTRACTS.replace("deploy_get_v1", "Deploy Get"),
        ),
    ]);
    let (found, output) = findings(folder.path());
    for code in ["C302", "C009", "C101"] {
        assert!(found.iter().any(|(c, ..)| c == code), "{code} in {found:?}");
    }
    assert_eq!(output.status.code(), Some(INVALID));
}

// R011
#[test]
fn the_method_of_the_endpoint_is_the_default() {
    let folder = site(&[]);
    let matched = |method| {
        let output = tidegate(
            folder.path(),
            &[
                "match",
                method,
                "/api/v1/deployments/abc123",
                "-c",
                "tidegate.yaml",
            ],
        );
        (
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            output.status.code(),
        )
    };
    assert_eq!(
        matched("GET"),
        ("deploy_get_v1 {id=abc123}".to_owned(), Some(0))
    );
    assert_eq!(matched("POST").1, Some(1));
    assert!(
        matched("POST").0.contains("deploy_get_v1 allows GET"),
        "{:?}",
        matched("POST")
    );
}

// R032
#[test]
fn contracts_compile_together() {
    let folder = site(&[]);
    for file in 0..10 {
        let mut text = "version: 1\ncontracts:\n".to_owned();
        for n in file * 100..(file + 1) * 100 {
            text += &format!(
                "  - id: made_{n}\n    endpoint: \"GET /made/{n}/things/{{id}}\"\n    upstream: orders\n    owner: team\n"
            );
        }
        std::fs::write(
            folder.path().join(format!("contracts/made-{file}.yaml")),
            text,
        )
        .unwrap();
    }
    let (found, output) = findings(folder.path());
    assert_eq!((found, output.status.code()), (vec![], Some(0)));
    let output = tidegate(
        folder.path(),
        &["match", "GET", "/made/999/things/7", "-c", "tidegate.yaml"],
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        "made_999 {id=7}"
    );
}

// R061
#[test]
fn without_a_valid_rulebook_nothing_starts() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = CONFIG.replace("127.0.0.1:8080", &port.to_string());
    let folder = site(&[
        ("tidegate.yaml", &config),
        ("policy.yaml", "version: 1\nname: default\nwieghts: {}\n"),
    ]);
    let output = tidegate(folder.path(), &["run", "-c", "tidegate.yaml"]);
    assert_eq!(output.status.code(), Some(INVALID));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("C009") && said.contains("weights"),
        "names the rule and the remedy: {said}"
    );
    assert!(
        !folder.path().join("ledger").exists(),
        "a ledger was begun without a rulebook"
    );
}

/// A reader that closes early, such as `head`, is no fault of the files.
#[test]
fn a_closed_output_changes_no_exit_code() {
    let folder = site(&[]);
    for args in [
        ["check", "--config", "tidegate.yaml"].as_slice(),
        &[
            "match",
            "GET",
            "/api/v1/deployments/a",
            "--config",
            "tidegate.yaml",
        ],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(args)
            .current_dir(folder.path())
            .stdout(writer)
            .status();
        assert_eq!(status.unwrap().code(), Some(0), "{args:?}");
    }
}

// R013, R014, R015, R016
#[test]
fn numbers_of_a_contract_that_mean_nothing_are_refused() {
    let check_line = |line: &str, code| {
        check(
            "contracts/a.yaml",
            &format!("{CONTRACTS}    {line}\n"),
            code,
            7,
        );
    };
    for line in ["max_latency_ms: 0", "timeout_ms: 0", "error_budget: 0"] {
        check_line(line, "C013");
    }
    for line in [
        "error_budget: 1.1",
        "circuit_threshold: 0",
        "rate_limit_rpm: 0",
    ] {
        check_line(line, "C013");
    }
    check_line("per_client: { rate_limit_rpm: 0 }", "C013");
    check_line("burst: 5", "C112");
    check_line("throttle: delay", "C119");
    let limits = "rate_limit_rpm: 100\n    per_client: { rate_limit_rpm: 200 }";
    let text = format!("{CONTRACTS}    {limits}\n");
    check("contracts/a.yaml", &text, "C118", 8);
}

// R051, R052
#[test]
fn modes_that_do_not_fit_are_refused() {
    for (line, code) in [
        ("quarantine: divert", "C120"),
        ("quarantine: { mode: divert, upstream: sandbox }", "C108"),
        ("quarantine: { mode: shadow, upstream: orders }", "C121"),
        ("quarantine: drop", "C014"),
        ("throttle: { mode: reject, held_max: 5 }", "C121"),
        ("drop: { mode: hang }", "C014"),
    ] {
        check(
            "contracts/a.yaml",
            &format!("{CONTRACTS}    {line}\n"),
            code,
            7,
        );
    }
}

// R016, R075, R076
#[test]
fn circuits_and_retries_that_mean_nothing_are_refused() {
    for (line, code) in [
        ("circuit: { open_ms: 2000, open_ms_max: 1000 }", "C205"),
        ("circuit: { samples_min: 0 }", "C013"),
        ("circuit: { slow_share: 0 }", "C013"),
        ("circuit: { slow_start_ms: 600001 }", "C013"),
        ("retry: { budget: 1.5 }", "C013"),
        ("retry: { headers: [te] }", "C206"),
        ("retry: { headers: [x-a, X-A] }", "C206"),
        ("unknown_endpoint: { rate_limit_rpm: 0 }", "C013"),
    ] {
        check("policy.yaml", &format!("{POLICY}{line}\n"), code, 3);
    }
}

/// What works but not as it was meant is a warning, and refused where warnings are.
// R014, R015
#[test]
fn what_can_never_be_reached_is_a_warning() {
    for (line, code) in [
        ("max_in_flight: 16385", "C122"),
        ("error_budget: 0.5", "C123"),
        (
            "throttle: { mode: delay, wait_max_ms: 5 }\n    rate_limit_rpm: 60",
            "C122",
        ),
        ("quarantine: { mode: divert, upstream: orders }", "C124"),
    ] {
        let text = format!("{CONTRACTS}    {line}\n");
        let folder = site(&[("contracts/a.yaml", &text)]);
        let (found, output) = findings(folder.path());
        let wanted = (code.to_owned(), "a.yaml".to_owned(), 7);
        assert_eq!((found, output.status.code()), (vec![wanted], Some(0)));
        let args = ["check", "-c", "tidegate.yaml", "--deny-warnings"];
        let code = tidegate(folder.path(), &args).status.code();
        assert_eq!(code, Some(INVALID), "{line}");
    }
}
