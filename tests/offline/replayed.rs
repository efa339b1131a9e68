//! `replay`: a true ledger has no difference, a forged one is found out, a candidate is judged.

use std::fs;

use crate::place::{Place, configuration};

// R047
#[test]
fn a_simulated_ledger_replays_without_a_difference() {
    for tier in ["control", "observe_only"] {
        let place = Place::new();
        place.run(&format!("simulate traffic.jsonl --ledger l --tier {tier}"));
        let ran = place.run("replay l");
        let summary = "600 decisions, 0 differences, 0 unreadable, 0 not replayable\n";
        assert_eq!((ran.code, ran.out.as_str()), (0, summary), "{}", ran.err);
        let json: serde_json::Value =
            serde_json::from_str(&place.run("replay l --format json").out).unwrap();
        assert_eq!(
            (&json["decisions"], &json["differences"]),
            (&600.into(), &0.into())
        );
    }
}

// R047: the chain of this ledger is whole, only the judgement does not follow.
#[test]
fn a_forged_decision_is_found_by_replay() {
    let place = Place::new();
    place.simulated();
    place.forge(2, |line| {
        line.replace("\"decision\":\"QUARANTINE\"", "\"decision\":\"ALLOW\"")
    });
    let ran = place.run("replay l");
    assert_eq!(ran.code, 3);
    let want = "record 2 decision 0000000000000000000001: \
                decision recorded \"ALLOW\", recomputed \"QUARANTINE\"\n";
    assert!(ran.out.starts_with(want), "{}", ran.out);
    assert!(
        ran.out.contains("600 decisions, 1 differences"),
        "{}",
        ran.out
    );

    let other = Place::new();
    other.simulated();
    other.forge(2, |line| line.replace("\"inputs\":[2,", "\"inputs\":[0,"));
    let ran = other.run("replay l --format json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &json["differences"]), (3, &1.into()));
    assert_eq!(json["shown"][0]["seq"], 2);
}

#[test]
fn one_flipped_byte_is_an_unreadable_line() {
    let place = Place::new();
    place.simulated();
    place.edit(3, |line| {
        line.replacen("\"inputs\":[1,1,", "\"inputs\":[1,0,", 1)
    });
    let ran = place.run("replay l");
    assert_eq!(ran.code, 65);
    assert!(
        ran.out.contains("seg-0000000000000000.jsonl at byte "),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("hash is SHA-256"), "{}", ran.out);
    assert!(ran.out.contains("tidegate ledger verify"), "{}", ran.out);
    assert!(
        ran.out
            .contains("599 decisions, 0 differences, 1 unreadable"),
        "{}",
        ran.out
    );
}

#[test]
fn only_the_first_twenty_differences_are_shown() {
    let place = Place::new();
    place.simulated();
    for number in 1..=30 {
        place.edit(number, |line| {
            line.replace("\"tier\":\"CONTROL\"", "\"tier\":\"OBSERVE_ONLY\"")
        });
    }
    place.forge(1, str::to_owned);
    let ran = place.run("replay l");
    let shown = ran
        .out
        .lines()
        .filter(|line| line.starts_with("record "))
        .count();
    assert_eq!(shown, 20);
    assert!(
        ran.out.contains("600 decisions, 30 differences"),
        "{}",
        ran.out
    );
}

#[test]
fn a_lost_or_changed_rulebook_is_a_matter_of_integrity() {
    let place = Place::new();
    place.simulated();
    let rulebooks = place.path("l/rulebooks");
    let rulebook = fs::read_dir(&rulebooks)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&rulebook).unwrap();
    fs::write(&rulebook, text.replace("7000", "7001")).unwrap();
    let ran = place.run("replay l");
    assert_eq!(ran.code, 65);
    assert!(
        ran.out.contains("its bytes do not hash to its name"),
        "{}",
        ran.out
    );
    assert_eq!(
        ran.out.lines().count(),
        2,
        "told once, not per record: {}",
        ran.out
    );
    fs::remove_file(&rulebook).unwrap();
    assert_eq!(place.run("replay l").code, 65);
    assert_eq!(
        place.run("replay l -c tidegate.yaml").code,
        0,
        "a candidate needs no rulebook"
    );
}

