//! Finds the frames in a stream of HTTP/2 bytes, whatever pieces it comes in.
//!
//! Invariant: a fixed amount of memory, and work in proportion to the number of frames, not of
//! bytes. Deliberately not here: what a frame means, and whether it may come.

/// The bytes of a frame's head.
const HEAD_BYTES: usize = 9;

/// The kinds of frames that are told apart here.
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0;
    pub(in super::super) const HEADERS: u8 = 1;
    pub(in super::super) const RST_STREAM: u8 = 3;
    pub(in super::super) const SETTINGS: u8 = 4;
    pub(in super::super) const PING: u8 = 6;
    pub(in super::super) const GOAWAY: u8 = 7;
    pub(in super::super) const CONTINUATION: u8 = 9;
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Frame {
    /// Bytes of its payload.
    pub(super) len: u32,
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Frame {
    /// Flag 1: ACK of SETTINGS and PING, `END_STREAM` of DATA and HEADERS.
    pub(super) const fn is_ack_or_end(self) -> bool {
        self.flags & 1 != 0
    }

    /// Whether a header block is open behind it.
    pub(super) const fn leaves_block_open(self) -> bool {
        matches!(self.kind, kind::HEADERS | kind::CONTINUATION) && self.flags & 4 == 0
    }
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A frame begins.
    Begin(Frame),
    /// The next bytes of its payload.
    Payload(Frame, &'a [u8]),
    /// Its last byte has passed.
    End(Frame),
}

/// Looks through one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    skip: usize,
    head: [u8; HEAD_BYTES],
    have: usize,
    frame: Frame,
    left: u32,
}

impl Scanner {
    /// A scanner that passes over the first `skip` bytes, which are no frames.
    pub(super) fn behind(skip: usize) -> Self {
        Self {
            skip,
            ..Self::default()
        }
    }

    /// Looks at the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(Found<'_>)) {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        while !rest.is_empty() {
            rest = if self.have < HEAD_BYTES {
                self.feed_head(rest, &mut tell)
            } else {
                self.feed_payload(rest, &mut tell)
            };
        }
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8], tell: &mut impl FnMut(Found<'_>)) -> &'a [u8] {
        let room = self.head.get_mut(self.have..).unwrap_or_default();
        let step = room.len().min(bytes.len());
        let (taken, rest) = bytes.split_at(step);
        for (to, from) in room.iter_mut().zip(taken) {
            *to = *from;
        }
        self.have += step;
        if self.have == HEAD_BYTES {
            let [a, b, c, kind, flags, stream @ ..] = self.head;
            let len = u32::from_be_bytes([0, a, b, c]);
            self.frame = Frame {
                len,
                kind,
                flags,
                // The first bit is reserved and means nothing.
                stream: u32::from_be_bytes(stream) & (u32::MAX >> 1),
            };
            self.left = len;
            tell(Found::Begin(self.frame));
            self.end_when_done(tell);
        }
        rest
    }

    fn feed_payload<'a>(&mut self, bytes: &'a [u8], tell: &mut impl FnMut(Found<'_>)) -> &'a [u8] {
        let step = bytes.len().min(self.left as usize);
        let (payload, rest) = bytes.split_at(step);
        // It is at most `left`, so it fits.
        self.left -= u32::try_from(step).unwrap_or(self.left);
        tell(Found::Payload(self.frame, payload));
        self.end_when_done(tell);
        rest
    }

    fn end_when_done(&mut self, tell: &mut impl FnMut(Found<'_>)) {
        if self.left == 0 {
            self.have = 0;
            tell(Found::End(self.frame));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Frame, Scanner};

    const WIRE: &[u8] = &[
        b'P', b'R', // what is no frame
        0, 0, 3, 1, 4, 0, 0, 0, 1, b'a', b'b', b'c', // HEADERS
        0, 0, 0, 4, 1, 0, 0, 0, 0, // SETTINGS, acknowledged
    ];

    #[test]
    fn frames_are_found_in_any_pieces() {
        for piece in 1..=WIRE.len() {
            let mut scanner = Scanner::behind(2);
            let mut begun = Vec::new();
            let mut payload = Vec::new();
            let mut ended = 0;
            for bytes in WIRE.chunks(piece) {
                scanner.feed(bytes, |found| match found {
                    Found::Begin(frame) => begun.push(frame),
                    Found::Payload(_, bytes) => payload.extend_from_slice(bytes),
                    Found::End(_) => ended += 1,
                });
            }
            let frame = |len, kind, flags, stream| Frame {
                len,
                kind,
                flags,
                stream,
            };
            assert_eq!(begun, [frame(3, 1, 4, 1), frame(0, 4, 1, 0)], "{piece}");
            assert_eq!((payload.as_slice(), ended), (&b"abc"[..], 2), "{piece}");
        }
    }
}
