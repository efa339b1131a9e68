//! Files of self-tests, read as one unit: names are compared over all of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::assembling::place_name;
use super::loading::read_or_report;
use super::sources::{Source, TOTAL_BYTES_MAX, about_file, list_yaml};
use crate::diagnostic::{Code, Diagnostic, Severity, error_count};
use crate::policy::self_tests::file::{Draft, read_self_tests};
use crate::policy::self_tests::{SELF_TESTS_MAX, SelfTests};
use crate::yaml::{self, Sheet};

/// The self-tests of files and of folders (every `*.yaml` below them), and what else was found.
///
/// # Errors
/// All findings, sorted by place; at least one is an error.
pub fn read_self_test_files(
    paths: &[PathBuf],
) -> Result<(SelfTests, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut found = Vec::new();
    let tests = load(paths, &mut found);
    found.sort();
    match error_count(&found) {
        0 => Ok((tests, found)),
        _ => Err(found),
    }
}

/// The same into a list of findings; nothing where there are errors.
pub(super) fn load(paths: &[PathBuf], found: &mut Vec<Diagnostic>) -> SelfTests {
    let sources = read_sources(paths, found);
    let mut sheets: Vec<Sheet<'_>> = sources
        .iter()
        .map(|source| Sheet::new(&source.name, &source.text))
        .collect();
    let mut drafts: Vec<(usize, Draft)> = Vec::new();
    for (number, sheet) in sheets.iter_mut().enumerate() {
        if let Some(root) = yaml::read(sheet) {
            let read = read_self_tests(sheet, &root);
            drafts.extend(read.into_iter().map(|draft| (number, draft)));
        }
    }
    report_count(&drafts, &mut sheets);
    report_same_names(&drafts, &mut sheets);
    let findings: Vec<Diagnostic> = sheets.into_iter().flat_map(Sheet::into_findings).collect();
    let is_faulty = error_count(&findings) > 0;
    found.extend(findings);
    if is_faulty {
        return SelfTests::default();
    }
    let tests = drafts.into_iter().filter_map(|(_, draft)| draft.test);
    // What could be wrong with the list was reported above, with its place.
    SelfTests::new(tests.collect()).unwrap_or_default()
}

fn read_sources(paths: &[PathBuf], found: &mut Vec<Diagnostic>) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut total = 0;
    for path in paths
        .iter()
        .flat_map(|path| files_of(path, found))
        .collect::<Vec<_>>()
    {
        if let Some(source) = read_or_report(&path, found) {
            total += source.text.len();
            sources.push(source);
        }
        if total > TOTAL_BYTES_MAX {
            let message = "the self-test files hold more than 256 MiB".to_owned();
            found.push(about_file(&path, Code::TooMany, Severity::Error, message));
            break;
        }
    }
    sources
}

fn files_of(path: &Path, found: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    match path.is_dir() {
        true => list_yaml(path, found),
        false => vec![path.to_owned()],
    }
}

fn report_count(drafts: &[(usize, Draft)], sheets: &mut [Sheet<'_>]) {
    if let Some((number, draft)) = drafts.get(SELF_TESTS_MAX)
        && let Some(sheet) = sheets.get_mut(*number)
    {
        let message = format!("there are more than {SELF_TESTS_MAX} self-tests");
        sheet.error(draft.place, Code::TooMany, message);
    }
}

/// Names are compared over all drafts, also those that have faults.
fn report_same_names(drafts: &[(usize, Draft)], sheets: &mut [Sheet<'_>]) {
    let mut seen: HashMap<&str, (usize, &Draft)> = HashMap::with_capacity(drafts.len());
    for (number, draft) in drafts {
        let Some(name) = &draft.name else { continue };
        let Some((other, first)) = seen.get(&**name) else {
            seen.insert(name, (*number, draft));
            continue;
        };
        let first = place_name(sheets, *other, first.place);
        let message = format!("the name '{name}' is taken by {first}");
        if let Some(sheet) = sheets.get_mut(*number) {
            sheet.error(draft.place, Code::SameTest, message);
        }
    }
}
