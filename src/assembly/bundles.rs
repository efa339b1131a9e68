//! The one path by which a bundle comes into force, whatever asked for it: a start, the watched
//! folder, a HUP signal, the admin listener.
//!
//! On the reloader's thread: verified, kept on disk, recorded and durable, then one pointer is
//! swapped. Invariants: what is refused leaves everything as it was and is told in status, metrics, log
//! and ledger; nothing is in force that no record names; contracts and rules come from a verified
//! bundle or there are none.
//! Reading order: [`start`] (what a start finds), [`activation`] (the path), [`folder`] and [`clockwork`]
//! (what asks by itself), [`telling`]. Deliberately not here: the checks (`crate::bundle::verify`).

mod activation;
mod clockwork;
mod doors;
mod emergency;
mod folder;
mod ground;
mod memory;
mod roots;
mod start;
mod store;
mod telling;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use super::freed;
use super::reload::{Ask, Shared, Watch};
use crate::admin::{Activation, Attempt, Submission, Trigger};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{VerifiedBundle, VerifiedRoot};
use crate::config::{Demands, Settings};
use crate::contract::Catalogue;
use crate::gateway::clock;
use crate::ledger::{HighWater, Ledger, OpenBundle};
use crate::policy::canonical::{self, CanonicalContent};
use crate::policy::rules::Rules;
use crate::rulebook::{LocalParts, RulebookParts};
use crate::telemetry::{Reload, Telemetry};
use crate::units::Tier;
use folder::Folder;
use ground::Ground;
use roots::RootStanding;
use store::Store;

pub(super) use doors::Doors;
pub(super) use start::Begun;

/// What the path works with.
pub(super) struct BundleParts {
    pub(super) shared: Arc<Shared>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) settings: Arc<Settings>,
    pub(super) workers: usize,
    pub(super) begun: Begun,
    pub(super) doors: Doors,
    /// `tidegate.yaml`.
    pub(super) main: Watch,
    /// What is demanded beside it.
    pub(super) demands: Demands,
}

/// Everything about bundles that changes while the gateway runs.
pub(super) struct Bundles {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    telemetry: Arc<Telemetry>,
    settings: Arc<Settings>,
    workers: usize,
    doors: Doors,
    main: Watch,
    demands: Demands,
    folder: Folder,
    store: Store,
    ground: Ground,
    root: VerifiedRoot,
    in_force: Option<Arc<VerifiedBundle>>,
    /// What comes back after the emergency measure in force.
    behind: Option<Arc<VerifiedBundle>>,
    /// The highest bundle that a record names.
    mark: Option<HighWater>,
    /// A higher place that something else names; nothing at it or below comes in.
    held: Option<HighWater>,
    standing: RootStanding,
    /// What was kept and never recorded, until it is put in force or refused.
    unrecorded: Option<Vec<u8>>,
    newest_record_us: u64,
    /// What `tidegate.yaml` allows.
    tier: Tier,
    needs_restart: Vec<&'static str>,
    /// What the start found.
    found: Vec<String>,
    /// The emergency measure that the start found over, until that is recorded.
    reverted: Option<String>,
    /// Why an emergency measure cannot end by itself.
    stuck: Option<String>,
    /// Before then its end is not tried again, microseconds since 1970.
    back_at_us: u64,
    /// In force is what came back after an emergency measure.
    is_reverted: bool,
    told_ended: bool,
    last_attempt: Option<Attempt>,
    last_success: Option<Attempt>,
}

impl Bundles {
    /// Takes over what the start found. To be followed by [`Bundles::begin`].
    pub(super) fn new(parts: BundleParts) -> Self {
        let Begun {
            store,
            ground,
            root,
            in_force,
            mark,
            held,
            standing,
            unrecorded,
            newest_record_us,
            troubles,
            reverted,
        } = parts.begun;
        parts.telemetry.note_root(root.root().parts().expires_at_us);
        let bundle = parts.settings.bundle.as_ref();
        let dir = bundle.and_then(|bundle| bundle.dir.clone());
        let next = root.root().parts().version + 1;
        Self {
            shared: parts.shared,
            ledger: parts.ledger,
            telemetry: parts.telemetry,
            tier: parts.settings.tier,
            settings: parts.settings,
            workers: parts.workers,
            doors: parts.doors,
            main: parts.main,
            demands: parts.demands,
            folder: Folder::new(dir, next),
            store,
            ground,
            root,
            in_force,
            behind: None,
            mark,
            held,
            standing,
            unrecorded,
            newest_record_us,
            needs_restart: Vec::new(),
            found: troubles,
            is_reverted: reverted.is_some(),
            reverted,
            stuck: None,
            back_at_us: 0,
            told_ended: false,
            last_attempt: None,
            last_success: None,
        }
    }

    /// What is done before the first request: the folder is looked at, and told is what holds.
    pub(super) fn begin(&mut self) {
        if let (Some(measure), Some(bundle)) = (self.reverted.take(), self.in_force.clone())
            && let Err(error) = self.tell_reverted(&measure, &bundle)
        {
            tracing::error!(event = "act_not_recorded", error);
        }
        self.find_behind(clock::now().wall_us);
        if self.standing.behind.is_some() {
            self.telemetry.note_refusal(RefusalCode::RootSkipped);
        }
        self.take_kept(clock::now().wall_us);
        self.take_folder(Trigger::Start);
        self.on_time(clock::now().wall_us);
        self.tell_tier();
        self.publish();
    }

