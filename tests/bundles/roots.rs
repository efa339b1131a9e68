//! Roots on the command line: who can sign at all, and the chain.

use crate::place::Place;

/// The public half of a new key.
fn public(place: &Place, name: &str) -> String {
    let out = place.ok(&format!("bundle keygen --out {name}.key")).out;
    out.trim().to_owned()
}

#[test]
fn a_root_under_which_nothing_could_come_into_force_is_not_made() {
    let place = Place::empty();
    let (a, b, c) = (
        public(&place, "a"),
        public(&place, "b"),
        public(&place, "c"),
    );
    let two = format!("root init --audience edge -o r.json --principal a={a} --principal b={b}");
    place.refused(
        &two,
        2,
        &["in production two besides the author", "only 1 could"],
    );
    place.ok(&format!("{two} --production false"));
    place.remove("r.json");
    let three = format!("{two} --principal c={c}");
    place.ok(&three);
    place.refused(
        &format!("{three} --threshold loosen=3"),
        2,
        &["only 2 could sign"],
    );
    place.refused(
        &format!("{three} --threshold lose=3"),
        2,
        &["'lose' is none of"],
    );
    place.refused(
        &format!("{three} --principal d={a}"),
        2,
        &["one key, one principal"],
    );
    place.refused(&format!("{three} --principal d=x"), 2, &["no public key"]);
    place.refused(&format!("{three}:boss"), 2, &["'boss' is no role"]);
    place.refused(
        &format!("{three} --group g=eve"),
        2,
        &["'eve' of group 'g' is no principal"],
    );
    let roles = format!(
        "root init --audience edge -o r.json --principal a={a}:author+root \
         --principal b={b}:approver --principal c={c}:approver"
    );
    place.refused(&roles, 2, &["nobody has the role security"]);
    let none = roles.replace("author+root", "root+security");
    place.refused(&none, 2, &["nobody has the role author"]);
}

#[test]
fn a_chain_of_roots_leads_from_people_to_people() {
    let place = Place::new();
    let dave = public(&place, "dave");
    let rotate = format!("root rotate root.json --drop alice --principal dave={dave}");
    place.ok(&format!(
        "{rotate} -o root.2.json --key alice.key --key bob.key"
    ));
    let verify = "root verify root.2.json --previous root.json";
    // Two of the old ones, and only one of the new ones.
    place.refused(
        verify,
        1,
        &["ROOT_THRESHOLD", "the root itself", "carol, dave"],
    );
    place.ok("root sign --key dave.key root.2.json");
    place.ok(verify);
    place.ok("root verify root.2.json");
    // Two of the new ones, and only one of the old ones.
    place.remove("root.2.json");
    place.ok(&format!(
        "{rotate} -o root.2.json --key dave.key --key bob.key"
    ));
    place.refused(
        verify,
        1,
        &["ROOT_THRESHOLD", "the root before it", "alice, carol"],
    );
    place.ok("root sign --key carol.key root.2.json");
    place.ok("root rotate root.2.json -o root.3.json --raise-epoch --key bob.key --key carol.key");
    place.refused(
        "root verify root.3.json --previous root.json",
        1,
        &["ROOT_SKIPPED", "version 3 after version 1"],
    );
    let found = place
        .ok("root verify root.3.json --previous root.2.json --format json")
        .json();
    assert_eq!((&found["version"], &found["epoch"]), (&3.into(), &2.into()));
    // A bundle of the first epoch is none of the second.
    place.bundle("b.json", "", &["alice", "bob", "carol"]);
    place.refused(
        "bundle verify b.json --root root.3.json",
        65,
        &["UNKNOWN_KEY"],
    );
}

