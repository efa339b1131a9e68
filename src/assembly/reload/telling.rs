//! What an attempt came to, in the words of the log and of the admin listener.

use crate::admin::{Activation, Finding};
use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::telemetry::Reload;

/// Findings in one line of the log.
const LOGGED_FINDINGS: usize = 5;

/// What an attempt came to, in the log.
pub(in crate::assembly) fn tell(activation: &Activation, contracts: usize) {
    let (trigger, serial) = (activation.trigger.name(), activation.serial);
    let policy_hash = &activation.digest;
    match activation.result {
        Reload::Activated => {
            let tier = activation.tier.name();
            tracing::info!(
                event = "rulebook_activated",
                trigger,
                serial,
                policy_hash,
                tier,
                contracts
            );
        }
        Reload::Unchanged => {
            tracing::info!(event = "reload_unchanged", trigger, serial, policy_hash);
        }
        Reload::Refused => {
            let shown = errors_in_one_line(activation);
            tracing::error!(
                event = "reload_failed",
                trigger,
                serial,
                policy_hash,
                errors = errors_of(activation).count(),
                findings = shown,
                "the rules that were in force stay; mend the files, 'tidegate check' names every fault"
            );
        }
    }
    if !activation.needs_restart.is_empty() {
        let keys = activation.needs_restart.join(", ");
        tracing::warn!(event = "restart_needed", keys);
    }
}

fn errors_of(activation: &Activation) -> impl Iterator<Item = &Finding> {
    let findings = activation.findings.iter();
    findings.filter(|finding| finding.severity == "error")
}

/// The first errors, in one line.
pub(super) fn errors_in_one_line(activation: &Activation) -> String {
    let errors = errors_of(activation).take(LOGGED_FINDINGS);
    errors.map(in_one_line).collect::<Vec<_>>().join("; ")
}

fn in_one_line(finding: &Finding) -> String {
    let Finding {
        file,
        line,
        column,
        code,
        message,
        ..
    } = finding;
    format!("{file}:{line}:{column}: {code} {message}")
}

/// A finding as the admin listener tells it.
pub(in crate::assembly) fn finding(diagnostic: &Diagnostic) -> Finding {
    Finding {
        severity: diagnostic.severity.name(),
        code: diagnostic.code.as_str(),
        file: diagnostic.file.to_string(),
        line: diagnostic.place.line,
        column: diagnostic.place.column,
        message: diagnostic.message.clone(),
        remedy: diagnostic.remedy.clone(),
    }
}

/// An error about a file as a whole.
pub(super) fn about(file: &std::path::Path, code: Code, message: String) -> Diagnostic {
    Diagnostic {
        file: file.display().to_string().into(),
        place: Place::default(),
        code,
        severity: Severity::Error,
        message,
        remedy: code.remedy().to_owned(),
        excerpt: None,
    }
}
