//! `tidegate simulate`: a traffic file through the same pipeline, in virtual time.
//!
//! One decision record per request on stdout, in the order of the file. Reads and writes as it
//! goes: what is held is what is open at one virtual instant. See docs/simulate.md.

mod ledger;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::cli::offline::{ConfigArg, FAILED, OK, load_or_tell, registry_of, tell};
use crate::gateway::refusal;
use crate::ledger::Chain;
use crate::policy::canonical::CanonicalContent;
use crate::record::{DecisionEvent, Encoder, Event};
use crate::rulebook::Registry;
use crate::simulate::{Engine, SIMULATED_WORKER, TrafficLines};
use crate::units::Tier;
use ledger::LedgerSink;

const INSTANCE: &str = "simulate";
const BOOT: u32 = 0;
const WORKER: u8 = SIMULATED_WORKER as u8;

/// Runs recorded or written traffic through the pipeline, in virtual time.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// One JSON object per line; `-` reads stdin.
    #[arg(value_name = "TRAFFIC.jsonl")]
    pub traffic: PathBuf,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// The tier of the process, instead of the one in the file.
    // Not TIDEGATE_TIER: that of a gateway only lowers, and this one may ask what more would do.
    #[arg(long, env = "TIDEGATE_SIMULATE_TIER", value_enum)]
    pub tier: Option<TierArg>,
    /// Also writes a ledger into this folder, which must be new or empty.
    // Not TIDEGATE_LEDGER: there is a ledger to be read, and this one must be new.
    #[arg(long, env = "TIDEGATE_SIMULATE_LEDGER", value_name = "DIR")]
    pub ledger: Option<PathBuf>,
    /// Signs that ledger with this private key ('tidegate ledger keygen').
    #[arg(
        long,
        env = "TIDEGATE_SIMULATE_KEY",
        value_name = "FILE",
        requires = "ledger"
    )]
    pub key: Option<PathBuf>,
    /// Adds what each factor contributed to the score.
    #[arg(long, env = "TIDEGATE_EXPLAIN")]
    pub explain: bool,
}

/// A tier that can be had without an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TierArg {
    /// Forwards everything; says what it would have done.
    #[value(name = "observe_only")]
    ObserveOnly,
    /// Refuses, throttles and quarantines.
    #[value(name = "control")]
    Control,
}

impl From<TierArg> for Tier {
    fn from(tier: TierArg) -> Self {
        match tier {
            TierArg::ObserveOnly => Self::ObserveOnly,
            TierArg::Control => Self::Control,
        }
    }
}

/// Runs the verb; the result is the exit code: 0, 1 where the traffic or the ledger cannot be
/// used, 78 where the configuration cannot.
#[must_use]
pub fn run(args: &SimulateArgs) -> u8 {
    let loaded = match load_or_tell(&args.config.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let (registry, content) = registry_of(loaded, args.tier.map(Tier::from));
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match simulate(args, &registry, &content, &mut out) {
        Ok(()) => OK,
        Err(error) => tell(&error, FAILED),
    }
}

fn simulate(
    args: &SimulateArgs,
    registry: &Arc<Registry>,
    content: &CanonicalContent,
    out: &mut impl Write,
) -> Result<()> {
    let source = open(&args.traffic)?;
    let ledger = match &args.ledger {
        Some(dir) => Some(LedgerSink::start(
            dir,
            args.key.as_deref(),
            registry,
            content,
        )?),
        None => None,
    };
    let mut sink = Sink::new(registry, args.explain, out, ledger);
    let run = run_lines(&args.traffic, source, registry, &mut sink);
    // What was simulated before a bad line is kept, in the ledger too.
    let ended = sink.end();
    run.and(ended)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| {
        let path = path.display();
        format!("the traffic file {path} cannot be opened; check its path and permissions")
    })?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

fn run_lines(
    path: &Path,
    source: impl BufRead,
    registry: &Registry,
    sink: &mut Sink<impl Write>,
) -> Result<()> {
    let rulebook = registry.active().load_full();
    let mut engine = Engine::new(&rulebook, refusal::status);
    let mut lines = TrafficLines::new(source);
    let bad_line = loop {
        match lines.next_line() {
            Ok(Some(line)) => engine.run(&line),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
        sink.take_from(&mut engine)?;
    };
    engine.finish();
    sink.take_from(&mut engine)?;
    match bad_line {
        None => Ok(()),
        Some(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Where the records go: stdout, and a ledger where one was asked for.
struct Sink<W: Write> {
    out: W,
    encoder: Encoder,
    chain: Chain,
    line: Vec<u8>,
    ledger: Option<LedgerSink>,
}

impl<W: Write> Sink<W> {
    fn new(registry: &Arc<Registry>, explain: bool, out: W, ledger: Option<LedgerSink>) -> Self {
        let encoder = Encoder::new(Arc::clone(registry), INSTANCE);
        Self {
            out,
            encoder: if explain {
                encoder.explained()
            } else {
                encoder
            },
            // Record 0 of a ledger is its `open`, so the first decision is record 1 here too.
            chain: Chain::resume(1, [b'0'; 64]),
            line: Vec::with_capacity(2_048),
            ledger,
        }
    }

    fn take_from(&mut self, engine: &mut Engine<'_>) -> Result<()> {
        while let Some(decision) = engine.next_ended() {
            self.write(decision)?;
        }
        Ok(())
    }

    fn write(&mut self, decision: DecisionEvent) -> Result<()> {
        let event = Event::Decision(decision);
        self.line.clear();
        let encoder = &mut self.encoder;
        self.chain.append(&mut self.line, |entry| {
            encoder.encode(entry, BOOT, WORKER, &event);
        });
        for part in without_hashes(&self.line) {
            self.out.write_all(part).context("stdout")?;
        }
        match &mut self.ledger {
            Some(ledger) => ledger.push(event),
            None => Ok(()),
        }
    }

    fn end(mut self) -> Result<()> {
        let flushed = self.out.flush().context("stdout");
        match self.ledger {
            Some(ledger) => ledger.close().and(flushed),
            None => flushed,
        }
    }
}

/// The parts of a line that are neither `prev` nor `hash`: a record that stands in no chain.
///
/// Inside a string every quote is escaped, so these byte sequences are members and nothing else.
fn without_hashes(line: &[u8]) -> [&[u8]; 3] {
    const PREV: &[u8] = b",\"prev\":\"";
    const HASH_BYTES: usize = ",\"hash\":\"\"".len() + 64;
    let find = || line.windows(PREV.len()).position(|part| part == PREV);
    let Some(prev) = find() else {
        return [line, b"", b""];
    };
    let after = prev + PREV.len() + 64 + 1;
    let end = line.len().saturating_sub(HASH_BYTES + "}\n".len());
    let part = |range: std::ops::Range<usize>| line.get(range).unwrap_or_default();
    [part(0..prev), part(after..end), b"}\n"]
}

#[cfg(test)]
mod tests {
    use super::without_hashes;
    use crate::ledger::Chain;

    #[test]
    fn prev_and_hash_are_left_out_and_nothing_else() {
        let mut line = Vec::new();
        Chain::resume(7, [b'a'; 64]).append(&mut line, |entry| {
            entry.text("kind", ",\"prev\":\"");
            entry.uint("n", 7);
            entry.text("tier", "CONTROL");
        });
        let shown = without_hashes(&line).concat();
        assert_eq!(
            String::from_utf8_lossy(&shown),
            "{\"kind\":\",\\\"prev\\\":\\\"\",\"n\":7,\"seq\":7,\"tier\":\"CONTROL\",\"v\":1}\n"
        );
    }
}
