//! What was measured: figures of each round, by scenario and subject; kept as JSON.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::stats::{Spread, ratios};

/// CPU microseconds per request, of the whole process.
pub(super) const CPU: &str = "cpu_us";
pub(super) const USER: &str = "user_us";
pub(super) const SYSTEM: &str = "system_us";
pub(super) const RATE: &str = "requests_per_second";
pub(super) const RSS: &str = "rss_mib";
pub(super) const LEDGER: &str = "ledger_bytes_per_request";
pub(super) const P50: &str = "p50_us";
pub(super) const P99: &str = "p99_us";
pub(super) const P999: &str = "p999_us";
/// How late the client was with sending.
pub(super) const LATE: &str = "client_late_p99_us";
pub(super) const START: &str = "start_ms";

/// Figures by name, one of each round.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Subject {
    pub(super) label: String,
    pub(super) figures: BTreeMap<String, Vec<f64>>,
}

/// One scenario's figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) title: String,
    /// Seconds since 1970.
    pub(super) began: u64,
    pub(super) subjects: Vec<Subject>,
    /// Subjects that could not take part, and why.
    pub(super) missing: Vec<String>,
}

impl Subject {
    pub(super) fn of(label: String) -> Self {
        Self {
            label,
            ..Self::default()
        }
    }

    /// Adds a figure of a round.
    pub(super) fn add(&mut self, name: &str, figure: f64) {
        self.figures
            .entry(name.to_owned())
            .or_default()
            .push(figure);
    }

    pub(super) fn all(&self, name: &str) -> &[f64] {
        self.figures.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn spread(&self, name: &str) -> Option<Spread> {
        Spread::of(self.all(name))
    }
}

impl Outcome {
    pub(super) fn subject(&self, label: &str) -> Option<&Subject> {
        self.subjects.iter().find(|s| s.label == label)
    }

    /// Ratios of a figure of two subjects, within rounds.
    pub(super) fn ratio(&self, of: &str, to: &str, figure: &str) -> Vec<f64> {
        let all = |label| self.subject(label).map_or(&[][..], |s| s.all(figure));
        ratios(all(of), all(to))
    }

    /// Adds the rounds of another run. Ratios stay within rounds, since a subject that takes part in
    /// one run alone is left out.
    pub(super) fn join(&mut self, other: &Self) {
        self.subjects.retain(|s| other.subject(&s.label).is_some());
        for subject in &mut self.subjects {
            let Some(more) = other.subject(&subject.label) else {
                continue;
            };
            for (name, figures) in &more.figures {
                let all = subject.figures.entry(name.clone()).or_default();
                all.extend(figures);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let subjects: Vec<Value> = self.subjects.iter().map(Subject::to_json).collect();
        json!({
            "name": self.name,
            "title": self.title,
            "began": self.began,
            "subjects": subjects,
            "missing": self.missing,
        })
    }

    pub(super) fn from_json(value: &Value) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let text = value[name].as_str().map(str::to_owned);
            text.with_context(|| format!("no {name} in a scenario's figures"))
        };
        let subjects = value["subjects"].as_array().context("no subjects")?;
        let missing = value["missing"].as_array().into_iter().flatten();
        Ok(Self {
            name: text("name")?,
            title: text("title")?,
            began: value["began"].as_u64().unwrap_or(0),
            subjects: subjects
                .iter()
                .map(Subject::from_json)
                .collect::<Result<_, _>>()?,
            missing: missing
                .filter_map(|m| Some(m.as_str()?.to_owned()))
                .collect(),
        })
    }

    /// What a run before stored; `None` where there is none.
    pub(super) fn load(file: &Path) -> anyhow::Result<Option<Self>> {
        if !file.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(file)?;
        let value = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        Self::from_json(&value).map(Some)
    }
}

impl Subject {
    fn to_json(&self) -> Value {
        let figures: serde_json::Map<String, Value> = self
            .figures
            .iter()
            .map(|(name, all)| {
                let spread = Spread::of(all).map(Spread::to_json);
                (name.clone(), json!({"rounds": all, "spread": spread}))
            })
            .collect();
        json!({"label": self.label, "figures": figures})
    }

    fn from_json(value: &Value) -> anyhow::Result<Self> {
        let mut subject = Self::of(value["label"].as_str().context("no label")?.to_owned());
        for (name, all) in value["figures"].as_object().context("no figures")? {
            let rounds = all["rounds"].as_array().context("no rounds")?;
            for figure in rounds.iter().filter_map(Value::as_f64) {
                subject.add(name, figure);
            }
        }
        Ok(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(labels: &[&str], figure: f64) -> Outcome {
        let subject = |label: &&str| {
            let mut subject = Subject::of((*label).to_owned());
            subject.add(CPU, figure);
            subject.add(CPU, figure * 2.0);
            subject
        };
        Outcome {
            name: "n10".to_owned(),
            title: "ten".to_owned(),
            began: 7,
            subjects: labels.iter().map(subject).collect(),
            missing: vec!["caddy is not installed".to_owned()],
        }
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let before = outcome(&["a", "b"], 12.25);
        assert_eq!(Outcome::from_json(&before.to_json()).unwrap(), before);
    }

    #[test]
    fn joined_runs_hold_the_rounds_of_those_who_took_part_in_all() {
        let mut all = outcome(&["a", "b"], 10.0);
        all.join(&outcome(&["a"], 30.0));
        assert_eq!(all.subjects.len(), 1);
        assert_eq!(all.subject("a").unwrap().all(CPU), [10.0, 20.0, 30.0, 60.0]);
    }
}
