//! Files that the configuration names, asked for before they are read.
//!
//! A path that leads nowhere is a fault of the line that names it, so it is reported there. What
//! is wrong inside a file is reported at that file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::config::file::Main;
use crate::diagnostic::{Code, Place};
use crate::yaml::Sheet;

/// Reports the paths that cannot be used, and forgets them.
pub(super) fn check_named(sheet: &mut Sheet<'_>, main: &mut Main) {
    let contracts = main.contracts.take();
    main.contracts = contracts.filter(|named| is_usable(sheet, named, &FOLDER));
    let policy = main.policy.take();
    main.policy = policy.filter(|named| is_usable(sheet, named, &FILE));
    let self_tests = main.self_tests.take();
    main.self_tests = self_tests.filter(|named| is_usable(sheet, named, &FOLDER_OR_FILE));
    let charter = main.charter.take();
    main.charter = charter.filter(|named| is_usable(sheet, named, &CHARTER));
}

/// What a key has to name.
struct Kind {
    key: &'static str,
    what: &'static str,
    remedy: &'static str,
    open: fn(&Path) -> io::Result<()>,
}

const FOLDER: Kind = Kind {
    key: "contracts",
    what: "folder",
    remedy: "name the folder that holds the contract files",
    open: open_folder,
};

const FILE: Kind = Kind {
    key: "policy",
    what: "regular file",
    remedy: "name the policy file itself, or leave 'policy' out for the default policy",
    open: open_file,
};

const FOLDER_OR_FILE: Kind = Kind {
    key: "self_tests",
    what: "folder or regular file",
    remedy: "name the folder that holds the self-tests, or one file of them",
    open: open_folder_or_file,
};

const CHARTER: Kind = Kind {
    key: "charter",
    what: "regular file",
    remedy: "name the charter file itself, or leave 'charter' out for the default charter",
    open: open_file,
};

fn is_usable(sheet: &mut Sheet<'_>, named: &(PathBuf, Place), kind: &Kind) -> bool {
    let (path, place) = named;
    let Err(error) = (kind.open)(path) else {
        return true;
    };
    let (key, what, shown) = (kind.key, kind.what, path.display());
    let relative = "a path is relative to the folder of this file";
    let (message, remedy) = match error.kind() {
        ErrorKind::NotFound => (
            format!("'{key}' names '{shown}', which does not exist"),
            format!("create it, or correct the path; {relative}"),
        ),
        ErrorKind::NotADirectory | ErrorKind::InvalidInput => (
            format!("'{key}' names '{shown}', which is not a {what}"),
            format!("{}; {relative}", kind.remedy),
        ),
        _ => (
            format!("'{key}' names '{shown}', which cannot be read: {error}"),
            format!("check the permissions of this {what} and of those above it"),
        ),
    };
    sheet.error_with(*place, Code::Unreadable, message, remedy);
    false
}

fn open_folder(path: &Path) -> io::Result<()> {
    fs::read_dir(path).map(drop)
}

fn open_folder_or_file(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.is_dir() {
        true => open_folder(path),
        false => open_file(path),
    }
}

/// Asked for its kind before it is opened: opening a named pipe would wait for a writer.
fn open_file(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    fs::File::open(path).map(drop)
}
