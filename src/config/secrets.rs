//! Secrets in files: what looks like a key or a password is refused, and never shown.
//!
//! Contracts and policies are read by many and kept for ever; a secret in them is known to all.
//! Looked for in the whole text, comments included, by forms that hardly anything else has.
//! Invariant: no finding of a file shows a part of a secret that was found in it.

mod forms;

use std::collections::BTreeSet;

use crate::config::sources::Source;
use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use forms::{Found, ends_private_key, find};

/// What stands in a finding in place of a secret.
const HIDDEN: &str = "[secret]";
/// The most findings of one file.
const FINDINGS_MAX: usize = 20;
/// So many bytes of a secret are never part of anything else.
const TELLING_BYTES: usize = 8;

/// Adds the secrets of a file to its findings, and hides them in all of them.
pub(super) fn report(source: &Source, findings: &mut Vec<Diagnostic>) {
    let mut all: Vec<(u32, Found<'_>)> = Vec::new();
    // Lines that are never shown: those with a secret, and all of a private key.
    let mut secret_lines: BTreeSet<u32> = BTreeSet::new();
    let mut in_key = false;
    for (number, line) in (1..).zip(source.text.lines()) {
        let before = all.len();
        all.extend(find(line).into_iter().map(|found| (number, found)));
        let begun = all.get(before..).unwrap_or_default();
        in_key |= begun.iter().any(|(_, found)| found.is_key);
        if in_key || !begun.is_empty() {
            secret_lines.insert(number);
        }
        in_key &= !ends_private_key(line);
    }
    if all.is_empty() {
        return;
    }
    for finding in findings.iter_mut() {
        if secret_lines.contains(&finding.place.line) {
            finding.excerpt = None;
        }
        for (_, found) in &all {
            hide(&mut finding.message, found.text);
            hide(&mut finding.remedy, found.text);
        }
    }
    findings.extend(
        all.iter()
            .take(FINDINGS_MAX)
            .map(|(line, found)| Diagnostic {
                file: source.name.as_str().into(),
                place: Place {
                    line: *line,
                    column: found.column,
                },
                code: Code::Secret,
                severity: Severity::Error,
                message: format!("this looks like {}", found.what),
                remedy: Code::Secret.remedy().to_owned(),
                excerpt: None,
            }),
    );
}

/// Replaces what a message shows of a secret: all of it, or its beginning where that was cut.
fn hide(message: &mut String, secret: &str) {
    let telling = secret.len().min(TELLING_BYTES);
    let Some(beginning) = secret.get(..telling).filter(|part| !part.is_empty()) else {
        return;
    };
    let mut from = 0;
    while let Some(at) = message.get(from..).and_then(|rest| rest.find(beginning)) {
        let start = from + at;
        let shown = message.get(start..).unwrap_or_default();
        let same = shown
            .chars()
            .zip(secret.chars())
            .take_while(|(a, b)| a == b);
        let length: usize = same.map(|(c, _)| c.len_utf8()).sum();
        message.replace_range(start..start + length, HIDDEN);
        from = start + HIDDEN.len();
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Diagnostic, Place, Severity, Source, report};

    #[test]
    fn no_finding_of_the_file_shows_the_secret() {
        // R033
        let secret = format!("AKIA{}", "ABCDEFGH23456789");
        let finding = |message: String| Diagnostic {
            file: "a.yaml".into(),
            place: Place { line: 2, column: 1 },
            code: Code::WrongType,
            severity: Severity::Error,
            excerpt: Some(format!("key: {secret}").into()),
            remedy: format!("not {secret}"),
            message,
        };
        let source = Source {
            name: "a.yaml".to_owned(),
            text: format!("one: 1\nkey: {secret}\n"),
        };
        let cut: String = secret.chars().take(12).collect();
        let mut found = vec![
            finding(format!("'{secret}' and '{secret}'")),
            finding(format!("'{cut}...'")),
        ];
        report(&source, &mut found);
        let told: Vec<&str> = found.iter().map(|d| d.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "'[secret]' and '[secret]'",
                "'[secret]...'",
                "this looks like an access key of AWS",
            ]
        );
        assert_eq!(found[2].place, Place { line: 2, column: 6 });
        for finding in found {
            let shown = format!("{finding:?}");
            assert!(!shown.contains(&secret[..8]), "{shown}");
            assert_eq!(finding.excerpt, None);
        }
    }

    #[test]
    fn no_line_of_a_private_key_is_shown() {
        // R033
        let mark = |word| format!("-----{word} {} KEY-----", "PRIVATE");
        let text = format!(
            "a: |\n  {}\n  MIIE\n  {}\nb: 1\n",
            mark("BEGIN"),
            mark("END")
        );
        let name = "a.yaml".to_owned();
        let mut found: Vec<Diagnostic> = (1..=5)
            .map(|line| Diagnostic {
                file: "a.yaml".into(),
                place: Place { line, column: 1 },
                code: Code::Syntax,
                severity: Severity::Error,
                message: String::new(),
                remedy: String::new(),
                excerpt: Some("shown".into()),
            })
            .collect();
        report(&Source { name, text }, &mut found);
        let shown = found.iter().map(|d| d.excerpt.is_some());
        assert!(shown.eq([true, false, false, false, true, false]));
    }
}
