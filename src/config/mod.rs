//! From files to one valid whole: settings, contracts, rules.
//!
//! [`load`] reads `tidegate.yaml` and everything it names as one unit, reports every fault of
//! every file, and has no side effects: it opens no socket, creates nothing, resolves no name.
//! Environment variables and flags belong to the command line.

mod address;
mod contracts;
mod demands;
mod drafts;
mod exemptions;
mod file;
mod folder;
mod named;
mod references;
mod secrets;
mod self_tests;
mod settings;
mod sources;
mod stamp;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::contract::file::{Owners, OwnersFile, Surroundings, read_contracts};
use crate::contract::{Catalogue, Collision, Contract, ContractId};
use crate::diagnostic::{Code, Diagnostic, Place, Severity, error_count};
use crate::policy::canonical::{self, CONTENT_BYTES_MAX, CanonicalContent};
use crate::policy::charter::Charter;
use crate::policy::file::{read_charter, read_rules};
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;
use crate::units::Date;
use crate::yaml::{self, Sheet};
use drafts::{Drafts, Filed};
use file::{Main, read_main};
use folder::Folder;
use named::check_named;
use references::Descriptions;
use sources::{Source, about_file, read_file};

pub use contracts::{ContractSet, load_contracts};
pub use demands::{DIGEST_DIGITS_MIN, Demands};
pub use exemptions::shape::SHAPE as EXEMPTIONS_SHAPE;
pub use file::shape::SHAPE;
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

/// What is known when files are read, and stands in none of them.
#[derive(Debug, Clone, Copy)]
struct Circumstances<'a> {
    today: Option<Date>,
    running: Option<&'a [&'a str]>,
}

