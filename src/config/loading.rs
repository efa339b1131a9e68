//! The main file and all that it names, read as one unit.
//!
//! Invariant: every fault of every file is found in one run, and what changes while files are read is
//! seen as a change afterwards. Not here: contracts (`folder`, `assembling`).

use std::path::{Path, PathBuf};

use super::file::{Main, read_main};
use super::folder::Folder;
use super::named::check_named;
use super::sources::{Source, about_file, read_file};
use super::{Demands, Loaded, Sources, Stamp, secrets, self_tests};
use crate::contract::Catalogue;
use crate::diagnostic::{Code, Diagnostic, Place, Severity, error_count};
use crate::policy::canonical::{self, CONTENT_BYTES_MAX};
use crate::policy::charter::Charter;
use crate::policy::file::{read_charter, read_rules};
use crate::policy::rules::Rules;
use crate::units::Date;
use crate::yaml::{self, Sheet};

/// What is known when files are read, and stands in none of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    pub(super) today: Option<Date>,
    pub(super) running: Option<&'a [&'a str]>,
}

pub(super) fn load_into(
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
pub(super) fn load_main(
    path: &Path,
    names_are_read: bool,
    found: &mut Vec<Diagnostic>,
) -> Option<Main> {
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

pub(super) fn read_or_report(path: &Path, found: &mut Vec<Diagnostic>) -> Option<Source> {
    match read_file(path) {
        Ok(source) => Some(source),
        Err(finding) => {
            found.push(finding);
            None
        }
    }
}
