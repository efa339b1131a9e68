//! `replay` finds every member that was forged, although chain and hashes are whole again.

use crate::place::Place;

/// One line of the simulated ledger with a change, and the member that replay must name.
struct Forgery {
    line: usize,
    from: &'static str,
    to: &'static str,
    member: &'static str,
}

// The ledger's line 0 is its `open`; these are the first of each kind of request.
const ALLOWED: usize = 1;
const UNKNOWN: usize = 2;
const WRONG_METHOD: usize = 3;
const FORWARDED: usize = 5;

/// The member that must be named, the line, what stands in it, what it is exchanged for.
const FORGERIES: &str = r#"
case_id | unknown | "case_id":"q- | "case_id":"q-00
case_id | allowed | "circuit" | "case_id":"q-0011223344556677","circuit"
policy_version | allowed | "policy_version":"1.0.0" | "policy_version":"1.0.1"
endpoint_key | allowed | "endpoint_key":"GET /api/v1/search/{term}" | "endpoint_key":"GET /other"
endpoint_key | allowed | "endpoint_key":"GET /api/v1/search/{term}", |
contract_id | unknown | "decision": | "contract_id":"search_get_v1","decision":
contract_id | allowed | "contract_id":"search_get_v1", |
upstream | allowed | "upstream":"api", |
upstream | unknown | "upstream_status" | "upstream":"api","upstream_status"
outcome | unknown | "outcome":"refused" | "outcome":"done"
outcome | allowed | "outcome":"done" | "outcome":"refused"
phase | allowed | "phase":6 | "phase":5
phase | unknown | "phase":5 | "phase":1
error_count | allowed | "upstream_status":200 | "upstream_status":500
error_count | allowed | "error_count":0 | "error_count":2
error_count | unknown | "error_count":0 | "error_count":1
upstream_status | unknown | "upstream_status":0 | "upstream_status":200
latency_us | unknown | "latency_us":0 | "latency_us":5
method | allowed | "method":"GET" | "method":"POST"
method | wrong method | "method":"PATCH" | "method":"GET"
retry_count | allowed | "retry_count":0 | "retry_count":3
decision_id | allowed | "n":0 | "n":7
decision_id | allowed | "worker":0 | "worker":1
trace_id | allowed | "ts_us" | "trace_id":"00000000000000000000000000000000","ts_us"
unmatched_shape | forwarded | "ts_us":1767225600200000, | "ts_us":1767225600200000,"unmatched_shape":"/x",
instance | allowed | "instance":"simulate", |
status | allowed | "status":200, |
forged | allowed | "inputs": | "forged":1,"inputs":
# Limits that nobody asked, and an answer where nobody asks.
inputs[3] | allowed | "inputs":[0,1,1973,1, | "inputs":[0,1,1973,0,
inputs[3] | unknown | "inputs":[2,1,1973,0, | "inputs":[2,1,1973,1,
# A hash of one's own choice.
inputs[5] | allowed | "inputs":[0,1,1973,1,1,0, | "inputs":[0,1,1973,1,1,77,
"#;

fn forgeries() -> impl Iterator<Item = Forgery> {
    let rows = FORGERIES.lines();
    let rows = rows.filter(|row| !row.is_empty() && !row.starts_with('#'));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let [member, line, from, to] = columns[..] else {
            panic!("four columns: {row}");
        };
        let line = match line {
            "allowed" => ALLOWED,
            "unknown" => UNKNOWN,
            "wrong method" => WRONG_METHOD,
            "forwarded" => FORWARDED,
            other => panic!("no line is {other}"),
        };
        Forgery {
            line,
            from,
            to,
            member,
        }
    })
}

fn members_named(place: &Place) -> (i32, Vec<String>) {
    let ran = place.run("replay l --format json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let shown = json["shown"].as_array().unwrap();
    let names = shown
        .iter()
        .map(|shown| shown["member"].as_str().unwrap().to_owned());
    (ran.code, names.collect())
}

// R047: whoever can write the disk can make every hash right again.
#[test]
fn every_member_that_follows_from_something_is_checked() {
    let place = Place::new();
    place.simulated();
    let good = place.ledger_lines();
    let client = good[UNKNOWN]
        .split("\"client\":\"")
        .nth(1)
        .unwrap()
        .get(..16)
        .unwrap();
    assert!(
        good[UNKNOWN].contains("\"case_id\":\"q-"),
        "{}",
        good[UNKNOWN]
    );
    for forgery in forgeries() {
        place.restore(&good);
        place.forge(forgery.line, |line| {
            let line = line.replacen(forgery.from, forgery.to, 1);
            assert_ne!(line, good[forgery.line], "'{}' in {line}", forgery.from);
            line
        });
        let (code, members) = members_named(&place);
        let (to, member) = (forgery.to, forgery.member.to_owned());
        assert_eq!(code, 3, "{to}");
        assert!(members.contains(&member), "{to}: {members:?}");
    }
    // A case that is another client's.
    place.restore(&good);
    place.forge(UNKNOWN, |line| line.replace(client, "0011223344556677"));
    assert_eq!(members_named(&place), (3, vec!["case_id".to_owned()]));
}

/// A name that no rulebook has is found; where it is another contract's nothing tells it.
#[test]
fn an_alias_is_of_a_contract_of_its_rulebook() {
    let place = Place::new();
    place.write(
        "traffic.jsonl",
        "{\"at_ms\":0,\"method\":\"GET\",\"url\":\"/API/v1/status\",\"client\":\"10.0.0.1\",\
         \"status\":200,\"latency_ms\":1}\n",
    );
    place.simulated();
    assert_eq!(members_named(&place), (0, Vec::new()));
    let of = "\"alias_of\":\"status_get_v1\"";
    for to in ["\"alias_of\":\"status_get_v2\"", "\"alias_of\":\"\""] {
        let place = &place;
        let good = place.ledger_lines();
        assert!(good[ALLOWED].contains(of), "{}", good[ALLOWED]);
        place.forge(ALLOWED, |line| line.replace(of, to));
        assert_eq!(
            members_named(place),
            (3, vec!["alias_of".to_owned()]),
            "{to}"
        );
        place.restore(&good);
    }
}

/// These are no records that a gateway could have written, so nothing is judged by them.
#[test]
fn inputs_beyond_their_bounds_are_not_judged() {
    let place = Place::new();
    place.simulated();
    let good = place.ledger_lines();
    for (from, to) in [
        ("]", ",0]"),
        ("[0,1,1973,1,1,", "[0,1,1973,1,3,"),
        ("[0,1,1973,1,1,0,", "[0,1,1973,1,1,10000,"),
        ("[0,1,1973,", "[0,1,4021,"),
        (",10000", ",10001"),
    ] {
        place.restore(&good);
        place.forge(ALLOWED, |line| {
            let (head, tail) = line.split_once("\"inputs\":").unwrap();
            let changed = tail.replacen(from, to, 1);
            assert_ne!(tail, changed, "'{from}' in {tail}");
            format!("{head}\"inputs\":{changed}")
        });
        let ran = place.run("replay l");
        assert_eq!(ran.code, 65, "{to}: {}", ran.out);
        assert!(ran.out.contains("record 1: inputs"), "{to}: {}", ran.out);
    }
}

#[test]
fn a_tier_above_the_contracts_is_found() {
    let place = Place::new();
    let contracts = std::fs::read_to_string(place.path("contracts/contracts.yaml")).unwrap();
    let observed = contracts.replace("    max_latency_ms: 100\n", "    tier: observe_only\n");
    place.write("contracts/contracts.yaml", &observed);
    place.simulated();
    place.forge(FORWARDED, |line| {
        line.replace("\"tier\":\"OBSERVE_ONLY\"", "\"tier\":\"CONTROL\"")
            .replace("\"inputs\":[0,0,", "\"inputs\":[0,1,")
            .replace(
                "\"allowed_actions\":[\"log\",\"propose\",\"report\"]",
                "\"allowed_actions\":[\"circuit_open\",\"drop\",\"log\",\"propose\",\
                 \"quarantine\",\"report\",\"throttle\"]",
            )
    });
    let ran = place.run("replay l");
    assert_eq!(ran.code, 3, "{}", ran.out);
    let want = "tier recorded \"CONTROL\", recomputed at most \"OBSERVE_ONLY\", the contract's\n";
    assert!(ran.out.contains(want), "{}", ran.out);
    let ran = place.run("explain 0000000000000000000004 --ledger l");
    assert_eq!(ran.code, 65, "{}", ran.out);
}
