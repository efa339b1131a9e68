//! `tidegate run`: the gateway.

mod heads;

use std::path::PathBuf;

use clap::Args;

use crate::assembly::{Assembly, Operation, Parts, Program, Service, StartError, Takeover, aside};
use crate::cli::report_findings;
use crate::cli::stdio::note;
use crate::config::{Demands, Runnable, load_to_run};
use crate::gateway::{Ended, clock};
use crate::telemetry::log;
use crate::units::Tier;
use heads::Heads;

/// It ran, and stopped in order.
const OK: u8 = 0;
/// It could not start, or did not stop in order.
const FAILED: u8 = 1;
/// What lies in the ledger's directory cannot be continued (EX_DATAERR): a supervisor should not
/// try again before somebody has looked.
const INTEGRITY: u8 = 65;
/// The configuration is not valid (EX_CONFIG).
const INVALID: u8 = 78;

/// Runs the gateway until TERM (graceful) or INT (at once).
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration file.
    #[arg(short, long, env = "TIDEGATE_CONFIG", default_value = "tidegate.yaml")]
    pub config: PathBuf,
    /// The most that the process may do: what the files say, or less.
    #[arg(long, env = "TIDEGATE_TIER", value_parser = tier)]
    pub tier: Option<Tier>,
    /// Where the ledger lies, instead of where the files say.
    #[arg(long, env = "TIDEGATE_LEDGER_DIR", value_name = "DIR")]
    pub ledger_dir: Option<PathBuf>,
    /// Start with this policy alone: its content digest, 12 or more digits of it, or its version.
    #[arg(long, env = "TIDEGATE_EXPECT_POLICY", value_name = "POLICY")]
    pub expect_policy: Option<String>,
    /// Take over from the gateway that runs on the same state directory, on its sockets; without one it
    /// is an ordinary start.
    #[arg(long)]
    pub upgrade: bool,
}

/// By its name in files or in records.
fn tier(text: &str) -> Result<Tier, String> {
    let names = || Tier::ALL.map(Tier::key).join(", ");
    Tier::from_key(&text.to_ascii_lowercase()).ok_or_else(|| format!("the tiers are {}", names()))
}

/// Runs the verb; the result is the exit code: 0, 1 where it cannot start, 65 where the ledger that
/// lies there is the reason, 78 for a bad file or ledger key.
#[must_use]
pub fn run(args: &RunArgs) -> u8 {
    let demands = Demands {
        tier: args.tier,
        ledger_dir: args.ledger_dir.clone(),
        policy: args.expect_policy.clone(),
    };
    // Before anything else: whoever replaces the file later replaces what this names.
    let program = Program::own().ok();
    let loaded = aside(|| {
        let loaded = load_to_run(&args.config);
        loaded.and_then(|loaded| demands.hold_to_run(&args.config, loaded))
    });
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(findings) => {
            report_findings(&findings);
            return INVALID;
        }
    };
    if let Err(error) = log::init(clock::now) {
        note(format_args!("tidegate: {error}"));
        return FAILED;
    }
    let service = Service::of_environment();
    if let Some(tier) = demands.tier {
        tracing::info!(event = "tier_demanded", tier = tier.name());
    }
    let takeover = match takeover(args, &loaded) {
        Ok(takeover) => takeover,
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            return refused(&error);
        }
    };
    let assembly = match aside(|| Assembly::open_instead(loaded, takeover)) {
        Ok(assembly) => assembly,
        Err(StartError::SelfTests(found)) => {
            report_findings(&[*found]);
            return INVALID;
        }
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            return refused(&error);
        }
    };
    tell_what_was_found(assembly.parts());
    tracing::info!(event = "admin_listening", address = %assembly.admin_address());
    assembly.tell_where_it_listens();
    let heads = Heads::start(assembly.parts());
    let ended = assembly.run(Some(Operation { program, service }));
    // After the ledger was closed, so that the last head goes out as well.
    heads.stop();
    match ended {
        Ok(ended) => {
            tell_end(&ended);
            if ended.workers_died == 0 { OK } else { FAILED }
        }
        Err(error) => {
            note(format_args!("tidegate: {error}"));
            FAILED
        }
    }
}

/// How it stopped; at the level of warnings where that cost somebody something.
fn tell_end(ended: &Ended) {
    if ended.cut_off == 0 && ended.workers_died == 0 {
        tracing::info!(event = "stopped");
    } else {
        tracing::warn!(
            event = "stopped",
            cut_off = ended.cut_off,
            workers_died = ended.workers_died
        );
    }
}

/// Asks the gateway that runs for its sockets, where that is wanted and one runs.
fn takeover(args: &RunArgs, loaded: &Runnable) -> Result<Option<Takeover>, StartError> {
    if !args.upgrade {
        return Ok(None);
    }
    let asked = Takeover::ask(&loaded.settings().state_dir);
    let takeover = asked.map_err(StartError::NotHandedOver)?;
    match &takeover {
        Some(takeover) => tracing::info!(event = "taking_over", from = takeover.before()),
        None => tracing::info!(event = "nothing_to_take_over"),
    }
    Ok(takeover)
}

/// The exit code of a start that came to nothing.
const fn refused(error: &StartError) -> u8 {
    match error {
        StartError::Ledger(ledger) if ledger.is_about_evidence() => INTEGRITY,
        StartError::LedgerKey(_)
        | StartError::Root { .. }
        | StartError::SelfTests(_)
        | StartError::UnexpectedPolicy(_) => INVALID,
        _ => FAILED,
    }
}

/// An unclean end of the last run is worth a line, and so is a torn tail.
fn tell_what_was_found(parts: &Parts) {
    let found = parts.ledger.recovered();
    if let Some(damaged) = &found.damaged {
        tracing::error!(
            event = "ledger_damaged",
            segment = damaged.segment,
            offset = damaged.offset,
            seq = damaged.seq,
            rule = damaged.rule
        );
    }
    if found.moved {
        tracing::warn!(event = "ledger_moved");
    }
    if let Some(torn) = &found.torn {
        tracing::warn!(
            event = "ledger_torn_tail",
            bytes = torn.bytes,
            kept_in = torn.file
        );
    }
    if found.unclosed {
        // Absent where the counters did not survive or do not fit: unknown is not 0.
        tracing::warn!(
            event = "ledger_not_closed",
            records = found.records,
            unaccounted = found.unaccounted
        );
    }
}
