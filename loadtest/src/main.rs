//! Command line of the load and acceptance runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use loadtest::accept::Scale;
use loadtest::{
    accept, cpu_ratio, differential, drive, generate, instructions, peers, probes, profile,
    upstream,
};

#[derive(Parser)]
#[command(version, about = "Load, comparison and acceptance runs for tidegate")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// A counting HTTP/1.1 upstream: /slow/MS /status/CODE /bytes/N /reset /garbage /hang,
    /// an echo for the rest, and /_count
    Upstream {
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:0")]
        bind: SocketAddr,
    },
    /// Seeded, bounded closed loop of requests; prints a JSON tally
    Drive(drive::Options),
    /// Deterministic contract files: the same seed gives the same bytes
    Gen {
        /// How many contracts
        #[arg(long, default_value_t = 1000)]
        contracts: u32,
        /// Seed of names and limits
        #[arg(long, default_value_t = generate::SEED)]
        seed: u64,
        /// Folder to write into; made if missing
        #[arg(long)]
        out: PathBuf,
    },
    /// CPU per proxied request against a bare Pingora pass-through, in interleaved rounds
    CpuRatio(cpu_ratio::Options),
    /// The gateway beside nginx, HAProxy and the bare engine, in interleaved rounds: table, JSON, plot
    Peers(peers::Options),
    /// Instructions of user space per request, counted by valgrind
    Instructions(instructions::Options),
    /// Where the CPU time of a request goes, by function, on the lane and on the full proxy
    Profile(profile::Options),
    /// Malformed and smuggling messages through proxies; prints what becomes of each
    Probes(probes::Options),
    /// The fast lane against the full proxy: generated requests and probes through both, compared
    Differential(differential::Options),
    /// Does each fault of docs/faults.md to a gateway and prints a table: survived N / tried M
    Faults {
        /// small: each fault briefly; full: more kills
        #[arg(long, value_enum, default_value_t = Scale::Small)]
        scale: Scale,
        /// Folder for the gateways of the run
        #[arg(long)]
        state: PathBuf,
    },
    /// Runs fuzz targets and prints executions, executions per second and crashes; calls add up
    Fuzz {
        /// Executions of each target
        #[arg(long, default_value_t = 10_000_000)]
        runs: u64,
        /// The longest that this call may take
        #[arg(long, default_value_t = 1_200)]
        seconds: u64,
        /// Only this target
        #[arg(long)]
        target: Option<String>,
        /// Folder that keeps corpus, counts and what crashed
        #[arg(long)]
        state: PathBuf,
        /// Page that the table is written to
        #[arg(long)]
        page: Option<PathBuf>,
    },
    /// Acceptance lists, in parts that can be resumed
    #[command(subcommand)]
    Accept(AcceptList),
}

#[derive(Subcommand)]
enum AcceptList {
    /// Real traffic, observed
    Observe(AcceptRun),
    /// Limits, circuits, tiers, answers, live rules
    Control(AcceptRun),
    /// The ledger as evidence: faults, kills, proofs, speed
    Ledger(AcceptRun),
    /// Verified bundles: signatures, approvals, swaps, changes
    Bundles(AcceptRun),
    /// Protocols, hostile input, faults
    Hostile(AcceptRun),
    /// What a request costs, beside other gateways
    Performance(AcceptRun),
}

#[derive(Args)]
struct AcceptRun {
    /// small: reduced counts; full: the counts of the list
    #[arg(long, value_enum, default_value_t = Scale::Small)]
    scale: Scale,
    /// Folder that keeps results of parts and their ledgers
    #[arg(long)]
    state: PathBuf,
    /// Run only the named part
    #[arg(long)]
    part: Option<String>,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Upstream { bind } => upstream::serve_forever(bind),
        Verb::Drive(options) => {
            let tally = drive::run(&options)?;
            println!("{}", serde_json::to_string_pretty(&tally.to_json())?);
            Ok(())
        }
        Verb::Gen {
            contracts,
            seed,
            out,
        } => generate::write(contracts, seed, &out),
        Verb::CpuRatio(options) => {
            let figures = cpu_ratio::run(&options)?;
            println!("{}", serde_json::to_string_pretty(&figures.to_json())?);
            Ok(())
        }
        Verb::Peers(options) => peers::print(&options),
        Verb::Instructions(options) => {
            let counted = instructions::run(&options)?;
            println!("{}", serde_json::to_string_pretty(&counted)?);
            Ok(())
        }
        Verb::Profile(options) => profile::run(&options),
        Verb::Probes(options) => probes::print(&options),
        Verb::Differential(options) => {
            let report = differential::run(&options)?;
            println!("{}", report.told());
            std::process::exit(i32::from(!report.is_same()))
        }
        Verb::Faults { scale, state } => {
            let survived = accept::faults(scale, &state)?;
            std::process::exit(i32::from(!survived))
        }
        Verb::Fuzz {
            runs,
            seconds,
            target,
            state,
            page,
        } => {
            let asked = accept::FuzzAsked {
                runs,
                time: Duration::from_secs(seconds),
                only: target,
                page,
            };
            let well = accept::fuzz(&state, &asked)?;
            std::process::exit(i32::from(!well))
        }
        Verb::Accept(which) => {
            let (list, asked) = match which {
                AcceptList::Observe(asked) => (&accept::OBSERVE, asked),
                AcceptList::Control(asked) => (&accept::CONTROL, asked),
                AcceptList::Ledger(asked) => (&accept::LEDGER, asked),
                AcceptList::Bundles(asked) => (&accept::BUNDLES, asked),
                AcceptList::Hostile(asked) => (&accept::HOSTILE, asked),
                AcceptList::Performance(asked) => (&accept::PERFORMANCE, asked),
            };
            let pass = accept::run(list, asked.scale, &asked.state, asked.part.as_deref())?;
            std::process::exit(i32::from(!pass))
        }
    }
}
