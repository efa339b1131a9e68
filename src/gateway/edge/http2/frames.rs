//! Watches the frames of one HTTP/2 connection from outside, and says when it has had enough.
//!
//! `h2` bounds some floods and not others, and shows nothing of what it bounds. Here every frame
//! that costs work without being a request is paid from a purse that fills with time and with
//! what the gateway sends, because an honest client answers that with frames of its own.
//!
//! Invariant: once there is a verdict nothing more is read from the client. Deliberately not here:
//! what follows from a verdict.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::purse::Purse;
use super::scan::{Found, Frame, Scanner, kind};

/// Frames that are no request, at once: a client's settings, a burst of window updates.
const OVERHEAD_AT_ONCE: u32 = 1_000;
const OVERHEAD_PER_SECOND: u32 = 100;
/// What a head that the gateway sends brings.
const PER_HEAD_SENT: u32 = 4;
/// What a piece of a body that the gateway sends brings: one frame, for a client that measures
/// the line with each piece, and one for so many bytes.
const PER_DATA_SENT: u32 = 1;
const BYTES_PER_WINDOW_UPDATE: u32 = 512;
/// Pieces smaller than this bring nothing: the client asked for them by opening its window bit
/// by bit.
const DATA_BYTES_MIN: u32 = 5;
/// Streams that a client takes back, at once and per second.
const RESETS_AT_ONCE: u32 = 200;
const RESETS_PER_SECOND: u32 = 50;
/// Streams that break the rules, and refused heads, in the life of a connection.
const FAULTS_MAX: u32 = 32;

/// Answers that are followed at once.
const ANSWERING_MAX: usize = 1_000;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More frames, resets or faults than anybody needs.
    TooMuch,
    /// The first frame is not SETTINGS.
    NoSettings,
}

/// The frames of one connection, as the connection and who serves it see them.
#[derive(Debug, Clone)]
pub(in crate::gateway::edge) struct Frames(Arc<Mutex<Watch>>);

impl Frames {
    /// Watches a connection whose client begins with a preface of so many bytes.
    pub(super) fn behind(preface: usize) -> Self {
        Self(Arc::new(Mutex::new(Watch::new(preface, Instant::now()))))
    }

    /// Notes what was read.
    pub(in crate::gateway::edge) fn read(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.watch().read(bytes);
        }
    }

    /// Notes what was written.
    pub(in crate::gateway::edge) fn wrote(&self, bytes: &[u8]) {
        self.watch().wrote(bytes);
    }

    /// Whether nothing more is to be read.
    pub(in crate::gateway::edge) fn is_over(&self) -> bool {
        self.watch().verdict.is_some()
    }

    /// Looks at the state.
    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        // Nothing in here is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Streams that were refused by others than the edge.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreported {
    /// Reset by `h2` for a fault, or because there were too many.
    pub(super) reset: u32,
    /// Answered with a status and nothing else, by `h2` or by Pingora.
    pub(super) bare: u32,
}

/// What is known of the frames of a connection.
#[derive(Debug)]
pub(super) struct Watch {
    incoming: Scanner,
    outgoing: Scanner,
    overhead: Purse,
    resets: Purse,
    faults: u32,
    unreported: Unreported,
    answering: Vec<u32>,
    settled: bool,
    gone_away: bool,
    code: u32,
    code_bytes: u32,
    block_since: Option<Instant>,
    partial_data: u32,
    data_sent: u64,
    verdict: Option<Verdict>,
}

impl Watch {
    fn new(preface: usize, now: Instant) -> Self {
        Self {
            incoming: Scanner::behind(preface),
            outgoing: Scanner::behind(0),
            overhead: Purse::new(OVERHEAD_AT_ONCE, OVERHEAD_PER_SECOND, now),
            resets: Purse::new(RESETS_AT_ONCE, RESETS_PER_SECOND, now),
            faults: 0,
            unreported: Unreported::default(),
            answering: Vec::new(),
            settled: false,
            gone_away: false,
            code: 0,
            code_bytes: 0,
            block_since: None,
            partial_data: 0,
            data_sent: 0,
            verdict: None,
        }
    }

