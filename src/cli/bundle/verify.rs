//! `tidegate bundle verify`: what a gateway of this root would say of a bundle.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use crate::bundle::payload::Payload;
use crate::bundle::refusal::Refused;
use crate::bundle::verify::{
    Engine, InForce, Inspection, Mark, Place, Surroundings, VerifiedRoot, inspect, read_unverified,
};
use crate::cli::offline::{FAILED, INTEGRITY, OK};
use crate::cli::signing::{Format, code_of, end, end_in_json, in_json, read, read_root, row, span};
use crate::cli::stdio::{note, put};
use crate::config::{CONTRACTS_MAX, DIGEST_DIGITS_MIN, LOOKUP_STEPS_MAX};
use crate::gateway::clock;
use crate::selftest;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The bundle.
    bundle: PathBuf,
    /// The root of the gateways that it is for.
    #[arg(
        long,
        env = "TIDEGATE_ROOT",
        value_name = "FILE",
        required_unless_present = "allow_unsigned"
    )]
    root: Option<PathBuf>,
    /// Ask for no signature: only the form is checked.
    #[arg(long)]
    allow_unsigned: bool,
    /// The bundle in force: says what this one changes, and which signatures that takes.
    #[arg(long, value_name = "BUNDLE", conflicts_with = "allow_unsigned")]
    active: Option<PathBuf>,
    /// The bundle digest or the content digest that it has to have, or at least 12 digits of one.
    #[arg(long, value_name = "DIGEST", value_parser = digest_digits)]
    expect: Option<String>,
    /// The form of the answer.
    #[arg(long, env = "TIDEGATE_FORMAT", value_enum, default_value_t)]
    format: Format,
}

/// The code of a bundle that is not the one that `--expect` names.
const DIGEST_UNEXPECTED: &str = "DIGEST_UNEXPECTED";

/// A digest on a command line, or its beginning.
fn digest_digits(text: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && (DIGEST_DIGITS_MIN..=64).contains(&text.len()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "a digest has 64 hex digits, and at least {DIGEST_DIGITS_MIN} of them name it"
    ))
}

/// Runs the verb; gives the exit code.
pub(super) fn run(args: &VerifyArgs) -> u8 {
    let verified = verify(args);
    match args.format {
        Format::Json => end_in_json(verified),
        Format::Pretty => end(verified),
    }
}

/// What is told of a bundle, whichever the form.
struct Answer<'a> {
    payload: Option<&'a Payload>,
    /// `None` where no signature was asked for.
    found: Option<Result<Inspection, Refused>>,
    /// Whether it has the digest that was named.
    is_expected: bool,
    now_us: u64,
}

fn verify(args: &VerifyArgs) -> Result<u8> {
    let bytes = read(&args.bundle)?;
    let now_us = clock::now().wall_us;
    let form = read_unverified(&bytes);
    let found = match &args.root {
        Some(root) if !args.allow_unsigned => {
            Some(judged(args, root, &bytes, form.as_ref().ok(), now_us)?)
        }
        _ => None,
    };
    let payload = match (&form, &found) {
        (Ok(payload), _) => Some(payload),
        // The verifier says it in its own order.
        (Err(_), Some(_)) => None,
        (Err(refused), None) => {
            let bundle = args.bundle.display();
            return Err(refused.clone()).with_context(|| format!("bundle {bundle}"));
        }
    };
    let digests =
        payload.map(|payload| [payload.digest().to_owned(), payload.content().digest_hex()]);
    let is_expected = args.expect.as_ref().is_none_or(|expected| {
        digests.is_some_and(|digests| digests.iter().any(|one| one.starts_with(expected)))
    });
    let answer = Answer {
        payload,
        found,
        is_expected,
        now_us,
    };
    Ok(answer.put(args))
}

/// What a gateway of this root would say.
fn judged(
    args: &VerifyArgs,
    root: &Path,
    bytes: &[u8],
    payload: Option<&Payload>,
    now_us: u64,
) -> Result<Result<Inspection, Refused>> {
    let root = read_root(root)?;
    let active = args.active.as_ref().map(|path| {
        read_unverified(&read(path)?).with_context(|| format!("bundle {}", path.display()))
    });
    let active = active.transpose()?;
    Ok(look_at(bytes, payload, &root, active.as_ref(), now_us))
}

/// What a gateway says where `active` is in force; its upstreams are taken to be those that the
/// bundle names.
pub(super) fn look_at(
    bytes: &[u8],
    payload: Option<&Payload>,
    root: &VerifiedRoot,
    active: Option<&Payload>,
    now_us: u64,
) -> Result<Inspection, Refused> {
    let contracts = payload.map_or(&[][..], Payload::contracts).iter();
    let upstreams: Vec<&str> = contracts
        .flat_map(|contract| [contract.upstream(), contract.divert_upstream()])
        .flatten()
        .collect();
    let around = Surroundings {
        root,
        now_us,
        newest_record_us: 0,
        in_force: active.map(InForce::from),
        mark: active.map(|active| Mark {
            position: active.manifest().position(),
            digest: active.digest(),
        }),
        place: Place {
            upstreams: &upstreams,
            default_upstream: "",
            contracts_max: CONTRACTS_MAX,
            lookup_steps_max: LOOKUP_STEPS_MAX,
        },
        // The root says it; a gateway that says it as well asks for no less.
        is_production: false,
        engine: Engine {
            version: env!("CARGO_PKG_VERSION"),
            self_tests: selftest::for_bundles,
        },
    };
    inspect(bytes, &around)
}

