//! Runs a scenario through the engine and draws the table of what was decided.

use std::fs;

use tidegate::config::load;
use tidegate::diagnostic::{Format, render};
use tidegate::gateway::refusal;
use tidegate::observation::{Mode, Take};
use tidegate::pipeline::Way;
use tidegate::record::DecisionEvent;
use tidegate::rulebook::{LocalParts, Rulebook, RulebookParts};
use tidegate::simulate::{Engine, virtual_moment};

use crate::text::Scenario;

/// One line of the table: equal decisions, counted.
struct Row {
    from_ms: u64,
    to_ms: u64,
    count: u32,
    cells: [String; 5],
    risk: (u16, u16),
}

/// The table of decisions.
pub(crate) fn decisions(scenario: &Scenario) -> String {
    let rulebook = rulebook(scenario);
    let mut engine = Engine::new(&rulebook, refusal::status);
    for line in &scenario.traffic {
        engine.run(line);
    }
    engine.finish();
    let mut rows: Vec<Row> = Vec::new();
    while let Some(event) = engine.next_ended() {
        add(
            &mut rows,
            scenario.group_ms,
            row_of(&rulebook, scenario, &event),
        );
    }
    for route in 0..rulebook.board().routes() {
        for mode in [Mode::Dry, Mode::Real] {
            let left = rulebook.board().in_flight(route, mode);
            assert_eq!(left, 0, "in flight of route {route} after the end");
        }
    }
    draw(&rows)
}

fn rulebook(scenario: &Scenario) -> Rulebook {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    fs::create_dir(dir.path().join("contracts")).unwrap();
    let contracts = format!("version: 1\ncontracts:\n{}", scenario.contracts);
    write("contracts/contracts.yaml", contracts);
    write(
        "policy.yaml",
        format!("version: 1\nname: scenario\n{}", scenario.policy),
    );
    write(
        "tidegate.yaml",
        format!(
            "version: 1\ntier: {}\nlisteners: [{{ bind: '127.0.0.1:0' }}]\n\
             upstreams: {{ api: {{ servers: ['127.0.0.1:9'] }} }}\n\
             contracts: contracts/\npolicy: policy.yaml\nledger: {{ dir: ledger }}\n",
            scenario.tier
        ),
    );
    let loaded = load(&dir.path().join("tidegate.yaml"))
        .unwrap_or_else(|found| panic!("{}", render(&found, Format::Pretty)));
    let parts = RulebookParts::unsigned_local(LocalParts {
        content_digest: *loaded.content.digest(),
        catalogue: loaded.catalogue,
        rules: loaded.rules,
        tier: loaded.settings.tier,
        default_upstream: loaded.settings.default_upstream,
        workers: 1,
    });
    Rulebook::new(0, parts)
}

fn row_of(rulebook: &Rulebook, scenario: &Scenario, event: &DecisionEvent) -> Row {
    let (decision, permit) = (&event.judgement.decision, &event.judgement.permit);
    let contract = rulebook.contract_of(event.route as usize);
    let reasons: Vec<&str> = decision
        .reasons()
        .iter()
        .map(|reason| reason.code())
        .collect();
    let withheld: Vec<&str> = permit
        .withheld()
        .iter_by_name()
        .map(|action| action.name())
        .collect();
    let mut did = match (event.way, event.signals.hold_ns) {
        (Way::Forward, 0) => "forwarded".to_owned(),
        (Way::Forward, wait_ns) => format!("forwarded after {} ms", wait_ns / 1_000_000),
        (Way::Shadow, _) => "forwarded, marked".to_owned(),
        (Way::Divert, _) => "diverted".to_owned(),
        (Way::Refuse, _) => "refused".to_owned(),
    };
    if !withheld.is_empty() {
        did += &format!(", withheld {}", withheld.join(" "));
    }
    if matches!(event.signals.take, Take::ContractRate | Take::ClientRate)
        && !event.is_forwarded()
        && scenario.group_ms.is_none()
    {
        did += &format!(", retry after {}s", seconds_to_wait(rulebook, event));
    }
    let at_ms = (event.wall_us - virtual_moment(0).wall_us) / 1_000;
    let risk = event.judgement.assessment.risk().get();
    Row {
        from_ms: at_ms,
        to_ms: at_ms,
        count: 1,
        cells: [
            contract
                .map_or("-", |contract| contract.id().as_str())
                .to_owned(),
            decision.severity().name().to_owned(),
            reasons.join(" "),
            did,
            event.ending.status.to_string(),
        ],
        risk: (risk, risk),
    }
}

fn seconds_to_wait(rulebook: &Rulebook, event: &DecisionEvent) -> u64 {
    let route = event.route as usize;
    let wait_ns = if event.signals.take == Take::ClientRate {
        let limits = rulebook.client_limits_of(route).unwrap();
        limits.own.wait_ns(event.signals.client_tat_ns)
    } else {
        let limit = rulebook.limit_of(route).unwrap_or(rulebook.unknown_limit());
        limit.wait_ns(event.signals.contract_tat_ns)
    };
    wait_ns.div_ceil(1_000_000_000).max(1)
}

/// Adds a decision to the run it continues, or to its like in the same span of time.
fn add(rows: &mut Vec<Row>, group_ms: Option<u64>, row: Row) {
    let like = match group_ms {
        None => rows.last_mut().filter(|last| last.cells == row.cells),
        Some(span) => rows
            .iter_mut()
            .rev()
            .take_while(|known| known.from_ms / span == row.from_ms / span)
            .find(|known| known.cells == row.cells),
    };
    match like {
        Some(known) => {
            known.to_ms = row.to_ms;
            known.count += 1;
            known.risk = (known.risk.0.min(row.risk.0), known.risk.1.max(row.risk.1));
        }
        None => rows.push(row),
    }
}

fn draw(rows: &[Row]) -> String {
    let head = [
        "at", "requests", "contract", "decision", "because", "did", "status", "risk %",
    ];
    let mut table = vec![head.map(str::to_owned)];
    for row in rows {
        let [contract, decision, because, did, status] = row.cells.clone();
        table.push([
            span(row.from_ms, row.to_ms),
            row.count.to_string(),
            contract,
            decision,
            because,
            did,
            status,
            risk_span(row.risk),
        ]);
    }
    let width = |column: usize| table.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("{}\n", cells.join(" | ").trim_end())
    };
    table.iter().map(line).collect()
}

fn span(from_ms: u64, to_ms: u64) -> String {
    let seconds = |ms: u64| {
        let text = format!("{}.{:03}", ms / 1_000, ms % 1_000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if from_ms == to_ms {
        return format!("{}s", seconds(from_ms));
    }
    format!("{}s..{}s", seconds(from_ms), seconds(to_ms))
}

fn risk_span((low, high): (u16, u16)) -> String {
    if low == high {
        return (low / 100).to_string();
    }
    format!("{}..{}", low / 100, high / 100)
}
