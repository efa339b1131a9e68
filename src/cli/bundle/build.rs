//! `tidegate bundle build`: contracts and policy, and who made them for whom, in one canonical file.
//!
//! Deterministic but for the time, which `--created-at` gives: two machines with the same files make
//! the same bytes, so whoever signs can build again instead of believing.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::verify::{about, changes, look_at};
use crate::bundle::envelope::{BUNDLE_TYPE, ENVELOPE_BYTES_MAX, Envelope};
use crate::bundle::manifest::{BREAKGLASS_US_MAX, Breakglass, Manifest};
use crate::bundle::payload::{self, Payload};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::root::{Role, Root};
use crate::bundle::verify::read_unverified;
use crate::cli::exit::INVALID;
use crate::cli::offline::OK;
use crate::cli::period::period_us;
use crate::cli::signing::{Key, Told, Usage, add, create, end, keys, names, read, read_root, row};
use crate::cli::stdio::{note, put};
use crate::cli::{report_findings, today};
use crate::config::load_on;
use crate::contract::Catalogue;
use crate::gateway::clock;
use crate::policy::canonical::CanonicalContent;
use crate::selftest;
use crate::units::{Date, Tier};

/// The name of a line of bundles that nobody named.
const NAME: &str = "main";

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// The configuration file that names contracts and policy.
    #[arg(short, long, env = "TIDEGATE_CONFIG", default_value = "tidegate.yaml")]
    config: PathBuf,
    /// The new bundle; a file that is there is never written over.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// The root of the gateways that it is for; without one no gateway could take it.
    #[arg(long, env = "TIDEGATE_ROOT", value_name = "FILE")]
    root: PathBuf,
    /// The principal who makes it; has to sign, and does not count.
    #[arg(long, env = "TIDEGATE_AUTHOR", value_name = "NAME")]
    author: String,
    /// Sign it at once with this private key.
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// The bundle in force that it replaces; without one it is the first.
    #[arg(long, value_name = "BUNDLE")]
    parent: Option<PathBuf>,
    /// Its serial; without it the parent's and one, or 1.
    #[arg(long, value_name = "N")]
    serial: Option<u64>,
    /// How long it may be activated, from when it is made: 90m, 12h, 30d.
    #[arg(long, value_name = "PERIOD", default_value = "30d", value_parser = period_us)]
    expires: u64,
    /// The most that a gateway may do under it; without it the parent's, or the configuration's.
    #[arg(long, value_name = "TIER", value_parser = tier)]
    tier_max: Option<Tier>,
    /// The name of the line of bundles; without it the parent's, or 'main'.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Bring back the content of this bundle; the configuration is not read.
    #[arg(long, value_name = "BUNDLE", requires = "parent")]
    revert_of: Option<PathBuf>,
    /// What the change was agreed in, such as a ticket.
    #[arg(long, value_name = "TEXT")]
    change_request: Option<String>,
    /// It is an emergency measure, for this reason: it only protects, and fewer may sign it.
    #[arg(long, value_name = "REASON", requires_all = ["lasts", "parent"])]
    breakglass: Option<String>,
    /// How long the emergency measure holds, at most 4h; then the parent comes back.
    #[arg(long = "for", id = "lasts", value_name = "PERIOD", value_parser = period_us, requires = "breakglass")]
    lasts: Option<u64>,
    /// When it was made, in seconds since 1970: two machines make the same bytes.
    #[arg(long, value_name = "SECONDS")]
    created_at: Option<u64>,
}

fn tier(text: &str) -> Result<Tier, String> {
    let keys = Tier::ALL.map(Tier::key).join(", ");
    Tier::from_key(text).ok_or_else(|| format!("the tiers are: {keys}"))
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &BuildArgs) -> u8 {
    end(build(args))
}

fn build(args: &BuildArgs) -> Result<u8> {
    let pinned = read_root(&args.root)?;
    let root = pinned.root();
    may_author(root, &args.author)?;
    let parent = bundle(args.parent.as_ref())?;
    let (content, tier_max) = content(args, parent.as_ref())?;
    let manifest = manifest(args, root, parent.as_ref(), tier_max)?;
    // What the manifest says stands on the command line.
    let bytes = payload::write(&manifest, &content).map_err(|refused| Usage(refused.detail))?;
    let mut envelope = Envelope::unsigned(BUNDLE_TYPE, bytes);
    let keys = keys(&args.key)?;
    are_the_authors(root, &args.author, &keys)?;
    for key in &keys {
        add(&mut envelope, key)?;
    }
    let ids: Vec<String> = keys.into_iter().map(|key| key.id).collect();
    // Read as a gateway would: what cannot be read again is not written.
    let payload = Payload::read(envelope.unverified_payload())?;
    pass_self_tests(&payload)?;
    let file = envelope.to_bytes();
    if file.len() > ENVELOPE_BYTES_MAX {
        let told = format!("the bundle has {} bytes; split the contracts", file.len());
        return Err(Usage(told).into());
    }
    create(&args.out, &file)?;
    let made_us = manifest.created_at_us;
    let found = look_at(&file, Some(&payload), &pinned, parent.as_ref(), made_us);
    let text = format!(
        "{}signed    by {}\n{}",
        about(&payload, made_us),
        row(&names(Some(root), &ids)),
        found.as_ref().map(changes).unwrap_or_default(),
    );
    let code = put(&text, OK);
    if let Err(refused) = &found {
        note(format_args!("warning: no gateway would take it: {refused}"));
    }
    if manifest.tier_max == Tier::Autonomous {
        note(format_args!(
            "warning: no gateway of this version runs the tier 'autonomous'; the highest that one \
             runs is 'control'"
        ));
    }
    note(format_args!(
        "{} made; now tidegate bundle sign it with the keys of those who agree",
        args.out.display()
    ));
    Ok(code)
}