impl Answer<'_> {
    fn put(&self, args: &VerifyArgs) -> u8 {
        let code = self.code();
        match args.format {
            Format::Json => put(&format!("{:#}\n", self.json()), code),
            Format::Pretty => {
                let code = put(&self.text(), code);
                if let Some(refused) = self.refused() {
                    let bundle = args.bundle.display();
                    note(format_args!("error: bundle {bundle}: {refused}"));
                }
                if let Some(refused) = self.unexpected() {
                    let [detail, remedy] = refused;
                    note(format_args!(
                        "error: {DIGEST_UNEXPECTED}: {detail}; {remedy}"
                    ));
                }
                code
            }
        }
    }

    /// What a gateway would say against it.
    fn refused(&self) -> Option<&Refused> {
        match self.found.as_ref()? {
            Err(refused) => Some(refused),
            Ok(inspection) => inspection.refused.as_ref(),
        }
    }

    /// What is told where it is not the expected one, and what to do.
    const fn unexpected(&self) -> Option<[&'static str; 2]> {
        if self.is_expected {
            return None;
        }
        Some([
            "its digest is not the one that --expect names",
            "fetch it again",
        ])
    }

    fn code(&self) -> u8 {
        match &self.found {
            Some(Err(refused)) => code_of(refused),
            _ if !self.is_expected => INTEGRITY,
            Some(Ok(inspection)) if inspection.refused.is_some() => FAILED,
            _ => OK,
        }
    }

    fn text(&self) -> String {
        let mut text = self
            .payload
            .map_or_else(String::new, |payload| about(payload, self.now_us));
        match &self.found {
            None => {
                text +=
                    "signed    not asked (--allow-unsigned): no gateway with a root takes it so\n"
            }
            Some(Err(_)) => {}
            Some(Ok(found)) => {
                text += &format!("signed    by {}\n", row(&found.signers));
                text += &changes(found);
            }
        }
        text
    }

    fn json(&self) -> Value {
        let manifest = self.payload.map(Payload::manifest);
        let inspection = self.found.as_ref().and_then(|found| found.as_ref().ok());
        // What a gateway says weighs more; without it, what --expect says.
        let refusal = match (self.refused(), self.unexpected()) {
            (Some(refused), _) => Some(in_json(refused)),
            (None, Some([detail, remedy])) => Some(json!({
                "code": DIGEST_UNEXPECTED,
                "detail": detail,
                "remedy": remedy,
            })),
            (None, None) => None,
        };
        let missing = inspection.and_then(|found| found.missing.as_ref());
        json!({
            "result": if self.code() == OK { "ok" } else { "refused" },
            "digest": self.payload.map(Payload::digest),
            "content_digest": self.payload.map(|payload| payload.content().digest_hex()),
            "name": manifest.map(|manifest| &manifest.name),
            "epoch": manifest.map(|manifest| manifest.epoch),
            "serial": manifest.map(|manifest| manifest.serial),
            "parent": manifest.and_then(|manifest| manifest.parent.as_ref()),
            "author": manifest.map(|manifest| &manifest.author),
            "audience": manifest.map(|manifest| &manifest.audience),
            "tier_max": manifest.map(|manifest| manifest.tier_max.key()),
            "expires_at_us": manifest.map(|manifest| manifest.expires_at_us),
            "contracts": self.payload.map(|payload| payload.contracts().len()),
            "as_expected": self.is_expected,
            "signers": inspection.map(|found| &found.signers[..]),
            "classes": inspection.and_then(|found| found.classified.as_ref().map(|_| classes(found))),
            "missing": missing.map(|missing| json!({
                "author": missing.author,
                "candidates": missing.candidates,
                "count": missing.approvers,
                "owners": missing.owners.iter().map(|(group, _)| group).collect::<Vec<_>>(),
                "security": missing.security,
                "text": missing.to_string(),
            })),
            "refusal": refusal,
        })
    }
}

/// What it changes, and which signatures that still takes.
pub(super) fn changes(found: &Inspection) -> String {
    if found.classified.is_none() {
        return "classes   not known: name the bundle in force with --active\n".to_owned();
    }
    let missing = found.missing.as_ref();
    let missing = missing.map_or("nothing".to_owned(), ToString::to_string);
    format!("classes   {}\nmissing   {missing}\n", row(&classes(found)))
}

fn classes(found: &Inspection) -> Vec<&'static str> {
    let classes = found.classified.iter().flat_map(|found| &found.classes);
    classes.map(|class| class.name()).collect()
}

/// What a bundle says of itself, in a few lines.
pub(super) fn about(payload: &Payload, now_us: u64) -> String {
    let manifest = payload.manifest();
    let parent = manifest.parent.as_deref().unwrap_or("none");
    let mut text = format!(
        "bundle    {}\n\
         content   {}\n\
         place     '{}', {}, for '{}', by {}\n\
         parent    {parent}\n\
         holds     {} contracts, policy '{}' {}, tier at most {}\n\
         ends      {}\n",
        payload.digest(),
        payload.content().digest_hex(),
        manifest.name,
        manifest.position(),
        manifest.audience,
        manifest.author,
        payload.contracts().len(),
        payload.rules().name,
        payload.rules().version,
        manifest.tier_max.key(),
        span(now_us, manifest.expires_at_us),
    );
    if let Some(digest) = &manifest.revert_of {
        text += &format!("reverts   to {digest}\n");
    }
    if let Some(request) = &manifest.change_request {
        text += &format!("request   {request}\n");
    }
    if let Some(glass) = &manifest.breakglass {
        let ends = span(now_us, glass.until_us);
        text += &format!("emergency {}, ends {ends}\n", glass.reason);
    }
    text
}
