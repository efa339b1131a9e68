//! The text of a scrape, from requests through the real pipeline to promtool.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::contract::{Catalogue, Pairing};
use crate::ledger::{Kept, KeptDamage, Snapshot, Space};
use crate::observation::{BURN_WINDOW_NAMES, Backoff, Mode, TICK_NS, Ticker};
use crate::pipeline::tick;
use crate::policy::rules::Rules;
use crate::rulebook::{LocalParts, RulebookParts};
use crate::telemetry::fixture::{arrival, content, contracts, known, registry, serve, telemetry};
use crate::telemetry::{WorkerTally, names};
use crate::units::{Millis, Moment, Tier};

fn ledger() -> Snapshot {
    Snapshot {
        signed: 40,
        note: "a note".to_owned(),
        signed_us: 1_767_225_600_500_000,
        pressure: crate::ledger::Pressure::Rollup,
        rolled_up: 12,
        records: 42,
        lost: 3,
        queued: 5,
        durable: 41,
        durable_lag: Duration::from_millis(120),
        ok: true,
        head: "0".repeat(64),
        error: String::new(),
        kept: Kept {
            damage: None,
            closed: 7,
            verified: 6,
            space: Space {
                used: 4_096,
                free: 8_192,
                total: 65_536,
            },
            budget: Some(5_000),
        },
    }
}

/// 60 requests of a contract, 40 unmatched ones, some heads refused.
fn scrape(tier: Tier) -> String {
    let registry = registry(tier);
    let rulebook = registry.active().load_full();
    let (worker, tally) = WorkerTally::new(1_000);
    for number in 0..60 {
        serve(&rulebook, &worker, known(0), 1_000 * (number + 1));
    }
    for _ in 0..40 {
        serve(&rulebook, &worker, Pairing::Unknown, 700);
    }
    worker.attempts(rulebook.route(0).number(), 2, 1, 1);
    worker.pushed_back(rulebook.route(0).number());
    worker.refused(1);
    worker.cut(crate::telemetry::Cut::BodyTooSlow);
    worker.tunnel_ended(3, 4);
    worker.refused(1);
    let mut ticker = Ticker::default();
    tick(&rulebook, &mut ticker, arrival().at);
    // The minute ends.
    let then = arrival().at.plus_nanos(55_000_000_000);
    tick(&rulebook, &mut ticker, then);
    telemetry(vec![tally]).render(&rulebook, &ledger())
}

fn value(text: &str, series: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("{series} is not in\n{text}"));
    line.parse().expect("a number")
}

/// The sum over all series of a metric whose labels hold `part`.
fn sum(text: &str, metric: &str, part: &str) -> f64 {
    let mut sum = 0.0;
    for line in text.lines().filter(|line| line.contains(part)) {
        let rest = line.strip_prefix(metric);
        if let Some((_, number)) = rest
            .filter(|rest| rest.starts_with(['{', ' ']))
            .and_then(|rest| rest.rsplit_once(' '))
        {
            sum += number.parse::<f64>().expect("a number");
        }
    }
    sum
}

