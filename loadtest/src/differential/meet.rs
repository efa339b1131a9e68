//! One exchange through both gateways, and what is found.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::client;
use super::exchange::{Door, Exchange, Step};
use super::seen::{Differs, Lines, compare, lines};
use super::side::Side;

/// A deliberate fault on one side, which shows that a run can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// One upstream says another status.
    Answer,
    /// One client sends a field more.
    Request,
    /// One gateway is asked at its other listener.
    Tier,
}

/// Each so many exchanges a deliberate fault is done.
const FAULTY_EACH: u64 = 20;
/// How often an exchange is repeated that differed.
pub(super) const REPEATS: u8 = 2;

/// What one run through both gave.
pub(super) struct Both {
    pub(super) lines: [Lines; 2],
}

impl Both {
    pub(super) fn client(&self) -> Differs {
        compare(&self.lines[0].client, &self.lines[1].client)
    }

    pub(super) fn upstream(&self) -> Differs {
        compare(&self.lines[0].upstream, &self.lines[1].upstream)
    }

    /// Whether an attempt came on a kept connection by one way and on a new one by the other: each
    /// way keeps its own.
    pub(super) fn reuses_differ(&self) -> bool {
        self.lines[0].reused != self.lines[1].reused
    }

    /// Whether anything differs but the order of fields.
    pub(super) fn differs(&self) -> bool {
        let is = |differs| matches!(differs, Differs::Otherwise(..));
        is(self.client()) || is(self.upstream())
    }

    /// What differs, for people.
    pub(super) fn told(&self, names: [&str; 2]) -> String {
        let mut text = String::new();
        for (at, differs) in [("client", self.client()), ("upstream", self.upstream())] {
            let Differs::Otherwise(one, other) = differs else {
                continue;
            };
            for (name, lines) in names.iter().zip([one, other]) {
                for line in lines {
                    text += &format!("  {at} behind {name} alone: {line}\n");
                }
            }
        }
        text
    }
}

/// Runs it once more or for the first time, through both at the same time.
pub(super) async fn both(
    sides: &[Side; 2],
    exchange: &Exchange,
    repeat: u8,
    fault: Option<Fault>,
) -> anyhow::Result<Both> {
    let changed = fault
        .filter(|_| exchange.number.is_multiple_of(FAULTY_EACH))
        .map(|fault| with(exchange, fault));
    let second = changed.as_ref().unwrap_or(exchange);
    let (one, other) = tokio::join!(
        through(&sides[0], exchange, repeat),
        through(&sides[1], second, repeat)
    );
    Ok(Both {
        lines: [one?, other?],
    })
}

/// How many times longer everything is waited for: a busy machine makes no difference steady.
fn patience(repeat: u8) -> u32 {
    1 + 3 * u32::from(repeat)
}

/// The client's address: of this exchange and repeat alone.
fn source(number: u64, repeat: u8) -> Ipv4Addr {
    let [.., high, middle, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 10 + repeat * 60 + high % 60, middle, low)
}

/// Whether a gateway has two ways: what the lane leaves to the full proxy goes by another upstream
/// connection than what it carries, and the next request goes by the first one again.
pub(super) async fn has_two_ways(side: &Side) -> anyhow::Result<bool> {
    let (carried, left) = ("GET /w0/o/7 HTTP/1.1", "POST /w0/o/7 HTTP/1.1");
    let mut exchange = Exchange {
        number: 3_000_000,
        fresh: true,
        ..Exchange::default()
    };
    for (line, framing) in [
        (carried, "\r\n"),
        (left, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (carried, "\r\n"),
    ] {
        let request = format!("{line}\r\nHost: load\r\n{framing}");
        exchange.steps.push(Step::Send(request.into_bytes()));
        exchange.steps.push(Step::Expect(vec![false]));
    }
    let lines = through(side, &exchange, 0).await?;
    match lines.connections.as_slice() {
        [first, second, third] => Ok(first != second && first == third),
        other => anyhow::bail!("three requests came as {}", other.len()),
    }
}

async fn through(side: &Side, exchange: &Exchange, repeat: u8) -> anyhow::Result<Lines> {
    let slot = &side.slots[exchange.slot];
    for recorder in slot.iter().chain([&side.common]) {
        recorder.begin(exchange);
    }
    let address = side.address(exchange.door);
    let source = source(exchange.number, repeat);
    let seen = client::run(exchange, address, source, &slot[0], patience(repeat)).await?;
    let settle = Duration::from_millis(exchange.settle_ms);
    tokio::time::sleep(settle * patience(repeat)).await;
    let groups = [
        "own upstream",
        "upstream that pushes back",
        "upstream apart",
        "default upstream",
    ];
    let recorders = slot.iter().chain([&side.common]);
    let arrivals: Vec<_> = groups
        .into_iter()
        .zip(recorders.map(|recorder| recorder.end(exchange)))
        .collect();
    Ok(lines(exchange, &seen, &arrivals))
}

/// The exchange with a fault in it.
fn with(exchange: &Exchange, fault: Fault) -> Exchange {
    let mut changed = exchange.clone();
    match fault {
        Fault::Tier => {
            changed.door = match exchange.door {
                Door::Control => Door::Observe,
                Door::Observe => Door::Control,
            };
        }
        Fault::Answer => {
            let pieces = changed.scripts.iter_mut().flat_map(|(_, script)| script);
            for piece in pieces.flat_map(|answer| &mut answer.pieces) {
                if piece.starts_with(b"HTTP/1.1 20") {
                    piece.splice(10..11, *b"9");
                }
            }
        }
        Fault::Request => {
            for step in &mut changed.steps {
                if let Step::Send(bytes) = step
                    && let Some(at) = super::message::find(bytes, b" HTTP/1.1\r\n")
                {
                    bytes.splice(at + 11..at + 11, *b"X-Fault: 1\r\n");
                }
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::differential::generate::exchange;

    #[test]
    fn no_two_exchanges_share_an_address() {
        let mut seen = std::collections::HashSet::new();
        for number in (0..200_000).chain([1_000_000, 1_000_700]) {
            for repeat in 0..=REPEATS {
                assert!(seen.insert(source(number, repeat)), "{number} {repeat}");
            }
        }
    }

    #[test]
    fn each_fault_changes_an_exchange() {
        for fault in [Fault::Answer, Fault::Request, Fault::Tier] {
            let changed = (0..50)
                .map(|number| exchange(1, number))
                .filter(|one| with(one, fault) != *one);
            assert!(changed.count() > 5, "{fault:?}");
        }
    }
}
