//! From files to one valid whole: settings, contracts, rules.
//!
//! [`load`] reads `tidegate.yaml` and everything it names as one unit, reports every fault of
//! every file, and has no side effects: it opens no socket, creates nothing, resolves no name.
//! Environment variables and flags belong to the command line.

mod address;
mod assembling;
mod contracts;
mod demands;
mod drafts;
mod exemptions;
mod file;
mod folder;
mod loaded;
mod loading;
mod named;
mod references;
mod secrets;
mod self_tests;
mod settings;
mod sources;
mod stamp;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::contract::file::Surroundings;
use crate::diagnostic::{Diagnostic, error_count};
use crate::units::Date;
use folder::Folder;
use loading::{Circumstances, load_into, load_main};

pub use contracts::{ContractSet, load_contracts};
pub use demands::{DIGEST_DIGITS_MIN, Demands};
pub use exemptions::shape::SHAPE as EXEMPTIONS_SHAPE;
pub use file::shape::SHAPE;
pub use loaded::{Addressed, Bundled, Loaded, Runnable};
pub use self_tests::read_self_test_files;
pub use settings::{
    Balance, BundleSettings, ClientCertificate, Ejection, Environment, HealthCheck, LedgerSettings,
    LedgerSync, Limits, Listener, OnNone, OnUnavailable, Protocol, Server, Settings, Timeouts,
    Upstream, UpstreamTls, WeightedServer,
};
pub use stamp::{Sources, Stamp};

/// The most contracts of one gateway.
pub const CONTRACTS_MAX: usize = 100_000;

/// The most steps of a lookup before the templates are called hostile.
pub const LOOKUP_STEPS_MAX: u64 = 1_024;

/// Reads of a configuration only where its gateway is found.
///
/// # Errors
/// The findings of the file where it does not say so.
pub fn addressed(path: &Path) -> Result<Addressed, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let main = load_main(path, true, &mut found);
    let known = main.and_then(|main| {
        Some(Addressed {
            admin: main.admin?,
            state_dir: main.state_dir?,
        })
    });
    found.sort();
    known.ok_or(found)
}

/// Loads what a gateway of this configuration runs on: with `bundle`, contracts and policy are not
/// even looked at.
///
/// # Errors
/// As [`load`].
pub fn load_to_run(path: &Path) -> Result<Runnable, Vec<Diagnostic>> {
    let stamp = Stamp::of_file(path);
    let mut found = Vec::new();
    let settings = load_main(path, false, &mut found).and_then(|main| main.settings);
    found.sort();
    let Some((settings, bundle)) =
        settings.and_then(|settings| Some((settings.clone(), settings.bundle?)))
    else {
        // Every fault is told, also those of the files that it names.
        return load(path).map(|loaded| Runnable::Files(Box::new(loaded)));
    };
    if error_count(&found) > 0 {
        return Err(found);
    }
    Ok(Runnable::Bundles(Box::new(Bundled {
        settings,
        bundle,
        warnings: found,
        sources: Sources {
            main: path.to_owned(),
            policy: None,
            charter: None,
            contracts: None,
            self_tests: None,
        },
        stamp,
        demands: Demands::default(),
    })))
}

/// Loads a configuration and all it names.
///
/// # Errors
/// All findings of all files, warnings included, sorted by place; at least one is an error.
pub fn load(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(path, None, None)
}

/// The same on a day: what was to be settled before it is a warning, an exemption that has expired is
/// an error, and descriptions that contracts name are looked up. For verbs with which people
/// change files; what runs must not do otherwise tomorrow.
///
/// # Errors
/// As [`load`].
pub fn load_on(path: &Path, today: Date) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(path, Some(today), None)
}

/// The findings about a contract file, or about all files of a contracts folder, without a
/// configuration: names of upstreams are not judged. Also gives how many contracts there are.
#[must_use]
pub fn lint(path: &Path, today: Date) -> (Vec<Diagnostic>, usize) {
    let mut found = Vec::new();
    let folder = match path.is_dir() {
        true => Folder::read(path, &mut found),
        false => Folder::of_file(path, &mut found),
    };
    let around = Surroundings {
        today: Some(today),
        ..Surroundings::default()
    };
    let contracts = folder.compile(around, &mut found).catalogue;
    found.sort();
    found.dedup();
    (found, contracts.map_or(0, |contracts| contracts.len()))
}

/// The same for a process that runs these upstreams (`None`: all of the files): a contract that
/// names another one is a fault.
///
/// # Errors
/// As [`load`].
pub fn load_beside(path: &Path, running: Option<&[&str]>) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(path, None, running)
}

fn load_with(
    path: &Path,
    today: Option<Date>,
    running: Option<&[&str]>,
) -> Result<Loaded, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let circumstances = Circumstances { today, running };
    let loaded = load_into(path, circumstances, &mut found);
    found.sort();
    found.dedup();
    match loaded {
        Some(loaded) if error_count(&found) == 0 => Ok(Loaded {
            warnings: found,
            ..loaded
        }),
        _ => Err(found),
    }
}