    /// Why the connection is to end.
    pub(super) const fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }

    /// Whether the client has sent its settings.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Since when the head of a request is on its way.
    pub(super) const fn block_since(&self) -> Option<Instant> {
        self.block_since
    }

    /// Bytes that have come of a DATA frame that is not whole.
    pub(super) const fn partial_data(&self) -> u32 {
        self.partial_data
    }

    /// Bytes of answers that the client has taken.
    pub(super) const fn data_sent(&self) -> u64 {
        self.data_sent
    }

    /// Whether the client was sent away for a fault, and nobody has asked that yet.
    pub(super) const fn take_gone_away(&mut self) -> bool {
        std::mem::replace(&mut self.gone_away, false)
    }

    /// Whether there is something to report.
    pub(super) fn has_unreported(&self) -> bool {
        self.unreported != Unreported::default()
    }

    /// Streams that were refused out of sight since this was asked last.
    pub(super) fn take_unreported(&mut self) -> Unreported {
        std::mem::take(&mut self.unreported)
    }

    /// Notes a head that was refused, which counts like a fault of the protocol.
    pub(super) fn note_fault(&mut self) {
        self.faults += 1;
        if self.faults >= FAULTS_MAX {
            self.verdict.get_or_insert(Verdict::TooMuch);
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let mut scanner = std::mem::take(&mut self.incoming);
        scanner.feed(bytes, |found| match found {
            Found::Begin(frame) => self.begin(frame),
            Found::Payload(frame, payload) if frame.kind == kind::DATA => {
                let more = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                self.partial_data = self.partial_data.saturating_add(more);
            }
            Found::Payload(..) => {}
            Found::End(frame) => self.end(frame),
        });
        self.incoming = scanner;
    }

    fn begin(&mut self, frame: Frame) {
        if !self.settled {
            self.settled = frame.kind == kind::SETTINGS && !frame.is_ack_or_end();
            if !self.settled {
                self.verdict.get_or_insert(Verdict::NoSettings);
            }
            return;
        }
        if frame.kind == kind::RST_STREAM {
            self.forget_answer(frame.stream);
        }
        let affordable = match frame.kind {
            kind::HEADERS => {
                self.block_since.get_or_insert_with(Instant::now);
                true
            }
            kind::DATA if frame.len > 0 || frame.is_ack_or_end() => true,
            kind::SETTINGS | kind::PING if frame.is_ack_or_end() => true,
            kind::RST_STREAM => self.resets.pay(Instant::now()),
            _ => self.overhead.pay(Instant::now()),
        };
        if !affordable {
            self.verdict.get_or_insert(Verdict::TooMuch);
        }
    }

    fn end(&mut self, frame: Frame) {
        match frame.kind {
            kind::DATA => self.partial_data = 0,
            kind::HEADERS | kind::CONTINUATION if !frame.leaves_block_open() => {
                self.block_since = None;
            }
            _ => {}
        }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let mut scanner = std::mem::take(&mut self.outgoing);
        scanner.feed(bytes, |found| match found {
            Found::Begin(frame) => {
                self.code = 0;
                self.code_bytes = 0;
                self.earn(frame);
                self.follow_answer(frame);
            }
            Found::Payload(frame, payload) if frame.kind == kind::DATA => {
                self.data_sent += payload.len() as u64;
            }
            Found::Payload(frame, payload) => self.read_code(frame, payload),
            Found::End(frame) => self.judge_sent(frame),
        });
        self.outgoing = scanner;
    }

    fn earn(&mut self, frame: Frame) {
        match frame.kind {
            kind::HEADERS => self.overhead.earn(PER_HEAD_SENT),
            kind::DATA if frame.len >= DATA_BYTES_MIN => {
                let updates = frame.len / BYTES_PER_WINDOW_UPDATE;
                self.overhead.earn(PER_DATA_SENT + updates);
            }
            _ => {}
        }
    }

    /// An answer of status alone is none of the gateway's: each of those names its decision, which
    /// is a new value every time. Trailers can be as short, but they come second.
    fn follow_answer(&mut self, frame: Frame) {
        const STATUS_BYTES_MAX: u32 = 16;
        let ends = frame.is_ack_or_end();
        match frame.kind {
            kind::HEADERS if !ends => {
                // Only a client that breaks off all it asks for leaves so many behind.
                if self.answering.len() >= ANSWERING_MAX {
                    self.answering.clear();
                }
                self.answering.push(frame.stream);
            }
            kind::HEADERS | kind::DATA if ends => {
                let known = self.forget_answer(frame.stream);
                if !known && frame.kind == kind::HEADERS && frame.len <= STATUS_BYTES_MAX {
                    self.unreported.bare += 1;
                    self.note_fault();
                }
            }
            _ => {}
        }
    }

    fn forget_answer(&mut self, stream: u32) -> bool {
        let place = self.answering.iter().position(|known| *known == stream);
        place.is_some_and(|place| self.answering.swap_remove(place) == stream)
    }

    /// The last four bytes of the first four or eight are the code of RST_STREAM or GOAWAY.
    fn read_code(&mut self, frame: Frame, payload: &[u8]) {
        let until = match frame.kind {
            kind::RST_STREAM => 4,
            kind::GOAWAY => 8,
            _ => return,
        };
        for byte in payload {
            if self.code_bytes < until {
                self.code = self.code << 8 | u32::from(*byte);
                self.code_bytes += 1;
            }
        }
    }

    fn judge_sent(&mut self, frame: Frame) {
        const NO_ERROR: u32 = 0;
        const PROTOCOL_ERROR: u32 = 1;
        const FLOW_CONTROL_ERROR: u32 = 3;
        const STREAM_CLOSED: u32 = 5;
        const FRAME_SIZE_ERROR: u32 = 6;
        const REFUSED_STREAM: u32 = 7;
        if frame.kind == kind::RST_STREAM {
            self.forget_answer(frame.stream);
        }
        match (frame.kind, self.code) {
            (kind::GOAWAY, code) => self.gone_away |= code != NO_ERROR,
            (
                kind::RST_STREAM,
                PROTOCOL_ERROR | FLOW_CONTROL_ERROR | STREAM_CLOSED | FRAME_SIZE_ERROR,
            ) => {
                self.unreported.reset += 1;
                self.note_fault();
            }
            // More streams at once than were offered: a client may not have read the offer yet.
            (kind::RST_STREAM, REFUSED_STREAM) => {
                self.unreported.reset += 1;
                if !self.resets.pay(Instant::now()) {
                    self.verdict.get_or_insert(Verdict::TooMuch);
                }
            }
            _ => {}
        }
    }
}

/// How long the head of a request, or the settings, may take; the same as over HTTP/1.
pub(super) fn head_deadline(watch: &Watch, began: Instant, head: Duration) -> Option<Instant> {
    if watch.is_settled() {
        watch.block_since().map(|since| since + head)
    } else {
        Some(began + head)
    }
}
