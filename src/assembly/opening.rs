//! What is in force first, and where later rules come from.

use super::StartError;
use super::bundles::{self, Begun};
use crate::config::{Bundled, Demands, Loaded, Runnable, Sources, Stamp};
use crate::gateway::clock;
use crate::ledger::OpenBundle;
use crate::policy::canonical::CanonicalContent;
use crate::rulebook::{LocalParts, RulebookParts};

/// What is in force first, and where later rules come from.
pub(super) struct Opening {
    pub(super) parts: RulebookParts,
    pub(super) content: CanonicalContent,
    pub(super) open: OpenBundle,
    pub(super) begun: Option<Begun>,
    pub(super) sources: Sources,
    pub(super) stamp: Stamp,
    pub(super) demands: Demands,
}

impl Opening {
    pub(super) fn of(runnable: Runnable, workers: usize) -> Result<Self, StartError> {
        match runnable {
            Runnable::Files(loaded) => Ok(Self::of_files(*loaded, workers)),
            Runnable::Bundles(bundled) => Self::of_bundles(*bundled, workers),
        }
    }

    fn of_files(loaded: Loaded, workers: usize) -> Self {
        let parts = RulebookParts::unsigned_local(LocalParts {
            catalogue: loaded.catalogue,
            rules: loaded.rules,
            tier: loaded.settings.tier,
            content_digest: *loaded.content.digest(),
            default_upstream: loaded.settings.default_upstream,
            workers,
        });
        Self {
            parts,
            content: loaded.content,
            open: OpenBundle::Unsigned,
            begun: None,
            sources: loaded.sources,
            stamp: loaded.stamp,
            demands: loaded.demands,
        }
    }

    fn of_bundles(bundled: Bundled, workers: usize) -> Result<Self, StartError> {
        let now_us = clock::now().wall_us;
        let settings = &bundled.settings;
        let begun = Begun::read(settings, &bundled.bundle, now_us)?;
        let Some((parts, content, open)) = bundles::first(&begun, settings, workers, now_us) else {
            return Err(StartError::Root {
                path: bundled.bundle.root,
                reason: "no rulebook can be made of no contract".to_owned(),
            });
        };
        Ok(Self {
            parts,
            content,
            open,
            begun: Some(begun),
            sources: bundled.sources,
            stamp: bundled.stamp,
            demands: bundled.demands,
        })
    }
}
