//! `explain`, `reasons`, `version`: answers for a person.

use crate::place::Place;

fn check(text: &str, wanted: &[&str]) {
    for want in wanted {
        assert!(text.contains(want), "'{want}' in:\n{text}");
    }
}

// R045, R046, R054
#[test]
fn a_recorded_decision_is_explained_with_all_reasons() {
    let place = Place::new();
    place.simulated();
    let ran = place.run("explain 0000000000000000000002 --ledger l");
    assert_eq!(ran.code, 0, "{}", ran.err);
    check(
        &ran.out,
        &[
            "request    PATCH, GET /api/v1/status",
            "decision 0000000000000000000002",
            "contract   status_get_v1 (GET /api/v1/status), owner platform",
            "pairing    the path is in the contract, the method is not",
            "method_disallowed   A2      100.00 %   90.00 %      90.00 %",
            "error_rate          D2       unknown",
            "risk       90.00 % = the larger of distress 0.00 % (the route) and abuse 90.00 %",
            "band       critical, from 90.00 % to 100.00 %",
            "decision   DROP because of CONTRACT_METHOD_DISALLOWED",
            "CONTRACT_METHOD_DISALLOWED: the path is in a contract, the method is not; \
             governed by contract: allowed_methods",
            "CRITICAL_RISK_SCORE: ",
            "taken       drop, log",
            "withheld    nothing",
            "outcome    refused with 405",
        ],
    );
    assert!(
        !ran.out.contains("observation"),
        "the stages are told on request"
    );
}

// R055, R056
#[test]
fn an_observed_decision_says_what_was_withheld() {
    let place = Place::new();
    place.run("simulate traffic.jsonl --ledger l --tier observe_only");
    // The ledger is that of the configuration.
    let ran = place.run("explain 0000000000000000000001 -c tidegate.yaml");
    check(
        &ran.out,
        &[
            "request    GET, a path like /wp-login.php",
            "contract   none",
            "decision   QUARANTINE because of NO_CONTRACT_MATCH",
            "tier       OBSERVE_ONLY",
            "taken       log\n",
            "withheld    quarantine\n",
            "outcome    forwarded to api, answered 200 (upstream 200) after 50000 us",
        ],
    );
}

// R072
#[test]
fn the_trace_tells_the_seven_stages_in_their_order() {
    let place = Place::new();
    place.simulated();
    for words in [
        "explain 0000000000000000000000 --trace",
        "explain GET /api/v1/status --trace",
    ] {
        let out = place.run(words).out;
        let stages = [
            "1 observation ",
            "2 contract pairing ",
            "3 risk assessment ",
            "4 policy boundaries ",
            "5 decision execution ",
            "6 stability control ",
            "7 ledger append ",
        ];
        let places: Vec<_> = stages
            .iter()
            .map(|stage| out.find(stage).expect(stage))
            .collect();
        assert!(places.is_sorted(), "{out}");
        check(&out, &["took here: ", "assessment ", " ns"]);
    }
}

#[test]
fn a_request_on_a_quiet_gateway_is_explained_without_a_ledger() {
    let place = Place::new();
    let forwarded = place.run("explain get /api/v1/search/x?y=1 -c tidegate.yaml");
    check(&forwarded.out, &["CONTRACT_METHOD_DISALLOWED"]);
    let forwarded = place.run("explain GET /api/v1/search/x?y=1 -c tidegate.yaml");
    let granted = [
        "search_get_v1",
        "asked, and granted",
        "would be forwarded to api",
    ];
    check(&forwarded.out, &granted);
    let refused = place.run("explain GET /nothing");
    check(&refused.out, &["would be refused with 404"]);
    assert_eq!((forwarded.code, refused.code), (0, 0));
}

