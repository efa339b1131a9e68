//! One line of a traffic file: a request and what its upstream answered.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::headers;
use crate::observation::{ClientHasher, ClientKey, declared_retries};

/// The longest time a traffic file may span: ten years.
const AT_MS_MAX: u64 = 10 * 366 * 86_400_000;

/// The longest an upstream may take: one hour.
const LATENCY_MS_MAX: u32 = 3_600_000;

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
    /// The name that the caller proved; nobody without it.
    #[serde(default)]
    pub caller: Option<String>,
    /// Header fields; no name twice.
    #[serde(default, deserialize_with = "headers::once_each")]
    pub headers: BTreeMap<String, String>,
    /// What the upstream answered at last, 200 to 599; 0 = it could not be reached.
    #[serde(default = "default_status")]
    pub status: u16,
    /// How long the upstream took; at most an hour.
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
        let range = |rule| Err(TrafficError::Range { line, rule });
        if !text.trim_ascii_start().starts_with('{') {
            return range("it is not a JSON object; write one object per line, from '{' to '}'");
        }
        let read: Self =
            serde_json::from_str(text).map_err(|error| TrafficError::Format { line, error })?;
        if read.at_ms < earliest_ms {
            return range("at_ms is smaller than on the line before; sort the file by at_ms");
        }
        match read.broken_rule() {
            Some(rule) => range(rule),
            None => Ok(read),
        }
    }

    /// The first rule that a member breaks, and its remedy.
    fn broken_rule(&self) -> Option<&'static str> {
        if self.at_ms > AT_MS_MAX {
            return Some("at_ms is more than ten years; give milliseconds since the file's start");
        }
        if !is_token(&self.method) {
            return Some("method is not a token of RFC 9110; give a name such as GET");
        }
        if self.target().is_none() {
            return Some(
                "url is neither a path nor http://host/path nor https://host/path; give one of them",
            );
        }
        if !(self.status == 0 || (200..=599).contains(&self.status)) {
            return Some(
                "status is neither 0 (connection failure) nor from 200 to 599; \
                 give the final answer's",
            );
        }
        if self.latency_ms > LATENCY_MS_MAX {
            return Some("latency_ms is more than 3600000; give at most an hour");
        }
        None
    }

    /// The path and query.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        if self.url.starts_with('/') {
            return Some(&self.url);
        }
        let (scheme, rest) = self.url.split_once("://")?;
        let is_http = ["http", "https"]
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end)?;
        match target.bytes().next() {
            _ if !is_http || authority.is_empty() => None,
            Some(b'/') => Some(target),
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

    /// The key of the client that this field names, if it does.
    #[must_use]
    pub fn named_client(&self, field: &str) -> Option<ClientKey> {
        let named = self
            .headers
            .iter()
            .find(|(name, value)| name.eq_ignore_ascii_case(field) && !value.is_empty());
        named.map(|(_, value)| ClientHasher::new([0; 16]).of_name(value.as_bytes()))
    }

    /// The earlier attempts that one of these fields declares.
    #[must_use]
    pub fn declared_retries(&self, fields: &[Box<str>]) -> u8 {
        let is_known = |name: &str| fields.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.headers
            .iter()
            .filter(|(name, _)| is_known(name))
            .filter_map(|(name, value)| declared_retries(name, value))
            .max()
            .unwrap_or(0)
    }
}

/// `token` of RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
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
            (r#"[5,"GET","/"]"#, "it is not a JSON object; write"),
            ("7", "it is not a JSON object; write"),
            (
                r#"{"at_ms":5,"method":"GET","url":"/","latency_ms":3600001}"#,
                "latency_ms is more than 3600000; give",
            ),
            (
                r#"{"at_ms":5,"method":"GET","url":"/","headers":{"a":"1","A":"2"}}"#,
                "header 'A' stands twice; give each name once",
            ),
            (
                r#"{"at_ms":5,"method":"GET","url":"/","headers":{"a":"1","a":"1"}}"#,
                "header 'a' stands twice; give each name once",
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
    fn members_have_their_bounds() {
        // Member, what is taken, what is refused.
        let table: [(&str, &[&str], &[&str]); 4] = [
            (
                "url",
                &[
                    "/",
                    "http://h",
                    "HTTPS://h:1/s",
                    "http://h/s#f",
                    "//h/s",
                    "http://[::1]/",
                ],
                &[
                    "",
                    "s",
                    "ftp://x/s",
                    "://x/s",
                    "http:///s",
                    "http://",
                    "http://h#/s",
                    "http://h?x",
                    "http:/s",
                ],
            ),
            (
                "method",
                &["GET", "get", "M-SEARCH", "X_1~"],
                &["", " ", "GE T", "GET/1", "G\u{e9}T", "GET:"],
            ),
            (
                "status",
                &["0", "200", "599"],
                &["1", "99", "100", "101", "199", "600"],
            ),
            ("latency_ms", &["0", "3600000"], &["3600001", "4294967295"]),
        ];
        for (member, taken, refused) in table {
            let quoted = matches!(member, "url" | "method");
            for (value, is_taken) in taken
                .iter()
                .map(|value| (*value, true))
                .chain(refused.iter().map(|value| (*value, false)))
            {
                let mut line = serde_json::json!({"at_ms": 0, "method": "GET", "url": "/"});
                line[member] = if quoted {
                    value.into()
                } else {
                    value.parse::<u64>().expect("a number").into()
                };
                let read = TrafficLine::read(&line.to_string(), 7, 0);
                match (read, is_taken) {
                    (Ok(_), true) => {}
                    (Err(error), false) => {
                        let start = format!("line 7: {member} is ");
                        let error = error.to_string();
                        assert!(error.starts_with(&start) && error.contains("; "), "{error}");
                    }
                    (read, _) => panic!("{member} {value}: {read:?}"),
                }
            }
        }
    }

    #[test]
    fn absolute_urls_lose_their_host_and_headers_declare_retries() {
        let text = r#"{"at_ms":0,"method":"GET","url":"http://api.test/a","headers":{"X-Envoy-Attempt-Count":"3"}}"#;
        let line = TrafficLine::read(text, 1, 0).expect("a valid line");
        assert_eq!(line.target(), Some("/a"));
        assert_eq!(line.declared_retries(&["x-envoy-attempt-count".into()]), 2);
        assert_eq!(line.declared_retries(&[]), 0);
    }
}
