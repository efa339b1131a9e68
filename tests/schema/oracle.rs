//! Another house's validator: PyPI `jsonschema`.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tidegate::schema::{DOCUMENTS, Document, json_schema};
use tidegate::yaml::{self, Node, Sheet};

const SCRIPT: &str = "
import json, sys
try:
    from jsonschema import Draft202012Validator as Validator
except ImportError:
    sys.exit(9)
given = json.load(sys.stdin)
for schema in given['schemas'].values():
    Validator.check_schema(schema)
judges = {name: Validator(schema) for name, schema in given['schemas'].items()}
wrong = 0
for case in given['cases']:
    found = list(judges[case['schema']].iter_errors(case['instance']))
    if (not found) != case['valid']:
        wrong += 1
        print(case['about'], 'is', 'refused: ' + found[0].message[:200] if found else 'taken')
sys.exit(1 if wrong else 0)
";

/// The exit code where the validator is not installed.
const ABSENT: i32 = 9;

/// One document before its schema.
pub(crate) struct Case {
    pub(crate) schema: &'static str,
    pub(crate) instance: Value,
    pub(crate) valid: bool,
    pub(crate) about: String,
}

/// The document of that name.
pub(crate) fn document(name: &str) -> &'static Document {
    DOCUMENTS
        .iter()
        .find(|document| document.name == name)
        .unwrap()
}

/// Fails where the validator judges a case otherwise.
pub(crate) fn judge(cases: &[Case]) {
    let schemas: Map<String, Value> = DOCUMENTS
        .iter()
        .map(|document| (document.name.to_owned(), json_schema(document)))
        .collect();
    let cases: Vec<Value> = cases
        .iter()
        .map(|case| {
            json!({"schema": case.schema, "instance": case.instance, "valid": case.valid,
                   "about": case.about})
        })
        .collect();
    let started = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = started else {
        return skipped("python3 is not installed");
    };
    let given = json!({ "schemas": schemas, "cases": cases }).to_string();
    // Without the validator it ends before it has read everything.
    let _ = python.stdin.take().unwrap().write_all(given.as_bytes());
    let output = python.wait_with_output().unwrap();
    if output.status.code() == Some(ABSENT) {
        return skipped("the Python package jsonschema is not installed");
    }
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "jsonschema judges otherwise:\n{said}"
    );
}

fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}; no schema was judged by another house: pip install jsonschema");
}

/// A file as JSON; `None` where it is no plain YAML.
pub(crate) fn yaml(text: &str) -> Option<Value> {
    let mut sheet = Sheet::new("file", text);
    let root = yaml::read(&mut sheet)?;
    (!sheet.has_errors()).then(|| to_json(&root))
}

fn to_json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        // What is neither a number nor a truth value in JSON is a text.
        yaml::Value::Plain(text) => match serde_json::from_str(text) {
            Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
            _ => json!(text),
        },
        yaml::Value::Quoted(text) => json!(text),
        yaml::Value::List(items) => items.iter().map(to_json).collect(),
        yaml::Value::Map(entries) => entries
            .iter()
            .map(|(key, node)| (key.text.to_string(), to_json(node)))
            .collect::<Map<_, _>>()
            .into(),
    }
}
