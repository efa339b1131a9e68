//! From bytes to a tree of JSON values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::{Budget, Options};

/// The most bytes of a description.
pub const FILE_BYTES_MAX: usize = 16 << 20;
/// The most levels of YAML, whose parser takes much stack for each; JSON may have 128.
const DEPTH_MAX: usize = 64;

/// The tree of a description in JSON or YAML.
///
/// # Errors
/// What is wrong, in the words of the parser, with its line and column.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, String> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err("the file has more than 16 MiB".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|e| format!("the file is not UTF-8: {e}"))?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with('{') {
        let parsed: Result<Unique, _> = serde_json::from_str(text);
        return parsed.map(|tree| tree.0).map_err(|e| e.to_string());
    }
    let mut budget = Budget::default();
    budget.max_depth = DEPTH_MAX;
    budget.max_documents = 1;
    let mut options = Options::default();
    options.budget = Some(budget);
    options.with_snippet = false;
    let parsed: Result<Unique, _> = serde_saphyr::from_str_with_options(text, options);
    parsed.map(|tree| tree.0).map_err(|e| e.to_string())
}

/// A value none of whose maps has a key twice: the second would hide the first.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    // Wider numbers stand in schemas, which nobody reads here.
    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(Self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Unique(value))) = entries.next_entry::<String, Unique>()? {
            if map.contains_key(&key) {
                let short: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format!("the key '{short}' stands twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FILE_BYTES_MAX, parse};

    #[test]
    fn both_forms_are_read_and_keys_stand_once() {
        let tree = json!({"a": {"200": [1, true, null, "x", 0.5]}});
        let check = |text: &str| assert_eq!(parse(text.as_bytes()), Ok(tree.clone()), "{text}");
        check("{\"a\": {\"200\": [1, true, null, \"x\", 0.5]}}");
        check("\u{feff}a:\n  '200': [1, true, null, x, 0.5]\n");
        // Responses are mostly written without quotes.
        check("a:\n  200: [1, true, ~, x, 0.5]\n");
        check("\n{\"a\":\t{\"200\": [1, true, null, \"\\u0078\", 0.5]}}\n");
    }

    #[test]
    fn hostile_files_end_in_an_error() {
        let check = |bytes: &[u8], part: &str| {
            let error = parse(bytes).expect_err("an error");
            assert!(error.contains(part), "{error}");
        };
        check(b"{\"a\": 1, \"a\": 2}", "stands twice");
        check(b"a: 1\na: 2\n", "a");
        check(b"\xff\xfe", "not UTF-8");
        check(&vec![b' '; FILE_BYTES_MAX + 1], "16 MiB");
        check("[".repeat(100_000).as_bytes(), "");
        check(
            format!("{{\"a\": {}", "[".repeat(100_000)).as_bytes(),
            "recursion",
        );
        check("- ".repeat(100_000).as_bytes(), "");
        check(b"a: 1\n---\nb: 2\n", "");
        // Each level doubles what the one before stands for.
        let mut bomb = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..64 {
            let before = level - 1;
            bomb += &format!("a{level}: &a{level} [*a{before}, *a{before}]\n");
        }
        check(bomb.as_bytes(), "");
        check(b"a: {b\n", "");
    }
}
