//! What happens without anybody asking: files of the folder, the end of a bundle, the end of an
//! emergency measure.

use super::Bundles;
use super::activation::{From, too_large};
use super::folder::News;
use super::telling::{Known, finding};
use crate::admin::{Attempt, Finding, Trigger};
use crate::assembly::reload::finding as finding_of;
use crate::assembly::restart;
use crate::bundle::envelope::ENVELOPE_BYTES_MAX;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::config::{Runnable, load_to_run};
use crate::diagnostic::Diagnostic;

impl Bundles {
    /// Takes what is new in the folder. Gives what was refused.
    pub(super) fn take_folder(&mut self, trigger: Trigger) -> Vec<Finding> {
        let mut found = Vec::new();
        let from = From {
            trigger,
            source: "directory",
            if_match: None,
        };
        while let Some(news) = self.folder.news() {
            let is_root = matches!(news, News::Root(_));
            let (attempt, file) = match news {
                News::Root(read) => {
                    let version = self.root.root().parts().version + 1;
                    (self.take_root(read, &from), format!("root.{version}.json"))
                }
                News::Bundle(read) => (
                    Some(self.take_bundle(read, &from)),
                    "bundle.json".to_owned(),
                ),
            };
            let refused = attempt.and_then(|attempt| Some((attempt.refused?, attempt.at_us)));
            if let Some((refused, at_us)) = refused {
                if is_root {
                    self.folder.root_refused(refused.code, at_us);
                } else {
                    self.folder.refused(refused.code, at_us);
                }
                found.push(finding(file, &refused));
            }
        }
        found
    }

    fn take_bundle(&mut self, read: std::io::Result<Vec<u8>>, from: &From) -> Attempt {
        match read {
            Ok(bytes) => {
                let fits = bytes.len() <= ENVELOPE_BYTES_MAX;
                self.attempt(fits.then_some(&*bytes), from)
            }
            Err(error) => {
                let now_us = crate::gateway::clock::now().wall_us;
                self.concluded(Err(unreadable(&error)), Known::default(), from, now_us)
            }
        }
    }

    /// The root after the one that holds. Gives an attempt only where it was refused.
    fn take_root(&mut self, read: std::io::Result<Vec<u8>>, from: &From) -> Option<Attempt> {
        let version = self.root.root().parts().version + 1;
        let taken = read
            .map_err(|error| unreadable(&error))
            .and_then(|bytes| match bytes.len() <= ENVELOPE_BYTES_MAX {
                true => Ok(bytes),
                false => Err(too_large()),
            })
            .and_then(|bytes| self.follow_root(&bytes, from));
        match taken {
            Ok(()) => {
                self.folder.awaits_root(version + 1);
                None
            }
            Err(mut refused) => {
                refused.detail = format!("root.{version}.json: {}", refused.detail);
                let now_us = crate::gateway::clock::now().wall_us;
                Some(self.concluded(Err(refused), Known::default(), from, now_us))
            }
        }
    }

    /// Reads `tidegate.yaml` for what may change while the gateway runs: its tier.
    pub(super) fn take_main(&mut self) -> Result<(), Vec<Finding>> {
        let before = self.main.stamp();
        let findings = |found: &[Diagnostic]| found.iter().map(finding_of).collect();
        match load_to_run(self.main.main()) {
            Err(found) => {
                self.main.refused(&found, &before);
                Err(findings(&found))
            }
            Ok(Runnable::Files(mut loaded)) => {
                // Without `bundle`: a restart would run on plain files, and this process does not.
                self.demands.hold_settings(&mut loaded.settings);
                self.needs_restart = restart::needed(&self.settings, &loaded.settings);
                self.main.loaded(self.main.sources().clone(), before);
                Ok(())
            }
            Ok(Runnable::Bundles(mut bundled)) => {
                self.demands.hold_settings(&mut bundled.settings);
                self.needs_restart = restart::needed(&self.settings, &bundled.settings);
                self.main.loaded(bundled.sources, before);
                self.tier = bundled.settings.tier;
                self.tell_tier();
                self.weigh_tier(crate::gateway::clock::now().wall_us);
                Ok(())
            }
        }
    }

    /// What may be done now, by configuration, bundle, clock and kill switch.
    fn weigh_tier(&self, now_us: u64) {
        let registry = &self.shared.registry;
        self.shared.kill_switch.reread(|ceiling| {
            registry.set_ceiling(ceiling);
            if let Some(bundle) = &self.in_force {
                registry.set_wanted(self.wanted(bundle, now_us));
            }
        });
    }

    /// What the clock ends: the root, the bundle in force, and emergency measures.
    pub(super) fn on_time(&mut self, now_us: u64) {
        self.weigh_root(now_us);
        let Some(bundle) = self.in_force.clone() else {
            return;
        };
        if bundle.is_expired(now_us) && !self.told_ended {
            self.told_ended = true;
            tracing::error!(
                event = "bundle_expired",
                digest = bundle.digest(),
                expires_at_us = bundle.manifest().expires_at_us,
                "it stays in force, with CONTROL at most; apply a later one"
            );
            self.weigh_tier(now_us);
        }
        self.end_measure(now_us);
    }
}

fn unreadable(error: &std::io::Error) -> Refused {
    let detail = format!("it cannot be read: {error}");
    let remedy = "check the file and its permissions";
    Refused::new(RefusalCode::EnvelopeMalformed, detail, remedy)
}
