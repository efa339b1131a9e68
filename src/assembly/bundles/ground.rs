//! What a candidate is verified against on this gateway.

use crate::bundle::manifest::Position;
use crate::bundle::verify::{
    Engine, InForce, Mark, Place, Surroundings, VerifiedBundle, VerifiedRoot,
};
use crate::config::{CONTRACTS_MAX, Environment, LOOKUP_STEPS_MAX, Settings};
use crate::ledger::HighWater;
use crate::selftest;

/// What does not change while the process lives.
#[derive(Debug)]
pub(super) struct Ground {
    upstreams: Vec<String>,
    default_upstream: Box<str>,
    is_production: bool,
}

/// What does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'a> {
    pub(super) root: &'a VerifiedRoot,
    /// Microseconds since 1970.
    pub(super) now_us: u64,
    /// The time of the newest record of the ledger.
    pub(super) newest_record_us: u64,
    pub(super) in_force: Option<&'a VerifiedBundle>,
    pub(super) mark: Option<&'a HighWater>,
}

impl Ground {
    pub(super) fn of(settings: &Settings) -> Self {
        let names = settings.upstreams.iter();
        Self {
            upstreams: names.map(|upstream| upstream.name.to_string()).collect(),
            default_upstream: settings.default_upstream.clone(),
            is_production: settings.environment == Environment::Production,
        }
    }

    /// Asks a verifier.
    pub(super) fn ask<R>(&self, now: Now<'_>, verifier: impl FnOnce(&Surroundings<'_>) -> R) -> R {
        let upstreams: Vec<&str> = self.upstreams.iter().map(String::as_str).collect();
        verifier(&Surroundings {
            root: now.root,
            now_us: now.now_us,
            newest_record_us: now.newest_record_us,
            in_force: now.in_force.map(InForce::from),
            mark: now.mark.map(|mark| Mark {
                position: Position {
                    epoch: mark.epoch,
                    serial: mark.serial,
                },
                digest: &mark.digest,
            }),
            place: Place {
                upstreams: &upstreams,
                default_upstream: &self.default_upstream,
                contracts_max: CONTRACTS_MAX,
                lookup_steps_max: LOOKUP_STEPS_MAX,
            },
            is_production: self.is_production,
            engine: Engine {
                version: env!("CARGO_PKG_VERSION"),
                self_tests: selftest::for_bundles,
            },
        })
    }
}

/// The place and the digest of a bundle.
pub(super) fn mark_of(bundle: &VerifiedBundle) -> HighWater {
    let place = bundle.position();
    HighWater {
        epoch: place.epoch,
        serial: place.serial,
        digest: bundle.digest().to_owned(),
    }
}
