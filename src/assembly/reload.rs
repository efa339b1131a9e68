//! The one path by which other contracts and rules come into force, whatever asked for it.
//!
//! A thread of its own reads, checks and compiles the files, writes the content beside the ledger,
//! and only then swaps one pointer. All or nothing: where anything is wrong the old rulebook stays,
//! and status, log and metrics say why until it is mended. What takes a restart is named, and the
//! rest still comes into force. Deliberately not here: how the files are read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::admin::{Activation, Finding, Later, Levers, Lowering, Standing, Trigger};
use crate::assembly::StartError;
use crate::assembly::kill_switch::KillSwitch;
use crate::assembly::restart;
use crate::config::{Loaded, Settings, Sources, Stamp, load};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::gateway::clock;
use crate::ledger::Ledger;
use crate::rulebook::{Registry, Rulebook, RulebookParts};
use crate::telemetry::{Reload, Telemetry};
use crate::units::Tier;

/// Time between two looks at the files. A change is taken when it stood still for one.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looking takes at most this part of the thread's time, however many files there are.
const LOOK_SHARE: u32 = 100;
/// Files that change at every look are loaded all the same after so many.
const RESTLESS_LOOKS: u32 = 20;
/// Findings in one line of the log.
const LOGGED_FINDINGS: usize = 5;

/// What a reload works on.
pub(super) struct ReloadParts {
    pub(super) registry: Arc<Registry>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) settings: Arc<Settings>,
    pub(super) kill_switch: KillSwitch,
    pub(super) workers: usize,
    pub(super) sources: Sources,
    pub(super) stamp: Stamp,
}

enum Ask {
    Load(Trigger, Option<oneshot::Sender<Activation>>),
    End,
}

/// What the thread and those who ask have in common.
struct Shared {
    registry: Arc<Registry>,
    kill_switch: KillSwitch,
    last: Mutex<Last>,
}

struct Last {
    active_since_us: u64,
    reload: Option<Activation>,
}

impl Shared {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self) -> Standing {
        let last = self.last();
        Standing {
            active_since_us: last.active_since_us,
            last_reload: last.reload.clone(),
            kill_switch: self.kill_switch.state(),
        }
    }

    fn lower(&self, tier: Tier) -> Lowering {
        let before = self.registry.active().load().serial();
        let lowering = self.kill_switch.lower(tier, &self.registry);
        let active = self.registry.active().load_full();
        if active.serial() != before {
            self.last().active_since_us = clock::now().wall_us;
        }
        match &lowering {
            Lowering::Lowered(tier) => {
                tracing::warn!(event = "tier_lowered", tier = tier.name());
            }
            Lowering::NotKept(tier, error) => {
                tracing::error!(event = "tier_lowered_not_kept", tier = tier.name(), error);
            }
            Lowering::NotLower(now) => {
                tracing::warn!(event = "tier_not_lowered", tier = now.name());
            }
        }
        lowering
    }
}

/// The handle of the thread that reloads; the thread ends when this is dropped.
pub(super) struct Reloader {
    asks: Sender<Ask>,
    shared: Arc<Shared>,
}

impl Reloader {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`StartError::Thread`].
    pub(super) fn start(parts: ReloadParts) -> Result<Self, StartError> {
        let (asks, inbox) = channel();
        let kill_switch = parts.kill_switch;
        tell_kill_switch(&kill_switch);
        let shared = Arc::new(Shared {
            registry: parts.registry,
            kill_switch,
            last: Mutex::new(Last {
                active_since_us: clock::now().wall_us,
                reload: None,
            }),
        });
        let loader = Loader {
            shared: Arc::clone(&shared),
            ledger: parts.ledger,
            telemetry: parts.telemetry,
            settings: parts.settings,
            workers: parts.workers,
            sources: parts.sources,
            seen: parts.stamp,
            faulty: Vec::new(),
            restless: None,
            look_every: LOOK_EVERY,
        };
        std::thread::Builder::new()
            .name("reloader".to_owned())
            .spawn(move || loader.run(&inbox))
            .map_err(|error| StartError::Thread {
                name: "reloader",
                error,
            })?;
        Ok(Self { asks, shared })
    }

    /// What a HUP signal calls: asks, and does not wait.
    pub(super) fn on_signal(&self) -> impl Fn() + Send + Sync + 'static {
        let asks = self.asks.clone();
        move || {
            // Nobody listens any more only when the gateway ends.
            let _ = asks.send(Ask::Load(Trigger::Signal, None));
        }
    }

    /// What the admin listener may pull.
    pub(super) fn levers(&self) -> Levers {
        let asks = self.asks.clone();
        let (lowered, told) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        Levers {
            reload: Box::new(move || {
                let (answer, later) = oneshot::channel();
                let _ = asks.send(Ask::Load(Trigger::Admin, Some(answer)));
                later
            }),
            lower: Box::new(move |tier| lower_aside(Arc::clone(&lowered), tier)),
            standing: Box::new(move || told.standing()),
        }
    }
}

