//! Findings as text for people, and in the formats that editors and forges read.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Code, Diagnostic, Severity, error_count};

/// How many characters of a line of a file are shown.
const EXCERPT_CHARS_MAX: usize = 160;

/// In which form findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
}

/// All findings in one form; ends with a line break unless empty.
#[must_use]
pub fn render(found: &[Diagnostic], format: Format) -> String {
    match format {
        Format::Pretty => found.iter().map(pretty).collect(),
        Format::Json => format!("{:#}\n", as_json(found)),
        Format::Sarif => format!("{:#}\n", as_sarif(found)),
        Format::Github => found.iter().map(github).collect(),
    }
}

fn pretty(diagnostic: &Diagnostic) -> String {
    let mut text = String::new();
    let Diagnostic { place, .. } = diagnostic;
    let severity = diagnostic.severity.name();
    let code = diagnostic.code.as_str();
    let lint = diagnostic.code.lint().map(|name| format!(" {name}"));
    let lint = lint.unwrap_or_default();
    let _ = writeln!(
        text,
        "{severity}[{code}{lint}]: {}",
        visible(&diagnostic.message)
    );
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let _ = write!(text, "{margin}--> {}", visible(&diagnostic.file));
    if place.line > 0 {
        let _ = write!(text, ":{}:{}", place.line, place.column);
    }
    text.push('\n');
    if let Some(excerpt) = &diagnostic.excerpt {
        let (excerpt, at) = clipped(excerpt, place.column.saturating_sub(1) as usize);
        let indent = " ".repeat(at);
        let _ = writeln!(text, "{margin} |");
        let _ = writeln!(text, "{number} | {}", visible(&excerpt));
        let _ = writeln!(text, "{margin} | {indent}^");
    }
    let _ = writeln!(text, "{margin} = {}", visible(&diagnostic.remedy));
    text.push('\n');
    text
}

/// What is shown of a line around a column, and where the column is in that. A file in one line
/// would fill the screen otherwise.
fn clipped(line: &str, column: usize) -> (String, usize) {
    if line.chars().nth(EXCERPT_CHARS_MAX).is_none() {
        return (line.to_owned(), column);
    }
    let start = column.saturating_sub(EXCERPT_CHARS_MAX / 2);
    let mut rest = line.chars().skip(start);
    let mut shown: String = rest.by_ref().take(EXCERPT_CHARS_MAX).collect();
    if rest.next().is_some() {
        shown.push('…');
    }
    match start {
        0 => (shown, column),
        _ => (format!("…{shown}"), column - start + 1),
    }
}

/// Control characters would let a file write to the reader's terminal.
fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(shown).collect()
}

fn as_json(found: &[Diagnostic]) -> Value {
    let diagnostics: Vec<Value> = found
        .iter()
        .map(|diagnostic| {
            json!({
                "code": diagnostic.code.as_str(),
                "lint": diagnostic.code.lint(),
                "severity": diagnostic.severity.name(),
                "file": diagnostic.file,
                "line": diagnostic.place.line,
                "column": diagnostic.place.column,
                "message": diagnostic.message,
                "remedy": diagnostic.remedy,
            })
        })
        .collect();
    let errors = error_count(found);
    json!({
        "diagnostics": diagnostics,
        "errors": errors,
        "warnings": found.len() - errors,
    })
}

fn as_sarif(found: &[Diagnostic]) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| {
            json!({
                "id": code.as_str(),
                "shortDescription": { "text": code.title() },
                "help": { "text": code.remedy() },
            })
        })
        .collect();
    let results: Vec<Value> = found.iter().map(sarif_result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tidegate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn sarif_result(diagnostic: &Diagnostic) -> Value {
    let mut location = json!({
        "artifactLocation": { "uri": uri(&diagnostic.file) },
    });
    if diagnostic.place.line > 0 {
        let region = json!({
            "startLine": diagnostic.place.line,
            "startColumn": diagnostic.place.column,
        });
        if let Some(object) = location.as_object_mut() {
            object.insert("region".to_owned(), region);
        }
    }
    json!({
        "ruleId": diagnostic.code.as_str(),
        "level": diagnostic.severity.name(),
        "message": { "text": format!("{}. {}", diagnostic.message, diagnostic.remedy) },
        "locations": [{ "physicalLocation": location }],
    })
}

/// A relative path as a URI reference: bytes outside the plain ones are percent-encoded.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn github(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let file = property(&diagnostic.file);
    let place = match diagnostic.place.line {
        0 => String::new(),
        line => format!(",line={line},col={}", diagnostic.place.column),
    };
    let code = diagnostic.code.as_str();
    let text = data(&format!("{}. {}", diagnostic.message, diagnostic.remedy));
    format!("::{severity} file={file}{place},title={code}::{text}\n")
}

/// The escapes that workflow commands ask for in their text.
fn data(text: &str) -> String {
    let escaped = text.replace('%', "%25").replace('\r', "%0D");
    escaped.replace('\n', "%0A")
}

/// The escapes that workflow commands ask for in their properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{Format, render};
    use crate::diagnostic::{Code, Diagnostic, Place, Severity};

    fn finding() -> Diagnostic {
        Diagnostic {
            file: "contracts/a, b.yaml".into(),
            place: Place { line: 4, column: 5 },
            code: Code::UnknownKey,
            severity: Severity::Error,
            message: "unknown key 'max_latency'\u{1b}[2J".to_owned(),
            remedy: "did you mean 'max_latency_ms'?".to_owned(),
            excerpt: Some("    max_latency: 500".into()),
        }
    }

    #[test]
    fn people_see_the_place_and_the_remedy_and_no_escape_codes() {
        let text = render(&[finding()], Format::Pretty);
        let expected = "error[C009]: unknown key 'max_latency'\u{fffd}[2J\n \
            --> contracts/a, b.yaml:4:5\n  |\n4 |     max_latency: 500\n  |     ^\n  \
            = did you mean 'max_latency_ms'?\n\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn of_a_long_line_the_place_is_shown() {
        let mut long = finding();
        let mut check = |column: u32, excerpt: &str, expected: &str| {
            long.place.column = column;
            long.excerpt = Some(excerpt.into());
            let text = render(std::slice::from_ref(&long), Format::Pretty);
            let lines: Vec<&str> = text.lines().collect();
            let marked = lines[4].chars().count() - 1;
            assert_eq!(lines[3].chars().nth(marked), Some('X'), "{text}");
            assert_eq!(lines[3].trim_start_matches("4 | "), expected);
        };
        let side = |count: usize| "é".repeat(count);
        let whole = format!("X{}", side(159));
        check(1, &whole, &whole);
        check(1, &format!("X{}", side(160)), &format!("{whole}…"));
        let middle = format!("{}X{}", side(5_000_000), side(5_000_000));
        let shown = format!("…{}X{}…", side(80), side(79));
        check(5_000_001, &middle, &shown);
        let end = format!("{}X", side(500));
        check(501, &end, &format!("…{}X", side(80)));
    }

    #[test]
    fn machines_get_every_member() {
        let json = render(&[finding()], Format::Json);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["errors"], 1);
        assert_eq!(value["diagnostics"][0]["line"], 4);
        let sarif = render(&[finding()], Format::Sarif);
        let value: serde_json::Value = serde_json::from_str(&sarif).unwrap();
        let result = &value["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "C009");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "contracts/a%2C%20b.yaml");
        assert_eq!(place["region"]["startColumn"], 5);
        let github = render(&[finding()], Format::Github);
        assert!(github.starts_with(
            "::error file=contracts/a%2C b.yaml,line=4,col=5,title=C009::unknown key"
        ));
    }
}
