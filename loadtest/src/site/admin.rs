//! Asking the admin listener, and reading the Prometheus text format.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::Context;

const PATIENCE: Duration = Duration::from_secs(10);

/// One GET on a connection of its own: status and body.
///
/// # Errors
/// When nothing answers in time.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    exchange(
        address,
        &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"),
    )
}

/// One POST of a JSON body on a connection of its own: status and body.
///
/// # Errors
/// When nothing answers in time.
pub fn post(address: SocketAddr, path: &str, body: &str) -> anyhow::Result<(u16, String)> {
    post_with(address, path, "", body)
}

/// The same on condition that the bundle of this digest is in force.
///
/// # Errors
/// When nothing answers in time.
pub fn post_if_match(
    address: SocketAddr,
    path: &str,
    digest: &str,
    body: &str,
) -> anyhow::Result<(u16, String)> {
    post_with(address, path, &format!("If-Match: \"{digest}\"\r\n"), body)
}

fn post_with(
    address: SocketAddr,
    path: &str,
    fields: &str,
    body: &str,
) -> anyhow::Result<(u16, String)> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\n{fields}");
    let about = format!("Content-Type: application/json\r\nContent-Length: {length}");
    exchange(address, &format!("{head}{about}\r\n\r\n{body}"))
}

fn exchange(address: SocketAddr, message: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(message.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .context("a status line")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status, body.to_owned()))
}

/// Samples by series (name and labels as printed).
#[derive(Debug, Default, Clone)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Reads an exposition.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        };
        Self(
            text.lines()
                .filter(|l| !l.starts_with('#'))
                .filter_map(sample)
                .collect(),
        )
    }

    /// The sum over all series of a name.
    #[must_use]
    pub fn sum(&self, name: &str) -> u64 {
        let of = |series: &str| {
            series == name
                || series
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('{'))
        };
        self.0
            .iter()
            .filter(|(series, _)| of(series))
            .map(|(_, value)| *value as u64)
            .sum()
    }

    /// The sum over all series of a name that have this label, as `name="value"`.
    #[must_use]
    pub fn labelled(&self, name: &str, label: &str) -> f64 {
        let of = |series: &&String| {
            let rest = series.strip_prefix(name).unwrap_or_default();
            rest.starts_with('{') && rest.contains(label)
        };
        let series = self.0.keys().filter(of);
        series.filter_map(|name| self.0.get(name)).sum()
    }

    /// The value of a series without labels; not a number when there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }

    /// Whether any series has the name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0
            .keys()
            .any(|s| s == name || s.strip_prefix(name).is_some_and(|r| r.starts_with('{')))
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_name_are_summed() {
        let metrics = Metrics::parse(
            "# TYPE a_total counter\na_total{x=\"1\"} 2\na_total{x=\"b c\"} 3\na_total_other 9\nb 1\n",
        );
        assert_eq!(
            (metrics.sum("a_total"), metrics.sum("b"), metrics.series()),
            (5, 1, 4)
        );
        assert!(metrics.has("b") && !metrics.has("c"));
        assert!(metrics.value("b") > 0.5 && metrics.value("c").is_nan());
    }
}
