//! What one client does on one connection, and what the upstream is to answer: plain data, the
//! same for both gateways.

use std::fmt::Write as _;

/// The field by which the upstream knows which answer is meant.
pub(super) const CASE: &str = "X-Case";

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum End {
    /// The connection is kept.
    #[default]
    Keep,
    /// It is closed in order.
    Close,
    /// It is reset.
    Reset,
}

/// What the upstream does about one attempt of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Written when the head has come.
    pub(super) greeting: Vec<u8>,
    /// Written one after the other, with a pause between them.
    pub(super) pieces: Vec<Vec<u8>>,
    /// Milliseconds before the first piece.
    pub(super) wait_ms: u64,
    /// Milliseconds between two pieces.
    pub(super) pause_ms: u64,
    /// What becomes of the connection.
    pub(super) end: End,
    /// Answered when the head has come, before the body.
    pub(super) early: bool,
    /// Why the gateway may not use the connection again, though it stays open for a while.
    pub(super) taints: Option<&'static str>,
    /// The last piece is held back until the client has done its next step.
    pub(super) held: bool,
}

/// The answer to each attempt of one request; the last one answers all further ones.
pub(super) type Script = Vec<Answer>;

/// One step of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Writes these bytes at once.
    Send(Vec<u8>),
    /// Waits so many milliseconds, so that bytes are read apart.
    Pause(u64),
    /// Reads one final answer for each of these; true where it answers HEAD.
    Expect(Vec<bool>),
    /// Reads until an interim answer or a final one has come, or for so many milliseconds.
    Interim(u64),
    /// Reads what comes until nothing came for so many milliseconds.
    Quiet(u64),
    /// Waits until the upstream has read a request of this exchange.
    AwaitUpstream,
    /// Ends its own direction.
    HalfClose,
    /// Closes in order; what has come is left unread.
    Close,
    /// Resets.
    Reset,
    /// Lets go what the upstream holds back.
    Release,
}

/// Which listener is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Door {
    /// That of tier CONTROL.
    #[default]
    Control,
    /// That of tier OBSERVE_ONLY.
    Observe,
}

/// One connection's worth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Its number: the same seed and number give the same exchange.
    pub(super) number: u64,
    /// What it is about, for reports.
    pub(super) class: String,
    /// Whose contracts and upstreams it uses.
    pub(super) slot: usize,
    /// The listener.
    pub(super) door: Door,
    /// Kept upstream connections are closed before it begins.
    pub(super) fresh: bool,
    /// What a client does.
    pub(super) steps: Vec<Step>,
    /// The answers, by the value of [`CASE`].
    pub(super) scripts: Vec<(String, Script)>,
    /// The answer to what names no case.
    pub(super) fallback: Option<Script>,
    /// Requests that it is meant to be.
    pub(super) requests: usize,
    /// What reaches the upstream of bodies depends on who is faster: it is not compared.
    pub(super) body_races: bool,
    /// The end of the connection depends on who is faster, as do answers behind it.
    pub(super) settle_ms: u64,
}

impl Exchange {
    /// Whether a server closes a connection without having said so: what becomes of the request that
    /// meets this depends on which connections are at hand.
    pub(super) fn closes_unannounced(&self) -> bool {
        self.closings() > 0
    }

    /// How many answers are followed by a closing that they do not announce.
    pub(super) fn closings(&self) -> usize {
        let all = self
            .scripts
            .iter()
            .map(|(_, script)| script)
            .chain(&self.fallback);
        let unannounced = |answer: &&Answer| {
            let sent = [answer.greeting.as_slice(), &answer.pieces.concat()].concat();
            let says_so = sent
                .windows(5)
                .any(|word| word.eq_ignore_ascii_case(b"close"));
            answer.end != End::Keep && !says_so
        };
        all.flatten().filter(unannounced).count()
    }

    /// The name of its `n`-th request.
    pub(super) fn case(&self, n: usize) -> String {
        format!("{}-{n}", self.number)
    }

    /// Everything that it is, for people.
    pub(super) fn told(&self) -> String {
        let mut text = format!(
            "exchange {} ({}), {:?} listener, contracts of slot {}{}\n",
            self.number,
            self.class,
            self.door,
            self.slot,
            if self.fresh {
                ", no kept upstream connection"
            } else {
                ""
            }
        );
        for step in &self.steps {
            // Writing to a string cannot fail.
            let _ = match step {
                Step::Send(bytes) => writeln!(text, "  send {}", shown(bytes)),
                other => writeln!(text, "  {other:?}"),
            };
        }
        for (case, script) in &self.scripts {
            for (n, answer) in script.iter().enumerate() {
                let greeting = Some(&answer.greeting).filter(|bytes| !bytes.is_empty());
                let pieces = greeting.into_iter().chain(&answer.pieces);
                let pieces: Vec<String> = pieces.map(|piece| shown(piece)).collect();
                let _ = writeln!(
                    text,
                    "  upstream answers {case}, attempt {}: {} [wait {} ms, pause {} ms, {:?}{}{}]",
                    n + 1,
                    pieces.join(" | "),
                    answer.wait_ms,
                    answer.pause_ms,
                    answer.end,
                    if answer.early {
                        ", before the body"
                    } else {
                        ""
                    },
                    if answer.held { ", last piece held" } else { "" },
                );
            }
        }
        text
    }
}
/// Bytes as text, the middle of long ones left out.
pub(super) fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 1_500;
    if bytes.len() <= SHOWN {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let front = bytes.get(..SHOWN - 200).unwrap_or_default();
    let back = bytes.get(bytes.len() - 200..).unwrap_or_default();
    format!(
        "\"{}\" ({} bytes in all) \"{}\"",
        front.escape_ascii(),
        bytes.len(),
        back.escape_ascii()
    )
}
