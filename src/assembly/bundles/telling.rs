//! What an attempt came to: in status, metrics, log and ledger.

use super::Bundles;
use super::activation::{From, guarded};
use super::emergency::is_measure;
use super::ground::mark_of;
use crate::admin::{Activation, Attempt, BundleStanding, Finding, Trigger};
use crate::bundle::digest_hex;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{VerifiedBundle, read_unverified};
use crate::gateway::clock;
use crate::record::{BundleChange, BundleMembers, BundleResult, GovernanceAct};
use crate::telemetry::Reload;

/// What a candidate says of itself. Its place is read only after its signatures were found true: a
/// record does not repeat what nobody signed.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    digest: Option<String>,
    place: Option<(u64, u64)>,
}

impl Known {
    /// By its bytes alone.
    pub(super) fn outside(unverified: &[u8]) -> Self {
        let digest = guarded(|| {
            let envelope = Envelope::parse(unverified, BUNDLE_TYPE).ok()?;
            Some(digest_hex(envelope.unverified_payload()))
        });
        Self {
            digest: digest.flatten(),
            place: None,
        }
    }

    pub(super) fn of(bundle: &VerifiedBundle) -> Self {
        let place = bundle.position();
        Self {
            digest: Some(bundle.digest().to_owned()),
            place: Some((place.epoch, place.serial)),
        }
    }

    /// What there is to say after a verifier looked; nothing where nobody is known to have signed.
    /// To be called where a panic is caught.
    pub(super) fn inside(unverified: &[u8], verified: &Result<VerifiedBundle, Refused>) -> Self {
        match verified {
            Ok(bundle) => Self::of(bundle),
            Err(refused) if is_signed(refused.code) => {
                let payload = read_unverified(unverified);
                payload.map_or_else(
                    |_| Self::default(),
                    |payload| {
                        let place = payload.manifest().position();
                        Self {
                            digest: Some(payload.digest().to_owned()),
                            place: Some((place.epoch, place.serial)),
                        }
                    },
                )
            }
            Err(_) => Self::default(),
        }
    }

    pub(super) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// This, or the other where this says nothing.
    pub(super) fn or(self, other: Self) -> Self {
        if self.digest.is_some() { self } else { other }
    }
}

/// Whether who is refused for this was found signed by enough people for any change.
fn is_signed(code: RefusalCode) -> bool {
    code > RefusalCode::ThresholdNotMet
        && !matches!(code, RefusalCode::AuthorMissing | RefusalCode::RootExpired)
}

impl Bundles {
    /// Tells what came of an attempt.
    pub(super) fn concluded(
        &mut self,
        ended: Result<Reload, Refused>,
        known: Known,
        from: &From,
        now_us: u64,
    ) -> Attempt {
        let (result, refused) = match ended {
            Ok(result) => (result, None),
            Err(refused) => (Reload::Refused, Some(refused)),
        };
        let attempt = Attempt {
            result,
            trigger: from.trigger,
            at_us: now_us,
            digest: known.digest,
            place: known.place,
            refused,
        };
        self.telemetry.note_attempt(result);
        if let Some(refused) = &attempt.refused {
            self.telemetry.note_refusal(refused.code);
            self.record_refusal(&attempt, refused, from);
        }
        tell(&attempt);
        if result == Reload::Activated {
            self.last_success = Some(attempt.clone());
        }
        self.last_attempt = Some(attempt.clone());
        self.publish();
        attempt
    }

    /// Without waiting: a refusal must not stand behind a disk.
    fn record_refusal(&self, attempt: &Attempt, refused: &Refused, from: &From) {
        let members = attempt.digest.as_ref().map(|digest| BundleMembers {
            digest: digest.clone(),
            place: attempt.place,
            ..BundleMembers::default()
        });
        let mut change = self.change(from, BundleResult::Rejected(refused.to_string()), members);
        change.code = Some(refused.code.name());
        if let Err(error) = self.ledger.note(move |entry| change.push(entry)) {
            tracing::error!(event = "change_not_recorded", %error);
        }
    }

    /// A record of an attempt, under what is in force now.
    pub(super) fn change(
        &self,
        from: &From,
        result: BundleResult,
        bundle: Option<BundleMembers>,
    ) -> BundleChange {
        let active = self.shared.registry.active().load();
        BundleChange {
            boot: self.ledger.boot(),
            bundle,
            code: None,
            policy_hash: active.digest_hex().to_owned(),
            policy_version: active.rules().version.to_string(),
            source: from.source,
            trigger: from.trigger.name(),
            tier: active.tier().name(),
            result,
            ts_us: clock::now().wall_us,
        }
    }

