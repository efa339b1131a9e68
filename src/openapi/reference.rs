//! `$ref`: another place of the same description.

use serde_json::Value;

/// The most references that lead to one value.
const STEPS_MAX: usize = 16;

/// The value itself, or the one that it refers to.
///
/// # Errors
/// Why it cannot be followed, as a sentence without its end.
pub(super) fn resolve<'d>(document: &'d Value, value: &'d Value) -> Result<&'d Value, String> {
    let mut value = value;
    for _ in 0..STEPS_MAX {
        let Some(reference) = value.get("$ref") else {
            return Ok(value);
        };
        let Some(text) = reference.as_str() else {
            return Err("a '$ref' is not a text".to_owned());
        };
        let shown: String = text.chars().take(120).collect();
        let Some(fragment) = text.strip_prefix('#') else {
            return Err(format!(
                "'{shown}' is outside of this file, which is all that is read"
            ));
        };
        value = document
            .pointer(&decoded(fragment))
            .ok_or_else(|| format!("there is nothing at '{shown}'"))?;
    }
    Err(format!(
        "more than {STEPS_MAX} references lead on from here, or in a circle"
    ))
}

/// A fragment without its percent-encoding.
pub(super) fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digits = after
            .get(..2)
            .and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match escaped.filter(|_| *byte == b'%') {
            Some(escaped) => {
                bytes.push(escaped);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The place of an entry below another, as in `#/paths/~1a`.
pub(super) fn below(place: &str, key: &str) -> String {
    let key = key.replace('~', "~0").replace('/', "~1");
    let short: String = key.chars().take(200).collect();
    format!("{place}/{short}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{below, resolve};

    #[test]
    fn references_end_somewhere_in_the_file() {
        let document = json!({
            "a": {"/x y": {"get": 1}},
            "one": {"$ref": "#/two"}, "two": {"$ref": "#/a/~1x%20y"},
            "circle": {"$ref": "#/circle"},
        });
        let check = |text, expected: Result<_, &str>| {
            let value = json!({ "$ref": text });
            let found = resolve(&document, &value);
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, &expected, "{text}"),
                (Err(fault), Err(part)) => assert!(fault.contains(part), "{fault}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        };
        check(json!("#/one"), Ok(json!({"get": 1})));
        check(json!("#/none"), Err("nothing at"));
        check(json!("#/circle"), Err("circle"));
        check(json!("other.yaml#/a"), Err("outside"));
        check(json!("https://example.org/a"), Err("outside"));
        check(json!(7), Err("not a text"));
        assert_eq!(below("#/paths", "/a~b"), "#/paths/~1a~0b");
    }
}
