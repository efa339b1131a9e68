//! Typed reading of a tree: each accessor gives a value or reports why not.

use super::FORMAT_VERSION;
use super::tree::{Key, Node, Value};
use crate::diagnostic::{Code, Diagnostic, Place, Severity, error_count};

const EXCERPT_CHARS_MAX: usize = 160;
const TEXT_CHARS_SHOWN: usize = 40;
/// The most findings of one file: beyond them a reader has seen enough.
const FINDINGS_MAX: usize = 100;

/// One file being read, and what was found in it.
#[derive(Debug)]
pub struct Sheet<'a> {
    file: &'a str,
    source: &'a str,
    found: Vec<Diagnostic>,
    unshown: usize,
}

/// The keys of one kind of map.
#[derive(Debug, Clone, Copy)]
pub struct Keys {
    /// What the map is, in an error: `a contract`.
    pub what: &'static str,
    /// The keys that are read.
    pub known: &'static [&'static str],
    /// The keys that a later version will read.
    pub later: &'static [&'static str],
    /// The keys that are computed and must not stand in a file.
    pub computed: &'static [&'static str],
}

impl Keys {
    /// Keys of which all are read.
    #[must_use]
    pub const fn plain(what: &'static str, known: &'static [&'static str]) -> Self {
        Self {
            what,
            known,
            later: &[],
            computed: &[],
        }
    }
}

/// A map whose keys were checked.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'n> {
    place: Place,
    what: &'static str,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// The value of a key; the first one where it stands twice.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let entry = self.entries.iter().find(|(k, _)| &*k.text == key);
        entry.map(|(_, node)| node)
    }

    /// Where the map begins.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }
}

impl<'a> Sheet<'a> {
    /// A file under the name that findings show.
    #[must_use]
    pub const fn new(file: &'a str, source: &'a str) -> Self {
        Self {
            file,
            source,
            found: Vec::new(),
            unshown: 0,
        }
    }

    /// The name of the file.
    #[must_use]
    pub const fn file(&self) -> &'a str {
        self.file
    }

    /// The text of the file.
    #[must_use]
    pub const fn source(&self) -> &'a str {
        self.source
    }

    /// What was found.
    #[must_use]
    pub fn into_findings(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        if self.unshown > 0 {
            found.push(Diagnostic {
                file: self.file.into(),
                place: Place::default(),
                code: Code::TooMany,
                severity: Severity::Error,
                message: format!("{} more findings in this file are not shown", self.unshown),
                remedy: "mend those shown first".to_owned(),
                excerpt: None,
            });
        }
        found
    }

    /// Reports an error with the usual remedy.
    pub fn error(&mut self, place: Place, code: Code, message: String) {
        self.report(place, code, Severity::Error, message, code.remedy().into());
    }

    /// Reports an error with a remedy of its own.
    pub fn error_with(&mut self, place: Place, code: Code, message: String, remedy: String) {
        self.report(place, code, Severity::Error, message, remedy);
    }

    /// Reports a warning with the usual remedy.
    pub fn warning(&mut self, place: Place, code: Code, message: String) {
        let remedy = code.remedy().into();
        self.report(place, code, Severity::Warning, message, remedy);
    }

    /// Reports a warning with a remedy of its own.
    pub fn warning_with(&mut self, place: Place, code: Code, message: String, remedy: String) {
        self.report(place, code, Severity::Warning, message, remedy);
    }

    /// Whether an error was reported.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        error_count(&self.found) > 0
    }

    fn report(
        &mut self,
        place: Place,
        code: Code,
        severity: Severity,
        message: String,
        remedy: String,
    ) {
        if self.found.len() >= FINDINGS_MAX {
            self.unshown += 1;
            return;
        }
        let line = place.line.checked_sub(1);
        let excerpt = line.and_then(|line| self.source.lines().nth(line as usize));
        let cut = |line: &str| line.chars().take(EXCERPT_CHARS_MAX).collect::<String>();
        let excerpt = excerpt.map(|line| cut(line).into());
        self.found.push(Diagnostic {
            file: self.file.into(),
            place,
            code,
            severity,
            message,
            remedy,
            excerpt,
        });
    }

    /// The entries of a map, after reporting keys that stand twice, are unknown, are of a
    /// later version, or are computed.
    pub fn fields<'n>(&mut self, node: &'n Node, keys: &Keys) -> Option<Fields<'n>> {
        let entries = self.entries(node, keys.what)?;
        for (key, _) in entries {
            let text = &*key.text;
            if keys.known.contains(&text) {
                continue;
            }
            if keys.computed.contains(&text) {
                let message = format!("'{text}' is computed, never written");
                self.error(key.place, Code::ComputedKey, message);
            } else if keys.later.contains(&text) {
                let message = format!("'{text}' is not supported by this version");
                self.error(key.place, Code::LaterKey, message);
            } else {
                self.unknown_key(key, keys);
            }
        }
        Some(Fields {
            place: node.place,
            what: keys.what,
            entries,
        })
    }

    /// The entries of a map with free keys, after reporting those that stand twice.
    pub fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        let Value::Map(entries) = &node.value else {
            self.wrong_type(node, &format!("{what} is a map"));
            return None;
        };
        let mut seen: std::collections::HashMap<&str, Place> = std::collections::HashMap::new();
        for (key, _) in entries {
            if let Some(first) = seen.get(&*key.text) {
                let text = shown(&key.text);
                let (line, column) = (first.line, first.column);
                let message = format!("'{text}' stands already at {line}:{column}");
                self.error(key.place, Code::DuplicateKey, message);
            } else {
                seen.insert(&key.text, key.place);
            }
        }
        Some(entries)
    }

    fn unknown_key(&mut self, key: &Key, keys: &Keys) {
        if self.found.len() >= FINDINGS_MAX {
            self.unshown += 1;
            return;
        }
        let text = shown(&key.text);
        let message = format!("{} has no key '{text}'", keys.what);
        let remedy = match nearest(&key.text, keys.known.iter().copied()) {
            Some(known) => format!("did you mean '{known}'?"),
            None => format!("remove it; the keys are {}", keys.known.join(", ")),
        };
        self.error_with(key.place, Code::UnknownKey, message, remedy);
    }

    /// The value of a key that must be there.
    pub fn required<'n>(&mut self, fields: Fields<'n>, key: &str) -> Option<&'n Node> {
        let node = fields.get(key);
        if node.is_none() {
            let message = format!("{} needs '{key}'", fields.what);
            self.error(fields.place, Code::MissingKey, message);
        }
        node
    }

    /// Checks `version`, the format version of a file: only [`FORMAT_VERSION`].
    pub fn format_version(&mut self, fields: Fields<'_>) {
        let Some(node) = self.required(fields, "version") else {
            return;
        };
        let supported = FORMAT_VERSION.to_string();
        if !matches!(&node.value, Value::Plain(text) if **text == *supported) {
            let message = format!("the supported format versions are: {supported}");
            self.error(node.place, Code::Version, message);
        }
    }

    /// Reports a value of another kind than expected.
    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let message = format!("{expected}, not {}", node.value.describe());
        self.error(node.place, Code::WrongType, message);
    }
}

/// A text of a file in a message: short, because a file may hold anything.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_CHARS_SHOWN).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    short
}

/// The nearest of several names, if one is near.
pub(super) fn nearest<'k>(text: &str, names: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if text.len() > 64 {
        return None;
    }
    let scored = names.map(|name| (strsim::jaro_winkler(text, name), name));
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(score, _)| *score > 0.8).map(|(_, name)| name)
}
