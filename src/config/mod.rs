//! From files to one valid whole: settings, contracts, rules.
//!
//! [`load`] reads `tidegate.yaml` and everything it names as one unit, reports every fault of
//! every file, and has no side effects: it opens no socket, creates nothing, resolves no name.
//! Environment variables and flags belong to the command line.

mod address;
mod file;
mod named;
mod settings;
mod sources;
mod stamp;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::contract::file::{Draft, Surroundings, read_contracts};
use crate::contract::{Catalogue, Collision, Contract, ContractId};
use crate::diagnostic::{Code, Diagnostic, Place, Severity, error_count};
use crate::policy::canonical::{self, CONTENT_BYTES_MAX, CanonicalContent};
use crate::policy::file::read_rules;
use crate::policy::rules::Rules;
use crate::yaml::{self, Sheet};
use file::{Main, read_main};
use named::check_named;
use sources::{Source, TOTAL_BYTES_MAX, about_file, list_yaml, read_file};

pub use settings::{
    BundleSettings, Environment, LedgerSettings, LedgerSync, Limits, Listener, OnNone,
    OnUnavailable, Server, Settings, Timeouts, Upstream,
};
pub use stamp::{Sources, Stamp};

/// The most contracts of one gateway.
pub const CONTRACTS_MAX: usize = 100_000;

/// The most steps of a lookup before the templates are called hostile.
pub const LOOKUP_STEPS_MAX: u64 = 1_024;

/// Everything the files say, checked together.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What this gateway is.
    pub settings: Settings,
    /// The contracts, ready to match.
    pub catalogue: Catalogue,
    /// The policy.
    pub rules: Rules,
    /// Contracts and rules in canonical form; its digest is the policy hash.
    pub content: CanonicalContent,
    /// How many contract files were read.
    pub contract_files: usize,
    /// Findings that are no errors.
    pub warnings: Vec<Diagnostic>,
    /// The files that it was read from.
    pub sources: Sources,
    /// What they looked like before they were read.
    pub stamp: Stamp,
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
            contracts: None,
        },
        stamp,
    })))
}

/// Loads a configuration and all it names.
///
/// # Errors
/// All findings of all files, warnings included, sorted by place; at least one is an error.
pub fn load(path: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    load_beside(path, None)
}

/// The same for a process that runs these upstreams (`None`: all of the files): a contract that
/// names another one is a fault.
///
/// # Errors
/// As [`load`].
pub fn load_beside(path: &Path, running: Option<&[&str]>) -> Result<Loaded, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let loaded = load_into(path, running, &mut found);
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

fn load_into(path: &Path, running: Option<&[&str]>, found: &mut Vec<Diagnostic>) -> Option<Loaded> {
    // Taken before the files are read: what changes meanwhile will be seen as a change.
    let first = Stamp::of_file(path);
    let main = load_main(path, true, found)?;
    let named = |named: &Option<(PathBuf, Place)>| named.as_ref().map(|(path, _)| path.clone());
    let watched = Sources {
        main: path.to_owned(),
        policy: named(&main.policy),
        contracts: named(&main.contracts),
    };
    let stamp = watched.stamp_after(first);
    let rules = load_rules(&main, found);
    let sources = read_sources(&main, found);
    let mut sheets: Vec<Sheet<'_>> = sources
        .iter()
        .map(|source| Sheet::new(&source.name, &source.text))
        .collect();
    let catalogue = load_catalogue(&main, running, &mut sheets);
    found.extend(sheets.into_iter().flat_map(Sheet::into_findings));
    let is_empty = catalogue.as_ref().is_some_and(Catalogue::is_empty) && main.contracts.is_some();
    if is_empty && error_count(found) == 0 {
        let message = match sources.len() {
            0 => "the contracts folder holds no '*.yaml' file".to_owned(),
            files => format!("{files} files in the contracts folder hold no contract"),
        };
        let folder = main.contracts.as_ref().map_or(path, |(path, _)| path);
        found.push(about_file(
            folder,
            Code::NoContracts,
            Severity::Warning,
            message,
        ));
    }
    let (settings, catalogue) = (main.settings?, catalogue?);
    let content = canonical::write(catalogue.contracts(), &rules).ok()?;
    if content.bytes().len() > CONTENT_BYTES_MAX {
        let message = "contracts and policy have more than 64 MiB in canonical form".to_owned();
        found.push(about_file(path, Code::TooMany, Severity::Error, message));
    }
    Some(Loaded {
        settings,
        catalogue,
        rules,
        content,
        contract_files: sources.len(),
        warnings: Vec::new(),
        sources: watched,
        stamp,
    })
}

