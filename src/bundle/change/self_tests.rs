//! Self-tests: what a bundle has to show before it comes into force.
//!
//! One that goes or says otherwise shows less, whatever it said; one more only shows more.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Change;
use super::rows::Rows;
use super::table;
use crate::policy::self_tests::{SelfTest, SelfTestForm, SelfTests};

/// The name of the self-tests among the subjects of changes.
pub(super) const SUBJECT: &str = "self_tests";

/// Every self-test that comes, goes or says otherwise.
pub(super) fn compare(from: &SelfTests, to: &SelfTests, found: &mut Vec<Change>) {
    if from == to {
        return;
    }
    let rows = &mut Rows {
        subject: SUBJECT,
        owner: None,
        found,
    };
    let new = by_name(to);
    for was in from.as_slice() {
        let is = new.get(was.name()).copied();
        if is == Some(was) {
            continue;
        }
        let (was_told, is_told) = (members(was), is.map(members).unwrap_or_default());
        let told = is.map(|_| text(&is_told, &was_told));
        let row = table::TEST_LESS;
        rows.push(row, was.name(), Some(text(&was_told, &is_told)), told);
    }
    let old = by_name(from);
    for is in to.as_slice() {
        if !old.contains_key(is.name()) {
            let told = text(&members(is), &Map::new());
            rows.push(table::TEST_MORE, is.name(), None, Some(told));
        }
    }
}

fn by_name(tests: &SelfTests) -> BTreeMap<&str, &SelfTest> {
    let tests = tests.as_slice().iter();
    tests.map(|test| (test.name(), test)).collect()
}

/// Request, state and expectation in canonical form.
fn members(test: &SelfTest) -> Map<String, Value> {
    match serde_json::to_value(SelfTestForm::from(test)) {
        Ok(Value::Object(mut members)) => {
            members.remove("name");
            members
        }
        _ => Map::new(),
    }
}

/// What differs from the other one.
fn text(members: &Map<String, Value>, other: &Map<String, Value>) -> String {
    let differ = members
        .iter()
        .filter(|(name, value)| other.get(*name) != Some(*value))
        .map(|(name, value)| (name.clone(), value.clone()));
    Value::Object(differ.collect()).to_string()
}
