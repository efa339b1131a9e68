//! `tidegate bundle apply`: the running gateway puts a bundle in force.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::admin::NO_BUNDLE;
use crate::bundle::envelope::ENVELOPE_BYTES_MAX;
use crate::bundle::refusal::RefusalCode;
use crate::cli::admin::{AdminArgs, Answer, Request, problem};
use crate::cli::exit::{FAILED, OK, Outcome};
use crate::cli::offline::INTEGRITY;

/// Has the running gateway put a signed bundle in force.
#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The bundle, with its signatures.
    pub file: PathBuf,
    /// The digest of the bundle that has to be in force now, or 'none'; without it whichever is, as
    /// the gateway says.
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub if_match: Option<String>,
    /// Which gateway.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// A whole digest, for it is compared as it stands.
fn digest(text: &str) -> Result<String, String> {
    let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text == NO_BUNDLE || is_digest {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!(
        "give a bundle digest, 64 hex digits, or '{NO_BUNDLE}'"
    ))
}

/// Runs the verb; the result is the exit code: 0 in force, 1 refused, 65 bytes or signatures are not
/// what they claim, 69 where no gateway answers.
pub(super) fn run(args: &ApplyArgs) -> u8 {
    apply(args).unwrap_or_else(|outcome| outcome).print()
}

fn apply(args: &ApplyArgs) -> Result<Outcome, Outcome> {
    let bytes = read(&args.file).map_err(|error| {
        let path = args.file.display();
        problem(&format!("{path} cannot be read: {error}\n"), FAILED)
    })?;
    let if_match = match &args.if_match {
        Some(digest) => digest.clone(),
        None => in_force(&args.admin)?,
    };
    let answer = args.admin.ask(Request::Bundle {
        unverified: &bytes,
        if_match: &if_match,
    })?;
    Ok(match answer.body.get("result") {
        Some(_) => told(&answer.body),
        None => answer.refused(),
    })
}

/// One byte more than a bundle may have is enough for the gateway to refuse it.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = ENVELOPE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The digest of the bundle in force.
fn in_force(admin: &AdminArgs) -> Result<String, Outcome> {
    let answer: Answer = admin.ask(Request::Get("/v1/status"))?;
    if answer.status != 200 {
        return Err(answer.refused());
    }
    let digest = answer.body.pointer("/bundle/active/digest");
    let digest = digest.and_then(Value::as_str);
    Ok(digest.unwrap_or(NO_BUNDLE).to_owned())
}

fn told(attempt: &Value) -> Outcome {
    let text = |key| attempt.get(key).and_then(Value::as_str);
    let number = |key| attempt.get(key).and_then(Value::as_u64).unwrap_or_default();
    let Some(code) = text("code") else {
        let stdout = format!(
            "{}: bundle {}, epoch {} serial {}\n",
            text("result").unwrap_or("?"),
            text("digest").unwrap_or("?"),
            number("epoch"),
            number("serial"),
        );
        return Outcome {
            stdout,
            stderr: String::new(),
            code: OK,
        };
    };
    let known = RefusalCode::ALL
        .into_iter()
        .find(|known| known.name() == code);
    let exit = match known {
        Some(known) if known.is_integrity() => INTEGRITY,
        _ => FAILED,
    };
    let detail = text("detail").unwrap_or_default();
    let remedy = text("remedy").unwrap_or_default();
    problem(&format!("{code}: {detail}\n  remedy: {remedy}\n"), exit)
}
