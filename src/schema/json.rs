//! A shape as a JSON Schema.

use serde_json::{Map, Value, json};

use super::Document;
use crate::yaml::{FORMAT_VERSION, Kind, Line, Shape};

/// 2^32 - 1 thousandths.
const THOUSANDTHS_MAX: f64 = 4_294_967.295;
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a kind of file.
#[must_use]
pub fn json_schema(document: &Document) -> Value {
    let mut schema = of_shape(&document.shape);
    if let Value::Object(members) = &mut schema {
        let name = document.name;
        let id = format!("urn:tidegate:schema:{name}:{FORMAT_VERSION}");
        members.insert("$schema".to_owned(), json!(DIALECT));
        members.insert("$id".to_owned(), json!(id));
        members.insert("title".to_owned(), json!(document.title));
    }
    schema
}

fn of_shape(shape: &Shape) -> Value {
    let properties: Map<String, Value> = shape
        .lines
        .iter()
        .map(|line| (line.key.to_owned(), of_line(line)))
        .collect();
    let needed = shape.lines.iter().filter(|line| line.needed);
    let needed: Vec<&str> = needed.map(|line| line.key).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let Value::Object(members) = &mut schema
        && !needed.is_empty()
    {
        members.insert("required".to_owned(), json!(needed));
    }
    schema
}

fn of_line(line: &Line) -> Value {
    let mut schema = of_kind(&line.kind);
    if let Value::Object(members) = &mut schema {
        members.insert("description".to_owned(), json!(line.about));
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Version => json!({ "const": FORMAT_VERSION }),
        Kind::Integer { min, max } => {
            json!({ "type": "integer", "minimum": min, "maximum": max })
        }
        Kind::AnyInteger => json!({ "type": "integer" }),
        Kind::Share {
            positive: false, ..
        } => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Kind::Share { positive: true, .. } => {
            json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })
        }
        Kind::Thousandths => {
            json!({ "type": "number", "minimum": 0, "maximum": THOUSANDTHS_MAX })
        }
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Text(max) => json!({ "type": "string", "minLength": 1, "maxLength": max }),
        Kind::Form(form) => json!({ "type": "string", "pattern": form }),
        Kind::Choice(choices) => of_choices(&choices()),
        Kind::List { of, min, max } => of_list(of, *min, *max),
        Kind::Map(shape) => of_shape(shape),
        Kind::Named { names, min, of } => of_names(names, *min, of),
        Kind::Either(kinds) => {
            let kinds: Vec<Value> = kinds.iter().map(of_kind).collect();
            json!({ "anyOf": kinds })
        }
    }
}

/// Choices are texts to a reader; one of digits alone is a number to everybody else.
fn of_choices(choices: &[&str]) -> Value {
    let numbers = choices.iter().filter_map(|text| text.parse::<u64>().ok());
    let texts = choices.iter().map(|text| json!(text));
    let all: Vec<Value> = texts.chain(numbers.map(|number| json!(number))).collect();
    json!({ "enum": all })
}

fn of_names(names: &str, min: usize, of: &Kind) -> Value {
    let mut schema = json!({
        "type": "object",
        "propertyNames": { "pattern": names },
        "additionalProperties": of_kind(of),
    });
    if let Value::Object(members) = &mut schema
        && min > 0
    {
        members.insert("minProperties".to_owned(), json!(min));
    }
    schema
}

fn of_list(of: &Kind, min: usize, max: usize) -> Value {
    let mut schema = json!({ "type": "array", "items": of_kind(of) });
    if let Value::Object(members) = &mut schema {
        if min > 0 {
            members.insert("minItems".to_owned(), json!(min));
        }
        if max < usize::MAX {
            members.insert("maxItems".to_owned(), json!(max));
        }
    }
    schema
}
