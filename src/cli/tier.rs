//! `tidegate tier lower TIER` and `tidegate tier reset`: the kill switch.

use std::io::ErrorKind;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

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
        /// Why, in one line of at most 500 characters; it goes into the ledger.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
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
        TierVerb::Lower {
            tier,
            reason,
            admin,
        } => lower(*tier, reason.as_deref(), admin).print(),
        TierVerb::Reset { admin } => reset(admin).print(),
    }
}

fn lower(tier: Lowest, reason: Option<&str>, admin: &AdminArgs) -> Outcome {
    let tier = match tier {
        Lowest::ObserveOnly => Tier::ObserveOnly,
        Lowest::Control => Tier::Control,
    };
    let body = match reason {
        Some(reason) => json!({ "tier": tier.key(), "reason": reason }),
        None => json!({ "tier": tier.key() }),
    };
    let body = body.to_string();
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
    let is_free = || outcome.code == FAILED && no_longer_holds(admin);
    let (note, code) = if is_free() {
        let note = "note: the reload refused something else, and the kill switch holds no longer\n";
        (note, OK)
    } else {
        ("", outcome.code)
    };
    Outcome {
        stdout: reset.to_owned() + &outcome.stdout,
        stderr: outcome.stderr + note,
        code,
    }
}

/// Whether the running gateway has taken over that the switch was reset: a reload may have done so
/// and still have refused a bundle.
fn no_longer_holds(admin: &AdminArgs) -> bool {
    let answer = admin.ask(Request::Get("/v1/status"));
    answer.is_ok_and(|answer| {
        let tier = answer.body.pointer("/kill_switch/tier");
        answer.status == 200 && tier.is_some_and(Value::is_null)
    })
}
