//! The path itself: verify, keep, record, swap.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Bundles;
use super::ground::{Now, mark_of};
use super::telling::Known;
use crate::admin::{Attempt, NO_BUNDLE, Trigger};
use crate::bundle::envelope::ENVELOPE_BYTES_MAX;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::verify::{InForce, Surroundings, VerifiedBundle, verify, verify_again};
use crate::gateway::clock;
use crate::ledger::{HighWater, Record, Tail};
use crate::record::{BundleMembers, BundleResult};
use crate::rulebook::{Rulebook, RulebookParts, signed_tier};
use crate::telemetry::Reload;
use crate::units::Tier;

/// How long an activation waits for its record to be durable.
const RECORD_PATIENCE: Duration = Duration::from_secs(5);

/// Where a candidate comes from.
#[derive(Debug, Clone)]
pub(super) struct From {
    pub(super) trigger: Trigger,
    pub(super) source: &'static str,
    /// The digest that has to be in force, where the asker said one.
    pub(super) if_match: Option<String>,
}

impl Bundles {
    /// Puts a candidate in force, or tells why not. `None`: more bytes than a bundle may have.
    pub(super) fn attempt(&mut self, unverified: Option<&[u8]>, from: &From) -> Attempt {
        // In this order: what is recorded meanwhile is younger than the clock's word.
        self.newest_record_us = self.newest_record();
        self.attempt_at(unverified, from, clock::now().wall_us)
    }

    /// The same at a given time, microseconds since 1970.
    pub(super) fn attempt_at(
        &mut self,
        unverified: Option<&[u8]>,
        from: &From,
        now_us: u64,
    ) -> Attempt {
        let mut known = unverified.map(Known::outside).unwrap_or_default();
        let ended = match unverified {
            Some(bytes) => self.put_in_force(bytes, from, now_us, &mut known),
            None => Err(too_large()),
        };
        self.concluded(ended, known, from, now_us)
    }

    fn put_in_force(
        &mut self,
        unverified: &[u8],
        from: &From,
        now_us: u64,
        known: &mut Known,
    ) -> Result<Reload, Refused> {
        self.is_as_believed(from)?;
        if let Some(same) = self.known_already(unverified, from) {
            *known = Known::of(same);
            return Ok(Reload::Unchanged);
        }
        self.root_is_newest()?;
        let Some(bundle) = self.verified(unverified, now_us, known)? else {
            return Ok(Reload::Unchanged);
        };
        self.expects(&bundle)?;
        let digest = bundle.content_digest_hex();
        let content = bundle.content();
        if let Err(error) = self.ledger.persist_rulebook(&digest, content.bytes()) {
            let detail = format!("its content cannot be kept beside the ledger: {error}");
            return Err(not_kept(detail));
        }
        let (mark, before) = (mark_of(&bundle), self.highest().cloned());
        let replaced = self.in_force.as_deref().map(VerifiedBundle::envelope);
        self.store
            .keep(replaced.as_deref(), unverified, &mark, before.as_ref())
            .map_err(|error| not_kept(format!("state_dir/bundle: {error}")))?;
        if let Err(refused) = self.record(&bundle, from, now_us) {
            return Err(self.undone(before.as_ref(), refused));
        }
        self.swap(bundle, mark, now_us);
        self.store.settle();
        Ok(Reload::Activated)
    }

    /// The bundle in force, byte for byte; in the folder also the one that comes back after the
    /// emergency measure in force, for it lies there all the time.
    fn known_already(&self, unverified: &[u8], from: &From) -> Option<&VerifiedBundle> {
        let behind = self.behind.as_deref();
        let behind = behind.filter(|_| from.source == "directory");
        let mut known = self.in_force.as_deref().into_iter().chain(behind);
        known.find(|bundle| bundle.is(unverified))
    }

    /// Whether it holds the policy that whoever started the gateway expects.
    pub(super) fn expects(&self, bundle: &VerifiedBundle) -> Result<(), Refused> {
        let digest = bundle.content_digest_hex();
        let version = &bundle.rules().version;
        match &self.demands.policy {
            Some(expected) if !self.demands.expects(&digest, version) => {
                let detail = format!(
                    "TIDEGATE_EXPECT_POLICY is '{expected}', and bundle {} holds version \
                     '{version}', content digest {digest}",
                    bundle.digest()
                );
                let remedy = "put the expected bundle in place, or restart the gateway with \
                              TIDEGATE_EXPECT_POLICY naming what this one holds";
                Err(Refused::new(RefusalCode::PolicyUnexpected, detail, remedy))
            }
            _ => Ok(()),
        }
    }

    fn is_as_believed(&self, from: &From) -> Result<(), Refused> {
        let active = self.in_force.as_deref().map(VerifiedBundle::digest);
        let active = active.unwrap_or(NO_BUNDLE);
        match &from.if_match {
            Some(believed) if believed != active => {
                let detail = format!("in force is {active}, and not {believed}");
                let remedy = "look at 'tidegate status', build the bundle for that parent and have \
                              it signed again";
                Err(Refused::new(RefusalCode::StateChanged, detail, remedy))
            }
            _ => Ok(()),
        }
    }

