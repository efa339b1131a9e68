//! Asks for targets that are any bytes, one after the other, and reads who answered.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::interrupted;

/// A server that is silent for so long has lost the request.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Who answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What follows `route=` in the body; `None` where no route answered.
    pub(super) route: Option<String>,
    /// The contract that the gateway says it matched.
    pub(super) contract: Option<String>,
}

/// A client that keeps its connection where it may.
pub(super) struct Asker {
    address: SocketAddr,
    held: Option<TcpStream>,
}

impl Asker {
    pub(super) const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            held: None,
        }
    }

    /// Asks, on a new connection where the old one was closed in between.
    pub(super) fn ask(&mut self, target: &[u8]) -> anyhow::Result<Answer> {
        if self.held.is_some()
            && let Some(answer) = self.once(target)?
        {
            return Ok(answer);
        }
        self.held = None;
        // One that is closed without a word was refused.
        Ok(self.once(target)?.unwrap_or_default())
    }

    fn once(&mut self, target: &[u8]) -> anyhow::Result<Option<Answer>> {
        let mut stream = match self.held.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream
            }
        };
        let request = [b"GET ", target, b" HTTP/1.1\r\nHost: load\r\n\r\n"].concat();
        if stream.write_all(&request).is_err() {
            return Ok(None);
        }
        let Some((head, body)) = answer_of(&mut stream) else {
            return Ok(None);
        };
        if !head.contains("connection: close") {
            self.held = Some(stream);
        }
        let field = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim().to_owned())
        };
        Ok(Some(Answer {
            route: body.strip_prefix("route=").map(str::to_owned),
            contract: field("tidegate-contract:"),
        }))
    }
}

/// Head, in lower case, and body; `None` where the connection ended before.
fn answer_of(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(at) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(read.get(..at)?).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length
                .and_then(|length| length.trim().parse().ok())
                .unwrap_or(0);
            if read.len() >= at + 4 + length {
                let body = String::from_utf8_lossy(read.get(at + 4..)?).into_owned();
                return Some((head, body));
            }
        }
        match interrupted::read(stream, &mut buffer) {
            Ok(1..) if read.len() > ANSWER_BYTES_MAX => return None,
            Ok(count @ 1..) => read.extend_from_slice(buffer.get(..count)?),
            _ => return None,
        }
    }
}
