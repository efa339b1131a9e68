//! Asks a running gateway through its admin listener: where it is, one request, one answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::cli::exit::{FAILED, INVALID, Outcome};
use crate::config::{Addressed, addressed};
use crate::diagnostic::{Format, render};

/// The admin listener does not answer (EX_UNAVAILABLE).
pub(super) const UNREACHABLE: u8 = 69;

/// A gateway on this host accepts at once, or not at all.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// A reload compiles every contract before it answers.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// More than any answer of the listener has.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Which gateway is asked.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The configuration file of the gateway; its admin.bind is asked.
    #[arg(short, long, env = "TIDEGATE_CONFIG", default_value = "tidegate.yaml")]
    pub config: PathBuf,
    /// The address of the admin listener, where it is not the one in the configuration.
    #[arg(long, env = "TIDEGATE_ADMIN", value_name = "ADDRESS")]
    pub admin: Option<SocketAddr>,
}

impl AdminArgs {
    /// The address to ask.
    pub(super) fn address(&self) -> Result<SocketAddr, Outcome> {
        match self.admin {
            Some(admin) => Ok(admin),
            None => self.addressed().map(|found| found.admin),
        }
    }

    /// What the configuration says about where its gateway is.
    pub(super) fn addressed(&self) -> Result<Addressed, Outcome> {
        addressed(&self.config).map_err(|found| Outcome {
            stdout: String::new(),
            stderr: render(&found, Format::Pretty)
                + "say with --admin ADDRESS where the gateway listens\n",
            code: INVALID,
        })
    }

    /// Sends one request.
    pub(super) fn ask(&self, request: Request<'_>) -> Result<Answer, Outcome> {
        let address = self.address()?;
        request.send(address).map_err(|error| {
            let remedy = "is it running, and is this its admin.bind?";
            let said = format!("no gateway answers at {address}: {error}; {remedy}\n");
            problem(&said, UNREACHABLE)
        })
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Request<'a> {
    Get(&'a str),
    Post(&'a str, &'a str),
    /// A bundle, for a gateway in which this one is in force.
    Bundle {
        unverified: &'a [u8],
        if_match: &'a str,
    },
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// The end of a verb whose request was refused.
    pub(super) fn refused(&self) -> Outcome {
        let detail = self.body.get("detail").and_then(Value::as_str);
        let said = match detail {
            Some(detail) => format!("{detail}\n"),
            None => format!("the gateway answered {}\n", self.status),
        };
        problem(&said, FAILED)
    }
}

/// The end of a verb that has nothing to show.
pub(super) fn problem(said: &str, code: u8) -> Outcome {
    Outcome {
        stdout: String::new(),
        stderr: format!("error: {said}"),
        code,
    }
}

impl Request<'_> {
    fn send(self, address: SocketAddr) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&address, CONNECT_MAX)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_write_timeout(Some(CONNECT_MAX))?;
        stream.write_all(self.text(address).as_bytes())?;
        if let Self::Bundle { unverified, .. } = self {
            // Whoever refuses a large one has no need to read it, and has answered.
            let written = stream.write_all(unverified);
            written.or_else(|error| match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(()),
                _ => Err(error),
            })?;
        }
        let mut bytes = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes)?;
        answer_of(&bytes).ok_or_else(|| {
            let said = "what came back is no answer of a gateway";
            io::Error::new(io::ErrorKind::InvalidData, said)
        })
    }

    /// In HTTP/1.0, so that the end of the answer is the end of the connection.
    fn text(self, address: SocketAddr) -> String {
        let host = format!("Host: {address}\r\nConnection: close");
        match self {
            Self::Get(path) => format!("GET {path} HTTP/1.0\r\n{host}\r\n\r\n"),
            Self::Post(path, body) => format!(
                "POST {path} HTTP/1.0\r\n{host}\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
            Self::Bundle {
                unverified,
                if_match,
            } => format!(
                "POST /v1/bundle HTTP/1.0\r\n{host}\r\nContent-Type: application/json\r\n\
                 If-Match: \"{if_match}\"\r\nContent-Length: {}\r\n\r\n",
                unverified.len()
            ),
        }
    }
}

/// Status and body; a body that is no JSON is a text.
fn answer_of(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (version, rest) = head.split_once(' ')?;
    let status = rest.get(..3)?.parse().ok()?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    Some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::answer_of;

    #[test]
    fn only_an_answer_is_one() {
        let told = |text: &str| answer_of(text.as_bytes()).map(|answer| answer.status);
        assert_eq!(told("HTTP/1.0 200 OK\r\na: b\r\n\r\n{}"), Some(200));
        assert_eq!(told("HTTP/1.1 503 x\r\n\r\nplain"), Some(503));
        for other in [
            "",
            "SSH-2.0-x\r\n",
            "HTTP/1.0 OK\r\n\r\n",
            "HTTP/2 200 \r\n\r\n",
        ] {
            assert_eq!(told(other), None, "{other:?}");
        }
    }
}
