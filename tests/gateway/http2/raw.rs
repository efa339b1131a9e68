//! Frames as bytes, for what no library sends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::PATIENCE;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const CALM: u32 = 11;

/// One frame as bytes.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut wire = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend(payload);
    wire
}

/// A block of fields, none of them indexed or compressed.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte of length");
            block.push(text.len() as u8);
            block.extend(text.bytes());
        }
    }
    block
}

pub(super) const GET: &[(&str, &str)] = &[
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "test"),
];

pub(super) const POST: &[(&str, &str)] = &[
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "test"),
];

/// A frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// The code of RST_STREAM or GOAWAY.
    pub(super) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A client that sends what it wants.
pub(super) struct Raw {
    stream: TcpStream,
    /// How long the beginning of a frame is waited for.
    patience: Duration,
}

impl Raw {
    /// A connection with preface and settings sent.
    pub(super) fn open(address: SocketAddr) -> Self {
        Self::open_with(address, &[])
    }

    /// The same, with `more` sent in the same piece.
    pub(super) fn open_with(address: SocketAddr, more: &[u8]) -> Self {
        let mut raw = Self::silent(address);
        raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), more].concat());
        raw
    }

    /// A connection on which nothing has been sent.
    pub(super) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            patience: PATIENCE,
        }
    }

    /// Sends bytes; `false` where the other side takes no more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(super) fn head(&mut self, stream: u32, end: bool, fields: &[(&str, &str)]) -> bool {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.send(&frame(HEADERS, flags, stream, &block(fields)))
    }

    /// The next frame; `None` when the connection has ended.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.read(&mut payload)?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()),
            payload,
        })
    }

    fn read(&mut self, room: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(room) {
            Ok(()) => Some(()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing came")
            }
            Err(_) => None,
        }
    }

    /// Reads up to a frame.
    pub(super) fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = self.next().expect("the frame before the end");
            if wanted(&frame) {
                return frame;
            }
        }
    }

    /// Everything up to the end of the connection.
    pub(super) fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The code with which the connection ends.
    pub(super) fn gone_away(&mut self) -> u32 {
        let frames = self.rest();
        let last = frames.iter().rev().find(|frame| frame.kind == GOAWAY);
        last.map(Frame::code)
            .unwrap_or_else(|| panic!("no GOAWAY in {frames:?}"))
    }
}

impl Raw {
    /// Everything up to the end of the connection, which need not be frames.
    pub(super) fn rest_bytes(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Reads up to the last frame of a stream; `None` when the connection has ended before.
    pub(super) fn next_of(&mut self, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.next()?;
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                return Some(frame);
            }
        }
    }
}

impl Raw {
    /// How long a read waits.
    pub(super) fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// A frame, if one begins in time.
    pub(super) fn try_next(&mut self) -> Option<Frame> {
        self.stream.peek(&mut [0]).ok()?;
        // The rest of the frame is on its way, and has all the time there is.
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let frame = self.next();
        self.stream.set_read_timeout(Some(self.patience)).unwrap();
        frame
    }
}