/// Series of an observing gateway, as they are scraped.
const OBSERVED: &str = r#"tidegate_requests_total{contract="deploy_get_v1",method="GET",status_class="2xx",decision="ALLOW"} 60.0
tidegate_requests_total{contract="_unmatched",method="GET",status_class="2xx",decision="QUARANTINE"} 40.0
tidegate_decisions_total{contract="_unmatched",decision="QUARANTINE",reason="NO_CONTRACT_MATCH",tier="OBSERVE_ONLY"} 40.0
tidegate_forwarded_total{contract="_unmatched"} 40.0
tidegate_upstream_servers{upstream="orders",state="healthy"} 2.0
tidegate_upstream_servers{upstream="orders",state="ejected"} 1.0
tidegate_upstream_servers{upstream="orders",state="unhealthy"} 0.0
tidegate_upstream_panic{upstream="orders"} 0.0
tidegate_upstream_ejections_total{upstream="orders"} 4.0
tidegate_upstream_checks_failed_total{upstream="orders"} 5.0
tidegate_actions_suppressed_total{action="quarantine",tier="OBSERVE_ONLY"} 40.0
tidegate_refused_in_parsing_total{reason="request_line"} 2.0
tidegate_upstream_retries_total{contract="deploy_get_v1"} 2.0
tidegate_upstream_never_sent_total{contract="deploy_get_v1"} 1.0
tidegate_upstream_pushback_total{contract="deploy_get_v1"} 1.0
tidegate_held_requests{contract="deploy_get_v1"} 0.0
tidegate_deprecated_requests_total{contract="deploy_get_v1",client="0123456789abcdef"} 60.0
tidegate_contract_sunset_timestamp_seconds{contract="deploy_get_v1"} 1751328000.0
tidegate_client_slots_overflow_total 0.0
tidegate_contract_coverage_ratio 0.6
tidegate_inflight_requests{contract="deploy_get_v1"} 0.0
tidegate_risk_ratio{contract="deploy_get_v1"} 0.0
tidegate_risk_factor_ratio{contract="deploy_get_v1",factor="latency"} 0.0
tidegate_contract_latency_limit_seconds{contract="deploy_get_v1"} 1.0
tidegate_contract_stage{contract="deploy_get_v1",stage="enforced"} 1.0
tidegate_circuit_state{contract="deploy_get_v1"} 0.0
tidegate_circuit_transitions_total{contract="deploy_get_v1",to="open"} 0.0
tidegate_error_budget_remaining_ratio{contract="deploy_get_v1"} 1.0
tidegate_error_budget_burn_rate{contract="deploy_get_v1",window="5m"} 0.0
tidegate_upstream_request_duration_seconds_bucket{contract="deploy_get_v1",le="0.016384"} 16.0
tidegate_upstream_request_duration_seconds_count{contract="deploy_get_v1"} 60.0
tidegate_upstream_request_duration_seconds_sum{contract="deploy_get_v1"} 1.83
http_server_request_duration_seconds_bucket{http_route="/api/v1/deployments/{id}",http_request_method="GET",http_response_status_code="200",le="0.025"} 25.0
http_server_request_duration_seconds_sum{http_route="/api/v1/deployments/{id}",http_request_method="GET",http_response_status_code="200"} 1.83
tidegate_decision_duration_seconds_count 2.0
tidegate_ledger_records_total 42.0
tidegate_ledger_lost_records_total 3.0
tidegate_ledger_queue_records 5.0
tidegate_ledger_durable_lag_seconds 0.12
tidegate_ledger_ok 1.0
tidegate_ledger_signed_records 40.0
tidegate_ledger_checkpoint_timestamp_seconds 1767225600.5
tidegate_ledger_closed_segments 7.0
tidegate_ledger_verified_segments 6.0
tidegate_ledger_disk_bytes 4096.0
tidegate_ledger_disk_free_bytes 8192.0
tidegate_ledger_disk_budget_bytes 5000.0
tidegate_tier{tier="OBSERVE_ONLY"} 1.0
tidegate_tier{tier="CONTROL"} 0.0
tidegate_connections{state="active"} 2.0
tidegate_connections{state="tunnel"} 1.0
tidegate_connections{state="reading_head"} 1.0
tidegate_connections{state="idle"} 3.0
tidegate_connections_accepted_total 20.0
tidegate_connections_closed_total{reason="served"} 12.0
tidegate_config_last_reload_successful 1.0
tidegate_start_time_seconds 1767225600.0"#;

#[test]
fn observing_forwards_and_says_what_it_withheld() {
    // R060, R237, R272, R273
    let text = scrape(Tier::ObserveOnly);
    for row in OBSERVED.lines() {
        let (series, want) = row.rsplit_once(' ').expect("a series and its value");
        let want: f64 = want.parse().expect("a number");
        let found = value(&text, series);
        assert!((found - want).abs() < 1e-9, "{series}: {found}, not {want}");
    }
    assert_eq!(sum(&text, "tidegate_answered_total", ""), 0.0);
    assert!(!text.contains("status_v1"), "series appear at first use");
    let digest = content().digest_hex();
    let bundle = format!("tidegate_bundle_info{{digest=\"{digest}\",serial=\"0\"}}");
    assert_eq!(value(&text, &bundle), 1.0);
}

#[test]
fn the_accounts_agree_in_every_tier() {
    for (tier, forwarded) in [(Tier::ObserveOnly, 100.0), (Tier::Control, 60.0)] {
        let text = scrape(tier);
        let decisions = sum(&text, "tidegate_decisions_total", "");
        assert_eq!(decisions, 100.0, "{tier:?}");
        assert_eq!(
            sum(&text, "tidegate_forwarded_total", ""),
            forwarded,
            "{tier:?}"
        );
        let answered = sum(&text, "tidegate_answered_total", "");
        assert_eq!(forwarded + answered, decisions, "{tier:?}");
        assert_eq!(sum(&text, "tidegate_requests_total", ""), decisions);
        let durations = "http_server_request_duration_seconds_count";
        assert_eq!(sum(&text, durations, ""), decisions);
    }
}

