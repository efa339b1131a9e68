//! A description in which single operations are looked up.

use std::fmt;

use serde_json::Value;

use super::document::parse;
use super::naming::shape;
use super::operations::METHODS;
use super::reference::decoded;

/// A description that was read.
#[derive(Debug, Clone)]
pub struct Description(Value);

/// An operation, by its method and its path below those of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    method: String,
    path: String,
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// Why it is none, as a sentence without its end.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document = parse(bytes)?;
        match document.get("openapi").and_then(Value::as_str) {
            Some(version) if version.starts_with("3.") => Ok(Self(document)),
            _ => Err("this is no description in OpenAPI 3".to_owned()),
        }
    }

    /// The operation at a JSON pointer such as `/paths/~1orders/get`.
    ///
    /// # Errors
    /// That there is none, as a sentence without its end.
    pub fn operation(&self, pointer: &str) -> Result<Operation, String> {
        let shown: String = pointer.chars().take(200).collect();
        let none = || format!("there is no operation at '#{shown}'");
        let pointer = decoded(pointer);
        let parts: Vec<&str> = pointer.split('/').collect();
        let ["", "paths", path, method] = parts.as_slice() else {
            return Err(none());
        };
        let is_there = self.0.pointer(&pointer).is_some_and(Value::is_object);
        if !is_there || !METHODS.contains(method) {
            return Err(none());
        }
        Ok(Operation {
            method: method.to_ascii_uppercase(),
            path: path.replace("~1", "/").replace("~0", "~"),
        })
    }
}

impl Operation {
    /// Whether an endpoint such as `GET /api/v1/orders/{id}` can be this operation: its path may
    /// have another beginning, and parameters other names.
    #[must_use]
    pub fn is_of(&self, endpoint: &str) -> bool {
        let own = shape(&self.path);
        endpoint.split_once(' ').is_some_and(|(method, path)| {
            method == self.method && shape(path).ends_with(&own) && own.starts_with('/')
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: String = self.path.chars().take(200).collect();
        write!(f, "{} {path}", self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::Description;

    const TEXT: &[u8] = b"openapi: 3.1.0\npaths: { \"/a/{id}\": { get: {}, summary: text } }\n";

    #[test]
    fn an_operation_is_found_at_its_place() {
        let description = Description::parse(TEXT).unwrap();
        let operation = description.operation("/paths/~1a~1{id}/get").unwrap();
        assert_eq!(operation.to_string(), "GET /a/{id}");
        let escaped = description.operation("/paths/~1a~1%7Bid%7D/get");
        assert_eq!(escaped, Ok(operation.clone()));
        for (endpoint, expected) in [
            ("GET /a/{id}", true),
            ("GET /api/v1/a/{x}", true),
            ("POST /a/{id}", false),
            ("GET /a/id", false),
            ("GET /b/{id}", false),
            ("GET /za/{id}", false),
        ] {
            assert_eq!(operation.is_of(endpoint), expected, "{endpoint}");
        }
        for pointer in [
            "",
            "/paths",
            "/paths/~1a~1{id}",
            "/paths/~1a~1{id}/put",
            "/paths/~1a~1{id}/summary",
            "/paths/~1b/get",
            "paths/~1a~1{id}/get",
        ] {
            assert!(description.operation(pointer).is_err(), "{pointer}");
        }
        assert!(Description::parse(b"swagger: '2.0'").is_err());
        assert!(Description::parse(b"[").is_err());
    }
}
