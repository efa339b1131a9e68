//! Files found and read, with every bound that keeps a folder from hurting the process.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::yaml::FILE_BYTES_MAX;

/// The most contract files.
pub(super) const FILES_MAX: usize = 10_000;
/// The most bytes of all contract files.
pub(super) const TOTAL_BYTES_MAX: usize = 256 << 20;
/// The most levels of folders below the contracts folder.
const FOLDERS_DEEP_MAX: usize = 16;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// Its name in findings.
    pub(super) name: String,
    /// Its text.
    pub(super) text: String,
}

/// A finding about a whole file.
pub(super) fn about_file(
    path: &Path,
    code: Code,
    severity: Severity,
    message: String,
) -> Diagnostic {
    Diagnostic {
        file: path.display().to_string().into(),
        place: Place::default(),
        code,
        severity,
        message,
        remedy: code.remedy().to_owned(),
        excerpt: None,
    }
}

fn error(path: &Path, code: Code, message: String) -> Diagnostic {
    about_file(path, code, Severity::Error, message)
}

/// Reads one file: regular, of bounded size, UTF-8. A byte order mark at its beginning stays in
/// the text; the parser skips it, and no column counts it.
pub(super) fn read_file(path: &Path) -> Result<Source, Diagnostic> {
    let unreadable = |e: std::io::Error| error(path, Code::Unreadable, e.to_string());
    // Asked before opening: opening a named pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        let message = "this is not a regular file".to_owned();
        return Err(error(path, Code::Unreadable, message));
    }
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() > FILE_BYTES_MAX {
        let message = "the file has more than 1 MiB".to_owned();
        return Err(error(path, Code::TooLarge, message));
    }
    let text = String::from_utf8(bytes).map_err(|fault| not_utf8(path, &fault))?;
    Ok(Source {
        name: path.display().to_string(),
        text,
    })
}

fn not_utf8(path: &Path, fault: &std::string::FromUtf8Error) -> Diagnostic {
    let valid = fault.utf8_error().valid_up_to();
    let before = fault.as_bytes().get(..valid).unwrap_or_default();
    let text = String::from_utf8_lossy(before);
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let message = "a byte here is not UTF-8".to_owned();
    Diagnostic {
        place: Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        },
        ..error(path, Code::NotUtf8, message)
    }
}

/// Every `*.yaml` below a folder, sorted by path. Names that begin with a dot are left alone;
/// folders behind symbolic links are not entered, files behind them are read.
pub(super) fn list_yaml(folder: &Path, found: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(folder, FOLDERS_DEEP_MAX, &mut files, found);
    files.sort();
    if files.len() > FILES_MAX {
        let message = format!("the folder holds more than {FILES_MAX} files");
        found.push(error(folder, Code::TooMany, message));
        files.truncate(FILES_MAX);
    }
    files
}

fn walk(folder: &Path, levels: usize, files: &mut Vec<PathBuf>, found: &mut Vec<Diagnostic>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => {
            found.push(error(folder, Code::Unreadable, e.to_string()));
            return;
        }
    };
    if levels == 0 {
        let message = format!("folders are nested more than {FOLDERS_DEEP_MAX} levels");
        found.push(error(folder, Code::TooMany, message));
        return;
    }
    for entry in entries {
        if files.len() > FILES_MAX {
            return;
        }
        let path = match entry {
            Ok(entry) => entry.path(),
            Err(e) => {
                found.push(error(folder, Code::Unreadable, e.to_string()));
                continue;
            }
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let is_folder = path.symlink_metadata().is_ok_and(|m| m.is_dir());
        if is_folder {
            walk(&path, levels - 1, files, found);
        } else if name.ends_with(".yaml") {
            files.push(path);
        } else if name.ends_with(".yml") {
            let message = "only files named '*.yaml' are read".to_owned();
            found.push(about_file(
                &path,
                Code::IgnoredFile,
                Severity::Warning,
                message,
            ));
        }
    }
}