impl Drop for Reloader {
    fn drop(&mut self) {
        // It may be compiling; nobody has to wait for that.
        let _ = self.asks.send(Ask::End);
    }
}

/// On a thread of its own: it writes a file, and must not wait behind a reload.
fn lower_aside(shared: Arc<Shared>, tier: Tier) -> Later<Lowering> {
    let (answer, later) = oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("tier".to_owned())
        .spawn(move || answer.send(shared.lower(tier)));
    if let Err(error) = spawned {
        tracing::error!(event = "tier_not_lowered", %error);
    }
    later
}

fn tell_kill_switch(kill_switch: &KillSwitch) {
    let state = kill_switch.state();
    if let Some(error) = &state.trouble {
        tracing::error!(event = "kill_switch_unreadable", error);
    }
    if let Some(tier) = state.ceiling {
        tracing::warn!(event = "kill_switch_holds", tier = tier.name());
    }
}

/// The thread.
struct Loader {
    shared: Arc<Shared>,
    ledger: Arc<Ledger>,
    telemetry: Arc<Telemetry>,
    settings: Arc<Settings>,
    workers: usize,
    sources: Sources,
    /// What the files looked like when they were last loaded.
    seen: Stamp,
    /// Files that had faults then.
    faulty: Vec<PathBuf>,
    /// What they looked like at the last look, and for how many looks they have been changing.
    restless: Option<(Stamp, u32)>,
    look_every: Duration,
}

impl Loader {
    fn run(mut self, inbox: &Receiver<Ask>) {
        loop {
            let asked = if self.settings.watch {
                inbox.recv_timeout(self.look_every)
            } else {
                inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match asked {
                Ok(Ask::Load(trigger, answer)) => {
                    // Whoever asked before the files are read is served by this reading.
                    let mut answers: Vec<_> = answer.into_iter().collect();
                    let mut ends = false;
                    for more in inbox.try_iter() {
                        match more {
                            Ask::Load(_, answer) => answers.extend(answer),
                            Ask::End => ends = true,
                        }
                    }
                    if ends {
                        return;
                    }
                    let activation = self.reload(trigger);
                    for answer in answers {
                        // Whoever asked may have left.
                        let _ = answer.send(activation.clone());
                    }
                }
                Ok(Ask::End) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => self.look(),
            }
        }
    }

    /// Loads the files if they have changed and stood still since the last look.
    fn look(&mut self) {
        let began = clock::now();
        let stamp = self.sources.stamp(&self.faulty);
        let took = Duration::from_nanos(clock::now().nanos_since(began));
        self.look_every = LOOK_EVERY.max(took * LOOK_SHARE);
        if stamp == self.seen {
            self.restless = None;
            return;
        }
        let looks = match &self.restless {
            Some((before, _)) if *before == stamp => RESTLESS_LOOKS,
            Some((_, looks)) => looks + 1,
            None => 0,
        };
        if looks < RESTLESS_LOOKS {
            self.restless = Some((stamp, looks));
        } else {
            self.reload(Trigger::Watch);
        }
    }

    fn reload(&mut self, trigger: Trigger) -> Activation {
        self.restless = None;
        let before = self.sources.stamp(&self.faulty);
        let loaded = self.load();
        let needs_restart = match &loaded {
            Ok(loaded) => restart::needed(&self.settings, &loaded.settings),
            Err(_) => Vec::new(),
        };
        let ended = loaded.and_then(|loaded| self.activate(loaded));
        let (result, found) = match ended {
            Ok((result, warnings)) => {
                self.faulty.clear();
                (result, warnings)
            }
            Err(found) => {
                let mut faulty: Vec<_> = found.iter().map(|d| PathBuf::from(&*d.file)).collect();
                faulty.dedup();
                // What changed while it was read is read again.
                let moved = self.sources.stamp(&self.faulty) != before;
                self.faulty = faulty;
                self.seen = if moved {
                    Stamp::default()
                } else {
                    self.sources.stamp(&self.faulty)
                };
                (Reload::Refused, found)
            }
        };
        self.conclude(result, trigger, &found, needs_restart)
    }

    fn load(&self) -> Result<Loaded, Vec<Diagnostic>> {
        let main = &self.sources.main;
        // A file that brings a reader down must not bring down those who will read the next one.
        let loaded = catch_unwind(AssertUnwindSafe(|| load(main))).unwrap_or_else(|_| {
            let message = "reading it ended in a panic, which is a fault of this program";
            Err(vec![about(main, Code::Unreadable, message.to_owned())])
        })?;
        let missing = self.missing_upstreams(&loaded);
        if missing.is_empty() {
            return Ok(loaded);
        }
        Err(missing)
    }

    /// Contracts whose upstream this process does not have.
    fn missing_upstreams(&self, loaded: &Loaded) -> Vec<Diagnostic> {
        let runs = |name: &str| self.settings.upstreams.iter().any(|u| *u.name == *name);
        let mut found = Vec::new();
        for contract in loaded.catalogue.contracts() {
            let named = [contract.upstream(), contract.divert_upstream()];
            for upstream in named.into_iter().flatten().filter(|name| !runs(name)) {
                let id = contract.id().as_str();
                let message = format!(
                    "contract '{id}' names the upstream '{upstream}', which this process does not \
                     run; new upstreams take a restart"
                );
                found.push(about(&self.sources.main, Code::UnknownUpstream, message));
            }
        }
        found
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
            return Err(vec![about(&self.sources.main, Code::Unreadable, message)]);
        }
        let parts = RulebookParts {
            catalogue,
            rules,
            tier: settings.tier,
            content_digest: *content.digest(),
            default_upstream: self.settings.default_upstream.clone(),
            workers: self.workers,
        };
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
            registry.swap_under(parts, Some(ceiling), announce);
            true
        });
        (self.sources, self.seen) = (sources, stamp);
        let result = if activated {
            Reload::Activated
        } else {
            Reload::Unchanged
        };
        Ok((result, warnings))
    }

    fn conclude(
        &self,
        result: Reload,
        trigger: Trigger,
        found: &[Diagnostic],
        needs_restart: Vec<&'static str>,
    ) -> Activation {
        let now = clock::now();
        self.telemetry.note_reload(result, now);
        let active = self.shared.registry.active().load_full();
        let activation = Activation {
            result,
            trigger,
            at_us: now.wall_us,
            serial: active.serial(),
            digest: active.digest_hex().to_owned(),
            tier: active.tier(),
            findings: found.iter().map(finding).collect(),
            needs_restart,
        };
        let mut last = self.shared.last();
        if result == Reload::Activated {
            last.active_since_us = now.wall_us;
        }
        last.reload = Some(activation.clone());
        drop(last);
        tell(&activation, active.catalogue().len());
        activation
    }
}

