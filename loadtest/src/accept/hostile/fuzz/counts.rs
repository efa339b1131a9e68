//! What was done of a target, kept between calls: executions by commit and engine.

use std::path::Path;

use serde_json::{Value, json};

/// One process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) executions: u64,
    pub(super) seconds: u64,
    pub(super) crashed: bool,
}

/// Executions at one commit with one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) commit: String,
    pub(super) engine: String,
    pub(super) executions: u64,
    pub(super) seconds: u64,
}

/// All that was done of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) spans: Vec<Span>,
    pub(super) crashes: u64,
}

impl Counts {
    pub(super) fn executions(&self) -> u64 {
        self.spans.iter().map(|span| span.executions).sum()
    }

    /// Executions per second.
    pub(super) fn rate(&self) -> u64 {
        let seconds: u64 = self.spans.iter().map(|span| span.seconds).sum();
        self.executions() / seconds.max(1)
    }

    pub(super) fn add(&mut self, commit: &str, engine: &str, slice: &Slice) {
        self.crashes += u64::from(slice.crashed);
        let same = |span: &&mut Span| span.commit == commit && span.engine == engine;
        if let Some(span) = self.spans.iter_mut().find(same) {
            span.executions += slice.executions;
            span.seconds += slice.seconds;
            return;
        }
        self.spans.push(Span {
            commit: commit.to_owned(),
            engine: engine.to_owned(),
            executions: slice.executions,
            seconds: slice.seconds,
        });
    }

    /// What the file keeps; nothing after a crash: the fault is mended by then, its input is a
    /// seed, and what went well before it went well in a program that was wrong.
    pub(super) fn load(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if value["crashes"].as_u64() != Some(0) {
            return Self::default();
        }
        let spans = value["spans"].as_array().map_or(&[][..], Vec::as_slice);
        let span = |value: &Value| {
            Some(Span {
                commit: value["commit"].as_str()?.to_owned(),
                engine: value["engine"].as_str()?.to_owned(),
                executions: value["executions"].as_u64()?,
                seconds: value["seconds"].as_u64()?,
            })
        };
        Self {
            spans: spans.iter().filter_map(span).collect(),
            crashes: 0,
        }
    }

    pub(super) fn save(&self, file: &Path) -> std::io::Result<()> {
        let span = |span: &Span| json!({"commit": span.commit, "engine": span.engine, "executions": span.executions, "seconds": span.seconds});
        let spans: Vec<Value> = self.spans.iter().map(span).collect();
        let value = json!({"spans": spans, "crashes": self.crashes});
        std::fs::write(file, value.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_add_up_and_name_their_commits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("path.json");
        assert_eq!(Counts::load(&file), Counts::default());
        let slice = |executions| Slice {
            executions,
            seconds: 2,
            crashed: false,
        };
        let mut counts = Counts::default();
        counts.add("a", "libfuzzer", &slice(10));
        counts.add("a", "libfuzzer", &slice(20));
        counts.add("b", "libfuzzer", &slice(1));
        counts.add("b", "plain", &slice(3));
        let spans = counts.spans.iter().map(|s| (&*s.commit, s.executions));
        assert_eq!(spans.collect::<Vec<_>>(), [("a", 30), ("b", 1), ("b", 3)]);
        assert_eq!((counts.executions(), counts.rate()), (34, 4));
        counts.save(&file).unwrap();
        assert_eq!(Counts::load(&file), counts);
    }

    #[test]
    fn after_a_crash_counts_begin_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("path.json");
        let mut counts = Counts::default();
        let slice = Slice {
            executions: 5,
            seconds: 1,
            crashed: true,
        };
        counts.add("a", "plain", &slice);
        assert_eq!(counts.crashes, 1);
        counts.save(&file).unwrap();
        assert_eq!(Counts::load(&file), Counts::default());
    }
}
