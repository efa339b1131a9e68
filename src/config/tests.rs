//! Files of whole gateways.

use super::{addressed, load, load_on};
use crate::diagnostic::Code;
use crate::units::Date;

// R285
#[test]
fn a_stage_that_was_to_be_settled_is_a_warning_from_the_next_day_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tidegate.yaml");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    std::fs::create_dir(folder.path().join("contracts")).expect("a folder");
    write(
        "tidegate.yaml",
        "version: 1\nlisteners: [{bind: \"127.0.0.1:0\"}]\n\
         upstreams: {main: {servers: [\"127.0.0.1:9000\"]}}\n\
         contracts: contracts\npolicy: policy.yaml\n",
    );
    write(
        "policy.yaml",
        "version: 1\nname: x\nstages:\n  latency: \
         { mode: canary 5%, owner: team-speed, remove_by: 2026-09-30 }\n",
    );
    write(
        "contracts/a.yaml",
        "version: 1\ncontracts:\n  - id: a\n    endpoint: GET /a\n    owner: team-a\n    \
         stage: { mode: shadow, remove_by: 2026-09-29 }\n",
    );
    let warnings = |today: Option<&str>| -> Vec<String> {
        let loaded = match today {
            Some(today) => load_on(&path, Date::parse(today).expect("a day")),
            None => load(&path),
        };
        let found = loaded.expect("it loads all the same").warnings;
        let is_overdue = |code| code == Code::StageOverdue;
        assert!(found.iter().all(|one| is_overdue(one.code)), "{found:?}");
        found.into_iter().map(|one| one.message).collect()
    };
    let settled =
        |day, owner| format!("this stage was to be settled by {day}; '{owner}' answers for it");
    let of_contract = settled("2026-09-29", "team-a");
    let of_factor = settled("2026-09-30", "team-speed");
    assert_eq!(warnings(None), Vec::<String>::new());
    assert_eq!(warnings(Some("2026-09-29")), Vec::<String>::new());
    assert_eq!(warnings(Some("2026-09-30")), [of_contract.as_str()]);
    assert_eq!(warnings(Some("2026-10-01")), [of_contract, of_factor]);
}

#[test]
fn a_gateway_is_found_whatever_else_is_wrong_in_its_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tidegate.yaml");
    let around = |admin: &str| {
        let text = format!("version: 1\nlisteners: 7\nnonsense: {{}}\n{admin}");
        std::fs::write(&path, text).expect("written");
        addressed(&path).map(|found| (found.admin.to_string(), found.state_dir))
    };
    let state = folder.path().join("state");
    let default = ("127.0.0.1:9901".to_owned(), state.clone());
    assert_eq!(around(""), Ok(default));
    let named = ("127.0.0.1:7".to_owned(), folder.path().join("s"));
    assert_eq!(
        around("admin: {bind: \"127.0.0.1:7\"}\nstate_dir: s\n"),
        Ok(named)
    );
    for unusable in [
        "admin: {bind: \"0.0.0.0:7\"}\n",
        "state_dir: []\n",
        "admin: [\n",
    ] {
        assert!(around(unusable).is_err(), "{unusable}");
    }
}
