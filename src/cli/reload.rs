//! `tidegate reload`: the running gateway loads its files.

use clap::Args;
use serde_json::Value;

use crate::cli::admin::{AdminArgs, Answer, Request};
use crate::cli::exit::{FAILED, OK, Outcome};

/// Has the running gateway load its files, and says what came of it.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    /// Which gateway.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Runs the verb; the result is the exit code: 0, 1 where the files were refused, 69 where no
/// gateway answers.
#[must_use]
pub fn run(args: &ReloadArgs) -> u8 {
    reload(&args.admin).print()
}

/// Reloads without printing.
pub(super) fn reload(admin: &AdminArgs) -> Outcome {
    match admin.ask(Request::Post("/v1/reload", "{}")) {
        Ok(answer) if matches!(answer.status, 200 | 422) => told(&answer),
        Ok(answer) => answer.refused(),
        Err(outcome) => outcome,
    }
}

fn told(answer: &Answer) -> Outcome {
    let (stdout, findings) = summary(&answer.body);
    Outcome {
        stdout,
        stderr: findings,
        code: if answer.status == 200 { OK } else { FAILED },
    }
}

/// One line about an attempt, and its findings.
pub(super) fn summary(activation: &Value) -> (String, String) {
    let text = |key| activation.get(key).and_then(Value::as_str).unwrap_or("?");
    let serial = activation.get("serial").and_then(Value::as_u64);
    let mut line = format!(
        "{}: serial {}, digest {}, tier {}\n",
        text("result"),
        serial.unwrap_or_default(),
        text("digest"),
        text("tier"),
    );
    let keys = list(activation, "needs_restart");
    if !keys.is_empty() {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        line += &format!("takes a restart: {}\n", keys.join(", "));
    }
    let findings = list(activation, "findings");
    (line, findings.iter().map(finding).collect())
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn finding(finding: &Value) -> String {
    let text = |key| finding.get(key).and_then(Value::as_str).unwrap_or("?");
    let number = |key| finding.get(key).and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{}:{}:{}: {} {}: {}\n  remedy: {}\n",
        text("file"),
        number("line"),
        number("column"),
        text("severity"),
        text("code"),
        text("message"),
        text("remedy"),
    )
}
