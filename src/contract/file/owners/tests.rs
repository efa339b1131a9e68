use std::collections::BTreeSet;

use super::{Owners, read_owners};
use crate::contract::ContractId;
use crate::yaml::{Sheet, read};

fn parse(text: &str) -> (Option<Owners>, Vec<String>) {
    let mut sheet = Sheet::new("OWNERS.yaml", text);
    let root = read(&mut sheet).expect("YAML");
    let owners = read_owners(&mut sheet, &root);
    let found = sheet.into_findings();
    let shown = |d: &crate::diagnostic::Diagnostic| {
        format!("{}:{} {}", d.place.line, d.place.column, d.code.as_str())
    };
    (owners, found.iter().map(shown).collect())
}

const FILE: &str = "version: 1
owners:
  - { folder: ., owner: all, backup_owner: spare }
  - { folder: shop, owner: shop, service: shop }
  - { folder: shop/deep, service: deep }
  - { file: \"shop/pay*.yaml\", owner: pay }
  - { contract: special, backup_owner: other }
services:
  shop: { upstreams: [shop-a, shop-b] }
handles: { shop: \"@acme/shop\", mail: a@example.org }
";

#[test]
fn the_narrowest_entry_that_says_something_wins_for_each_key() {
    // R125
    let (owners, found) = parse(FILE);
    assert_eq!(found, Vec::<String>::new());
    let owners = owners.unwrap();
    let check = |file: &str, id: &str, expected: [&str; 3]| {
        let id = ContractId::new(id);
        let found = owners.of_file(file).of(id.as_ref());
        let found = [found.owner, found.backup_owner, found.service];
        let found = found.map(|text| text.unwrap_or_default());
        assert_eq!(found.each_ref().map(|text| &**text), expected, "{file}");
    };
    check("a.yaml", "x", ["all", "spare", ""]);
    check("shop/a.yaml", "x", ["shop", "spare", "shop"]);
    check("shop/deep/a.yaml", "x", ["shop", "spare", "deep"]);
    check("shop/deep/er/a.yaml", "x", ["shop", "spare", "deep"]);
    check("shop/payments.yaml", "x", ["pay", "spare", "shop"]);
    check("shop/payments.yaml", "special", ["pay", "other", "shop"]);
    check("shopping/a.yaml", "x", ["all", "spare", ""]);
    let file = owners.of_file("a.yaml");
    assert_eq!(file.service_of("shop-b"), Some("shop"));
    assert_eq!(file.service_of("else"), None);
    for (name, handle) in [("shop", "@acme/shop"), ("x", "@x"), ("@y", "@y")] {
        assert_eq!(owners.handle(name), handle);
    }
}

#[test]
fn what_is_written_wrongly_is_told_where_it_stands() {
    let check = |entry: &str, expected: &[&str]| {
        let text = format!("version: 1\nowners:\n  - {entry}\n");
        let (owners, found) = parse(&text);
        assert_eq!(found, expected, "{entry}");
        assert_eq!(owners.is_some(), expected.is_empty(), "{entry}");
    };
    check("{ folder: a, owner: x }", &[]);
    check("{ folder: a/, owner: x }", &[]);
    check("{ folder: ../a, owner: x }", &["3:15 C019"]);
    check("{ folder: /a, owner: x }", &["3:15 C019"]);
    check("{ folder: a }", &["3:5 C011"]);
    check("{ owner: x }", &["3:5 C011"]);
    check("{ folder: a, file: b, owner: x }", &["3:5 C011"]);
    check("{ contract: A, owner: x }", &["3:17 C101"]);
    check("{ contract: [a], owner: x }", &["3:17 C012"]);
    check("{ folder: a, service: \"A b\" }", &["3:27 C144"]);
    check("{ folder: a, owners: x }", &["3:18 C009", "3:5 C011"]);
    check(
        "{ folder: a, owner: x }\n  - { folder: a/, owner: y }",
        &["4:15 C145"],
    );
    check(
        "{ folder: a, owner: x }\nservices: { s: { upstreams: [u] }, t: { upstreams: [u] } }",
        &["4:53 C145"],
    );
    check(
        "{ folder: a, owner: x }\nhandles: { x: \"no handle\" }",
        &["4:15 C019"],
    );
}

#[test]
fn entries_that_name_nothing_or_disagree_are_told() {
    let text = "version: 1
owners:
  - { file: \"a*\", owner: one }
  - { file: \"*b.yaml\", owner: two }
  - { file: \"none*\", owner: three }
  - { folder: nowhere, owner: four }
  - { contract: nobody, owner: five }
  - { contract: somebody, owner: six }
services: { s: { upstreams: [known, unknown] } }
";
    let (owners, _) = parse(text);
    let owners = owners.unwrap();
    let mut sheet = Sheet::new("OWNERS.yaml", text);
    let ids = BTreeSet::from(["somebody"]);
    owners.judge(&mut sheet, &["ab.yaml", "a2b.yaml"], &ids, Some(&["known"]));
    let mut found: Vec<String> = sheet
        .into_findings()
        .iter()
        .map(|d| format!("{} {}", d.place.line, d.message))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "4 'ab.yaml' is also that of 'a*', which says otherwise",
            "5 there is no file like 'none*'",
            "6 there is no file below 'nowhere'",
            "7 there is no contract 'nobody'",
            "9 there is no upstream 'unknown'",
        ]
    );
}