/// `names_are_read`: contracts and policy have to be there, because they are read next.
fn load_main(path: &Path, names_are_read: bool, found: &mut Vec<Diagnostic>) -> Option<Main> {
    let source = read_or_report(path, found)?;
    let mut sheet = Sheet::new(&source.name, &source.text);
    let folder = path.parent().unwrap_or(Path::new(""));
    let root = yaml::read(&mut sheet);
    let mut main = root.and_then(|root| read_main(&mut sheet, &root, folder));
    if let Some(main) = main.as_mut().filter(|_| names_are_read) {
        check_named(&mut sheet, main);
    }
    found.extend(sheet.into_findings());
    main
}

fn load_rules(main: &Main, found: &mut Vec<Diagnostic>) -> Rules {
    let source = main.policy.as_ref();
    let Some(source) = source.and_then(|(path, _)| read_or_report(path, found)) else {
        return Rules::default();
    };
    let mut sheet = Sheet::new(&source.name, &source.text);
    let root = yaml::read(&mut sheet);
    let rules = root.map(|root| read_rules(&mut sheet, &root));
    found.extend(sheet.into_findings());
    rules.unwrap_or_default()
}

fn read_or_report(path: &Path, found: &mut Vec<Diagnostic>) -> Option<Source> {
    match read_file(path) {
        Ok(source) => Some(source),
        Err(finding) => {
            found.push(finding);
            None
        }
    }
}

fn read_sources(main: &Main, found: &mut Vec<Diagnostic>) -> Vec<Source> {
    let Some((folder, _)) = &main.contracts else {
        return Vec::new();
    };
    let mut sources = Vec::new();
    let mut total = 0;
    for path in list_yaml(folder, found) {
        if let Some(source) = read_or_report(&path, found) {
            total += source.text.len();
            sources.push(source);
        }
        if total > TOTAL_BYTES_MAX {
            let message = "the contract files hold more than 256 MiB".to_owned();
            found.push(about_file(&path, Code::TooMany, Severity::Error, message));
            break;
        }
    }
    sources
}

/// A draft and the number of its file.
type Filed = (usize, Draft);

