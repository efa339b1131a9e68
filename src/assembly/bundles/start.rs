//! What of bundles a start finds, and which of them is in force.
//!
//! The root is the pinned one, and after it each later root that was kept. The high-water mark is the
//! larger one of file and ledger. In force is the bundle at the mark, verified again; for an emergency
//! measure whose time is over the one before it, which it names by its digest. Where neither is here
//! none is in force, and what holds then the configuration says. Nothing is written but what a crash
//! left undone.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::ground::{Ground, Now, mark_of};
use super::store::{Store, read_regular};
use crate::assembly::StartError;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{
    VerifiedBundle, VerifiedRoot, read_unverified, verify_again, verify_root,
};
use crate::config::{BundleSettings, Settings};
use crate::ledger::{HighWater, high_water, newest_facts};

/// What a start found.
#[derive(Debug)]
pub(in crate::assembly) struct Begun {
    pub(super) store: Store,
    pub(super) ground: Ground,
    pub(super) root: VerifiedRoot,
    pub(in crate::assembly) in_force: Option<Arc<VerifiedBundle>>,
    pub(in crate::assembly) mark: Option<HighWater>,
    pub(super) newest_record_us: u64,
    /// What somebody should look at.
    pub(super) troubles: Vec<String>,
    /// The emergency measure whose time was over, by its digest.
    pub(super) reverted: Option<String>,
}

impl Begun {
    /// Reads root, mark and bundles.
    ///
    /// # Errors
    /// A root that cannot be used, a state directory or a ledger that cannot be read.
    pub(in crate::assembly) fn read(
        settings: &Settings,
        bundle: &BundleSettings,
        now_us: u64,
    ) -> Result<Self, StartError> {
        let store = Store::open(&settings.state_dir).map_err(|error| StartError::State {
            path: settings.state_dir.clone(),
            error,
        })?;
        let mut troubles = Vec::new();
        let root = newest_root(&store, &bundle.root, &mut troubles)?;
        let mark = mark_of_both(&store, &settings.ledger.dir, &mut troubles)?;
        // No ledger yet is no record yet.
        let newest = newest_facts(&settings.ledger.dir).map_or(0, |facts| facts.newest_us);
        let mut begun = Self {
            store,
            ground: Ground::of(settings),
            root,
            in_force: None,
            mark,
            newest_record_us: newest,
            troubles,
            reverted: None,
        };
        begun.find_in_force(now_us);
        Ok(begun)
    }

    fn find_in_force(&mut self, now_us: u64) {
        if self.mark.is_none() {
            return;
        }
        let Some((name, bundle)) = self.at_mark(now_us) else {
            self.troubles
                .push("no bundle in the state directory is the one at the high-water mark".into());
            return;
        };
        if let Err(error) = self.store.recover(name, self.mark.as_ref()) {
            self.troubles.push(format!("state_dir/bundle: {error}"));
        }
        let ended = bundle.manifest().breakglass.as_ref();
        if ended.is_none_or(|glass| now_us < glass.until_us) {
            self.in_force = Some(Arc::new(bundle));
            return;
        }
        let now = self.now(now_us);
        match before(&self.store, &self.ground, now, &bundle) {
            Ok(before) => {
                self.reverted = Some(bundle.digest().to_owned());
                self.in_force = Some(Arc::new(before));
            }
            Err(refused) => {
                self.troubles.push(cannot_come_back(&refused));
                self.in_force = Some(Arc::new(bundle));
            }
        }
    }