#[test]
fn a_candidate_that_changes_something_is_a_finding() {
    let place = Place::new();
    place.simulated();
    let same = place.run("replay l -c tidegate.yaml");
    assert_eq!(same.code, 0, "{}", same.out);
    assert!(same.out.contains(": 0 would change"), "{}", same.out);

    let lenient = "version: 1\nname: lenient\nunknown_endpoint: { action: allow }\n\
                   weights: { unknown_endpoint: 0.1 }\n";
    place.write("lenient.yaml", lenient);
    place.write("candidate.yaml", &configuration("lenient.yaml"));
    let ran = place.run("replay l -c candidate.yaml");
    assert_eq!(ran.code, 3, "{}", ran.out);
    assert!(
        ran.out.contains("50  _unmatched: QUARANTINE -> ALLOW\n"),
        "{}",
        ran.out
    );

    let mild = "version: 1\nname: mild\ntiers: { control: [log, report, throttle] }\n";
    place.write("mild.yaml", mild);
    place.write("candidate.yaml", &configuration("mild.yaml"));
    let ran = place.run("replay l -c candidate.yaml --format json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let changes = json["candidate"]["changes"].as_array().unwrap();
    let withheld = changes
        .iter()
        .find(|change| change["to"] == "DROP withheld")
        .unwrap();
    assert_eq!(withheld["from"], "DROP", "{json}");
    assert_eq!(ran.code, 3);
}

#[test]
fn what_is_no_ledger_is_refused() {
    let place = Place::new();
    for (words, code, want) in [
        ("replay none", 1, "cannot be read"),
        ("replay contracts", 1, "holds no ledger record"),
        ("replay", 2, "LEDGER_DIR"),
        ("replay l -c none.yaml", 78, "none.yaml"),
    ] {
        place.refuses(words, code, want);
    }
}

/// A gateway that still runs, or was killed, leaves such a line; whether it is damage is for
/// `ledger verify` to say.
#[test]
fn an_unfinished_last_line_is_passed_over_and_told() {
    let place = Place::new();
    place.simulated();
    let segment = place.path("l/seg-0000000000000000.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    let half = text.lines().nth(5).unwrap().get(..100).unwrap();
    fs::write(&segment, format!("{text}{half}")).unwrap();
    let ran = place.run("replay l");
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert!(
        ran.out.contains("the last line is unfinished"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("600 decisions, 0 differences"),
        "{}",
        ran.out
    );
}

/// A record carries the shed hash only where its own policy needed it; a candidate that sheds
/// earlier must still choose the same clients as a gateway under that policy would.
#[test]
fn a_candidate_that_sheds_earlier_sheds_a_share() {
    let place = Place::new();
    let mut traffic = String::new();
    for number in 0..400_u64 {
        let status = if number % 3 == 0 { 500 } else { 200 };
        traffic += &format!(
            "{{\"at_ms\":{},\"method\":\"GET\",\"url\":\"/api/v1/status\",\
             \"client\":\"10.0.0.{}\",\"status\":{status}}}\n",
            number * 50,
            number % 100
        );
    }
    place.write("traffic.jsonl", &traffic);
    let bands = |medium: &str| {
        format!(
            "version: 1\nname: x\nbands: {{ low: 0.01, medium: {medium}, high: 0.95, critical: 0.96 }}\n"
        )
    };
    place.write("late.yaml", &bands("0.9"));
    place.write("early.yaml", &bands("0.05"));
    place.write("tidegate.yaml", &configuration("late.yaml"));
    place.write("candidate.yaml", &configuration("early.yaml"));
    place.simulated();
    assert!(
        !place
            .ledger_lines()
            .iter()
            .any(|line| line.contains("THROTTLE"))
    );
    let ran = place.run("replay l -c candidate.yaml --format json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let shed = json["candidate"]["changed"].as_u64().unwrap();
    // Distress is about 0.4 for most of the time: a share of (0.4 - 0.05) / (0.96 - 0.05).
    assert!((80..240).contains(&shed), "{shed} of 400 shed: {json}");
}

/// Verbs of one environment must not break each other: what a variable means to one of them, the
/// others understand too or do not read.
#[test]
fn variables_of_other_verbs_are_not_read() {
    let place = Place::new();
    let others = [
        ("TIDEGATE_FORMAT", "sarif"),
        ("TIDEGATE_LEDGER", "l"),
        ("TIDEGATE_TIER", "AUTONOMOUS"),
    ];
    let ran = place.run_in(&others, "simulate traffic.jsonl", "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(!place.path("l").exists(), "no ledger was asked for");

    let own = [("TIDEGATE_SIMULATE_LEDGER", "l")];
    place.run_in(&own, "simulate traffic.jsonl", "");
    let ran = place.run_in(&others, "replay l", "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        ran.out.starts_with("600 decisions, 0 differences"),
        "{}",
        ran.out
    );
    let own = [("TIDEGATE_REPLAY_FORMAT", "json")];
    let ran = place.run_in(&own, "replay l", "");
    assert!(ran.out.starts_with('{'), "{}", ran.out);
}

/// The form for people has two names; each verb takes both, so that one variable serves all.
#[test]
fn the_form_for_people_has_two_names_everywhere() {
    let place = Place::new();
    place.run("simulate traffic.jsonl --ledger l");
    for form in ["text", "pretty"] {
        let variables = [("TIDEGATE_FORMAT", form), ("TIDEGATE_ROOT", "root.json")];
        for words in [
            "check",
            "contract lint contracts",
            "ledger verify l",
            "ledger stats l",
            // A trust root is no folder of a repository.
            "contract owners --codeowners",
        ] {
            let ran = place.run_in(&variables, words, "");
            assert_eq!(ran.code, 0, "{form} {words}: {}", ran.err);
        }
        for words in [
            "catalog",
            "replay l",
            "readiness l",
            "contract callers search_get_v1",
            "contract diff tidegate.yaml tidegate.yaml",
            "bundle diff tidegate.yaml tidegate.yaml",
        ] {
            let ran = place.run(&format!("{words} --format {form}"));
            assert_ne!(ran.code, 2, "{form} {words}: {}", ran.err);
        }
    }
    // What a page of one comparison looks like is nothing to the other.
    let variables = [("TIDEGATE_DIFF_FORMAT", "json")];
    let ran = place.run_in(&variables, "contract diff tidegate.yaml tidegate.yaml", "");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.out.starts_with('{'), "{}", ran.out);
}

/// Several megabytes of ledger, so that several threads get something to do, and a candidate that
/// changes a part of it.
fn many() -> Place {
    let place = Place::new();
    let traffic: String = (0..6_000_u64)
        .map(|number| {
            format!(
                "{{\"at_ms\":{},\"method\":\"GET\",\"url\":\"/api/v1/search/x\",\
                 \"client\":\"10.0.0.{}\",\"latency_ms\":5}}\n",
                number * 50,
                number % 200
            )
        })
        .collect();
    place.write("traffic.jsonl", &traffic);
    let ran = place.run("simulate traffic.jsonl --ledger l");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let contracts = fs::read_to_string(place.path("contracts/contracts.yaml")).unwrap();
    fs::create_dir(place.path("then")).unwrap();
    let looser = contracts.replace("    rate_limit_rpm: 60\n    burst: 2\n", "");
    place.write("then/contracts.yaml", &looser);
    let text = configuration("policy.yaml").replace("contracts: contracts/", "contracts: then/");
    place.write("then.yaml", &text);
    place
}

#[test]
fn threads_change_nothing_but_the_time() {
    let place = many();
    let alone = place.run("replay l -c then.yaml --each --threads 1");
    assert_eq!(alone.code, 3, "{}", alone.err);
    let changes: Vec<serde_json::Value> = alone
        .out
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert!(changes.len() > 1_000, "{}", changes.len());
    let told = format!("{} would change", changes.len());
    assert!(alone.out.contains(&told), "{told}");
    let first = &changes[0];
    assert_eq!(first["contract"], "search_get_v1");
    assert_eq!(first["from"], "THROTTLE");
    assert_eq!(first["to"], "ALLOW");
    let numbers: Vec<u64> = changes
        .iter()
        .map(|change| change["seq"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted(), "in the order of the ledger");
    for threads in [2, 5] {
        let ran = place.run(&format!("replay l -c then.yaml --each --threads {threads}"));
        assert_eq!((ran.code, &ran.out), (3, &alone.out), "{threads} threads");
    }
}

#[test]
fn a_replay_can_look_back_for_a_time_only() {
    let place = many();
    // 20 decisions a second; the period ends with the newest one.
    for (since, decisions) in [("10s", 201), ("1m", 1_201), ("7d", 6_000)] {
        let ran = place.run(&format!("replay l --since {since}"));
        let want = format!("{decisions} decisions, 0 differences");
        assert!(ran.out.contains(&want), "{since}: {}", ran.out);
        assert_eq!(ran.code, 0);
    }
    let wrong = place.run("replay l --since 1w");
    assert_eq!(wrong.code, 2);
}
