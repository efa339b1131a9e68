//! What of bundles a start finds, and which of them is in force.
//!
//! The root is the pinned one, and after it each later root that was kept. In force is the bundle at
//! the mark of the ledger, verified again; what the file names beyond it was never in force, and goes
//! the whole way once more ([`super::Bundles::begin`]). For an emergency
//! measure whose time is over the one before it, which it names by its digest. Where neither is here
//! none is in force, and what holds then the configuration says. Nothing is written but what a crash
//! left undone.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;

use super::ground::{Ground, Now, mark_of};
use super::memory::{Memory, newest_record, newest_root};
use super::roots::{RootStanding, mark_of_root};
use super::store::{Store, read_regular};
use crate::assembly::StartError;
use crate::bundle::digest_hex;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{
    VerifiedBundle, VerifiedRoot, read_unverified, verify, verify_again, verify_root,
};
use crate::config::{BundleSettings, Settings};
use crate::ledger::HighWater;

/// What a start found.
#[derive(Debug)]
pub(in crate::assembly) struct Begun {
    pub(super) store: Store,
    pub(super) ground: Ground,
    pub(super) root: VerifiedRoot,
    pub(in crate::assembly) in_force: Option<Arc<VerifiedBundle>>,
    /// The highest bundle that a record names.
    pub(in crate::assembly) mark: Option<HighWater>,
    /// A higher place that something else names.
    pub(super) held: Option<HighWater>,
    pub(super) standing: RootStanding,
    /// What was kept, never recorded, and passes every check.
    pub(super) unrecorded: Option<Vec<u8>>,
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
        Self::read_at(settings, bundle, now_us, None)
    }

    /// The same, with the time of the newest record where it is not to be the ledger's word.
    pub(super) fn read_at(
        settings: &Settings,
        bundle: &BundleSettings,
        now_us: u64,
        newest_record_us: Option<u64>,
    ) -> Result<Self, StartError> {
        let store = Store::open(&settings.state_dir).map_err(|error| StartError::State {
            path: settings.state_dir.clone(),
            error,
        })?;
        let mut troubles = Vec::new();
        let memory = Memory::read(&store, &settings.ledger.dir, &mut troubles)?;
        let pinned = pinned_root(&bundle.root)?;
        let (root, behind) = newest_root(&store, pinned, memory.root.as_ref(), &mut troubles);
        let newest_record_us = newest_record_us
            .unwrap_or_else(|| newest_record(&settings.ledger.dir, &memory, &mut troubles));
        let mark_of_root = memory.root.clone().max(Some(mark_of_root(&root)));
        let mut begun = Self {
            store,
            ground: Ground::of(settings),
            root,
            in_force: None,
            mark: memory.recorded.clone(),
            held: memory.held.clone(),
            standing: RootStanding {
                mark: mark_of_root.clone(),
                behind,
                ..RootStanding::default()
            },
            unrecorded: None,
            newest_record_us,
            troubles,
            reverted: None,
        };
        if let Err(error) = begun.store.remember_root(mark_of_root, memory.highest()) {
            begun.troubles.push(format!("high_water.json: {error}"));
        }
        let kept = memory.unrecorded.as_ref().map(|ahead| begun.kept(ahead));
        begun.find_in_force(now_us, memory.highest());
        if let Some(kept) = kept {
            begun.weigh_unrecorded(kept, now_us);
        }
        if memory.is_doubtful && begun.unrecorded.is_none() && begun.in_force.take().is_some() {
            begun.troubles.push(
                "a damaged record seems to name a later bundle than the one that is here, so that \
                 one is not put in force: hand over a bundle above the high-water mark"
                    .to_owned(),
            );
        }
        Ok(begun)
    }

    /// What the file names beyond the records, byte for byte.
    fn kept(&self, ahead: &HighWater) -> Option<Vec<u8>> {
        let is_it = |bytes: &Vec<u8>| {
            let envelope = Envelope::parse(bytes, BUNDLE_TYPE);
            envelope.is_ok_and(|it| digest_hex(it.unverified_payload()) == ahead.digest)
        };
        let all = self.store.candidates().into_iter();
        all.filter_map(|(_, read)| read.ok()).find(is_it)
    }

    /// What was kept and never recorded was never in force: it has to pass every check as any
    /// candidate, against the bundle that was.
    fn weigh_unrecorded(&mut self, kept: Option<Vec<u8>>, now_us: u64) {
        let Some(bytes) = kept else {
            let gone = "no bundle in the state directory is the one that high_water.json names";
            self.troubles.push(gone.to_owned());
            return;
        };
        let now = Now {
            in_force: self.in_force.as_deref(),
            ..self.now(now_us)
        };
        match self.ground.ask(now, |around| verify(&bytes, around)) {
            Ok(_) => self.unrecorded = Some(bytes),
            Err(refused) => self.troubles.push(format!(
                "the bundle that high_water.json names is not put in force: {refused}"
            )),
        }
    }

    fn find_in_force(&mut self, now_us: u64, highest: Option<&HighWater>) {
        if self.mark.is_none() {
            return;
        }
        let Some((name, bundle)) = self.at_mark(now_us) else {
            self.troubles
                .push("no bundle in the state directory is the one at the high-water mark".into());
            return;
        };
        if let Err(error) = self.store.recover(name, highest) {
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

/// The root that the configuration names.
fn pinned_root(path: &Path) -> Result<VerifiedRoot, StartError> {
    let unusable = |reason: String| StartError::Root {
        path: path.to_owned(),
        reason,
    };
    // Operators may put a link there.
    let bytes = read_regular(path, OFlags::empty()).map_err(|error| unusable(error.to_string()))?;
    verify_root(&bytes, None).map_err(|refused| unusable(refused.to_string()))
}

/// Tells what a start found.
pub(super) fn tell(begun: &Begun) {
    for trouble in begun.troubles.iter().chain(&begun.standing.behind) {
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
