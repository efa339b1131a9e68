//! `tidegate root init`: the first root of an audience.

use anyhow::Result;
use clap::{ArgAction, Args};

use super::people::People;
use crate::bundle::root::{RootParts, Thresholds};
use crate::cli::offline::OK;
use crate::cli::signing::end;
use crate::cli::stdio::{note, put};
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The gateways that it is for: one name for all that share bundles.
    #[arg(long, value_name = "NAME")]
    audience: String,
    /// Whether no bundle takes fewer than two signatures besides its author's.
    #[arg(long, action = ArgAction::Set, default_value_t = true, value_name = "true|false")]
    production: bool,
    #[command(flatten)]
    people: People,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &InitArgs) -> u8 {
    end(init(args))
}

fn init(args: &InitArgs) -> Result<u8> {
    let now_us = clock::now().wall_us;
    let text = args.people.write(
        RootParts {
            version: 1,
            audience: args.audience.clone(),
            epoch: 1,
            is_production: args.production,
            expires_at_us: now_us.saturating_add(args.people.expires),
            thresholds: Thresholds::default(),
            principals: args.people.merged(),
            groups: args.people.groups.iter().cloned().collect(),
        },
        None,
        now_us,
    )?;
    let code = put(&text, OK);
    note(format_args!(
        "{} made; have it signed with tidegate root sign, and give it to the gateways by a way that \
         nobody else writes to",
        args.people.out.display()
    ));
    Ok(code)
}