fn may_author(root: &Root, author: &str) -> Result<()> {
    let principals = root.parts().principals.iter();
    let may = principals.filter(|principal| principal.roles.contains(&Role::Author));
    let may: Vec<&str> = may.map(|principal| principal.name.as_str()).collect();
    if may.contains(&author) {
        return Ok(());
    }
    let told = format!("'{author}' may not author; in this root may: {}", row(&may));
    Err(Usage(told).into())
}

/// A gateway runs them last of all, when everybody has signed.
fn pass_self_tests(payload: &Payload) -> Result<()> {
    let catalogue = Catalogue::build(payload.contracts().to_vec());
    // Contracts that do not fit together are told with everything else that a gateway says.
    let Ok(catalogue) = catalogue else {
        return Ok(());
    };
    let ended = selftest::for_bundles(&catalogue, payload.rules(), payload.self_tests());
    ended.map_err(|failed| {
        let remedy = "tidegate test shows what was expected and what came";
        Refused::new(RefusalCode::SelfTestFailed, failed, remedy).into()
    })
}

/// Others may sign at once as well; without the author no gateway would take it.
fn are_the_authors(root: &Root, author: &str, keys: &[Key]) -> Result<()> {
    let remedy = "sign with a key of the root";
    if let Some(key) = keys.iter().find(|key| root.holder(&key.id).is_none()) {
        return Err(Usage(key.unknown(remedy)).into());
    }
    let ids: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    let holders = names(Some(root), &ids);
    if holders.is_empty() || holders.iter().any(|name| name == author) {
        return Ok(());
    }
    let told = format!(
        "--key is of {}, and the author is '{author}', who has to sign; name the author's key, and \
         let the others use tidegate bundle sign",
        row(&holders)
    );
    Err(Usage(told).into())
}

/// A bundle that is only looked at; whether it was signed is the gateway's question.
fn bundle(path: Option<&PathBuf>) -> Result<Option<Payload>> {
    let read = |path: &PathBuf| {
        let bytes = read(path)?;
        read_unverified(&bytes).with_context(|| format!("bundle {}", path.display()))
    };
    path.map(read).transpose()
}

/// The content of the files or of an earlier bundle, and the tier of one that says none.
fn content(args: &BuildArgs, parent: Option<&Payload>) -> Result<(CanonicalContent, Tier)> {
    if let Some(old) = bundle(args.revert_of.as_ref())? {
        return Ok((old.content().clone(), old.manifest().tier_max));
    }
    // What has expired is not built anew; whoever builds an old one again reads as of its day.
    let day = args.created_at.map_or_else(today, Date::of_unix_seconds);
    let loaded = load_on(&args.config, day).map_err(|found| {
        report_findings(&found);
        Told(INVALID)
    })?;
    report_findings(&loaded.warnings);
    let tier = parent.map_or(loaded.settings.tier, |parent| parent.manifest().tier_max);
    Ok((loaded.content, tier))
}

fn manifest(
    args: &BuildArgs,
    root: &Root,
    parent: Option<&Payload>,
    tier_max: Tier,
) -> Result<Manifest> {
    let before = parent.map(Payload::manifest);
    let parts = root.parts();
    let created_at_us = match args.created_at {
        Some(seconds) => seconds.saturating_mul(1_000_000),
        None => clock::now().wall_us,
    };
    // A new epoch begins again at 1.
    let same_epoch = before.filter(|before| before.epoch == parts.epoch);
    let next = same_epoch.map_or(1, |before| before.serial.saturating_add(1));
    let name = before.map_or(NAME, |before| &before.name).to_owned();
    if args.lasts.is_some_and(|lasts| lasts > BREAKGLASS_US_MAX) {
        return Err(Usage("--for is at most 4h".to_owned()).into());
    }
    let revert_of = bundle(args.revert_of.as_ref())?;
    Ok(Manifest {
        name: args.name.clone().unwrap_or(name),
        epoch: parts.epoch,
        serial: args.serial.unwrap_or(next),
        parent: parent.map(|parent| parent.digest().to_owned()),
        author: args.author.clone(),
        audience: parts.audience.clone(),
        created_at_us,
        not_before_us: created_at_us,
        expires_at_us: created_at_us.saturating_add(args.expires),
        engine_min: env!("CARGO_PKG_VERSION").to_owned(),
        tier_max: args.tier_max.unwrap_or(tier_max),
        revert_of: revert_of.map(|old| old.digest().to_owned()),
        change_request: args.change_request.clone(),
        breakglass: args.breakglass.as_ref().map(|reason| Breakglass {
            reason: reason.clone(),
            until_us: created_at_us.saturating_add(args.lasts.unwrap_or(BREAKGLASS_US_MAX)),
        }),
    })
}
