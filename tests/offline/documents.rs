//! What the documents say about records and traffic is what the program does.

use std::fs;
use std::path::Path;

use tidegate::observation::INPUT_COUNT;

use crate::place::Place;

fn document(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name),
    )
    .unwrap()
}

/// The first cells of the rows of the table below a heading.
fn first_cells(text: &str, heading: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|line| *line != heading).skip(1);
    lines
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|row| {
            row.split('|')
                .nth(1)
                .unwrap()
                .trim()
                .trim_matches('`')
                .to_owned()
        })
        .collect()
}

// R047
#[test]
fn every_input_has_a_row_in_its_place() {
    let places = first_cells(&document("decision-record.md"), "## Order of `inputs`");
    let expected: Vec<String> = (0..INPUT_COUNT).map(|place| place.to_string()).collect();
    assert_eq!(places, expected);
}

// R082
#[test]
fn every_member_of_a_record_has_a_row_and_every_row_a_member() {
    let mut documented = first_cells(&document("decision-record.md"), "## Members");
    assert!(
        documented.is_sorted(),
        "rows are sorted like the members: {documented:?}"
    );
    let place = Place::new();
    place.simulated();
    let mut seen: Vec<String> = place
        .ledger_lines()
        .iter()
        .filter(|line| line.contains("\"kind\":\"decision\""))
        .flat_map(|line| {
            let record: serde_json::Map<String, _> = serde_json::from_str(line).unwrap();
            record
                .into_iter()
                .map(|(key, _): (String, serde_json::Value)| key)
        })
        .collect();
    seen.sort();
    seen.dedup();
    // No trace in a traffic file, and no other spelling of a path in this one.
    documented.retain(|member| !matches!(member.as_str(), "trace_id" | "alias_of"));
    assert_eq!(documented, seen);
}

// R047
#[test]
fn the_examples_of_the_traffic_format_can_be_run() {
    let text = document("simulate.md");
    let example = text
        .split("```json\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let place = Place::new();
    let ran = place.run_with("simulate -", example);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out.lines().count(), example.lines().count());
    assert!(example.lines().count() >= 3);
}
