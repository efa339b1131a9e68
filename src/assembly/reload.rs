//! The one path by which other contracts and rules come into force, whatever asked for it.
//!
//! A thread of its own reads, checks and compiles the files, writes the content beside the ledger,
//! and only then swaps one pointer. All or nothing: where anything is wrong the old rulebook stays,
//! and status, log and metrics say why until it is mended. What takes a restart is named, and the
//! rest still comes into force. Deliberately not here: how the files are read.

mod loader;
mod telling;
mod watch;

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::admin::{
    Activation, Attempt, BundleStanding, Finding, Later, Levers, Lowering, Standing, Submission,
    Trigger,
};
use crate::assembly::StartError;
use crate::assembly::bundles::{Begun, BundleParts, Bundles, Doors};
use crate::assembly::certificates::Certificates;
use crate::assembly::kill_switch::KillSwitch;
use crate::config::{Demands, Settings, Sources, Stamp};
use crate::diagnostic::Diagnostic;
use crate::gateway::clock;
use crate::ledger::Ledger;
use crate::record::GovernanceAct;
use crate::rulebook::Registry;
use crate::telemetry::{Reload, Telemetry};
use crate::units::Tier;
use loader::Loader;

pub(super) use telling::{finding, tell};
pub(super) use watch::Watch;

/// What a reload works on.
pub(super) struct ReloadParts {
    pub(super) registry: Arc<Registry>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) settings: Arc<Settings>,
    pub(super) kill_switch: KillSwitch,
    pub(super) certificates: Arc<Certificates>,
    pub(super) workers: usize,
    pub(super) sources: Sources,
    pub(super) stamp: Stamp,
    pub(super) demands: Demands,
    /// What the start found of bundles, and the doors that the first one opens; `None` where plain
    /// files are in force.
    pub(super) bundles: Option<(Begun, Doors)>,
}

/// What the thread is asked.
pub(super) enum Ask {
    Load(Trigger, Option<oneshot::Sender<Activation>>),
    Apply(Submission, oneshot::Sender<Attempt>),
    End,
}

/// What the thread and those who ask have in common.
pub(super) struct Shared {
    pub(super) registry: Arc<Registry>,
    ledger: Arc<Ledger>,
    pub(super) kill_switch: KillSwitch,
    certificates: Arc<Certificates>,
    last: Mutex<Last>,
}

pub(super) struct Last {
    pub(super) active_since_us: u64,
    pub(super) reload: Option<Activation>,
    pub(super) bundle: Option<BundleStanding>,
}

impl Shared {
    pub(super) fn new(
        registry: Arc<Registry>,
        ledger: Arc<Ledger>,
        kill_switch: KillSwitch,
        certificates: Arc<Certificates>,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            ledger,
            kill_switch,
            certificates,
            last: Mutex::new(Last {
                active_since_us: clock::now().wall_us,
                reload: None,
                bundle: None,
            }),
        })
    }

    pub(super) fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a load at that time came to, with the rules that are in force now.
    pub(super) fn activation(
        &self,
        result: Reload,
        trigger: Trigger,
        at_us: u64,
        findings: Vec<Finding>,
        needs_restart: Vec<&'static str>,
    ) -> Activation {
        let active = self.registry.active().load_full();
        Activation {
            result,
            trigger,
            at_us,
            serial: active.serial(),
            digest: active.digest_hex().to_owned(),
            tier: active.tier(),
            findings,
            needs_restart,
        }
    }

    /// Reads the certificates again, where somebody asks; those that change by themselves are
    /// watched apart.
    pub(super) fn reread_certificates(
        &self,
        trigger: Trigger,
        telemetry: &Telemetry,
    ) -> Vec<Diagnostic> {
        match trigger {
            Trigger::Admin | Trigger::Signal => self.certificates.reread(telemetry),
            _ => Vec::new(),
        }
    }

    fn standing(&self) -> Standing {
        let last = self.last();
        Standing {
            active_since_us: last.active_since_us,
            last_reload: last.reload.clone(),
            kill_switch: self.kill_switch.state(),
            bundle: last.bundle.clone(),
        }
    }

    fn lower(&self, tier: Tier, reason: String) -> Lowering {
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
        self.write_down(tier, reason, &lowering);
        lowering
    }
}

