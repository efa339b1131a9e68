//! `tidegate status`: what is in force, since when, and what is wrong.

use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::cli::admin::{AdminArgs, Request};
use crate::cli::exit::{OK, Outcome};
use crate::cli::reload::summary;
use crate::gateway::clock;

/// Says what the running gateway has in force.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Which gateway.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// How it is written to stdout.
    #[arg(long, env = "TIDEGATE_FORMAT", value_enum, default_value_t)]
    pub format: StatusFormat,
}

/// The form of the status.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum StatusFormat {
    /// For people.
    #[default]
    #[value(alias = "pretty")]
    Text,
    /// As the admin listener tells it.
    Json,
}

/// Runs the verb; the result is the exit code: 0, 69 where no gateway answers.
#[must_use]
pub fn run(args: &StatusArgs) -> u8 {
    let outcome = match args.admin.ask(Request::Get("/v1/status")) {
        Ok(answer) if answer.status == 200 => Outcome {
            stdout: match args.format {
                StatusFormat::Text => text(&answer.body, clock::now().wall_us / 1_000),
                StatusFormat::Json => format!("{:#}\n", answer.body),
            },
            stderr: String::new(),
            code: OK,
        },
        Ok(answer) => answer.refused(),
        Err(outcome) => outcome,
    };
    outcome.print()
}

/// One line per subject.
fn text(status: &Value, now_ms: u64) -> String {
    let word = |path| status.pointer(path).and_then(Value::as_str);
    let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let since = |at_ms: u64| age(now_ms.saturating_sub(at_ms) / 1_000);
    let mut out = String::new();
    let mut line = |subject: &str, said: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{subject:<13} {said}");
    };
    line("tier", word("/tier").unwrap_or("?").to_owned());
    line("kill switch", kill_switch(status));
    line(
        "rulebook",
        format!(
            "serial {}, digest {}, for {}",
            number("/serial"),
            word("/policy_hash").unwrap_or("?"),
            since(number("/active_since_unix_ms")),
        ),
    );
    line("bundle", bundle(status, now_ms));
    if let Some(root) = root(status, now_ms) {
        line("root", root);
    }
    line("contracts", number("/contracts").to_string());
    line("last reload", last_reload(status, &since));
    let keys = status.pointer("/needs_restart").and_then(Value::as_array);
    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
    let keys: Vec<&str> = keys.collect();
    if !keys.is_empty() {
        line("restart for", keys.join(", "));
    }
    line("ready", ready(status));
    line("ledger", ledger(status));
    line(
        "workers",
        format!(
            "{}, up for {}, version {}",
            number("/workers"),
            since(number("/started_unix_s") * 1_000),
            word("/version").unwrap_or("?"),
        ),
    );
    out
}

/// The bundle in force, or that there is none, and what somebody should look at.
fn bundle(status: &Value, now_ms: u64) -> String {
    let word = |path| status.pointer(path).and_then(Value::as_str);
    let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let mut said = match word("/bundle/active/digest") {
        Some(digest) => {
            let signers = status.pointer("/bundle/active/signers");
            let signers = signers.and_then(Value::as_array).into_iter().flatten();
            let signers: Vec<&str> = signers.filter_map(Value::as_str).collect();
            format!(
                "{}, epoch {} serial {}, digest {digest}, signed by {}",
                word("/bundle/active/name").unwrap_or("?"),
                number("/bundle/active/epoch"),
                number("/bundle/active/serial"),
                signers.join(", ")
            )
        }
        None if status.pointer("/bundle/root").is_none() => "none: unsigned local files".to_owned(),
        None => "none yet".to_owned(),
    };
    if let Some(end_ms) = status
        .pointer("/bundle/active/expires_unix_ms")
        .and_then(Value::as_u64)
    {
        said += &format!("\n  {}", end(end_ms, now_ms));
    }
    if let Some(emergency) = status.pointer("/bundle/emergency") {
        said += &emergency_of(emergency, now_ms);
    }
    if let Some(attempt) = status.pointer("/bundle/last_attempt") {
        said += &refusal(attempt, now_ms);
    }
    let troubles = status.pointer("/bundle/troubles").and_then(Value::as_array);
    for trouble in troubles.into_iter().flatten().filter_map(Value::as_str) {
        said += "\n  ";
        said += trouble;
    }
    said
}

/// When something ends, or that it has.
fn end(end_ms: u64, now_ms: u64) -> String {
    match end_ms.checked_sub(now_ms) {
        Some(left) if left > 0 => format!("ends in {}", age(left / 1_000)),
        _ => format!("ended {} ago", age(now_ms.saturating_sub(end_ms) / 1_000)),
    }
}

