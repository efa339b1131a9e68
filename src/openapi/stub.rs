//! A contract with nothing but its endpoint, as text of a contract file.

use std::fmt::Write as _;

use crate::contract::Version;
use crate::contract::file::major_of_path;

/// One operation as a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stub {
    /// A valid id, of no other stub.
    pub id: String,
    /// Method, one space and a valid template.
    pub endpoint: String,
    /// Whether the template holds `%2F`, which needs consent.
    pub has_encoded_slash: bool,
}

/// What all contracts of a file shall say besides; each a valid value of its key.
#[derive(Debug, Clone, Default)]
pub struct Extras<'a> {
    /// Key and text, in the order of the file.
    pub keys: Vec<(&'static str, &'a str)>,
}

/// The contract file of some stubs.
#[must_use]
pub fn render(stubs: &[Stub], extras: &Extras<'_>) -> String {
    let mut text = "version: 1\ncontracts:\n".to_owned();
    if stubs.is_empty() {
        text = "version: 1\ncontracts: []\n".to_owned();
    }
    for stub in stubs {
        let _ = writeln!(text, "  - id: {}", stub.id);
        let _ = writeln!(text, "    endpoint: {}", quoted(&stub.endpoint));
        if let Some(version) = version_of_path(&stub.endpoint) {
            let _ = writeln!(text, "    version: {version}");
        }
        for (key, value) in &extras.keys {
            let _ = writeln!(text, "    {key}: {}", quoted(value));
        }
        if stub.has_encoded_slash {
            text += "    allow_encoded_slash: true\n";
        }
    }
    text
}

/// What the path promises already: `/v2/` is part of version 2.
fn version_of_path(endpoint: &str) -> Option<Version> {
    let major = major_of_path(endpoint)?;
    Version::parse(&format!("{major}.0.0"))
}

/// A text in double quotes: a string of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