#[test]
fn circuits_and_budgets_are_told() {
    // R040, R077, R276
    let registry = registry(Tier::Control);
    let rulebook = registry.active().load_full();
    let (worker, tally) = WorkerTally::new(1_000);
    let mut ticker = Ticker::default();
    let at = |tick: u64| arrival().at.plus_nanos(tick * TICK_NS);
    for _ in 0..300 {
        serve(&rulebook, &worker, known(0), 1_000);
    }
    tick(&rulebook, &mut ticker, at(0));
    let board = rulebook.board();
    let totals = board.touch(0, 0).expect("route 0 is there");
    for _ in 0..6 {
        totals.note_outcome(1_000, false, true, false);
    }
    let circuit = rulebook.route(0).circuit(Mode::Real);
    let backoff = Backoff {
        first: Millis::new(1_000),
        longest: Millis::new(60_000),
    };
    assert!(circuit.trip(0, at(1).monotonic_ns, backoff));
    tick(&rulebook, &mut ticker, at(1));
    let text = telemetry(vec![tally]).render(&rulebook, &ledger());
    let of = |metric: &str, more: &str| {
        value(
            &text,
            &format!("{metric}{{contract=\"deploy_get_v1\"{more}}}"),
        )
    };
    assert_eq!(of("tidegate_circuit_state", ""), 1.0);
    let changes = "tidegate_circuit_transitions_total";
    assert_eq!(of(changes, ",to=\"open\""), 1.0);
    assert_eq!(of(changes, ",to=\"closed\""), 0.0);
    // 6 of 306 failed, and 2 % may.
    let burn = "tidegate_error_budget_burn_rate";
    for window in BURN_WINDOW_NAMES {
        let rate = of(burn, &format!(",window=\"{window}\""));
        assert!((rate - 6.0 / 306.0 / 0.02).abs() < 0.01, "{window}: {rate}");
    }
    let remaining = of("tidegate_error_budget_remaining_ratio", "");
    assert!(
        (remaining - (1.0 - 6.0 / 6.12)).abs() < 0.001,
        "{remaining}"
    );
}

#[test]
fn a_full_table_loses_no_count_and_says_so() {
    let registry = registry(Tier::ObserveOnly);
    let rulebook = registry.active().load_full();
    let (worker, tally) = WorkerTally::new(48);
    let (admission, _) = serve(&rulebook, &worker, known(0), 700);
    for status in 200..300 {
        worker.ended(1, &admission, crate::contract::Method::Get, status, 700);
    }
    let text = telemetry(vec![tally.clone()]).render(&rulebook, &ledger());
    let other = "http_route=\"_other\"";
    assert!(sum(&text, "http_server_request_duration_seconds_count", other) > 0.0);
    serve(&rulebook, &worker, known(1), 700);
    let text = telemetry(vec![tally.clone()]).render(&rulebook, &ledger());
    let upstream = "tidegate_upstream_request_duration_seconds_count";
    for contract in ["deploy_get_v1", "_other"] {
        let series = format!("{upstream}{{contract=\"{contract}\"}}");
        assert_eq!(value(&text, &series), 1.0, "{contract}: one name fits");
    }
    let fill = tally.fill();
    assert_eq!(value(&text, "tidegate_metrics_series"), fill.series as f64);
    assert_eq!(value(&text, "tidegate_metrics_series_max"), 48.0);
    for (result, want) in [("other", fill.overflowed), ("lost", fill.lost)] {
        let series = format!("tidegate_metrics_overflowed_total{{result=\"{result}\"}}");
        assert_eq!(value(&text, &series), want as f64, "{result}");
        assert!(want > 0, "{result}");
    }
}

