//! `tidegate contract owners`: who answers for each contract, for people and for a forge.
//!
//! A forge's file of code owners knows files, not contracts: a file belongs to everybody who
//! answers for one of its contracts. Everything is written out file by file, so that no pattern of
//! ours has to mean the same to a forge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::{FAILED, INVALID, OK, Outcome};
use crate::cli::offline::{ConfigArg, FINDINGS};
use crate::config::{Loaded, load};
use crate::contract::file::OWNERS_FILE;
use crate::diagnostic::{Format, render};

/// Says who answers for each contract.
#[derive(Debug, Args)]
pub struct OwnersArgs {
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArg,
    /// Write a file of code owners, as GitHub and others read it, instead of a list.
    #[arg(long, env = "TIDEGATE_CODEOWNERS")]
    pub codeowners: bool,
    /// Compare that file with this one instead of writing it; exit code 3 where they differ.
    #[arg(long, env = "TIDEGATE_CHECK", value_name = "FILE")]
    pub check: Option<PathBuf>,
    /// The root of the repository: paths in the file are relative to it.
    #[arg(
        long,
        env = "TIDEGATE_REPOSITORY",
        value_name = "DIR",
        default_value = "."
    )]
    pub repository: PathBuf,
}

/// The first lines of the file of code owners.
const HEAD: &str = "# Made from contracts and OWNERS.yaml; change those, and write this again with:\n\
     #   tidegate contract owners --codeowners\n";

/// Runs the verb; the result is the exit code: 0, 3 where a compared file is not current, 78 where
/// a file cannot be used.
#[must_use]
pub fn run(args: &OwnersArgs) -> u8 {
    owners(args).print()
}

/// Runs the verb without printing.
#[must_use]
pub fn owners(args: &OwnersArgs) -> Outcome {
    let loaded = match load(&args.config.config) {
        Ok(loaded) => loaded,
        Err(found) => return Outcome::to_stderr(render(&found, Format::Pretty), INVALID),
    };
    if !args.codeowners && args.check.is_none() {
        return to_stdout(list(&loaded));
    }
    let wanted = match codeowners(&loaded, &args.repository) {
        Ok(wanted) => wanted,
        Err(message) => return Outcome::to_stderr(message, FAILED),
    };
    match &args.check {
        None => to_stdout(wanted),
        Some(file) => compare(&wanted, file),
    }
}

fn to_stdout(stdout: String) -> Outcome {
    Outcome {
        stdout,
        stderr: String::new(),
        code: OK,
    }
}

fn list(loaded: &Loaded) -> String {
    let mut text = String::new();
    for contract in loaded.catalogue.contracts() {
        let id = contract.id().as_str();
        let owner = contract.owner().unwrap_or("-");
        let backup = contract.backup_owner().unwrap_or("-");
        let service = contract.service().unwrap_or("-");
        let _ = writeln!(
            text,
            "{id:<32} owner {owner}, backup {backup}, service {service}"
        );
    }
    text
}

/// The whole file of code owners.
fn codeowners(loaded: &Loaded, root: &Path) -> Result<String, String> {
    let Some(folder) = &loaded.sources.contracts else {
        return Err("error: there is no contracts folder\n".to_owned());
    };
    let folder = below(root, folder)?;
    let owners = loaded.owners.clone().unwrap_or_default();
    let mut files: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let places: BTreeMap<&str, &str> = (loaded.places.iter())
        .map(|(id, file)| (&**id, &**file))
        .collect();
    for contract in loaded.catalogue.contracts() {
        let Some(file) = places.get(contract.id().as_str()) else {
            continue;
        };
        let people = [contract.owner(), contract.backup_owner()];
        let handles = people.into_iter().flatten().map(|name| owners.handle(name));
        files.entry(file).or_default().extend(handles);
    }
    let mut text = HEAD.to_owned();
    // The last line that fits a file counts, so what stands for all files comes first.
    let all = owners.of_all();
    let all: BTreeSet<String> = [all.owner, all.backup_owner]
        .iter()
        .flatten()
        .map(|name| owners.handle(name))
        .collect();
    if !all.is_empty() {
        text += &line(&format!("{folder}/"), &all)?;
        text += &line(&format!("{folder}/{OWNERS_FILE}"), &all)?;
    }
    for (file, handles) in files.iter().filter(|(_, handles)| !handles.is_empty()) {
        text += &line(&format!("{folder}/{file}"), handles)?;
    }
    Ok(text)
}

/// One line; a space in a path is escaped, and one in a handle would name somebody else.
fn line(path: &str, handles: &BTreeSet<String>) -> Result<String, String> {
    let path = path.replace(' ', "\\ ");
    if let Some(odd) = handles
        .iter()
        .find(|handle| handle.contains(char::is_whitespace))
    {
        return Err(format!(
            "error: the owner '{odd}' has a space, which no file of code owners can hold; \
             give its handle below 'handles' in {OWNERS_FILE}\n"
        ));
    }
    let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
    Ok(format!("/{path} {}\n", handles.join(" ")))
}

/// The path of a folder below the root of the repository, with `/` between its parts.
fn below(root: &Path, folder: &Path) -> Result<String, String> {
    let absolute = |path: &Path| {
        std::fs::canonicalize(path).map_err(|error| format!("error: {}: {error}\n", path.display()))
    };
    let (root, folder) = (absolute(root)?, absolute(folder)?);
    let below = folder.strip_prefix(&root).map_err(|_| {
        let (root, folder) = (root.display(), folder.display());
        format!(
            "error: {folder} is not below {root}; name the root of the repository with --repository\n"
        )
    })?;
    Ok(below.to_string_lossy().into_owned())
}

/// What has to change in a file, line by line.
fn compare(wanted: &str, file: &Path) -> Outcome {
    let shown = file.display();
    let found = match std::fs::read_to_string(file) {
        Ok(found) => found,
        Err(error) => return Outcome::to_stderr(format!("error: {shown}: {error}\n"), FAILED),
    };
    if found == wanted {
        return to_stdout(format!("{shown} is current\n"));
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (old, new) = (lines(&found), lines(wanted));
    let missing = new.iter().filter(|line| !old.contains(line));
    let surplus = old.iter().filter(|line| !new.contains(line));
    let mut stdout = String::new();
    surplus.for_each(|line| {
        let _ = writeln!(stdout, "-{line}");
    });
    missing.for_each(|line| {
        let _ = writeln!(stdout, "+{line}");
    });
    let stderr = format!(
        "{shown} is not current: write it again with tidegate contract owners --codeowners\n"
    );
    Outcome {
        stdout,
        stderr,
        code: FINDINGS,
    }
}
