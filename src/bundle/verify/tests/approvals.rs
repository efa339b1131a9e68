//! Who has to sign for which change: a table.

use super::*;

/// One line: what changes | who signs besides alice, the author | what comes of it.
const TABLE: &str = "
nothing              | bob                | ok
nothing              | carol              | ok
nothing              |                    | THRESHOLD_NOT_MET 0 of at least 1
nothing, production  | bob                | THRESHOLD_NOT_MET 1 of at least 2
nothing, production  | bob carol          | ok
nothing, root says   | bob                | THRESHOLD_NOT_MET 1 of at least 2
nothing, two keys    | bob bob2           | THRESHOLD_NOT_MET 1 of at least 2
a route more         | bob carol          | ok
a route more         | bob dave           | APPROVALS_MISSING 1 more approver, one with the role security
a route more         | dave               | APPROVALS_MISSING 1 more approver, one with the role security
a route more         | carol              | APPROVALS_MISSING 1 more approver;
b goes               | bob dave           | ok
b goes               | dave               | APPROVALS_MISSING 1 more approver;
a goes               | bob carol          | ok
a goes               | carol dave         | APPROVALS_MISSING 1 more approver, one of the group 'api' (bob)
a goes               | carol              | APPROVALS_MISSING 1 more approver, one of the group 'api' (bob)
a goes, no group     | bob carol dave     | APPROVALS_MISSING 1 more approver, one of the group 'api' (in which the root has nobody who could)
a goes, one more     | dave               | APPROVALS_MISSING 1 more approver, one with the role security, one of the group 'api' (bob)
a goes, one more     | bob carol          | ok
first                | bob carol          | ok
first                | bob dave           | APPROVALS_MISSING 1 more approver, one with the role security
first, control       | bob carol          | APPROVALS_MISSING 1 more approver;
first, control       | bob carol dave     | ok
emergency: a goes    | bob                | ok
emergency: a goes    |                    | THRESHOLD_NOT_MET 0 of at least 1
emergency: both go   | bob                | BREAKGLASS_TOO_WIDE endpoint of a and endpoint of b
emergency: more      | bob carol dave     | BREAKGLASS_TOO_WIDE loosens endpoint of c
emergency: nothing   | bob carol dave     | BREAKGLASS_TOO_WIDE changes nothing
emergency: first     | bob carol dave     | BREAKGLASS_TOO_WIDE no bundle in force
emergency, production: a goes | bob       | ok
";

fn glass() -> Option<Breakglass> {
    Some(Breakglass {
        reason: "fire".to_owned(),
        until_us: NOW + 4 * HOUR,
    })
}

/// What comes of a line.
fn outcome(case: &str, signers: &[&str]) -> String {
    let mut parts = root_parts();
    parts.is_production = case.contains("root says");
    if case.contains("two keys") {
        parts.thresholds.tighten = 2;
        let bob = parts.principals.iter_mut().find(|p| p.name == "bob");
        bob.unwrap().keys.push(key("bob2").verifying_key());
    }
    if case.contains("no group") {
        parts.groups.clear();
    }
    let root = root_of(parts);
    let before = first(&super::root());
    let mut around = after(&root, &before);
    around.is_production = case.contains("production");
    let mut manifest = Manifest {
        parent: Some(before.digest().to_owned()),
        breakglass: case.starts_with("emergency").then(glass).flatten(),
        ..manifest(2)
    };
    if case.contains("first") {
        (around.in_force, around.mark, manifest.parent) = (None, None, None);
        if case.contains("control") {
            manifest.tier_max = Tier::Control;
        }
    }
    let mut contracts = vec![contract("a", Some("api"), 60), contract("b", None, 60)];
    let gone = |contract: &Contract| match contract.id().as_str() {
        "a" => case.contains("a goes") || case.contains("both go"),
        _ => case.contains("b goes") || case.contains("both go"),
    };
    contracts.retain(|contract| !gone(contract));
    if case.contains("more") {
        contracts.push(contract("c", None, 60));
    }
    let all: Vec<&str> = ["alice"]
        .into_iter()
        .chain(signers.iter().copied())
        .collect();
    match verify(&bundle(&manifest, &contracts, &all), &around) {
        Ok(_) => "ok".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

// R105
#[test]
fn the_class_of_a_change_says_who_has_to_sign() {
    let lines = TABLE.lines().filter(|line| !line.is_empty());
    let mut count = 0;
    for line in lines {
        let mut cells = line.split('|').map(str::trim);
        let (case, signers) = (cells.next().unwrap(), cells.next().unwrap());
        let expected = cells.next().unwrap();
        let signers: Vec<&str> = signers.split_whitespace().collect();
        let found = outcome(case, &signers);
        let (code, told) = expected.split_once(' ').unwrap_or((expected, ""));
        assert!(
            found.starts_with(code) && found.contains(told),
            "{line}\nfound: {found}"
        );
        count += 1;
    }
    assert_eq!(count, TABLE.matches('|').count() / 2);
}

#[test]
fn what_was_found_is_told() {
    let root = root();
    let found = first(&root);
    assert_eq!(found.signers(), ["alice", "bob", "carol"]);
    let classified = found.classified().unwrap();
    let needs = approval::needs(root.root(), classified, true);
    assert_eq!((needs.approvers, needs.security), (2, true));
    let told = |signers: &[&str]| {
        let signers = signers.iter().map(|name| (*name).to_owned()).collect();
        approval::missing(root.root(), &needs, "alice", &signers).unwrap()
    };
    let missing = told(&["alice"]);
    let text = missing.to_string();
    let (what, who) = text.split_once("; could come from ").unwrap();
    assert_eq!(what, "2 more approvers, one with the role security");
    assert_eq!(who, missing.candidates.join(", "));
    assert!(!missing.candidates.contains(&"alice".to_owned()));
    let text = told(&["bob", "carol"]).to_string();
    assert_eq!(text, "the author, alice");
    let text = told(&[]).to_string();
    assert!(text.starts_with("the author, alice, and 2 more"), "{text}");
}
