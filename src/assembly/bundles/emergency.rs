//! Emergency measures: what comes back after one, when, and what is told meanwhile.
//!
//! The bundle that comes back stays in memory while the measure is in force, so that nobody keeps
//! the measure by deleting a file. An emergency measure never comes back. Deliberately not here: what
//! one may do (`crate::bundle::verify::approval`), and a start that slept through its end ([`super::start`]).

use std::sync::Arc;
use std::time::Duration;

use super::Bundles;
use super::ground::Now;
use super::start::{before, cannot_come_back};
use crate::admin::Emergency;
use crate::bundle::verify::VerifiedBundle;
use crate::telemetry::Reload;

/// How long what the thread does by itself waits for its record to be durable.
pub(super) const RECORD_PATIENCE: Duration = Duration::from_secs(5);

/// A measure that could not end is tried again after so long: a minute.
pub(super) const RETRY_US: u64 = 60_000_000;

impl Bundles {
    /// The emergency measure in force.
    pub(super) fn measure(&self) -> Option<&Arc<VerifiedBundle>> {
        let in_force = self.in_force.as_ref();
        in_force.filter(|bundle| is_measure(bundle))
    }

    /// Notes what comes back after the bundle that is about to come into force: the newest that is
    /// no emergency measure itself.
    pub(super) fn hold_behind(&mut self, next: &VerifiedBundle) {
        if !is_measure(next) {
            self.behind = None;
        } else if self.measure().is_none() {
            self.behind = self.in_force.clone();
        }
    }

    /// The same after a start, from the files.
    pub(super) fn find_behind(&mut self, now_us: u64) {
        let Some(measure) = self.measure().cloned() else {
            return;
        };
        match self.kept_before(&measure, now_us) {
            Ok(bundle) => self.behind = Some(bundle),
            Err(error) => tracing::warn!(event = "breakglass_parent_missing", error),
        }
    }

    /// Ends a measure whose time is over. What cannot be done is told, and tried again later.
    pub(super) fn end_measure(&mut self, now_us: u64) {
        let Some(measure) = self.measure().cloned() else {
            return;
        };
        let glass = measure.manifest().breakglass.as_ref();
        if glass.is_none_or(|glass| now_us < glass.until_us) || now_us < self.back_at_us {
            return;
        }
        if let Err(stuck) = self.come_back(&measure, now_us) {
            self.back_at_us = now_us.saturating_add(RETRY_US);
            if self.stuck.as_ref() != Some(&stuck) {
                tracing::error!(event = "breakglass_not_reverted", error = stuck);
            }
            self.stuck = Some(stuck);
        }
    }

    /// Puts the bundle before an emergency measure in force again. `current.json` stays: what is at
    /// the mark names the one before it, so a start comes to the same.
    fn come_back(&mut self, measure: &VerifiedBundle, now_us: u64) -> Result<(), String> {
        let bundle = match &self.behind {
            Some(bundle) => Arc::clone(bundle),
            None => self.kept_before(measure, now_us)?,
        };
        let content = bundle.content();
        self.ledger
            .persist_rulebook(&content.digest_hex(), content.bytes())
            .map_err(|error| error.to_string())?;
        self.tell_reverted(measure.digest(), &bundle)?;
        if let Err(error) = self.store.keep_before(&bundle.envelope()) {
            tracing::error!(event = "bundle_not_kept", %error);
        }
        self.make_active(&bundle, now_us);
        self.in_force = Some(bundle);
        self.behind = None;
        self.is_reverted = true;
        self.stuck = None;
        self.told_ended = false;
        self.folder.parent_changed();
        self.tell_tier();
        self.telemetry.note_attempt(Reload::Activated);
        Ok(())
    }

    fn kept_before(
        &self,
        measure: &VerifiedBundle,
        now_us: u64,
    ) -> Result<Arc<VerifiedBundle>, String> {
        let now = Now {
            root: &self.root,
            now_us,
            newest_record_us: self.newest_record_us,
            in_force: None,
            mark: None,
        };
        let bundle = before(&self.store, &self.ground, now, measure);
        bundle
            .map(Arc::new)
            .map_err(|refused| cannot_come_back(&refused))
    }

    /// In the log, and in the ledger, durable on return.
    pub(super) fn tell_reverted(
        &self,
        measure: &str,
        bundle: &VerifiedBundle,
    ) -> Result<(), String> {
        let (digest, content) = (bundle.digest(), bundle.content_digest_hex());
        let reason = format!("the time of the emergency measure {measure} is over");
        let result = format!("bundle {digest} is in force again, content {content}");
        let act = self.act("breakglass_reverted", "gateway", reason, result);
        let recorded = self
            .ledger
            .record(move |entry| act.push(entry), RECORD_PATIENCE);
        recorded.map_err(|error| error.to_string())?;
        tracing::warn!(event = "breakglass_reverted", measure, digest);
        Ok(())
    }

    /// What the status says of the measure in force.
    pub(super) fn emergency(&self) -> Option<Emergency> {
        let manifest = self.measure()?.manifest();
        let glass = manifest.breakglass.as_ref()?;
        let behind = self.behind.as_deref();
        let parent = manifest.parent.clone().unwrap_or_default();
        Some(Emergency {
            reason: glass.reason.clone(),
            until_us: glass.until_us,
            returns: behind.map_or(parent, |bundle| bundle.digest().to_owned()),
            returns_place: behind.map(|bundle| {
                let place = bundle.position();
                (place.epoch, place.serial)
            }),
        })
    }
}

pub(super) const fn is_measure(bundle: &VerifiedBundle) -> bool {
    bundle.manifest().breakglass.is_some()
}
