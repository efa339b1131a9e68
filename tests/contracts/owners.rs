//! Who answers for contracts, which service they are part of, and the forge's file of owners.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tidegate::config::load;

use crate::{check, findings, site, text, tidegate};

const CONTRACTS: &str = "version: 1
contracts:
  - { id: one, endpoint: \"GET /one\", owner: a, backup_owner: b }
  - { id: two, endpoint: \"GET /two\", owner: a }
  - { id: three, endpoint: \"GET /three\" }
";

#[test]
fn once_there_are_owners_every_contract_has_one_and_a_backup() {
    // R125
    let contracts = ("contracts/a.yaml", CONTRACTS);
    let owners = |text| ("contracts/OWNERS.yaml", text);
    // Without the file, only that nobody answers is worth a warning.
    check(&[contracts], &["a.yaml:5 C114"]);
    let none = "version: 1\nowners: []\n";
    check(
        &[contracts, owners(none)],
        &["a.yaml:4 C142", "a.yaml:5 C142"],
    );
    let backup = "version: 1\nowners: [{ folder: ., backup_owner: c }]\n";
    check(&[contracts, owners(backup)], &["a.yaml:5 C142"]);
    let both = "version: 1\nowners: [{ folder: ., owner: d, backup_owner: c }]\n";
    check(&[contracts, owners(both)], &[]);
    let same = "version: 1\nowners: [{ folder: ., owner: d, backup_owner: a }]\n";
    check(&[contracts, owners(same)], &["a.yaml:4 C142"]);
    // A file with faults is told by itself: what it would have given is not known.
    let faulty = "version: 1\nowners: [{ folder: . }]\n";
    check(&[contracts, owners(faulty)], &["OWNERS.yaml:2 C011"]);
}

#[test]
fn owners_and_services_are_part_of_what_was_agreed() {
    // R125
    let digest = |contracts: &str, owners: Option<&str>| {
        let owners = owners.map(|text| ("contracts/OWNERS.yaml", text));
        let files = [Some(("contracts/a.yaml", contracts)), owners];
        let files: Vec<_> = files.into_iter().flatten().collect();
        let loaded = load(&site(&files).path().join("tidegate.yaml")).unwrap();
        loaded.content.digest_hex()
    };
    let plain = "version: 1\ncontracts: [{ id: a, endpoint: GET /a, owner: x }]\n";
    let full = "version: 1\ncontracts: [{ id: a, endpoint: GET /a, owner: x, backup_owner: y, service: z }]\n";
    let owners = "version: 1\nowners: [{ contract: a, backup_owner: y, service: z }]\n";
    assert_eq!(digest(plain, Some(owners)), digest(full, None));
    assert_ne!(digest(plain, None), digest(full, None));
}

const SERVICES: &str = "version: 1
owners:
  - { folder: ., owner: a, backup_owner: b }
  - { folder: orders, service: orders }
  - { folder: stock, service: stock }
services:
  orders: { upstreams: [orders] }
  stock: { upstreams: [stock] }
";

#[test]
fn a_contract_uses_no_upstream_of_another_service() {
    // R027
    let owners = ("contracts/OWNERS.yaml", SERVICES);
    let contract = |upstream: &str| {
        format!("version: 1\ncontracts:\n  - id: a\n    endpoint: GET /a\n{upstream}")
    };
    let orders = contract("    upstream: orders\n");
    let stock = contract("    upstream: stock\n");
    let default = contract("");
    let other = "version: 1\ncontracts: [{ id: z, endpoint: GET /z, upstream: stock }]\n";
    let other = ("contracts/stock/z.yaml", other);
    let orders_file = |text| [owners, other, ("contracts/orders/a.yaml", text)];
    check(&orders_file(&orders), &[]);
    check(&orders_file(&default), &[]);
    check(&orders_file(&stock), &["a.yaml:5 C143"]);
    // The default upstream is that of orders.
    let third = ("contracts/orders/c.yaml", "version: 1\ncontracts: []\n");
    check(
        &[owners, third, ("contracts/stock/a.yaml", &default)],
        &["a.yaml:3 C143"],
    );
}

#[test]
fn the_catalogue_lists_services_with_their_contracts() {
    // R027
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all = tidegate(root, &["catalog"]);
    let shown = text(&all.stdout);
    assert!(shown.starts_with("commerce\n  order_cancel_v1 "), "{shown}");
    assert!(shown.contains("\nplatform\n  assets_v1 "), "{shown}");
    let one = tidegate(
        root,
        &["catalog", "--service", "commerce", "--format", "json"],
    );
    let value: Value = serde_json::from_slice(&one.stdout).unwrap();
    let services = value["services"].as_array().unwrap();
    assert_eq!(services.len(), 1);
    let contracts = services[0]["contracts"].as_array().unwrap();
    let ids: Vec<&str> = contracts
        .iter()
        .map(|c| c["id"].as_str().unwrap())
        .collect();
    let expected = [
        "order_cancel_v1",
        "order_create_v1",
        "order_export_v1",
        "order_get_v1",
        "payment_create_v1",
        "payment_get_v1",
        "payment_refund_v1",
    ];
    assert_eq!(ids, expected);
    let refund = &contracts[6];
    assert_eq!(refund["owner"], "team-payments");
    assert_eq!(refund["backup_owner"], "team-commerce");
    assert_eq!(
        refund["endpoint"],
        "POST /api/v1/payments/{payment_id}/refunds"
    );
    assert_eq!(refund["version"], "1.0.0");
    assert_eq!(refund["status"], "active");
    assert!(shown.contains(" 1.0.0 active "), "{shown}");
    let none = tidegate(root, &["catalog", "--service", "nothing"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("commerce, platform"));
}

#[test]
fn the_shipped_code_owners_are_current() {
    // R290
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let check = ["contract", "owners", "--check", ".github/CODEOWNERS"];
    let output = tidegate(root, &check);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let made = tidegate(root, &["contract", "owners", "--codeowners"]);
    assert_eq!(
        made.stdout,
        fs::read(root.join(".github/CODEOWNERS")).unwrap()
    );
}

#[test]
fn code_owners_that_are_not_current_are_told_line_by_line() {
    // R290
    let owners = "version: 1\nowners: [{ folder: ., owner: d, backup_owner: c }]\nhandles: { a: \"@org/a\" }\n";
    let folder = site(&[
        ("contracts/a.yaml", CONTRACTS),
        ("contracts/b c.yaml", "version: 1\ncontracts: []\n"),
        ("contracts/OWNERS.yaml", owners),
        ("old", "/contracts/a.yaml @somebody\n"),
    ]);
    let run = |args: &[&str]| tidegate(folder.path(), &[&["contract", "owners"], args].concat());
    let made = text(&run(&["--codeowners"]).stdout);
    let lines: Vec<&str> = made.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [
        "/contracts/ @c @d",
        "/contracts/OWNERS.yaml @c @d",
        "/contracts/a.yaml @b @c @d @org/a",
    ];
    assert_eq!(lines, expected);
    let drift = run(&["--check", "old"]);
    assert_eq!(drift.status.code(), Some(3));
    let shown = text(&drift.stdout);
    assert!(shown.contains("-/contracts/a.yaml @somebody\n"), "{shown}");
    assert!(
        shown.contains("+/contracts/a.yaml @b @c @d @org/a\n"),
        "{shown}"
    );
    fs::write(folder.path().join("new"), made).unwrap();
    assert_eq!(run(&["--check", "new"]).status.code(), Some(0));
    assert_eq!(run(&["--check", "missing"]).status.code(), Some(1));
    assert_eq!(
        run(&["--codeowners", "--repository", "contracts/.."])
            .status
            .code(),
        Some(0)
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().to_str().unwrap();
    assert_eq!(
        run(&["--codeowners", "--repository", elsewhere])
            .status
            .code(),
        Some(1)
    );
}

#[test]
fn entries_of_owners_that_name_nothing_are_warnings() {
    let owners = "version: 1
owners:
  - { folder: ., owner: d, backup_owner: c }
  - { folder: gone, owner: x }
  - { contract: gone, owner: x }
services: { s: { upstreams: [gone] } }
";
    let files = [
        ("contracts/a.yaml", CONTRACTS),
        ("contracts/OWNERS.yaml", owners),
    ];
    let expected = [
        "OWNERS.yaml:4 C146",
        "OWNERS.yaml:5 C146",
        "OWNERS.yaml:6 C146",
    ];
    check(&files, &expected);
    // Without a configuration, nobody knows the upstreams.
    let (found, code) = findings(site(&files).path(), &["contract", "lint", "contracts"]);
    assert_eq!(
        (found.as_slice(), code),
        (&expected.map(String::from)[..2], Some(0))
    );
}
