//! Routes that end: nobody takes one from its owner by the dates of a file.

use super::*;
use crate::contract::{Lifecycle, LifecycleParts, Status};

/// The contract `a` of the group `api`, to end on a day; [`NOW`] is 2023-11-14.
fn ending(status: Status, sunset_on: &str) -> Contract {
    let is_leaving = status.is_leaving();
    let lifecycle = LifecycleParts {
        status,
        deprecated_on: Date::parse("2020-01-01").filter(|_| is_leaving),
        sunset_on: Date::parse(sunset_on),
        ..LifecycleParts::default()
    };
    Contract::new(ContractParts {
        lifecycle: Lifecycle::try_from(lifecycle).unwrap(),
        ..contract("a", Some("api"), 60).parts()
    })
}

/// A first bundle with this contract, and its successor with that one or without any.
fn outcome(before: Contract, after: Option<Contract>, signers: &[&str]) -> String {
    let root = root();
    let other = contract("b", None, 60);
    let all = [before, other.clone()];
    let first = bundle(&manifest(1), &all, &["alice", "bob", "carol"]);
    let first = verify(&first, &around(&root)).unwrap();
    let manifest = Manifest {
        parent: Some(first.digest().to_owned()),
        ..manifest(2)
    };
    let contracts: Vec<Contract> = after.into_iter().chain([other]).collect();
    match verify(
        &bundle(&manifest, &contracts, signers),
        &super::after(&root, &first),
    ) {
        Ok(_) => "ok".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

// R022 R105
#[test]
fn an_end_in_the_past_takes_the_owner_of_the_route() {
    use Status::{Active, Deprecated, Draft, Sunset};
    // What changes, and whether bob, who owns it, has to agree.
    let cases = [
        // Set to a day that is past, today, or too soon.
        ((Active, ""), Some((Deprecated, "2023-11-13")), true),
        ((Active, ""), Some((Deprecated, "2023-11-14")), true),
        ((Active, ""), Some((Sunset, "2021-01-01")), true),
        ((Deprecated, ""), Some((Deprecated, "2024-05-11")), true),
        ((Deprecated, ""), Some((Deprecated, "2024-05-12")), false),
        // Moved: earlier always, later where it is past all the same.
        (
            (Deprecated, "2025-01-02"),
            Some((Deprecated, "2025-01-01")),
            true,
        ),
        (
            (Deprecated, "2025-01-02"),
            Some((Deprecated, "2025-01-03")),
            false,
        ),
        (
            (Deprecated, "2021-01-01"),
            Some((Deprecated, "2022-01-01")),
            true,
        ),
        (
            (Deprecated, "2021-01-01"),
            Some((Sunset, "2021-01-01")),
            false,
        ),
        ((Active, ""), Some((Draft, "")), true),
        ((Deprecated, "2025-01-02"), Some((Draft, "")), true),
        // Gone: its owner was asked when the day was set.
        ((Active, ""), None, true),
        ((Draft, ""), None, true),
        ((Deprecated, "2023-11-15"), None, true),
        ((Deprecated, "2023-11-14"), None, false),
    ];
    for (before, after, takes_owner) in cases {
        let told = format!("{before:?} -> {after:?}");
        let of = |(status, day)| ending(status, day);
        let without = outcome(of(before), after.map(of), &["alice", "carol", "dave"]);
        let expected = match takes_owner {
            true => "APPROVALS_MISSING",
            false => "ok",
        };
        assert!(without.starts_with(expected), "{told}: {without}");
        assert_eq!(
            without.contains("one of the group 'api' (bob)"),
            takes_owner
        );
        let with = outcome(of(before), after.map(of), &["alice", "bob", "carol"]);
        assert_eq!(with, "ok", "{told}");
    }
}