fn load_catalogue(
    main: &Main,
    running: Option<&[&str]>,
    sheets: &mut [Sheet<'_>],
) -> Option<Catalogue> {
    let upstreams: Vec<&str> = main.upstreams.iter().map(|name| &**name).collect();
    let around = Surroundings {
        upstreams: &upstreams,
        running,
        has_default_upstream: main.has_default_upstream,
        is_known: !upstreams.is_empty(),
        tier: main.tier,
        connections: main.settings.as_ref().map(|s| s.limits.connections),
    };
    let mut drafts: Vec<Filed> = Vec::new();
    for (number, sheet) in sheets.iter_mut().enumerate() {
        if let Some(root) = yaml::read(sheet) {
            let read = read_contracts(sheet, &root, around);
            drafts.extend(read.into_iter().map(|draft| (number, draft)));
        }
    }
    if let Some((number, draft)) = drafts.get(CONTRACTS_MAX) {
        let message = format!("there are more than {CONTRACTS_MAX} contracts");
        if let Some(sheet) = sheets.get_mut(*number) {
            sheet.error(draft.id_place, Code::TooMany, message);
        }
        return None;
    }
    report_same_ids(&drafts, sheets);
    build(drafts, sheets)
}

/// Ids are compared over all drafts, also those that have other faults.
fn report_same_ids(drafts: &[Filed], sheets: &mut [Sheet<'_>]) {
    let mut seen: std::collections::HashMap<&ContractId, &Filed> =
        std::collections::HashMap::with_capacity(drafts.len());
    for filed in drafts {
        let (number, draft) = filed;
        let Some(id) = &draft.id else { continue };
        match seen.get(id) {
            None => {
                seen.insert(id, filed);
            }
            Some((other, first)) => {
                let first = place_name(sheets, *other, first.id_place);
                let message = format!("the id '{}' is taken by {first}", id.as_str());
                if let Some(sheet) = sheets.get_mut(*number) {
                    sheet.error(draft.id_place, Code::SameId, message);
                }
            }
        }
    }
}

fn place_name(sheets: &[Sheet<'_>], number: usize, place: Place) -> String {
    let file = sheets.get(number).map_or("", Sheet::file);
    format!("{file}:{}:{}", place.line, place.column)
}

fn build(drafts: Vec<Filed>, sheets: &mut [Sheet<'_>]) -> Option<Catalogue> {
    let mut places: Vec<(usize, Place)> = Vec::with_capacity(drafts.len());
    let mut contracts: Vec<Contract> = Vec::with_capacity(drafts.len());
    for (number, draft) in drafts {
        if let Some(contract) = draft.contract {
            places.push((number, draft.endpoint_place));
            contracts.push(contract);
        }
    }
    let names: Vec<ContractId> = contracts.iter().map(|c| c.id().clone()).collect();
    match Catalogue::build(contracts) {
        Ok(catalogue) => {
            let steps = catalogue.lookup_steps_max();
            if steps > LOOKUP_STEPS_MAX
                && let Some(sheet) = sheets.first_mut()
            {
                let message = format!("one path could take {steps} steps to look up");
                sheet.error(Place::default(), Code::Backtracking, message);
                return None;
            }
            Some(catalogue)
        }
        Err(collisions) => {
            for collision in &collisions {
                report_collision(collision, &places, &names, sheets);
            }
            None
        }
    }
}

fn report_collision(
    collision: &Collision,
    places: &[(usize, Place)],
    names: &[ContractId],
    sheets: &mut [Sheet<'_>],
) {
    let Some((number, place)) = places.get(collision.position()).copied() else {
        return;
    };
    let (code, message) = match collision {
        // Reported with the place of the id, by `report_same_ids`.
        Collision::SameId { .. } => return,
        Collision::Template { fault, .. } => (Code::Template, fault.to_string()),
        Collision::SameRoute { first, methods, .. } => {
            let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
            let name = names.get(*first).map_or("", ContractId::as_str);
            let (other, at) = places.get(*first).copied().unwrap_or_default();
            let first = place_name(sheets, other, at);
            let methods = methods.join(", ");
            let message = format!("{methods} of this path is claimed by '{name}' at {first}");
            (Code::SameRoute, message)
        }
    };
    if let Some(sheet) = sheets.get_mut(number) {
        sheet.error(place, code, message);
    }
}

#[cfg(test)]
mod tests {
    use super::addressed;

    #[test]
    fn a_gateway_is_found_whatever_else_is_wrong_in_its_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tidegate.yaml");
        let around = |admin: &str| {
            let text = format!("version: 1\nlisteners: 7\nnonsense: {{}}\n{admin}");
            std::fs::write(&path, text).expect("written");
            addressed(&path).map(|found| (found.admin.to_string(), found.state_dir))
        };
        let state = folder.path().join("state");
        let default = ("127.0.0.1:9901".to_owned(), state.clone());
        assert_eq!(around(""), Ok(default));
        let named = ("127.0.0.1:7".to_owned(), folder.path().join("s"));
        assert_eq!(
            around("admin: {bind: \"127.0.0.1:7\"}\nstate_dir: s\n"),
            Ok(named)
        );
        for unusable in [
            "admin: {bind: \"0.0.0.0:7\"}\n",
            "state_dir: []\n",
            "admin: [\n",
        ] {
            assert!(around(unusable).is_err(), "{unusable}");
        }
    }
}