impl Shared {
    /// Into the ledger, without waiting: a lever must work while the disk does not.
    fn write_down(&self, asked: Tier, reason: String, lowering: &Lowering) {
        let result = match lowering {
            Lowering::Lowered(tier) => format!("lowered to {}", tier.name()),
            Lowering::NotKept(tier, error) => {
                format!("lowered to {} until the next start: {error}", tier.name())
            }
            Lowering::NotLower(now) => {
                format!("refused: {} is not below {}", asked.name(), now.name())
            }
        };
        let act = GovernanceAct {
            action: "tier_lower",
            actor: "admin".to_owned(),
            boot: self.ledger.boot(),
            reason,
            result,
            root: None,
            ts_us: clock::now().wall_us,
        };
        if let Err(error) = self.ledger.note(move |entry| act.push(entry)) {
            tracing::error!(event = "act_not_recorded", %error);
        }
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
        let shared = Shared::new(
            parts.registry,
            Arc::clone(&parts.ledger),
            kill_switch,
            parts.certificates,
        );
        let watch = Watch::new(parts.sources, parts.stamp);
        let thread = std::thread::Builder::new().name("reloader".to_owned());
        let life = parts.telemetry.threads().enter("reloader");
        let spawned = if let Some((begun, doors)) = parts.bundles {
            let mut bundles = Bundles::new(BundleParts {
                shared: Arc::clone(&shared),
                ledger: parts.ledger,
                telemetry: parts.telemetry,
                settings: parts.settings,
                workers: parts.workers,
                begun,
                doors,
                main: watch,
                demands: parts.demands,
            });
            bundles.begin();
            if let Err(refused) = bundles.is_as_expected() {
                // Its first records are whole, and the next start has nothing to mend.
                shared.ledger.close()?;
                return Err(StartError::UnexpectedPolicy(refused.to_string()));
            }
            thread.spawn(move || life.supervise(|| bundles.run(&inbox)))
        } else {
            let mut loader = Loader {
                shared: Arc::clone(&shared),
                ledger: parts.ledger,
                telemetry: parts.telemetry,
                settings: parts.settings,
                workers: parts.workers,
                needs_restart: Vec::new(),
                demands: parts.demands,
                watch,
            };
            thread.spawn(move || life.supervise(|| loader.run(&inbox)))
        };
        spawned.map_err(|error| StartError::Thread {
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

    /// The same for who wants to hear of the end.
    pub(super) fn by_signal(&self) -> impl Fn() -> Later<Activation> + Send + Sync + 'static {
        let asks = self.asks.clone();
        move || {
            let (answer, later) = oneshot::channel();
            let _ = asks.send(Ask::Load(Trigger::Signal, Some(answer)));
            later
        }
    }

    /// What the admin listener may pull.
    pub(super) fn levers(&self) -> Levers {
        let (asks, applied) = (self.asks.clone(), self.asks.clone());
        let (lowered, told) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        Levers {
            reload: Box::new(move || {
                let (answer, later) = oneshot::channel();
                let _ = asks.send(Ask::Load(Trigger::Admin, Some(answer)));
                later
            }),
            apply: Box::new(move |submission| {
                let (answer, later) = oneshot::channel();
                let _ = applied.send(Ask::Apply(submission, answer));
                later
            }),
            lower: Box::new(move |tier, reason| lower_aside(Arc::clone(&lowered), tier, reason)),
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
fn lower_aside(shared: Arc<Shared>, tier: Tier, reason: String) -> Later<Lowering> {
    let (answer, later) = oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("tier".to_owned())
        .spawn(move || answer.send(shared.lower(tier, reason)));
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