/// The root, on a gateway that has one.
fn root(status: &Value, now_ms: u64) -> Option<String> {
    let root = status.pointer("/bundle/root")?;
    let version = root.get("version").and_then(Value::as_u64)?;
    let end_ms = root.get("expires_unix_ms").and_then(Value::as_u64);
    let end = end_ms.map_or(String::new(), |at| format!(", {}", end(at, now_ms)));
    Some(format!("version {version}{end}"))
}

/// An emergency measure: why, until when, and what comes back.
fn emergency_of(emergency: &Value, now_ms: u64) -> String {
    let word = |path| emergency.pointer(path).and_then(Value::as_str);
    let number = |path| emergency.pointer(path).and_then(Value::as_u64);
    let (Some(reason), Some(until_ms)) = (word("/reason"), number("/until_unix_ms")) else {
        return String::new();
    };
    let returns = word("/returns/digest").unwrap_or("?");
    let place = match (number("/returns/epoch"), number("/returns/serial")) {
        (Some(epoch), Some(serial)) => format!("epoch {epoch} serial {serial}, digest {returns}"),
        _ => format!("digest {returns}, which is not here"),
    };
    format!(
        "\n  emergency measure: {reason}; {}; then comes back {place}",
        end(until_ms, now_ms)
    )
}

/// The last attempt, where it was refused: when, what, why, and what to do.
fn refusal(attempt: &Value, now_ms: u64) -> String {
    let word = |key| attempt.get(key).and_then(Value::as_str);
    let Some(code) = word("code") else {
        return String::new();
    };
    let at_ms = attempt.get("at_unix_ms").and_then(Value::as_u64);
    let ago = age(now_ms.saturating_sub(at_ms.unwrap_or(now_ms)) / 1_000);
    let mut said = format!(
        "\n  last attempt refused {ago} ago: {code}: {}",
        word("detail").unwrap_or_default()
    );
    if let Some(digest) = word("digest") {
        said += &format!("\n    digest: {digest}");
    }
    if let Some(remedy) = word("remedy").filter(|remedy| !remedy.is_empty()) {
        said += &format!("\n    remedy: {remedy}");
    }
    said
}

fn kill_switch(status: &Value) -> String {
    let word = |path| status.pointer(path).and_then(Value::as_str);
    let said = match word("/kill_switch/tier") {
        Some(tier) => format!("{tier} at most, until 'tidegate tier reset'"),
        None => "not used".to_owned(),
    };
    match word("/kill_switch/trouble") {
        Some(trouble) => format!("{said}; {trouble}"),
        None => said,
    }
}

fn last_reload(status: &Value, since: &impl Fn(u64) -> String) -> String {
    let Some(last) = status.get("last_reload").filter(|last| last.is_object()) else {
        return "none since the start".to_owned();
    };
    let word = |key| last.get(key).and_then(Value::as_str).unwrap_or("?");
    let at_ms = last.get("at_unix_ms").and_then(Value::as_u64);
    let mut said = format!(
        "{}, by {}, {} ago",
        word("result"),
        word("trigger"),
        since(at_ms.unwrap_or_default())
    );
    let (_, findings) = summary(last);
    for finding in findings.lines() {
        said += "\n  ";
        said += finding;
    }
    said
}

fn ready(status: &Value) -> String {
    let reasons = status.get("unready_reasons").and_then(Value::as_array);
    let reasons = reasons.into_iter().flatten().filter_map(Value::as_str);
    let reasons: Vec<&str> = reasons.collect();
    if reasons.is_empty() {
        return "yes".to_owned();
    }
    format!("no: {}", reasons.join("; "))
}

fn ledger(status: &Value) -> String {
    let number = |path| status.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let (records, durable) = (number("/ledger/records"), number("/ledger/durable"));
    let ok = status.pointer("/ledger/ok").and_then(Value::as_bool);
    let error = status.pointer("/ledger/error").and_then(Value::as_str);
    let damaged = status
        .pointer("/ledger/damaged_seq")
        .and_then(Value::as_u64);
    let file = status
        .pointer("/ledger/damaged_file")
        .and_then(Value::as_str);
    format!(
        "{}, {} records ({} durable, {} not), {} lost, {} waiting{}{}",
        if ok == Some(true) { "ok" } else { "NOT OK" },
        records,
        durable,
        records.saturating_sub(durable),
        number("/ledger/lost"),
        number("/ledger/queued"),
        match error {
            Some(error) if !error.is_empty() => format!("; {error}"),
            _ => String::new(),
        },
        match damaged {
            Some(seq) => format!("; record {seq} of {} is damaged", file.unwrap_or("?")),
            None => String::new(),
        }
    )
}

