//! Contracts without the gateway that runs them: of a configuration, of a folder or of one file.
//!
//! For whoever compares what was agreed. Upstreams are not known here, so nothing is said of them.

use std::path::Path;

use super::folder::Folder;
use super::load;
use super::sources::{Source, about_file, read_file};
use crate::contract::Contract;
use crate::contract::file::Surroundings;
use crate::diagnostic::{Code, Diagnostic, Severity, error_count};
use crate::policy::charter::Charter;
use crate::yaml::{self, Sheet, Value};

/// The name of a configuration in a folder.
const MAIN: &str = "tidegate.yaml";

/// Contracts, and the charter where something names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractSet {
    /// The contracts, sorted by id.
    pub contracts: Vec<Contract>,
    /// How they change; `None` where only contracts were read.
    pub charter: Option<Charter>,
}

/// Reads `tidegate.yaml` and what it names, a folder that holds one, a folder of contract files, or
/// one contract file.
///
/// # Errors
/// All findings, at least one of them an error.
pub fn load_contracts(path: &Path) -> Result<ContractSet, Vec<Diagnostic>> {
    if path.is_dir() {
        let main = path.join(MAIN);
        return if main.exists() {
            of_configuration(&main)
        } else {
            of_folder(|found| Folder::read(path, found))
        };
    }
    match read_file(path) {
        Err(finding) => Err(vec![finding]),
        Ok(source) if is_contract_file(&source) => of_folder(|found| Folder::of_file(path, found)),
        Ok(_) => of_configuration(path),
    }
}

fn of_configuration(path: &Path) -> Result<ContractSet, Vec<Diagnostic>> {
    let loaded = load(path)?;
    Ok(ContractSet {
        contracts: loaded.catalogue.contracts().to_vec(),
        charter: Some(loaded.charter),
    })
}

/// A contract file lists contracts; a configuration names the folder where they are.
fn is_contract_file(source: &Source) -> bool {
    let mut sheet = Sheet::new(&source.name, &source.text);
    let root = yaml::read(&mut sheet);
    let Some(Value::Map(entries)) = root.map(|root| root.value) else {
        return false;
    };
    let mut contracts = entries.iter().filter(|(key, _)| &*key.text == "contracts");
    contracts.any(|(_, node)| matches!(node.value, Value::List(_)))
}

fn of_folder(
    read: impl FnOnce(&mut Vec<Diagnostic>) -> Folder,
) -> Result<ContractSet, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let folder = read(&mut found);
    let catalogue = folder
        .compile(Surroundings::default(), &mut found)
        .catalogue;
    match catalogue {
        Some(catalogue) if error_count(&found) == 0 => Ok(ContractSet {
            contracts: catalogue.contracts().to_vec(),
            charter: None,
        }),
        _ => {
            found.sort();
            found.dedup();
            if error_count(&found) == 0 {
                // Cannot be; but a refusal always says something.
                let message = "the contracts cannot be read".to_owned();
                let path = Path::new("");
                found.push(about_file(path, Code::Unreadable, Severity::Error, message));
            }
            Err(found)
        }
    }
}