fn tell(activation: &Activation, contracts: usize) {
    let (trigger, serial) = (activation.trigger.name(), activation.serial);
    let policy_hash = &activation.digest;
    match activation.result {
        Reload::Activated => {
            let tier = activation.tier.name();
            tracing::info!(
                event = "rulebook_activated",
                trigger,
                serial,
                policy_hash,
                tier,
                contracts
            );
        }
        Reload::Unchanged => {
            tracing::info!(event = "reload_unchanged", trigger, serial, policy_hash);
        }
        Reload::Refused => {
            let errors = activation.findings.iter().filter(|f| f.severity == "error");
            let errors: Vec<String> = errors.map(in_one_line).collect();
            let shown = errors.get(..LOGGED_FINDINGS).unwrap_or(&errors).join("; ");
            tracing::error!(
                event = "reload_failed",
                trigger,
                serial,
                policy_hash,
                errors = errors.len(),
                findings = shown,
                "the rules that were in force stay; mend the files, 'tidegate check' names every fault"
            );
        }
    }
    if !activation.needs_restart.is_empty() {
        let keys = activation.needs_restart.join(", ");
        tracing::warn!(event = "restart_needed", keys);
    }
}

fn in_one_line(finding: &Finding) -> String {
    let Finding {
        file,
        line,
        column,
        code,
        message,
        ..
    } = finding;
    format!("{file}:{line}:{column}: {code} {message}")
}

fn finding(diagnostic: &Diagnostic) -> Finding {
    Finding {
        severity: diagnostic.severity.name(),
        code: diagnostic.code.as_str(),
        file: diagnostic.file.to_string(),
        line: diagnostic.place.line,
        column: diagnostic.place.column,
        message: diagnostic.message.clone(),
        remedy: diagnostic.remedy.clone(),
    }
}

/// An error about a file as a whole.
fn about(file: &std::path::Path, code: Code, message: String) -> Diagnostic {
    Diagnostic {
        file: file.display().to_string().into(),
        place: crate::diagnostic::Place::default(),
        code,
        severity: Severity::Error,
        message,
        remedy: code.remedy().to_owned(),
        excerpt: None,
    }
}
