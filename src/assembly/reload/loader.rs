//! The thread that loads the files and puts them in force.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use super::telling::{about, errors_in_one_line, finding, tell};
use super::watch::Watch;
use super::{Ask, Shared};
use crate::admin::{Activation, Attempt, Trigger};
use crate::assembly::{freed, restart, self_testing};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::config::{Demands, Loaded, Settings, Sources, load, load_beside};
use crate::diagnostic::{Code, Diagnostic};
use crate::gateway::clock;
use crate::ledger::Ledger;
use crate::record::{BundleChange, BundleResult};
use crate::rulebook::{LocalParts, Rulebook, RulebookParts};
use crate::telemetry::{Reload, Telemetry};

/// What the thread works with.
pub(super) struct Loader {
    pub(super) shared: Arc<Shared>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) settings: Arc<Settings>,
    pub(super) workers: usize,
    pub(super) demands: Demands,
    pub(super) watch: Watch,
    /// What the newest files that could be read say otherwise than what runs.
    pub(super) needs_restart: Vec<&'static str>,
}

impl Loader {
    /// The thread's life.
    pub(super) fn run(&mut self, inbox: &Receiver<Ask>) {
        loop {
            let asked = if self.settings.watch {
                inbox.recv_timeout(self.watch.look_every())
            } else {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            let (trigger, mut answers) = match asked {
                Ok(Ask::Apply(_, answer)) => {
                    let _ = answer.send(self.refuse_bundle());
                    continue;
                }
                Ok(Ask::Load(trigger, answer)) => (trigger, Vec::from_iter(answer)),
                Ok(Ask::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if self.watch.look() => (Trigger::Watch, Vec::new()),
                Err(RecvTimeoutError::Timeout) => continue,
            };
            // Whoever asked before the files are read is served by this reading.
            for more in inbox.try_iter() {
                match more {
                    Ask::Apply(_, answer) => {
                        let _ = answer.send(self.refuse_bundle());
                    }
                    Ask::Load(_, answer) => answers.extend(answer),
                    Ask::End => return,
                }
            }
            let activation = freed::aside(|| self.reload(trigger));
            freed::give_back();
            for answer in answers {
                // Whoever asked may have left.
                let _ = answer.send(activation.clone());
            }
        }
    }

    fn reload(&mut self, trigger: Trigger) -> Activation {
        let before = self.watch.stamp();
        let in_force = self.shared.registry.active().load().digest_hex().to_owned();
        let tested = |loaded| self_testing::passed(loaded).map_err(|found| vec![*found]);
        let loaded = self.load().and_then(tested);
        let ended = loaded.and_then(|loaded| self.activate(loaded));
        let (result, mut found) = match ended {
            Ok(ended) => ended,
            Err(found) => {
                self.watch.refused(&found, &before);
                (Reload::Refused, found)
            }
        };
        found.extend(self.shared.reread_certificates(trigger, &self.telemetry));
        let activation = self.conclude(result, trigger, &found);
        self.write_down(&activation, in_force);
        activation
    }

    /// Without a root there is nobody whose signature could count.
    fn refuse_bundle(&self) -> Attempt {
        let code = RefusalCode::SignatureExpected;
        let detail = "this gateway runs on plain files, and no root says who may sign";
        let remedy = "add 'bundle' with a root to tidegate.yaml and restart";
        self.telemetry.note_refusal(code);
        tracing::warn!(event = "bundle_refused", code = code.name());
        Attempt {
            result: Reload::Refused,
            trigger: Trigger::Admin,
            at_us: clock::now().wall_us,
            digest: None,
            place: None,
            refused: Some(Refused::new(code, detail, remedy)),
        }
    }

    fn load(&mut self) -> Result<Loaded, Vec<Diagnostic>> {
        let main = self.watch.main();
        let loaded = guarded(main, || load(main))?;
        let loaded = self.demands.hold_at_reload(main, loaded)?;
        self.needs_restart = restart::needed(&self.settings, &loaded.settings);
        let running: Vec<&str> = self.settings.upstreams.iter().map(|u| &*u.name).collect();
        if names_others(&loaded, &running) {
            // Read once more, for the places of what names them.
            return guarded(main, || load_beside(main, Some(&running)))
                .and_then(|loaded| self.demands.hold_at_reload(main, loaded));
        }
        let active = self.shared.registry.active().load();
        if loaded.catalogue.is_empty() && !active.catalogue().is_empty() {
            return Err(vec![last_contract(&loaded.sources)]);
        }
        Ok(loaded)
    }

    /// Puts in force what was loaded, where it is something else than what is.
    fn activate(&mut self, loaded: Loaded) -> Result<(Reload, Vec<Diagnostic>), Vec<Diagnostic>> {
        let Loaded {
            settings,
            catalogue,
            rules,
            content,
            warnings,
            sources,
            stamp,
            ..
        } = loaded;
        let digest = content.digest_hex();
        if let Err(error) = self.ledger.persist_rulebook(&digest, content.bytes()) {
            let message = format!("its content cannot be kept beside the ledger: {error}");
            return Err(vec![about(self.watch.main(), Code::Unreadable, message)]);
        }
        let parts = RulebookParts::unsigned_local(LocalParts {
            catalogue,
            rules,
            tier: settings.tier,
            content_digest: *content.digest(),
            default_upstream: self.settings.default_upstream.clone(),
            workers: self.workers,
        });
        let registry = &self.shared.registry;
        let activated = self.shared.kill_switch.reread(|ceiling| {
            let active = registry.active().load_full();
            let tier = settings.tier.min(ceiling);
            if active.digest_hex() == digest && active.tier() == tier {
                // The same rules, perhaps with another reason for their tier.
                registry.note_tiers(settings.tier, ceiling);
                return false;
            }
            let announce = |rulebook: &Rulebook| self.telemetry.announce(rulebook);
            registry.swap_under(parts, Some(ceiling), clock::now(), announce);
            true
        });
        self.watch.loaded(sources, stamp);
        let result = if activated {
            Reload::Activated
        } else {
            Reload::Unchanged
        };
        Ok((result, warnings))
    }

    /// Into the ledger, without waiting: a reload must not stand behind a disk.
    fn write_down(&self, activation: &Activation, in_force_before: String) {
        let result = match activation.result {
            Reload::Unchanged => return,
            Reload::Activated => BundleResult::Activated(in_force_before),
            Reload::Refused => BundleResult::Rejected(errors_in_one_line(activation)),
        };
        let rules = self.shared.registry.active().load();
        let change = BundleChange {
            boot: self.ledger.boot(),
            bundle: None,
            code: None,
            policy_hash: activation.digest.clone(),
            policy_version: rules.rules().version.to_string(),
            source: "reload",
            trigger: activation.trigger.name(),
            tier: activation.tier.name(),
            result,
            ts_us: activation.at_us,
        };
        if let Err(error) = self.ledger.note(move |entry| change.push(entry)) {
            tracing::error!(event = "change_not_recorded", %error);
        }
    }

    fn conclude(&self, result: Reload, trigger: Trigger, found: &[Diagnostic]) -> Activation {
        let now = clock::now();
        self.telemetry.note_reload(result, now);
        let findings = found.iter().map(finding).collect();
        let needs_restart = self.needs_restart.clone();
        let activation =
            self.shared
                .activation(result, trigger, now.wall_us, findings, needs_restart);
        let mut last = self.shared.last();
        if result == Reload::Activated {
            last.active_since_us = now.wall_us;
        }
        last.reload = Some(activation.clone());
        drop(last);
        let contracts = self.shared.registry.active().load().catalogue().len();
        tell(&activation, contracts);
        activation
    }
}

/// A file that brings a reader down must not bring down those who will read the next one.
fn guarded(
    main: &Path,
    read: impl FnOnce() -> Result<Loaded, Vec<Diagnostic>>,
) -> Result<Loaded, Vec<Diagnostic>> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| {
        let message = "reading it ended in a panic, which is a fault of this program";
        Err(vec![about(main, Code::Unreadable, message.to_owned())])
    })
}

/// Whether a contract names an upstream that is none of these.
fn names_others(loaded: &Loaded, running: &[&str]) -> bool {
    let contracts = loaded.catalogue.contracts().iter();
    let named = contracts.flat_map(|contract| [contract.upstream(), contract.divert_upstream()]);
    named.flatten().any(|name| !running.contains(&name))
}

/// A folder that was emptied, or not mounted, is no wish to turn everything away and to forget
/// the state of all contracts.
fn last_contract(sources: &Sources) -> Diagnostic {
    let folder = sources.contracts.as_ref().unwrap_or(&sources.main);
    let message = "no contract is left, and a reload does not take the last one".to_owned();
    Diagnostic {
        remedy: "leave one contract, or restart the gateway to run without any".to_owned(),
        ..about(folder, Code::NoContracts, message)
    }
}