#[test]
fn a_key_that_no_root_knows_does_not_sign_a_root() {
    let place = Place::new();
    public(&place, "mallory");
    let dave = public(&place, "dave");
    let read = |file: &str| std::fs::read(place.path(file)).unwrap();
    let first = read("root.json");
    let unknown = ["error: UNKNOWN_KEY: mallory.key", "no principal"];
    place.refused("root sign --key mallory.key root.json", 1, &unknown);
    let init = "root init --audience edge --production false -o r.json --key mallory.key";
    let dave = format!("--principal dave={dave}");
    let carol = format!("--principal carol={}", public(&place, "other"));
    place.refused(&format!("{init} {dave} {carol}"), 2, &unknown);
    place.refused(
        &format!("root rotate root.json -o root.2.json --drop carol {dave} --key mallory.key"),
        2,
        &unknown,
    );
    place.ok(&format!(
        "root rotate root.json -o root.2.json --drop alice {dave} --key dave.key --key bob.key"
    ));
    let second = read("root.2.json");
    place.refused("root sign --key alice.key root.2.json", 1, &["--previous"]);
    let sign = "root sign --previous root.json --key";
    place.refused(&format!("{sign} mallory.key root.2.json"), 1, &unknown);
    place.refused(
        &format!("{sign} bob.key root.json"),
        2,
        &["right before it"],
    );
    assert!(read("root.json") == first && read("root.2.json") == second);
    place.ok(&format!("{sign} alice.key root.2.json"));
    place.ok("root verify root.2.json --previous root.json");
    let told = place.ok("root verify root.2.json").out;
    let id = told.split("key ").nth(1).unwrap();
    let id = id.split(',').next().unwrap().trim();
    place.ok(&format!("root sign --remove {} root.2.json", &id[..12]));
    assert_eq!(read("root.2.json"), second);
}

#[test]
fn what_is_dropped_has_to_be_there() {
    let place = Place::new();
    let rotate = "root rotate root.json -o root.2.json";
    place.refused(&format!("{rotate} --drop zed"), 2, &["no such principal"]);
    place.refused(&format!("{rotate} --drop-group zed"), 2, &["no such group"]);
    place.write("r.json", "{}");
    let told = ["ENVELOPE_MALFORMED", "tidegate root init"];
    place.refused("root verify r.json", 65, &told);
}

#[test]
fn what_a_root_verifies_to_is_told_in_json_too() {
    let place = Place::new();
    let check = |words: &str, code: i32, expected: [serde_json::Value; 3]| {
        let ran = place.run(&format!("root verify {words} --format json"));
        assert_eq!(ran.code, code, "{ran:?}");
        let told = ran.json();
        let found = [
            &told["result"],
            &told["chain_checked"],
            &told["refusal"]["code"],
        ];
        assert_eq!(found.map(Clone::clone), expected, "{told}");
        let is_told = |name: &str| {
            told["refusal"][name]
                .as_str()
                .is_some_and(|t| !t.is_empty())
        };
        let is_refused = !expected[2].is_null();
        assert_eq!(is_told("detail") && is_told("remedy"), is_refused, "{told}");
    };
    let none = serde_json::Value::Null;
    check("root.json", 0, ["ok".into(), true.into(), none.clone()]);
    place.ok("root rotate root.json -o root.2.json --key alice.key");
    let short = ["refused".into(), none.clone(), "ROOT_THRESHOLD".into()];
    check("root.2.json", 1, short);
    place.ok("root sign --key bob.key root.2.json");
    check("root.2.json", 0, ["ok".into(), false.into(), none.clone()]);
    let chained = "root.2.json --previous root.json";
    check(chained, 0, ["ok".into(), true.into(), none.clone()]);
    let told = place.ok("root verify root.2.json").out;
    assert!(told.contains("chain     not checked"), "{told}");
    let told = place.ok(&format!("root verify {chained}")).out;
    assert!(!told.contains("not checked"), "{told}");
    place.write("r.json", "{}");
    let broken = ["refused".into(), none, "ENVELOPE_MALFORMED".into()];
    check("r.json", 65, broken);
}