fn load_into(
    path: &Path,
    circumstances: Circumstances<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Loaded> {
    // Taken before the files are read: what changes meanwhile will be seen as a change.
    let first = Stamp::of_file(path);
    let main = load_main(path, true, found)?;
    let named = |named: &Option<(PathBuf, Place)>| named.as_ref().map(|(path, _)| path.clone());
    let watched = Sources {
        main: path.to_owned(),
        policy: named(&main.policy),
        charter: named(&main.charter),
        contracts: named(&main.contracts),
        self_tests: named(&main.self_tests),
    };
    let stamp = watched.stamp_after(first);
    let rules = load_rules(&main, circumstances.today, found);
    let charter = load_charter(&main, found);
    let folder = main.contracts.as_ref();
    let folder = folder.map(|(folder, _)| Folder::read(folder, found));
    let folder = folder.unwrap_or_default();
    let read = folder.compile_beside(&main, circumstances, found);
    let catalogue = read.catalogue;
    let is_empty = catalogue.as_ref().is_some_and(Catalogue::is_empty) && main.contracts.is_some();
    if is_empty && error_count(found) == 0 {
        let message = match folder.len() {
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
    let self_tests = self_tests::load(watched.self_tests.as_slice(), found);
    let (settings, catalogue) = (main.settings?, catalogue?);
    let content =
        canonical::write_with(catalogue.contracts(), &rules, &charter, &self_tests).ok()?;
    if content.bytes().len() > CONTENT_BYTES_MAX {
        let message =
            "contracts, policy and self-tests have more than 64 MiB in canonical form".to_owned();
        found.push(about_file(path, Code::TooMany, Severity::Error, message));
    }
    Some(Loaded {
        settings,
        catalogue,
        rules,
        self_tests,
        charter,
        content,
        contract_files: folder.len(),
        owners: read.owners,
        places: read.places,
        warnings: Vec::new(),
        sources: watched,
        stamp,
        demands: Demands::default(),
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
    conclude(sheet, &source, found);
    main
}

fn load_rules(main: &Main, today: Option<Date>, found: &mut Vec<Diagnostic>) -> Rules {
    let source = main.policy.as_ref();
    let Some(source) = source.and_then(|(path, _)| read_or_report(path, found)) else {
        return Rules::default();
    };
    let mut sheet = Sheet::new(&source.name, &source.text);
    let root = yaml::read(&mut sheet);
    let rules = root.map(|root| read_rules(&mut sheet, &root, today));
    conclude(sheet, &source, found);
    rules.unwrap_or_default()
}

fn load_charter(main: &Main, found: &mut Vec<Diagnostic>) -> Charter {
    let source = main.charter.as_ref();
    let Some(source) = source.and_then(|(path, _)| read_or_report(path, found)) else {
        return Charter::default();
    };
    let mut sheet = Sheet::new(&source.name, &source.text);
    let root = yaml::read(&mut sheet);
    let charter = root.map(|root| read_charter(&mut sheet, &root));
    conclude(sheet, &source, found);
    charter.unwrap_or_default()
}

/// Hands over the findings of a file, with its secrets.
fn conclude(sheet: Sheet<'_>, source: &Source, found: &mut Vec<Diagnostic>) {
    let mut own = sheet.into_findings();
    secrets::report(source, &mut own);
    found.append(&mut own);
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

/// The contracts of all files, and where they stand. `owners` gives what is said of a file;
/// `descriptions` is `None` where references to them are not judged, and a successor need not be there
/// where the files are not all.
fn load_catalogue<'a>(
    around: Surroundings<'a>,
    owners: &impl Fn(usize) -> OwnersFile<'a>,
    mut descriptions: Option<Descriptions<'_>>,
    is_whole: bool,
    sheets: &mut [Sheet<'_>],
) -> (Option<Catalogue>, Drafts) {
    let mut drafts: Vec<Filed> = Vec::new();
    for (number, sheet) in sheets.iter_mut().enumerate() {
        if let Some(root) = yaml::read(sheet) {
            let owners = owners(number);
            let read = read_contracts(sheet, &root, Surroundings { owners, ..around });
            if let Some(descriptions) = &mut descriptions {
                read.iter()
                    .for_each(|draft| descriptions.judge(sheet, draft));
            }
            drafts.extend(read.into_iter().map(|draft| (number, draft)));
        }
    }
    let places = Drafts::of(&drafts);
    if let Some((number, draft)) = drafts.get(CONTRACTS_MAX) {
        let message = format!("there are more than {CONTRACTS_MAX} contracts");
        if let Some(sheet) = sheets.get_mut(*number) {
            sheet.error(draft.id_place, Code::TooMany, message);
        }
        return (None, places);
    }
    report_same_ids(&drafts, sheets);
    if is_whole {
        report_successors(&drafts, sheets);
    }
    (build(drafts, sheets), places)
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

/// A successor is another contract of the files, also where that one has faults.
fn report_successors(drafts: &[Filed], sheets: &mut [Sheet<'_>]) {
    let ids = drafts.iter().filter_map(|(_, draft)| draft.id.as_ref());
    let ids: std::collections::HashSet<&ContractId> = ids.collect();
    for (number, draft) in drafts {
        let Some(contract) = &draft.contract else {
            continue;
        };
        let Some(successor) = &contract.lifecycle().parts().successor else {
            continue;
        };
        let message = if successor == contract.id() {
            "a contract cannot be its own successor".to_owned()
        } else if ids.contains(successor) {
            continue;
        } else {
            format!("there is no contract '{}'", successor.as_str())
        };
        if let Some(sheet) = sheets.get_mut(*number) {
            sheet.error(draft.successor_place, Code::Successor, message);
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
    use super::{addressed, load, load_on};
    use crate::diagnostic::Code;
    use crate::units::Date;

    // R285
    #[test]
    fn a_stage_that_was_to_be_settled_is_a_warning_from_the_next_day_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tidegate.yaml");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        std::fs::create_dir(folder.path().join("contracts")).expect("a folder");
        write(
            "tidegate.yaml",
            "version: 1\nlisteners: [{bind: \"127.0.0.1:0\"}]\n\
             upstreams: {main: {servers: [\"127.0.0.1:9000\"]}}\n\
             contracts: contracts\npolicy: policy.yaml\n",
        );
        write(
            "policy.yaml",
            "version: 1\nname: x\nstages:\n  latency: \
             { mode: canary 5%, owner: team-speed, remove_by: 2026-09-30 }\n",
        );
        write(
            "contracts/a.yaml",
            "version: 1\ncontracts:\n  - id: a\n    endpoint: GET /a\n    owner: team-a\n    \
             stage: { mode: shadow, remove_by: 2026-09-29 }\n",
        );
        let warnings = |today: Option<&str>| -> Vec<String> {
            let loaded = match today {
                Some(today) => load_on(&path, Date::parse(today).expect("a day")),
                None => load(&path),
            };
            let found = loaded.expect("it loads all the same").warnings;
            let is_overdue = |code| code == Code::StageOverdue;
            assert!(found.iter().all(|one| is_overdue(one.code)), "{found:?}");
            found.into_iter().map(|one| one.message).collect()
        };
        let settled =
            |day, owner| format!("this stage was to be settled by {day}; '{owner}' answers for it");
        let of_contract = settled("2026-09-29", "team-a");
        let of_factor = settled("2026-09-30", "team-speed");
        assert_eq!(warnings(None), Vec::<String>::new());
        assert_eq!(warnings(Some("2026-09-29")), Vec::<String>::new());
        assert_eq!(warnings(Some("2026-09-30")), [of_contract.as_str()]);
        assert_eq!(warnings(Some("2026-10-01")), [of_contract, of_factor]);
    }

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