/// A time span in its two largest units.
fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{age, text};

    #[test]
    fn a_status_is_told_in_lines() {
        let status = json!({
            "tier": "OBSERVE_ONLY", "policy_hash": "abc", "serial": 4, "contracts": 2,
            "active_since_unix_ms": 940_000, "started_unix_s": 0, "workers": 2, "version": "1",
            "kill_switch": {"tier": "OBSERVE_ONLY", "trouble": null},
            "needs_restart": ["listeners", "threads"], "unready_reasons": [],
            "last_reload": {"result": "refused", "trigger": "watch", "at_unix_ms": 995_000,
                "findings": [{"severity": "error", "code": "C004", "file": "a.yaml", "line": 3,
                    "column": 1, "message": "no YAML", "remedy": "mend it"}]},
            "ledger": {"ok": true, "records": 7, "durable": 5, "lost": 0, "queued": 1, "error": ""},
        });
        let want = "\
tier          OBSERVE_ONLY
kill switch   OBSERVE_ONLY at most, until 'tidegate tier reset'
rulebook      serial 4, digest abc, for 1 min 0 s
bundle        none: unsigned local files
contracts     2
last reload   refused, by watch, 5 s ago
  a.yaml:3:1: error C004: no YAML
    remedy: mend it
restart for   listeners, threads
ready         yes
ledger        ok, 7 records (5 durable, 2 not), 0 lost, 1 waiting
workers       2, up for 16 min 40 s, version 1
";
        assert_eq!(text(&status, 1_000_000), want);
    }

    #[test]
    fn a_bundle_is_told_with_its_signers_and_troubles() {
        let check = |bundle, want: &str| {
            assert_eq!(super::bundle(&json!({ "bundle": bundle }), 600_000), want);
        };
        check(
            json!({"signed": false, "active": null}),
            "none: unsigned local files",
        );
        check(json!({"root": {"version": 1}, "active": null}), "none yet");
        check(
            json!({"root": {"version": 1},
                "active": {"digest": "d", "name": "edge", "epoch": 1, "serial": 7,
                    "signers": ["alice", "bob"], "expires_unix_ms": 4_200_000},
                "last_attempt": {"code": "ROLLBACK_REJECTED", "detail": "old", "digest": "e",
                    "at_unix_ms": 540_000, "remedy": "build it again"},
                "troubles": ["look"]}),
            "edge, epoch 1 serial 7, digest d, signed by alice, bob\n  ends in 1 h 0 min\n  \
             last attempt refused 1 min 0 s ago: ROLLBACK_REJECTED: old\n    digest: e\n    \
             remedy: build it again\n  look",
        );
        check(
            json!({"root": {"version": 1},
                "active": {"digest": "d", "name": "edge", "epoch": 1, "serial": 8,
                    "signers": ["bob"], "expires_unix_ms": 590_000},
                "emergency": {"reason": "a flood", "until_unix_ms": 660_000,
                    "returns": {"digest": "c", "epoch": 1, "serial": 7}},
                "last_attempt": {"code": null}}),
            "edge, epoch 1 serial 8, digest d, signed by bob\n  ended 10 s ago\n  emergency \
             measure: a flood; ends in 1 min 0 s; then comes back epoch 1 serial 7, digest c",
        );
    }

    #[test]
    fn the_root_is_told_where_there_is_one() {
        let check = |bundle, want: Option<&str>| {
            let told = super::root(&json!({ "bundle": bundle }), 600_000);
            assert_eq!(told.as_deref(), want);
        };
        check(json!({"signed": false}), None);
        let root = json!({"root": {"version": 3, "expires_unix_ms": 660_000}});
        check(root, Some("version 3, ends in 1 min 0 s"));
    }

    #[test]
    fn damage_is_told_beside_other_trouble() {
        let check = |ledger, want: &str| {
            let told = super::ledger(&json!({ "ledger": ledger }));
            assert_eq!(told, want);
        };
        check(
            json!({"ok": false, "records": 7, "durable": 5, "lost": 0, "queued": 0, "error": "",
                "damaged_seq": 3, "damaged_file": "l/seg-0.jsonl"}),
            "NOT OK, 7 records (5 durable, 2 not), 0 lost, 0 waiting; record 3 of l/seg-0.jsonl is damaged",
        );
        check(
            json!({"ok": true, "records": 7, "durable": 5, "lost": 0, "queued": 0, "error": "no note",
                "damaged_seq": null, "damaged_file": null}),
            "ok, 7 records (5 durable, 2 not), 0 lost, 0 waiting; no note",
        );
    }

    #[test]
    fn ages_have_two_units() {
        for (seconds, want) in [(59, "59 s"), (3_599, "59 min 59 s"), (90_061, "1 d 1 h")] {
            assert_eq!(age(seconds), want);
        }
    }
}