    /// The candidate, verified; `None` where it is the bundle in force, in another envelope.
    fn verified(
        &self,
        unverified: &[u8],
        now_us: u64,
        known: &mut Known,
    ) -> Result<Option<VerifiedBundle>, Refused> {
        let digest = known.digest().unwrap_or_default();
        let in_force = self.in_force.as_deref();
        let own = in_force.map(mark_of).filter(|own| own.digest == digest);
        // Kept and never recorded: to be judged by what was recorded, at the place it has.
        let is_held = self.held.as_ref().is_some_and(|held| held.digest == digest);
        let highest = if is_held {
            self.mark.as_ref()
        } else {
            self.highest()
        };
        // Once activated, then lost from the state directory: its record vouches for it.
        let lost = self
            .mark
            .clone()
            .filter(|mark| in_force.is_none() && mark.digest == digest && self.held.is_none());
        let now = Now {
            root: &self.root,
            now_us,
            newest_record_us: self.newest_record_us,
            in_force,
            mark: own.as_ref().or(highest),
        };
        let again = own.is_some() || lost.is_some();
        // A candidate is compared with what was before an emergency measure as well.
        let earlier = self.measure().and(self.behind.clone());
        let verified = self.ground.ask(now, |around| {
            let before_measure = earlier.as_ref().map(|bundle| bundle.side());
            let around = &Surroundings {
                in_force: around.in_force.map(|in_force| InForce {
                    before_measure,
                    ..in_force
                }),
                ..*around
            };
            guarded(|| {
                let verified = if again {
                    verify_again(unverified, around)
                } else {
                    verify(unverified, around)
                };
                let known = Known::inside(unverified, &verified);
                (verified, known)
            })
        });
        let verified = verified.map_or_else(
            || Err(panicked()),
            |(verified, read)| {
                *known = read.or(std::mem::take(known));
                verified
            },
        );
        verified.map(|bundle| own.is_none().then_some(bundle))
    }

    /// The time of the newest record, as far as it is known.
    fn newest_record(&self) -> u64 {
        let told = || {
            let line = Tail::open(&self.settings.ledger.dir, 1)
                .ok()?
                .next_line()
                .ok()??;
            let mut scratch = Vec::new();
            Record::check(&line, &mut scratch).ok()?.uint("ts_us")
        };
        self.newest_record_us.max(told().unwrap_or(0))
    }

    /// Into the ledger, durable on return.
    fn record(&self, bundle: &VerifiedBundle, from: &From, now_us: u64) -> Result<(), Refused> {
        let ceiling = self.shared.kill_switch.reread(|ceiling| ceiling);
        let before = self.shared.registry.active().load().digest_hex().to_owned();
        let members = BundleMembers {
            digest: bundle.digest().to_owned(),
            place: Some((bundle.position().epoch, bundle.position().serial)),
            signers: bundle.signers().to_vec(),
            classes: bundle.classified().map_or_else(Vec::new, |classified| {
                classified
                    .classes
                    .iter()
                    .map(|class| class.name())
                    .collect()
            }),
        };
        let mut change = self.change(from, BundleResult::Activated(before), Some(members));
        change.policy_hash = bundle.content_digest_hex();
        change.policy_version = bundle.rules().version.to_string();
        change.tier = self.wanted(bundle, now_us).min(ceiling).name();
        let recorded = self
            .ledger
            .record(move |entry| change.push(entry), RECORD_PATIENCE);
        recorded.map(drop).map_err(|error| {
            let remedy = "see the ledger in 'tidegate status', and apply it again";
            Refused::new(RefusalCode::NotRecorded, error.to_string(), remedy)
        })
    }

    /// Everything as it was, after a record that could not be had.
    fn undone(&self, mark: Option<&HighWater>, mut refused: Refused) -> Refused {
        if let Err(error) = self.store.undo(mark) {
            tracing::error!(event = "bundle_not_undone", %error);
            refused.detail = format!("{}; state_dir/bundle: {error}", refused.detail);
        }
        refused
    }

    /// Kept and recorded: from here on nothing can fail.
    pub(super) fn swap(&mut self, bundle: VerifiedBundle, mark: HighWater, now_us: u64) {
        self.make_active(&bundle, now_us);
        self.hold_behind(&bundle);
        // What was held to is passed, or was this very bundle.
        self.held = None;
        self.mark = Some(mark);
        self.in_force = Some(Arc::new(bundle));
        self.standing.outgrown = None;
        self.stuck = None;
        self.back_at_us = 0;
        self.is_reverted = false;
        self.told_ended = false;
        self.tell_tier();
        self.doors.open(&self.shared.registry.active().load());
    }

    /// One atomic store.
    pub(super) fn make_active(&self, bundle: &VerifiedBundle, now_us: u64) {
        let upstream = self.settings.default_upstream.clone();
        let parts = RulebookParts::signed(bundle, self.tier, now_us, upstream, self.workers);
        let announce = |rulebook: &Rulebook| self.telemetry.announce(rulebook);
        self.shared.kill_switch.reread(|ceiling| {
            let registry = &self.shared.registry;
            registry.swap_under(parts, Some(ceiling), clock::now(), announce);
        });
        self.shared.last().active_since_us = now_us;
    }

    /// What may be done under that bundle here.
    pub(super) fn wanted(&self, bundle: &VerifiedBundle, now_us: u64) -> Tier {
        signed_tier(bundle, self.tier, now_us)
    }
}

/// What brings a reader down must not bring down those who read the next one.
pub(super) fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

pub(super) fn too_large() -> Refused {
    let detail = format!("more than {ENVELOPE_BYTES_MAX} bytes");
    let remedy = "split the contracts among gateways";
    Refused::new(RefusalCode::TooLarge, detail, remedy)
}

fn not_kept(detail: String) -> Refused {
    let remedy = "see that the disk has space and the directory can be written";
    Refused::new(RefusalCode::NotPersisted, detail, remedy)
}

fn panicked() -> Refused {
    let detail = "verifying it ended in a panic, which is a fault of this program";
    Refused::new(RefusalCode::ContentRefused, detail, "report it")
}