    /// An act of the gateway's own, or of whoever pulled the trigger.
    pub(super) fn act(
        &self,
        action: &'static str,
        actor: &str,
        reason: String,
        result: String,
    ) -> GovernanceAct {
        GovernanceAct {
            action,
            actor: actor.to_owned(),
            boot: self.ledger.boot(),
            reason,
            result,
            root: None,
            ts_us: clock::now().wall_us,
        }
    }

    /// What the status says from here on.
    pub(super) fn publish(&self) {
        let root = self.root.root().parts();
        let mark = self.highest();
        let standing = BundleStanding {
            is_waiting: !self.doors.let_in(),
            root_version: root.version,
            root_expires_at_us: root.expires_at_us,
            high_water: mark.map(|mark| (mark.epoch, mark.serial, mark.digest.clone())),
            last_attempt: self.last_attempt.clone(),
            last_success: self.last_success.clone(),
            emergency: self.emergency(),
            troubles: self.troubles(),
        };
        self.shared.last().bundle = Some(standing);
    }

    pub(super) fn troubles(&self) -> Vec<String> {
        let in_force = self.in_force.as_deref();
        let tier = self.tier;
        // An emergency measure lowers it for a while, and nobody has to do anything about that.
        let above = in_force.filter(|bundle| !is_measure(bundle));
        let above = above.filter(|bundle| tier > bundle.manifest().tier_max);
        let above = above.map(|bundle| {
            let most = bundle.manifest().tier_max.key();
            format!(
                "tidegate.yaml says tier {} and the bundle in force allows {most}, which holds; \
                 raising it takes a bundle and its signatures",
                tier.key()
            )
        });
        let ended = in_force.filter(|_| self.told_ended);
        let ended = ended.map(|bundle| {
            let mark = mark_of(bundle);
            format!(
                "the bundle in force, epoch {} serial {}, has ended; it stays in force with CONTROL \
                 at most until a later one comes",
                mark.epoch, mark.serial
            )
        });
        let found = self.found.iter().cloned();
        found
            .chain(above)
            .chain(ended)
            .chain(self.stuck.clone())
            .chain(self.troubles_of_root())
            .collect()
    }

    /// A tier that nobody signed is told as an error, and does not hold.
    pub(super) fn tell_tier(&self) {
        let in_force = self.in_force.as_ref().filter(|bundle| !is_measure(bundle));
        let Some(bundle) = in_force else { return };
        let most = bundle.manifest().tier_max;
        if self.tier > most {
            tracing::error!(
                event = "tier_above_signed_max",
                tier = self.tier.name(),
                tier_max = most.name()
            );
        }
    }

    /// What a reload came to; not yet in the log.
    pub(super) fn conclude(
        &self,
        result: Reload,
        trigger: Trigger,
        findings: Vec<Finding>,
    ) -> Activation {
        let now = clock::now();
        let needs_restart = self.needs_restart.clone();
        let activation =
            self.shared
                .activation(result, trigger, now.wall_us, findings, needs_restart);
        self.telemetry.note_loading(result, now);
        self.shared.last().reload = Some(activation.clone());
        activation
    }
}

/// Into the log.
fn tell(attempt: &Attempt) {
    let (trigger, digest) = (attempt.trigger.name(), attempt.digest.as_deref());
    let (epoch, serial) = attempt.place.unzip();
    match &attempt.refused {
        Some(refused) => tracing::error!(
            event = "bundle_refused",
            code = refused.code.name(),
            detail = refused.detail,
            trigger,
            digest,
            epoch,
            serial,
            "{}",
            refused.remedy
        ),
        None => tracing::info!(
            event = "bundle_attempt",
            result = attempt.result.name(),
            trigger,
            digest,
            epoch,
            serial
        ),
    }
}

/// A refusal, as a reload tells it of a file.
pub(super) fn finding(file: String, refused: &Refused) -> Finding {
    Finding {
        severity: "error",
        code: refused.code.name(),
        file,
        line: 0,
        column: 0,
        message: refused.detail.clone(),
        remedy: refused.remedy.clone(),
    }
}