    /// The bundle at the mark, and the file that it stands in.
    fn at_mark(&mut self, now_us: u64) -> Option<(&'static str, VerifiedBundle)> {
        let mut troubles = Vec::new();
        let mut found = None;
        for (name, read) in self.store.candidates() {
            let verified = match read {
                Ok(bytes) => {
                    let now = self.now(now_us);
                    let verified = self.ground.ask(now, |around| verify_again(&bytes, around));
                    verified.map_err(|refused| refused.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            match verified {
                Ok(bundle) => {
                    found = Some((name, bundle));
                    break;
                }
                Err(error) => troubles.push(format!("{name}: {error}")),
            }
        }
        self.troubles.append(&mut troubles);
        found
    }

    fn now(&self, now_us: u64) -> Now<'_> {
        Now {
            root: &self.root,
            now_us,
            newest_record_us: self.newest_record_us,
            in_force: None,
            mark: self.mark.as_ref(),
        }
    }
}

/// The bundle that an emergency measure names as its parent, verified again. The measure was
/// verified and names it by its digest: that is as good as a mark.
///
/// # Errors
/// Why it cannot come back.
pub(super) fn before(
    store: &Store,
    ground: &Ground,
    now: Now<'_>,
    measure: &VerifiedBundle,
) -> Result<VerifiedBundle, Refused> {
    let wanted = measure.manifest().parent.as_deref();
    let mut last = None;
    for (_, read) in store.befores() {
        let Some(bytes) = read.ok() else { continue };
        let verified = read_unverified(&bytes).and_then(|payload| {
            let place = payload.manifest().position();
            let mark = HighWater {
                epoch: place.epoch,
                serial: place.serial,
                digest: wanted.unwrap_or_default().to_owned(),
            };
            let now = Now {
                mark: Some(&mark),
                ..now
            };
            ground.ask(now, |around| verify_again(&bytes, around))
        });
        match verified {
            Ok(bundle) if bundle.manifest().breakglass.is_none() => return Ok(bundle),
            Ok(_) => {
                let code = RefusalCode::ParentUnknown;
                let detail = "it is an emergency measure as well, and those never come back";
                last = Some(Refused::new(code, detail, "apply a later bundle"));
            }
            Err(refused) => last = Some(refused),
        }
    }
    Err(last.unwrap_or_else(|| {
        let code = RefusalCode::ParentUnknown;
        Refused::new(code, "previous.json is not there", "apply a later bundle")
    }))
}

/// What to tell where it cannot.
pub(super) fn cannot_come_back(refused: &Refused) -> String {
    format!(
        "the time of the emergency measure is over and the bundle before it cannot come back: \
         {refused}"
    )
}

/// The pinned root, or the newest one that follows it.
fn newest_root(
    store: &Store,
    pinned: &Path,
    troubles: &mut Vec<String>,
) -> Result<VerifiedRoot, StartError> {
    let unusable = |refused: String| StartError::Root {
        path: pinned.to_owned(),
        reason: refused,
    };
    // Operators may put a link there.
    let bytes =
        read_regular(pinned, OFlags::empty()).map_err(|error| unusable(error.to_string()))?;
    let mut root = verify_root(&bytes, None).map_err(|refused| unusable(refused.to_string()))?;
    loop {
        let version = root.root().parts().version + 1;
        match store.root(version) {
            Ok(None) => return Ok(root),
            Ok(Some(bytes)) => match verify_root(&bytes, Some(&root)) {
                Ok(next) => root = next,
                Err(refused) => {
                    troubles.push(format!("root.{version}.json: {refused}"));
                    return Ok(root);
                }
            },
            Err(error) => {
                troubles.push(format!("root.{version}.json: {error}"));
                return Ok(root);
            }
        }
    }
}

/// The larger one of file and ledger; a file that says less is told and made good.
fn mark_of_both(
    store: &Store,
    ledger_dir: &Path,
    troubles: &mut Vec<String>,
) -> Result<Option<HighWater>, StartError> {
    let recorded = high_water(ledger_dir).map_err(|error| StartError::State {
        path: ledger_dir.to_owned(),
        error,
    })?;
    let kept = match store.mark() {
        Ok(kept) => kept,
        Err(error) => {
            troubles.push(format!("high_water.json: {error}"));
            None
        }
    };
    let Some(recorded) = recorded else {
        return Ok(kept);
    };
    let place = |mark: &HighWater| (mark.epoch, mark.serial);
    match kept {
        Some(kept) if place(&kept) > place(&recorded) || kept == recorded => Ok(Some(kept)),
        kept => {
            let said = kept.map_or("nothing".to_owned(), |kept| {
                format!("epoch {} serial {}", kept.epoch, kept.serial)
            });
            troubles.push(format!(
                "high_water.json says {said} and the ledger epoch {} serial {}: the state directory \
                 was deleted or put back",
                recorded.epoch, recorded.serial
            ));
            if let Err(error) = store.write_mark(&recorded) {
                troubles.push(format!("high_water.json: {error}"));
            }
            Ok(Some(recorded))
        }
    }
}

/// Tells what a start found.
pub(super) fn tell(begun: &Begun) {
    for trouble in &begun.troubles {
        tracing::error!(event = "bundle_state", trouble);
    }
    if let Some(bundle) = &begun.in_force {
        let mark = mark_of(bundle);
        tracing::info!(
            event = "bundle_in_force",
            digest = mark.digest,
            epoch = mark.epoch,
            serial = mark.serial
        );
    }
}
