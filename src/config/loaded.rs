//! What came of reading files: all of them, or only those of a gateway that lives on bundles.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{BundleSettings, Demands, Settings, Sources, Stamp};
use crate::contract::Catalogue;
use crate::contract::file::Owners;
use crate::diagnostic::Diagnostic;
use crate::policy::canonical::CanonicalContent;
use crate::policy::charter::Charter;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;

/// Everything the files say, checked together.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What this gateway is.
    pub settings: Settings,
    /// The contracts, ready to match.
    pub catalogue: Catalogue,
    /// The policy.
    pub rules: Rules,
    /// How contracts and rules change.
    pub charter: Charter,
    /// The self-tests.
    pub self_tests: SelfTests,
    /// Contracts, rules, charter and self-tests in canonical form; its digest is the policy hash.
    pub content: CanonicalContent,
    /// How many contract files were read.
    pub contract_files: usize,
    /// What `OWNERS.yaml` of the contracts folder says.
    pub owners: Option<Owners>,
    /// Of each contract its id, and its file as a path below the contracts folder.
    pub places: Vec<(Box<str>, Box<str>)>,
    /// Findings that are no errors.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was read from.
    pub sources: Sources,
    /// What they looked like before they were read.
    pub stamp: Stamp,
    /// What a reload must hold them to.
    pub demands: Demands,
}

/// What a gateway that takes bundles reads of its files: everything but contracts and policy.
#[derive(Debug, Clone)]
pub struct Bundled {
    /// What this gateway is.
    pub settings: Settings,
    /// Where its bundles come from: that of the settings.
    pub bundle: BundleSettings,
    /// Findings that are no errors.
    pub warnings: Vec<Diagnostic>,
    /// The one file that it was read from.
    pub sources: Sources,
    /// What it looked like before it was read.
    pub stamp: Stamp,
    /// What whoever started it demands beside its files.
    pub demands: Demands,
}

/// What a gateway runs on.
#[derive(Debug, Clone)]
pub enum Runnable {
    /// Plain files, which nobody signed.
    Files(Box<Loaded>),
    /// Bundles.
    Bundles(Box<Bundled>),
}

impl Runnable {
    /// What the gateway is.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        match self {
            Self::Files(loaded) => &loaded.settings,
            Self::Bundles(bundled) => &bundled.settings,
        }
    }
}

/// Where a gateway of these files can be asked and keeps its state, whatever else is wrong in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    /// Its admin listener.
    pub admin: SocketAddr,
    /// Its state.
    pub state_dir: PathBuf,
}
