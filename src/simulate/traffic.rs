//! One line of a traffic file: a request and what its upstream answered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use crate::observation::{ClientHasher, ClientKey, declared_retries};

/// The longest time a traffic file may span: ten years.
const AT_MS_MAX: u64 = 10 * 366 * 86_400_000;

/// A request with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrafficLine {
    /// Milliseconds since the origin; never falls.
    pub at_ms: u64,
    /// The method.
    pub method: String,
    /// A path, or an absolute URL.
    pub url: String,
    /// The client's address or name.
    #[serde(default = "default_client")]
    pub client: String,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the upstream answered; 0 = it could not be reached.
    #[serde(default = "default_status")]
    pub status: u16,
    /// How long the upstream took.
    #[serde(default)]
    pub latency_ms: u32,
}

fn default_client() -> String {
    "127.0.0.1".to_owned()
}

const fn default_status() -> u16 {
    200
}

/// Why a traffic file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    /// Not a line of this format.
    #[error("line {line}: {error}; see docs/simulate.md for the members of a line")]
    Format {
        /// Which line, from 1.
        line: u64,
        /// What the parser said.
        error: serde_json::Error,
    },
    /// The file could not be read on.
    #[error("line {line}: cannot be read ({error}); check the file and its disk")]
    Read {
        /// Which line, from 1.
        line: u64,
        /// What the system said.
        error: std::io::Error,
    },
    /// A member out of its range.
    #[error("line {line}: {rule}")]
    Range {
        /// Which line, from 1.
        line: u64,
        /// The rule and the remedy.
        rule: &'static str,
    },
}

impl TrafficLine {
    /// Reads line number `line`, which must not be earlier than `earliest_ms`.
    ///
    /// # Errors
    /// [`TrafficError`] names the line and the rule.
    pub fn read(text: &str, line: u64, earliest_ms: u64) -> Result<Self, TrafficError> {
        let read: Self =
            serde_json::from_str(text).map_err(|error| TrafficError::Format { line, error })?;
        let range = |rule| Err(TrafficError::Range { line, rule });
        if read.at_ms < earliest_ms {
            return range("at_ms is smaller than on the line before; sort the file by at_ms");
        }
        if read.at_ms > AT_MS_MAX {
            return range("at_ms is more than ten years; give milliseconds since the file's start");
        }
        if !(read.status == 0 || (100..=599).contains(&read.status)) {
            return range("status is neither 0 (connection failure) nor from 100 to 599");
        }
        if read.target().is_none() {
            return range("url is neither a path nor http://host/path");
        }
        Ok(read)
    }

    /// The path and query.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        if self.url.starts_with('/') {
            return Some(&self.url);
        }
        let (_, rest) = self.url.split_once("://")?;
        match rest.find(['/', '?']) {
            Some(at) if rest.as_bytes().get(at) == Some(&b'/') => rest.get(at..),
            Some(_) => None,
            None => Some("/"),
        }
    }

    /// The key of the client under a fixed secret: simulations have nothing to hide.
    #[must_use]
    pub fn client_key(&self) -> ClientKey {
        let hasher = ClientHasher::new([0; 16]);
        self.client.parse::<IpAddr>().map_or_else(
            |_| hasher.of_name(self.client.as_bytes()),
            |address| hasher.of_address(address),
        )
    }

    /// The earlier attempts that a header declares.
    #[must_use]
    pub fn declared_retries(&self) -> u8 {
        self.headers
            .iter()
            .filter_map(|(name, value)| declared_retries(name, value))
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::TrafficLine;

    #[test]
    fn lines_are_read_with_their_defaults() {
        let line = TrafficLine::read(r#"{"at_ms":5,"method":"GET","url":"/a?b"}"#, 1, 0)
            .expect("a valid line");
        assert_eq!((line.status, line.latency_ms), (200, 0));
        assert_eq!(line.target(), Some("/a?b"));
    }

    #[test]
    fn wrong_lines_name_place_rule_and_remedy() {
        let table = [
            (r#"{"at_ms":5}"#, "line 3: missing field `method`"),
            (r#"{"at_ms":4,"method":"GET","url":"/"}"#, "sort the file"),
            (r#"{"at_ms":5,"method":"GET","url":"x"}"#, "neither a path"),
            (
                r#"{"at_ms":5,"method":"GET","url":"/","status":99}"#,
                "status is neither",
            ),
            (
                r#"{"at_ms":5,"method":"GET","url":"/","stat":1}"#,
                "unknown field `stat`",
            ),
        ];
        for (text, want) in table {
            let error = TrafficLine::read(text, 3, 5).expect_err(text).to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn absolute_urls_lose_their_host_and_headers_declare_retries() {
        let text = r#"{"at_ms":0,"method":"GET","url":"http://api.test/a","headers":{"X-Envoy-Attempt-Count":"3"}}"#;
        let line = TrafficLine::read(text, 1, 0).expect("a valid line");
        assert_eq!(line.target(), Some("/a"));
        assert_eq!(line.declared_retries(), 2);
    }
}