#[test]
fn samples_stay_with_their_contract_when_the_rules_change() {
    let registry = registry(Tier::Control);
    let before = registry.active().load_full();
    let (worker, tally) = WorkerTally::new(1_000);
    let telemetry = telemetry(vec![tally]);
    for route in [0, 1, 1] {
        serve(&before, &worker, known(route), 700);
    }
    telemetry.announce(&before);
    // Only the second contract stays, and takes the place of the first.
    let swap = |keep: &str| {
        let mut contracts = contracts();
        contracts.retain(|contract| contract.id().as_str() == keep);
        let parts = RulebookParts::unsigned_local(LocalParts {
            catalogue: Catalogue::build(contracts).expect("no collision"),
            rules: Rules::default(),
            tier: Tier::Control,
            content_digest: [1; 32],
            default_upstream: "orders".into(),
            workers: 1,
        });
        registry.swap_under(parts, None, Moment::default(), |rulebook| {
            telemetry.announce(rulebook)
        })
    };
    let after = swap("status_v1");
    serve(&after, &worker, known(0), 700);
    // Ended under the older rules, late.
    serve(&before, &worker, known(0), 700);
    let text = telemetry.render(&after, &ledger());
    let count = |text: &str, metric: &str, contract: &str| {
        value(text, &format!("{metric}{{contract=\"{contract}\"}}"))
    };
    assert_eq!(count(&text, "tidegate_forwarded_total", "status_v1"), 3.0);
    assert_eq!(
        count(&text, "tidegate_forwarded_total", "deploy_get_v1"),
        2.0
    );
    let upstream = "tidegate_upstream_request_duration_seconds_count";
    assert_eq!(count(&text, upstream, "status_v1"), 3.0);
    assert!(!text.contains(&format!("{upstream}{{contract=\"deploy_get_v1\"")));
    let template = "http_route=\"/api/v1/deployments/{id}\"";
    assert_eq!(
        sum(
            &text,
            "http_server_request_duration_seconds_count",
            template
        ),
        2.0
    );
    // Back again, it goes on under its old name although it is another route.
    let again = swap("deploy_get_v1");
    serve(&again, &worker, known(0), 700);
    let text = telemetry.render(&again, &ledger());
    assert_eq!(
        count(&text, "tidegate_forwarded_total", "deploy_get_v1"),
        3.0
    );
    assert_eq!(count(&text, "tidegate_forwarded_total", "status_v1"), 3.0);
    assert!(!text.contains("\"_other\",method"), "everything has a name");
}

#[test]
fn unmatched_traffic_adds_no_series() {
    let registry = registry(Tier::ObserveOnly);
    let rulebook = registry.active().load_full();
    let (worker, tally) = WorkerTally::new(1_000);
    serve(&rulebook, &worker, Pairing::Unknown, 700);
    let before = tally.fill().series;
    for _ in 0..10_000 {
        serve(&rulebook, &worker, Pairing::Unknown, 700);
    }
    assert_eq!(tally.fill().series, before);
}

#[test]
fn promtool_accepts_the_text() {
    // R272
    for tier in [Tier::ObserveOnly, Tier::Control] {
        let text = scrape(tier);
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("promtool must be installed for this test (package prometheus)");
        let mut input = child.stdin.take().expect("stdin is piped");
        input.write_all(text.as_bytes()).expect("promtool reads");
        drop(input);
        let output = child.wait_with_output().expect("promtool ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
    }
}

#[test]
fn every_metric_can_be_seen_and_nothing_else() {
    let text = scrape(Tier::Control);
    let typed: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for metric in names::ALL {
        // What only another tier does, and what only a bundle has.
        let elsewhere = [
            names::SUPPRESSED.name,
            names::BUNDLE_EXPIRES.name,
            names::BUNDLE_ROOT_EXPIRES.name,
        ];
        let elsewhere = elsewhere.contains(&metric.name);
        let times = typed.iter().filter(|name| **name == metric.name).count();
        assert_eq!(times, usize::from(!elsewhere), "{}", metric.name);
    }
    for name in typed {
        assert!(
            names::ALL.iter().any(|metric| metric.name == name),
            "{name}"
        );
    }
}

#[test]
fn the_metrics_page_says_what_the_program_says() {
    let page = include_str!("../../docs/metrics.md");
    let mut rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    for metric in names::ALL {
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let row = format!(
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            labels.join(", "),
            metric.unit,
            metric.help
        );
        let place = rows.iter().position(|found| *found == row);
        let place = place.unwrap_or_else(|| panic!("docs/metrics.md lacks the row\n{row}"));
        rows.remove(place);
    }
    assert!(rows.is_empty(), "no such metric: {rows:?}");
}

// R277
#[test]
fn damage_in_a_closed_segment_turns_the_gauge_to_0_and_names_the_record() {
    let registry = registry(Tier::ObserveOnly);
    let rulebook = registry.active().load_full();
    let (_, tally) = WorkerTally::new(1_000);
    let telemetry = telemetry(vec![tally]);
    let mut ledger = ledger();
    let text = telemetry.render(&rulebook, &ledger);
    assert_eq!(value(&text, "tidegate_ledger_damaged_seq"), -1.0);
    ledger.kept.damage = Some(KeptDamage {
        seq: 17,
        file: "seg-0000000000000000.jsonl".into(),
        offset: 3,
        rule: String::new(),
    });
    let text = telemetry.render(&rulebook, &ledger);
    assert_eq!(value(&text, "tidegate_ledger_ok"), 0.0);
    assert_eq!(value(&text, "tidegate_ledger_damaged_seq"), 17.0);
}
