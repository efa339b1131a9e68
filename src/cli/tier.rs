//! `tidegate tier lower TIER` and `tidegate tier reset`: the kill switch.

use std::io::ErrorKind;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::assembly::reset_kill_switch;
use crate::cli::admin::{AdminArgs, Request, problem};
use crate::cli::exit::{FAILED, OK, Outcome};
use crate::cli::reload::reload;
use crate::units::Tier;

/// Not permitted (EX_NOPERM).
const NOT_PERMITTED: u8 = 77;

/// Lowers the tier of the running gateway, or lets the files decide it again.
#[derive(Debug, Args)]
pub struct TierArgs {
    #[command(subcommand)]
    verb: TierVerb,
}

#[derive(Debug, Subcommand)]
enum TierVerb {
    /// Lower it at once; it stays so, also after a restart, until it is reset.
    Lower {
        /// The most that the gateway may do from now on.
        tier: Lowest,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Let the files decide again. Needs write access to the state directory.
    Reset {
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// What a tier can be lowered to.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lowest {
    /// Forward everything.
    #[value(name = "observe_only")]
    ObserveOnly,
    /// Refuse, throttle and quarantine, and no more.
    #[value(name = "control")]
    Control,
}

/// Runs the verb; the result is the exit code: 0, 1 where it was refused, 69 where no gateway
/// answers, 77 where the state directory may not be written.
#[must_use]
pub fn run(args: &TierArgs) -> u8 {
    match &args.verb {
        TierVerb::Lower { tier, admin } => lower(*tier, admin).print(),
        TierVerb::Reset { admin } => reset(admin).print(),
    }
}

fn lower(tier: Lowest, admin: &AdminArgs) -> Outcome {
    let tier = match tier {
        Lowest::ObserveOnly => Tier::ObserveOnly,
        Lowest::Control => Tier::Control,
    };
    let body = json!({ "tier": tier.key() }).to_string();
    match admin.ask(Request::Post("/v1/tier", &body)) {
        Ok(answer) if answer.status == 200 => Outcome {
            stdout: format!("tier {} until 'tidegate tier reset'\n", tier.name()),
            stderr: String::new(),
            code: OK,
        },
        Ok(answer) => answer.refused(),
        Err(outcome) => outcome,
    }
}

fn reset(admin: &AdminArgs) -> Outcome {
    let state_dir = match admin.addressed() {
        Ok(found) => found.state_dir,
        Err(outcome) => return outcome,
    };
    let was_used = match reset_kill_switch(&state_dir) {
        Ok(was_used) => was_used,
        Err(error) => {
            let code = match error.kind() {
                ErrorKind::PermissionDenied => NOT_PERMITTED,
                _ => FAILED,
            };
            let path = state_dir.display();
            return problem(&format!("the kill switch in {path}: {error}\n"), code);
        }
    };
    let reset = if was_used {
        "the kill switch is reset\n"
    } else {
        "the kill switch was not used\n"
    };
    let outcome = reload(admin);
    Outcome {
        stdout: reset.to_owned() + &outcome.stdout,
        ..outcome
    }
}
