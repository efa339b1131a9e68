//! Where a contract says that it is described: the file is there, and the operation is in it.
//!
//! Judged where people change files, as the end of exemptions is: a description that was moved
//! keeps no gateway from starting. Each file is read once, whatever number of contracts name it.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::contract::file::{Draft, Reference};
use crate::diagnostic::Code;
use crate::openapi::{Description, FILE_BYTES_MAX};
use crate::yaml::Sheet;

/// Descriptions by their path; or why they cannot be used.
#[derive(Debug)]
pub(super) struct Descriptions<'f> {
    folder: &'f Path,
    read: HashMap<PathBuf, Result<Description, String>>,
}

impl<'f> Descriptions<'f> {
    /// Paths are relative to the contracts folder.
    pub(super) fn below(folder: &'f Path) -> Self {
        Self {
            folder,
            read: HashMap::new(),
        }
    }

    /// Reports the references of a contract that lead nowhere.
    pub(super) fn judge(&mut self, sheet: &mut Sheet<'_>, draft: &Draft) {
        for (place, reference) in &draft.references {
            let judged = match reference {
                Reference::Proto(path) => is_file(&self.folder.join(&**path)),
                Reference::OpenApi(text) => self.operation(text, draft),
            };
            if let Err(fault) = judged {
                sheet.error(*place, Code::Reference, fault);
            }
        }
    }

    fn operation(&mut self, text: &str, draft: &Draft) -> Result<(), String> {
        let Some((path, pointer)) = text.split_once('#') else {
            return Err("'openapi' is a file, '#' and the place of an operation in it".to_owned());
        };
        let path = self.folder.join(path);
        let read = self.read.entry(path).or_insert_with_key(|path| read(path));
        let operation = read.as_ref().map_err(Clone::clone)?.operation(pointer)?;
        match &draft.contract {
            Some(contract) if !operation.is_of(contract.endpoint_key()) => Err(format!(
                "the operation is '{operation}', and the contract is '{}'",
                contract.endpoint_key()
            )),
            _ => Ok(()),
        }
    }
}

/// Asked before opening: opening a named pipe would wait for a writer.
fn is_file(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(_) => Err(format!("{shown} is not a regular file")),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

fn read(path: &Path) -> Result<Description, String> {
    is_file(path)?;
    let shown = path.display();
    let mut bytes = Vec::new();
    let limit = FILE_BYTES_MAX as u64 + 1;
    let file = File::open(path).map_err(|error| format!("{shown}: {error}"))?;
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| format!("{shown}: {error}"))?;
    Description::parse(&bytes).map_err(|fault| format!("{shown}: {fault}"))
}
