//! What file and ledger remember: the high-water mark and the newest root.
//!
//! Only the ledger can say that a bundle was in force here, for a record of each activation is durable
//! before it holds; the file in the state directory and a damaged line are believed where they refuse,
//! and never where they admit.

use std::path::Path;

use super::store::{Marks, Store};
use crate::assembly::StartError;
use crate::bundle::verify::{VerifiedRoot, verify_root};
use crate::ledger::{HighWater, Remembered, RootMark, high_water, newest_facts};

/// What a start is held to.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The highest bundle that a record names: it was in force here.
    pub(super) recorded: Option<HighWater>,
    /// A higher place that the file or a damaged record names: nothing at it or below comes in.
    pub(super) held: Option<HighWater>,
    /// What the file names beyond the records, as a crash between keeping and recording leaves it.
    pub(super) unrecorded: Option<HighWater>,
    /// A damaged record seems to name a place above all that good ones name.
    pub(super) is_doubtful: bool,
    /// The newest root of file and ledger.
    pub(super) root: Option<RootMark>,
    /// The ledger has a record.
    pub(super) is_begun: bool,
}

impl Memory {
    /// Reads both; what is odd is a trouble.
    ///
    /// # Errors
    /// A ledger that cannot be read.
    pub(super) fn read(
        store: &Store,
        ledger_dir: &Path,
        troubles: &mut Vec<String>,
    ) -> Result<Self, StartError> {
        let told = high_water(ledger_dir).map_err(|error| StartError::State {
            path: ledger_dir.to_owned(),
            error,
        })?;
        let kept = store.marks().unwrap_or_else(|error| {
            troubles.push(format!("high_water.json: {error}"));
            Marks::default()
        });
        if told.damaged > 0 {
            troubles.push(format!(
                "{} records of the ledger about bundles or starts are not as they were written: \
                 see 'tidegate ledger verify'",
                told.damaged
            ));
        }
        Ok(Self::of(told, kept, troubles))
    }

    fn of(told: Remembered, kept: Marks, troubles: &mut Vec<String>) -> Self {
        let place = |mark: &HighWater| (mark.epoch, mark.serial);
        let recorded = told.mark;
        let floor = recorded.as_ref().map(place);
        let unrecorded = kept.bundle.clone().filter(|kept| Some(place(kept)) > floor);
        match (&unrecorded, &recorded) {
            (Some(ahead), _) => troubles.push(ahead_of_records(ahead, recorded.as_ref())),
            (None, Some(recorded)) if kept.bundle.as_ref() != Some(recorded) => {
                troubles.push(behind_records(kept.bundle.as_ref(), recorded));
            }
            _ => {}
        }
        let is_doubtful = told.claimed > floor;
        let claimed = told.claimed.map(|(epoch, serial)| HighWater {
            epoch,
            serial,
            digest: String::new(),
        });
        let named = unrecorded.as_ref().map(place);
        let claimed = claimed.filter(|claimed| Some(place(claimed)) > named.max(floor));
        if told.root > kept.root && kept != Marks::default() {
            troubles.push(
                "high_water.json names an older root than the ledger: the state directory was put \
                 back"
                    .to_owned(),
            );
        }
        Self {
            held: claimed.or_else(|| unrecorded.clone()),
            recorded,
            unrecorded,
            is_doubtful,
            is_begun: told.is_begun,
            root: told.root.max(kept.root),
        }
    }

    /// What the file has to say.
    pub(super) fn highest(&self) -> Option<&HighWater> {
        self.held.as_ref().or(self.recorded.as_ref())
    }
}

fn ahead_of_records(ahead: &HighWater, recorded: Option<&HighWater>) -> String {
    let said = recorded.map_or("no bundle".to_owned(), |mark| {
        format!("epoch {} serial {}", mark.epoch, mark.serial)
    });
    format!(
        "high_water.json says epoch {} serial {} and the ledger {said}: a crash came before the \
         record, or somebody wrote that file, or the ledger was put back; the bundle has to pass \
         every check again",
        ahead.epoch, ahead.serial
    )
}

fn behind_records(kept: Option<&HighWater>, recorded: &HighWater) -> String {
    let said = kept.map_or("nothing".to_owned(), |kept| {
        format!("epoch {} serial {}", kept.epoch, kept.serial)
    });
    format!(
        "high_water.json says {said} and the ledger epoch {} serial {}: the state directory was \
         deleted or put back",
        recorded.epoch, recorded.serial
    )
}

/// The pinned root or the newest one that follows it, and why it is not the newest that ever held
/// here, where it is not.
pub(super) fn newest_root(
    store: &Store,
    pinned: VerifiedRoot,
    mark: Option<&RootMark>,
    troubles: &mut Vec<String>,
) -> (VerifiedRoot, Option<String>) {
    let first = pinned.root().parts().version;
    let mut root = pinned;
    loop {
        let version = root.root().parts().version + 1;
        let next = match store.root(version) {
            Ok(None) => break,
            Ok(Some(bytes)) => {
                verify_root(&bytes, Some(&root)).map_err(|refused| refused.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match next {
            Ok(next) => root = next,
            Err(error) => {
                troubles.push(format!("root.{version}.json: {error}"));
                break;
            }
        }
    }
    let behind = mark.and_then(|mark| {
        let is_pinned = root.root().parts().version == first;
        behind_mark(&root, mark, is_pinned, troubles)
    });
    (root, behind)
}

/// Why that root is not the newest that ever held here.
fn behind_mark(
    root: &VerifiedRoot,
    mark: &RootMark,
    is_pinned: bool,
    troubles: &mut Vec<String>,
) -> Option<String> {
    let (version, digest) = (root.root().parts().version, root.root().digest());
    if version > mark.version || (version == mark.version && digest == mark.digest) {
        return None;
    }
    let newest = mark.version;
    if version < newest {
        return Some(format!(
            "the roots end at version {version} and version {newest}, digest {}, held here: no \
             bundle is put in force until root.{}.json is back in bundle.dir",
            mark.digest,
            version + 1
        ));
    }
    let other = format!(
        "root version {version} is of digest {digest}, and one of digest {} held here",
        mark.digest
    );
    if is_pinned {
        // The file that the configuration names is what everything rests on.
        troubles.push(format!("{other}: the pinned file was exchanged"));
        return None;
    }
    Some(format!(
        "{other}: no bundle is put in force until that file is back"
    ))
}

/// The time of the newest record; 0 where there is none yet.
pub(super) fn newest_record(ledger_dir: &Path, memory: &Memory, troubles: &mut Vec<String>) -> u64 {
    if !memory.is_begun {
        return 0;
    }
    match newest_facts(ledger_dir) {
        Ok(facts) => facts.newest_us,
        Err(error) => {
            troubles.push(format!(
                "the time of the newest record is not known, so a clock that was set back would \
                 not be noticed: {error}"
            ));
            0
        }
    }
}
