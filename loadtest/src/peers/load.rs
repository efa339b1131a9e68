//! Closed loops of requests, by wrk and h2load: how many were answered, and in what time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::process::installed;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// HTTP/1.1 on connections that are kept.
    Kept,
    /// HTTP/1.1 with a connection for each request.
    Once,
    /// HTTP/1.1 on connections that are kept, with TLS.
    Tls,
    /// HTTP/2 without TLS.
    Http2,
}

/// One run.
pub(super) struct Load<'a> {
    pub(super) way: Way,
    pub(super) connections: u32,
    pub(super) seconds: u32,
    /// A file with a path a line.
    pub(super) paths: &'a Path,
    /// Whether nearly all must be refused, instead of none.
    pub(super) refused: bool,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answered {
    pub(super) requests: u64,
    pub(super) per_second: f64,
}

/// Requests of one second by which a count for h2load is made from a time.
const HTTP2_PER_SECOND: u32 = 15_000;

impl Load<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// When the tool is missing, a request was lost, or was answered otherwise than it should be.
    pub(super) fn run(&self, target: SocketAddr) -> anyhow::Result<Answered> {
        match self.way {
            Way::Http2 => self.h2load(target),
            Way::Kept | Way::Once | Way::Tls => self.wrk(target),
        }
    }

    fn wrk(&self, target: SocketAddr) -> anyhow::Result<Answered> {
        let program = installed("wrk").context("wrk is not installed; make tools")?;
        let scheme = if self.way == Way::Tls {
            "https"
        } else {
            "http"
        };
        let script = write_script(self.paths, self.way == Way::Once)?;
        let output = Command::new(program)
            .args(["-t1", &format!("-c{}", self.connections)])
            .arg(format!("-d{}s", self.seconds))
            // A machine that stands still loses no request.
            .args(["--timeout", "30s"])
            .arg("-s")
            .arg(&script)
            .arg(format!("{scheme}://{target}"))
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answered = read_wrk(&text, self.refused);
        answered.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn h2load(&self, target: SocketAddr) -> anyhow::Result<Answered> {
        let program = installed("h2load").context("h2load is not installed; make tools")?;
        let uris = self.paths.with_extension("uris");
        let paths = std::fs::read_to_string(self.paths)?;
        let lines: Vec<String> = paths
            .lines()
            .map(|p| format!("http://{target}{p}"))
            .collect();
        std::fs::write(&uris, lines.join("\n"))?;
        let output = Command::new(program)
            .args([
                "-t",
                "1",
                "-m",
                "4",
                "-c",
                &(self.connections / 4).to_string(),
            ])
            .args(["-n", &(self.seconds * HTTP2_PER_SECOND).to_string()])
            .arg("-i")
            .arg(&uris)
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        read_h2load(&text).with_context(|| format!("h2load: {text}"))
    }
}

/// A script that goes through the paths, prepared once so that wrk stays cheap.
fn write_script(paths: &Path, once: bool) -> anyhow::Result<PathBuf> {
    // wrk adds the host to the table of fields that it is given, so each request gets its own.
    let (end, fields) = if once {
        ("once.lua", "{ Connection = \"close\" }")
    } else {
        ("lua", "nil")
    };
    let script = paths.with_extension(end);
    let text = format!(
        "local requests, at = {{}}, 0\ninit = function(args)\n  for path in io.lines(\"{}\") do\n    \
         requests[#requests + 1] = wrk.format(\"GET\", path, {fields})\n  end\nend\n\
         request = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n",
        paths.display(),
    );
    std::fs::write(&script, text)?;
    Ok(script)
}

fn read_wrk(text: &str, refused: bool) -> anyhow::Result<Answered> {
    let number = |line: &str, at: usize| line.split_whitespace().nth(at)?.parse::<f64>().ok();
    let find = |what: &str| text.lines().find(|line| line.contains(what));
    ensure!(find("Socket errors").is_none(), "wrk lost requests");
    let requests = find(" requests in ").and_then(|line| number(line, 0));
    let requests = requests.context("wrk's count of requests")? as u64;
    ensure!(requests > 0, "no request was answered");
    let per_second = find("Requests/sec:").and_then(|line| number(line, 1));
    let bad = find("Non-2xx").and_then(|line| line.rsplit(' ').next()?.parse().ok());
    let bad: u64 = bad.unwrap_or(0);
    if refused {
        ensure!(
            bad * 10 > requests * 9,
            "only {bad} of {requests} were refused"
        );
    } else {
        ensure!(bad == 0, "{bad} of {requests} were not answered with 2xx");
    }
    Ok(Answered {
        requests,
        per_second: per_second.context("wrk's rate")?,
    })
}

fn read_h2load(text: &str) -> anyhow::Result<Answered> {
    let line = text.lines().find(|line| line.starts_with("requests:"));
    let counts: Vec<u64> = line
        .context("a line of counts")?
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    // total, started, done, succeeded, failed, errored, timed out
    let (total, succeeded) = (counts.first().copied(), counts.get(3).copied());
    ensure!(total == succeeded, "requests were lost or refused");
    let rate = text.lines().find(|line| line.starts_with("finished in"));
    let rate = rate.and_then(|line| line.split(", ").nth(1)?.split(' ').next()?.parse().ok());
    Ok(Answered {
        requests: total.context("a total")?,
        per_second: rate.context("a rate")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_says_is_read_and_losses_are_errors() {
        let good = "  49992 requests in 2.00s, 9.73MB read\nRequests/sec:  24990.51\n";
        let check = |more: &str, refused, expected: Option<u64>| {
            let read = read_wrk(&format!("{good}{more}"), refused);
            assert_eq!(read.ok().map(|a| a.requests), expected, "{more} {refused}");
        };
        check("", false, Some(49_992));
        check("", true, None);
        check("  Non-2xx or 3xx responses: 1\n", false, None);
        check("  Non-2xx or 3xx responses: 49990\n", true, Some(49_992));
        check(
            "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
            false,
            None,
        );
    }

    #[test]
    fn what_h2load_says_is_read_and_losses_are_errors() {
        let check = |succeeded, expected: Option<u64>| {
            let text = format!(
                "finished in 1.00s, 9000.50 req/s, 1MB/s\nrequests: 100 total, 100 started, 100 done, \
                 {succeeded} succeeded, 0 failed, 0 errored, 0 timeout\n"
            );
            assert_eq!(read_h2load(&text).ok().map(|a| a.requests), expected);
        };
        check(100, Some(100));
        check(99, None);
    }
}