    /// Whether what a start put in force is what is expected. What comes back after an emergency
    /// measure is not held up.
    ///
    /// # Errors
    /// What is in force instead.
    pub(super) fn is_as_expected(&self) -> Result<(), Refused> {
        match &self.in_force {
            Some(bundle) if !self.is_reverted => self.expects(bundle),
            _ => Ok(()),
        }
    }

    /// Puts in force, by the whole path, what a crash left between its keeping and its record.
    fn take_kept(&mut self, now_us: u64) {
        let Some(bytes) = self.unrecorded.take() else {
            return;
        };
        let from = activation::From {
            trigger: Trigger::Start,
            source: "state",
            if_match: None,
        };
        self.attempt_at(Some(&bytes), &from, now_us);
    }

    /// The thread's life.
    pub(super) fn run(&mut self, inbox: &Receiver<Ask>) {
        loop {
            let asked = inbox.recv_timeout(self.folder.look_every());
            let again = match asked {
                Ok(Ask::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Ask::Load(trigger, answer)) => {
                    let activation = freed::aside(|| self.reload(trigger));
                    freed::give_back();
                    answer.map(|answer| answer.send(activation).is_ok())
                }
                Ok(Ask::Apply(submission, answer)) => {
                    let attempt = freed::aside(|| self.apply(submission));
                    freed::give_back();
                    Some(answer.send(attempt).is_ok())
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.rest();
                    self.look();
                    None
                }
            };
            // Whoever asked may have left.
            let _ = again;
            self.on_time(clock::now().wall_us);
            self.publish();
        }
    }

    /// What nobody needs until the next bundle comes takes less memory. Not at once: a start has
    /// other things to do.
    fn rest(&self) {
        let held = self.in_force.iter().chain(&self.behind);
        held.for_each(|bundle| bundle.rest());
    }

    fn look(&mut self) {
        if !self.settings.watch {
            return;
        }
        if self.main.look() {
            freed::aside(|| self.reload(Trigger::Watch));
            freed::give_back();
        } else if self.folder.look(clock::now().wall_us) {
            freed::aside(|| self.take_folder(Trigger::Watch));
            freed::give_back();
        }
    }

    /// A bundle by hand.
    fn apply(&mut self, submission: Submission) -> Attempt {
        let Submission {
            unverified,
            if_match,
        } = submission;
        let from = activation::From {
            trigger: Trigger::Admin,
            source: "admin",
            if_match: Some(if_match),
        };
        self.attempt(unverified.as_deref(), &from)
    }

    /// `tidegate.yaml` again, for its tier, and the folder, changed or not.
    fn reload(&mut self, trigger: Trigger) -> Activation {
        let before = self.shared.registry.active().load().serial();
        let mut found = self.take_main().err().unwrap_or_default();
        let is_main_refused = !found.is_empty();
        self.folder.forget();
        self.back_at_us = 0;
        let refused = self.take_folder(trigger);
        found.extend(refused);
        let after = self.shared.registry.active().load().serial();
        let result = if found.iter().any(|finding| finding.severity == "error") {
            Reload::Refused
        } else if after == before {
            Reload::Unchanged
        } else {
            Reload::Activated
        };
        let certificates = self.shared.reread_certificates(trigger, &self.telemetry);
        found.extend(certificates.iter().map(crate::assembly::reload::finding));
        let activation = self.conclude(result, trigger, found);
        // What was wrong with a candidate was told where it was refused.
        if is_main_refused || activation.result != Reload::Refused {
            let active = self.shared.registry.active().load();
            crate::assembly::reload::tell(&activation, active.catalogue().len());
        }
        activation
    }
}

/// What is in force while there is no bundle: nothing that anybody could have signed for.
pub(super) fn nothing(
    settings: &Settings,
    workers: usize,
) -> Option<(RulebookParts, CanonicalContent)> {
    let rules = Rules::default();
    let content = canonical::write(&[], &rules).ok()?;
    let parts = RulebookParts::unsigned_local(LocalParts {
        catalogue: Catalogue::build(Vec::new()).ok()?,
        rules,
        tier: Tier::ObserveOnly,
        content_digest: *content.digest(),
        default_upstream: settings.default_upstream.clone(),
        workers,
    });
    Some((parts, content))
}

/// The first rulebook of a start, its content, and what the `open` record says of it.
pub(super) fn first(
    begun: &Begun,
    settings: &Settings,
    workers: usize,
    now_us: u64,
) -> Option<(RulebookParts, CanonicalContent, OpenBundle)> {
    start::tell(begun);
    let (parts, content) = match &begun.in_force {
        Some(bundle) => {
            let upstream = settings.default_upstream.clone();
            let parts = RulebookParts::signed(bundle, settings.tier, now_us, upstream, workers);
            (parts, bundle.content())
        }
        None => nothing(settings, workers)?,
    };
    let open = OpenBundle::Bundles {
        in_force: begun
            .in_force
            .as_ref()
            .map(|bundle| bundle.digest().to_owned()),
        // Only what records name: this record is one of them.
        high_water: begun.mark.clone(),
        root: begun.standing.mark.clone(),
    };
    Some((parts, content, open))
}
