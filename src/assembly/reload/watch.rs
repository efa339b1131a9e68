//! Which files are looked at, and whether they have changed.
//!
//! A change is taken when it stood still for one look, so that few files are met half-written; one
//! that is met so all the same is a failed load, and what is written next is the next change.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Sources, Stamp};
use crate::diagnostic::Diagnostic;
use crate::gateway::clock;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looking takes at most one of so many parts of the time, however many files there are.
const LOOK_SHARE: u32 = 100;
/// Files that change at every look are loaded all the same after so many.
const RESTLESS_LOOKS: u32 = 20;

/// The files of one configuration.
#[derive(Debug)]
pub(in crate::assembly) struct Watch {
    sources: Sources,
    /// Files that had faults when they were last loaded.
    faulty: Vec<PathBuf>,
    /// What all of them looked like then.
    seen: Stamp,
    /// What they looked like at the last look, and how many looks saw them change.
    restless: Option<(Stamp, u32)>,
    look_every: Duration,
}

impl Watch {
    /// Files that looked like this before they were loaded.
    pub(in crate::assembly) const fn new(sources: Sources, seen: Stamp) -> Self {
        Self {
            sources,
            faulty: Vec::new(),
            seen,
            restless: None,
            look_every: LOOK_EVERY,
        }
    }

    /// The main file.
    pub(in crate::assembly) fn main(&self) -> &Path {
        &self.sources.main
    }

    /// The files.
    pub(in crate::assembly) const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// How long until the next look.
    pub(in crate::assembly) const fn look_every(&self) -> Duration {
        self.look_every
    }

    /// Whether the files are to be loaded.
    pub(in crate::assembly) fn look(&mut self) -> bool {
        let began = clock::now();
        let stamp = self.stamp();
        let took = Duration::from_nanos(clock::now().nanos_since(began));
        self.look_every = LOOK_EVERY.max(took * LOOK_SHARE);
        self.is_due(stamp)
    }

    fn is_due(&mut self, stamp: Stamp) -> bool {
        if stamp == self.seen {
            self.restless = None;
            return false;
        }
        let looks = match self.restless.take() {
            Some((before, _)) if before == stamp => return true,
            Some((_, looks)) => looks + 1,
            None => 1,
        };
        self.restless = Some((stamp, looks));
        looks > RESTLESS_LOOKS
    }

    /// What the files look like now.
    pub(in crate::assembly) fn stamp(&self) -> Stamp {
        self.sources.stamp(&self.faulty)
    }

    /// These files came into force; they looked like that before.
    pub(in crate::assembly) fn loaded(&mut self, sources: Sources, seen: Stamp) {
        *self = Self {
            look_every: self.look_every,
            ..Self::new(sources, seen)
        };
    }

    /// They had these faults, and looked like that before. The files with faults are looked at
    /// too: perhaps the configuration that names them is not the one in force.
    pub(in crate::assembly) fn refused(&mut self, found: &[Diagnostic], before: &Stamp) {
        let moved = self.stamp() != *before;
        self.faulty = found.iter().map(|d| PathBuf::from(&*d.file)).collect();
        self.faulty.dedup();
        self.restless = None;
        // What changed while it was read is read again: no files look like nothing.
        self.seen = if moved {
            Stamp::default()
        } else {
            self.stamp()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{RESTLESS_LOOKS, Watch};
    use crate::config::Sources;

    #[test]
    fn a_change_is_taken_when_it_stands_still() {
        let folder = tempfile::tempdir().expect("a folder");
        let main = folder.path().join("tidegate.yaml");
        let sources = Sources {
            main: main.clone(),
            policy: None,
            charter: None,
            contracts: None,
            self_tests: None,
        };
        let mut watch = Watch::new(sources.clone(), sources.stamp(&[]));
        assert!(!watch.look(), "nothing there, as before");
        std::fs::write(&main, "a").expect("written");
        assert!(!watch.look(), "new");
        std::fs::write(&main, "ab").expect("written");
        assert!(!watch.look(), "still changing");
        assert!(watch.look(), "it stands still");
        let before = watch.stamp();
        watch.refused(&[], &before);
        assert!(!watch.look() && !watch.look(), "not again");
        std::fs::write(&main, "abc").expect("written");
        watch.refused(&[], &before);
        assert!(!watch.look(), "it changed while it was read");
        assert!(watch.look());
        watch.loaded(sources.clone(), sources.stamp(&[]));
        let looks = (0..1_000).position(|look| {
            std::fs::write(&main, "x".repeat(look + 10)).expect("written");
            watch.look()
        });
        assert_eq!(looks, Some(RESTLESS_LOOKS as usize), "never still");
    }
}