#[test]
fn a_damaged_or_forged_decision_is_never_explained_as_if_it_were_true() {
    let place = Place::new();
    place.simulated();
    place.edit(2, |line| line.replace("QUARANTINE", "QUARANTINF"));
    let ran = place.run("explain 0000000000000000000001 --ledger l");
    assert_eq!(ran.code, 65);
    check(
        &ran.out,
        &["seg-0000000000000000.jsonl at byte ", "cannot be believed"],
    );

    let place = Place::new();
    place.simulated();
    place.forge(2, |line| {
        line.replace("\"risk_bp\":7000", "\"risk_bp\":100")
    });
    let ran = place.run("explain 0000000000000000000001 --ledger l");
    assert_eq!(ran.code, 65);
    check(
        &ran.out,
        &[
            "DOES NOT FOLLOW FROM ITS OWN INPUTS",
            "risk_bp: recorded 100, recomputed 7000",
        ],
    );
}

#[test]
fn what_cannot_be_found_is_said() {
    let place = Place::new();
    place.simulated();
    for (words, code, want) in [
        (
            "explain 0000000000000000009999 --ledger l",
            1,
            "no record of decision",
        ),
        ("explain 17 --ledger l", 2, "has 22 hex digits"),
        (
            "explain 0000000000000000000001 --ledger none",
            1,
            "cannot be read",
        ),
        (
            "explain 0000000000000000000001 -c none.yaml",
            78,
            "none.yaml",
        ),
        ("explain GET / -c none.yaml", 78, "none.yaml"),
        ("explain", 2, "DECISION-ID"),
    ] {
        place.refuses(words, code, want);
    }
}

// R054, R111
#[test]
fn reasons_and_formats_are_listed() {
    let place = Place::new();
    let reasons = place.run("reasons");
    check(
        &reasons.out,
        &["RATE_LIMIT_EXCEEDED", "contract: rate_limit_rpm, burst"],
    );
    let version = place.run("version --formats");
    check(&version.out, &["tidegate ", "contract 1\n", "ledger 1\n"]);
    assert_eq!((reasons.code, version.code), (0, 0));
}

#[test]
fn a_request_that_waited_is_told_to_have_waited() {
    let place = Place::new();
    place.write(
        "contracts/contracts.yaml",
        "version: 1\ncontracts:\n  - id: report_get_v1\n    endpoint: 'GET /report'\n    \
         rate_limit_rpm: 120\n    burst: 1\n    owner: platform\n    \
         throttle: { mode: delay, wait_max_ms: 600, held_max: 2 }\n",
    );
    let line = "{\"at_ms\":0,\"method\":\"GET\",\"url\":\"/report\",\"client\":\"10.0.0.1\",\
                \"status\":200,\"latency_ms\":20}\n";
    place.write("traffic.jsonl", &line.repeat(3));
    place.simulated();
    for (number, outcome) in [
        (0, "outcome    forwarded to api, answered 200"),
        (
            1,
            "outcome    waited 500 ms for its turn, then forwarded to api, answered 200",
        ),
        (2, "outcome    refused with 429"),
    ] {
        let words = format!("explain {number:022x} --ledger l --trace");
        let ran = place.run(&words);
        check(&ran.out, &[outcome]);
        let held = ran.out.contains("held until its turn, then forwarded");
        assert_eq!(held, number == 1, "{}", ran.out);
    }
}

#[test]
fn the_limit_of_an_address_is_named_where_it_refused() {
    let place = Place::new();
    place.write(
        "contracts/contracts.yaml",
        "version: 1\ncontracts:\n  - id: keyed_v1\n    endpoint: 'GET /keyed'\n    owner: platform\n    \
         per_client: { key: 'header:x-api-key', rate_limit_rpm: 1, burst: 1 }\n",
    );
    let line = |key: u32| {
        format!(
            "{{\"at_ms\":0,\"method\":\"GET\",\"url\":\"/keyed\",\"client\":\"10.0.0.1\",\
             \"headers\":{{\"x-api-key\":\"{key}\"}},\"status\":200,\"latency_ms\":20}}\n"
        )
    };
    let keys = [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    place.write("traffic.jsonl", &keys.map(line).concat());
    place.simulated();
    let own = place.run("explain 0000000000000000000001 --ledger l");
    check(&own.out, &["limits     the client's rate limit is used up"]);
    let behind = place.run("explain 000000000000000000000b --ledger l");
    check(
        &behind.out,
        &[
            "limits     the limit of the client's address, ten times that of one client, is used up",
            "its address is over its limit; 0 refusals this minute",
        ],
    );
}
