//! `tidegate root rotate`: the successor of a root, with other people, keys or thresholds.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{ArgAction, Args};

use super::people::People;
use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::root::{Root, RootParts};
use crate::cli::offline::OK;
use crate::cli::signing::{Usage, end, read};
use crate::cli::stdio::{note, put};
use crate::gateway::clock;

#[derive(Debug, Args)]
pub(super) struct RotateArgs {
    /// The root that is followed.
    old: PathBuf,
    /// Leave out this principal, in all groups as well.
    #[arg(long, value_name = "NAME")]
    drop: Vec<String>,
    /// Leave out this group.
    #[arg(long, value_name = "GROUP")]
    drop_group: Vec<String>,
    /// Begin a new epoch: serials that a stolen key has used up can be used again.
    #[arg(long)]
    raise_epoch: bool,
    /// Whether no bundle takes fewer than two signatures besides its author's; as before where it
    /// is not given.
    #[arg(long, action = ArgAction::Set, value_name = "true|false")]
    production: Option<bool>,
    #[command(flatten)]
    people: People,
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &RotateArgs) -> u8 {
    end(rotate(args))
}

fn rotate(args: &RotateArgs) -> Result<u8> {
    let now_us = clock::now().wall_us;
    let envelope = Envelope::parse(&read(&args.old)?, ROOT_TYPE);
    let old = envelope.and_then(|envelope| Root::read(envelope.unverified_payload()));
    let old = old.with_context(|| format!("root {}", args.old.display()))?;
    let next = successor(args, old.parts(), now_us)?;
    let text = args.people.write(next, Some(&old), now_us)?;
    let code = put(&text, OK);
    note(format_args!(
        "{} made; it takes signatures of root principals of both roots: tidegate root sign",
        args.people.out.display()
    ));
    Ok(code)
}

fn successor(args: &RotateArgs, old: &RootParts, now_us: u64) -> Result<RootParts> {
    let mut principals = old.principals.clone();
    for name in &args.drop {
        if !principals.iter().any(|principal| principal.name == *name) {
            return Err(Usage(format!("--drop {name}: the root has no such principal")).into());
        }
    }
    let has = |name: &String| {
        let named = args.people.groups.iter().any(|(group, _)| group == name);
        named || old.groups.contains_key(name)
    };
    if let Some(name) = args.drop_group.iter().find(|name| !has(name)) {
        return Err(Usage(format!("--drop-group {name}: the root has no such group")).into());
    }
    // Who is named has the keys and roles that are named, and no others.
    let named = args.people.merged();
    principals.retain(|old| {
        !args.drop.contains(&old.name) && !named.iter().any(|new| new.name == old.name)
    });
    principals.extend(named);
    let mut groups = old.groups.clone();
    groups.extend(args.people.groups.iter().cloned());
    for members in groups.values_mut() {
        members.retain(|member| !args.drop.contains(member));
    }
    groups.retain(|name, members| !args.drop_group.contains(name) && !members.is_empty());
    Ok(RootParts {
        version: old.version.saturating_add(1),
        audience: old.audience.clone(),
        epoch: old.epoch.saturating_add(u64::from(args.raise_epoch)),
        is_production: args.production.unwrap_or(old.is_production),
        expires_at_us: now_us.saturating_add(args.people.expires),
        thresholds: old.thresholds,
        principals,
        groups,
    })
}
