//! Answers that no upstream should give: broken off, too slow, too long, not HTTP.
//!
//! Asked for by `/fault/NAME` or `?do=fault/NAME`. The request's head has been read and counted; its
//! body only where the script reads it.

use std::io;
use std::time::Duration;

use crate::wire::{Connection, Framing, Head};

/// Between two bytes of a drip.
const DRIP: Duration = Duration::from_millis(20);
/// What an endless head is ended at, so that a reader without a bound fails and does not hang.
const ENDLESS_BYTES_MAX: usize = 64 << 20;
/// Interim answers of a flood.
const FLOOD: usize = 20_000;
/// A whole answer.
const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
/// An answer that nobody asked for, behind one that somebody did.
const SMUGGLED: &[u8] = b"HTTP/1.1 200 OK\r\nX-Smuggled: 1\r\nContent-Length: 8\r\n\r\nsmuggled";

/// One way to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// These bytes, then the connection ends in order.
    Close(&'static [u8]),
    /// These bytes, then a reset.
    Reset(&'static [u8]),
    /// These bytes, and the connection stays open and silent.
    Silent(&'static [u8]),
    /// The first number of bytes of a whole answer at once, the rest one by one, for ever.
    Drip(usize),
    /// An answer before the body was read; whether the connection is closed then.
    Early(bool),
    /// A head of so many KiB.
    HeadOf(usize),
    /// A head without an end.
    EndlessHead,
    /// Interim answers without number, and then an answer.
    Interim,
    /// An answer, another one that nobody asked for, and the connection is kept.
    Extra,
    /// An answer; the connection closes without a word.
    CloseBehind,
    /// An answer; the connection closes when the next request comes.
    CloseAtNext,
}

/// All scripts by name.
pub const SCRIPTS: &[(&str, Script)] = &[
    ("reset-before-head", Script::Reset(b"")),
    ("reset-in-head", Script::Reset(b"HTTP/1.1 200 OK\r\nContent-Le")),
    (
        "reset-in-body",
        Script::Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"),
    ),
    ("close-before-head", Script::Close(b"")),
    ("close-in-head", Script::Close(b"HTTP/1.1 200 OK\r\nContent-Le")),
    ("silent", Script::Silent(b"")),
    ("silent-in-head", Script::Silent(b"HTTP/1.1 200 OK\r\nContent-Le")),
    (
        "silent-in-body",
        Script::Silent(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"),
    ),
    ("drip-head", Script::Drip(0)),
    ("drip-body", Script::Drip(39)),
    ("garbage-binary", Script::Close(b"\x00\x01\x02\xff\xfe\r\n\r\n")),
    ("garbage-text", Script::Close(b"this is not HTTP\r\n\r\n")),
    ("garbage-html", Script::Close(b"<html>no head</html>")),
    (
        "garbage-version",
        Script::Close(b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "garbage-status",
        Script::Close(b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "garbage-status-long",
        Script::Close(b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "garbage-field",
        Script::Close(b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "garbage-nul",
        Script::Close(b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n"),
    ),
    (
        "length-twice",
        Script::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ),
    (
        "length-no-number",
        Script::Close(b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello"),
    ),
    (
        "length-and-chunked",
        Script::Close(
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ),
    ),
    (
        "length-short",
        Script::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"),
    ),
    (
        "length-long",
        Script::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more"),
    ),
    (
        "chunked-cut",
        Script::Close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ),
    (
        "chunked-size",
        Script::Close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"),
    ),
    (
        "switching",
        Script::Close(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ),
    ("early", Script::Early(false)),
    ("early-close", Script::Early(true)),
    ("huge-head", Script::HeadOf(2048)),
    ("endless-head", Script::EndlessHead),
    ("interim-flood", Script::Interim),
    ("extra-bytes", Script::Extra),
    ("close-behind", Script::CloseBehind),
    ("close-at-next", Script::CloseAtNext),
];

impl Script {
    /// By its name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let named = SCRIPTS.iter().find(|(known, _)| *known == name);
        named.map(|(_, script)| *script)
    }

    /// Plays it; true where the connection may carry another request.
    pub(super) async fn play(
        self,
        connection: &mut Connection,
        head: &Head,
        framing: Framing,
    ) -> io::Result<bool> {
        if let Self::Early(close) = self {
            connection.send(WHOLE).await?;
            if close {
                return Ok(false);
            }
            connection.body(framing, None).await?;
            return Ok(!head.closes());
        }
        connection.body(framing, None).await?;
        match self {
            Self::Close(bytes) => connection.send(bytes).await?,
            Self::Reset(bytes) => {
                connection.send(bytes).await?;
                // What is on the way arrives before the reset, which would take it back.
                tokio::time::sleep(DRIP).await;
                connection.reset_on_drop();
            }
            Self::Silent(bytes) => {
                connection.send(bytes).await?;
                std::future::pending::<()>().await;
            }
            Self::Drip(at_once) => drip(connection, at_once).await?,
            Self::HeadOf(kib) => head_of(connection, kib << 10, true).await?,
            Self::EndlessHead => head_of(connection, ENDLESS_BYTES_MAX, false).await?,
            Self::Interim => {
                for _ in 0..FLOOD {
                    connection
                        .send(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
                        .await?;
                }
                connection.send(WHOLE).await?;
            }
            Self::Extra => {
                connection.send(&[WHOLE, SMUGGLED].concat()).await?;
                return Ok(true);
            }
            Self::CloseBehind => connection.send(WHOLE).await?,
            Self::CloseAtNext => {
                connection.send(WHOLE).await?;
                connection.request().await?;
            }
            Self::Early(_) => {}
        }
        Ok(false)
    }
}

/// Byte after byte, a field line that never ends or a body that takes minutes.
async fn drip(connection: &mut Connection, at_once: usize) -> io::Result<()> {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n";
    let front = head.get(..at_once).unwrap_or(head);
    connection.send(front).await?;
    let rest = head.get(front.len()..).unwrap_or_default();
    for byte in rest.iter().chain(std::iter::repeat_n(&b'x', 9999)) {
        tokio::time::sleep(DRIP).await;
        connection.send(&[*byte]).await?;
    }
    Ok(())
}

async fn head_of(connection: &mut Connection, bytes: usize, ends: bool) -> io::Result<()> {
    connection
        .send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n")
        .await?;
    let line = format!("X-Field: {}\r\n", "x".repeat(1013));
    for _ in 0..bytes / line.len() {
        connection.send(line.as_bytes()).await?;
    }
    if ends {
        connection.send(b"\r\n").await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{SCRIPTS, Script};

    #[test]
    fn each_script_has_a_name_of_its_own() {
        for (name, script) in SCRIPTS {
            assert_eq!(Script::of(name), Some(*script), "{name}");
        }
        assert_eq!(Script::of("none"), None);
    }
}
