//! What a change of the rules in force came to, and what the operator may pull.
//!
//! The listener knows no files: whoever puts the gateway together hands it [`Levers`].

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::admin::bundle::{Attempt, BundleStanding, Submission};
use crate::telemetry::Reload;
use crate::units::Tier;

/// What asked for a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A HUP signal.
    Signal,
    /// The admin listener.
    Admin,
    /// A change of the files.
    Watch,
    /// A start.
    Start,
}

impl Trigger {
    /// The name in status and log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Admin => "admin",
            Self::Watch => "watch",
            Self::Start => "start",
        }
    }
}

/// Something about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The rule.
    pub code: &'static str,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 = the whole file.
    pub line: u32,
    /// The column, from 1; 0 = the whole file.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// One attempt to put the files in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// How it ended.
    pub result: Reload,
    /// What asked for it.
    pub trigger: Trigger,
    /// When it ended, microseconds since 1970.
    pub at_us: u64,
    /// The serial of the rulebook in force after it.
    pub serial: u32,
    /// The content digest of that rulebook, 64 hex digits.
    pub digest: String,
    /// Its tier.
    pub tier: Tier,
    /// What was found in the files; warnings too.
    pub findings: Vec<Finding>,
    /// Keys of `tidegate.yaml` that say something else than what runs: they take a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Activation {
    /// The form in answers.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        json!({
            "result": self.result.name(),
            "trigger": self.trigger.name(),
            "at_unix_ms": self.at_us / 1_000,
            "serial": self.serial,
            "digest": self.digest,
            "tier": self.tier.name(),
            "findings": findings,
            "needs_restart": self.needs_restart,
        })
    }
}

impl Finding {
    fn to_json(&self) -> Value {
        json!({
            "severity": self.severity,
            "code": self.code,
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "remedy": self.remedy,
        })
    }
}

/// The state of the kill switch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KillSwitchState {
    /// The most that the process may do; `None` where the switch was not used.
    pub ceiling: Option<Tier>,
    /// Why its file cannot be read or written.
    pub trouble: Option<String>,
}

/// What is in force, since when, and how the last attempt to change it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Since when the active rulebook is in force, microseconds since 1970.
    pub active_since_us: u64,
    /// The last attempt; `None` before the first one.
    pub last_reload: Option<Activation>,
    /// The kill switch.
    pub kill_switch: KillSwitchState,
    /// Bundles; `None` on a gateway that runs on plain files.
    pub bundle: Option<BundleStanding>,
}

/// What became of a request to lower the tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lowering {
    /// In force, and it will be after a restart.
    Lowered(Tier),
    /// In force, but it could not be written down, so a restart would forget it.
    NotKept(Tier, String),
    /// That is more than the process may do now, which is this.
    NotLower(Tier),
}

/// Gives its answer later; without one the asked thread is gone.
pub type Later<T> = oneshot::Receiver<T>;

/// What the listener may pull.
pub struct Levers {
    /// Loads the files.
    pub reload: Box<dyn Fn() -> Later<Activation> + Send + Sync>,
    /// Puts a bundle in force.
    pub apply: Box<dyn Fn(Submission) -> Later<Attempt> + Send + Sync>,
    /// Lowers the tier, for a reason that is written down; empty where none was given.
    pub lower: Box<dyn Fn(Tier, String) -> Later<Lowering> + Send + Sync>,
    /// Tells what is in force.
    pub standing: Box<dyn Fn() -> Standing + Send + Sync>,
}
