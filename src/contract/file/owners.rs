//! `OWNERS.yaml`: who answers for which contracts, and which service has which upstreams.
//!
//! Invariant: the order of entries never matters. What a contract says itself wins; then the entry
//! of its id, of its file, of the deepest folder. Each key is looked for on its own, so a folder
//! may give the service and an entry of one contract another owner.
//! Not here: what becomes of a contract that nobody answers for (`ownership`), and forges' own
//! files of owners (the command line writes them).

mod glob;
mod read;
pub mod shape;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::contract::ContractId;
use crate::diagnostic::{Code, Place};
use crate::yaml::Sheet;
pub use read::read_owners;

/// The name of the file, in the contracts folder itself.
pub const OWNERS_FILE: &str = "OWNERS.yaml";

/// What the file says.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    contracts: HashMap<ContractId, Entry>,
    files: BTreeMap<Box<str>, Entry>,
    folders: BTreeMap<Box<str>, Entry>,
    /// Upstream, and the service that it belongs to.
    upstreams: BTreeMap<Box<str>, (Box<str>, Place)>,
    handles: BTreeMap<Box<str>, Box<str>>,
}

/// What an entry gives, and where it stands.
#[derive(Debug, Clone, Default)]
struct Entry {
    place: Place,
    stewards: Stewards,
}

/// Who answers for contracts, and the service that they are part of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stewards {
    /// Who answers.
    pub owner: Option<Box<str>>,
    /// Who answers when the owner cannot.
    pub backup_owner: Option<Box<str>>,
    /// The service, a valid name.
    pub service: Option<Box<str>>,
}

impl Stewards {
    /// What these say, and where they say nothing, what the others do.
    fn or(&self, others: &Self) -> Self {
        let first = |own: &Option<Box<str>>, other: &Option<Box<str>>| {
            own.clone().or_else(|| other.clone())
        };
        Self {
            owner: first(&self.owner, &others.owner),
            backup_owner: first(&self.backup_owner, &others.backup_owner),
            service: first(&self.service, &others.service),
        }
    }

    /// Whether both say something, and not the same.
    fn disagree(&self, others: &Self) -> bool {
        let differ = |a: &Option<Box<str>>, b: &Option<Box<str>>| matches!((a, b), (Some(a), Some(b)) if a != b);
        differ(&self.owner, &others.owner)
            || differ(&self.backup_owner, &others.backup_owner)
            || differ(&self.service, &others.service)
    }
}

/// What `OWNERS.yaml` says of the contracts of one file.
#[derive(Debug, Clone)]
pub struct FileOwners<'a> {
    owners: &'a Owners,
    stewards: Stewards,
}

impl FileOwners<'_> {
    /// Who answers for a contract of the file.
    #[must_use]
    pub fn of(&self, id: Option<&ContractId>) -> Stewards {
        let own = id.and_then(|id| self.owners.contracts.get(id));
        own.map_or_else(
            || self.stewards.clone(),
            |entry| entry.stewards.or(&self.stewards),
        )
    }

    /// The service that an upstream belongs to.
    #[must_use]
    pub fn service_of(&self, upstream: &str) -> Option<&str> {
        let service = self.owners.upstreams.get(upstream);
        service.map(|(service, _)| &**service)
    }
}

impl Owners {
    /// What is said of the contracts of a file, by its path below the contracts folder.
    #[must_use]
    pub fn of_file(&self, file: &str) -> FileOwners<'_> {
        let mut stewards = Stewards::default();
        for (_, entry) in self.files_with(file) {
            stewards = stewards.or(&entry.stewards);
        }
        let mut folder = file;
        while let Some((above, _)) = folder.rsplit_once('/') {
            folder = above;
            if let Some(entry) = self.folders.get(folder) {
                stewards = stewards.or(&entry.stewards);
            }
        }
        if let Some(entry) = self.folders.get(".") {
            stewards = stewards.or(&entry.stewards);
        }
        FileOwners {
            owners: self,
            stewards,
        }
    }

    /// Who answers for all that no narrower entry names: the entry of the folder `.`.
    #[must_use]
    pub fn of_all(&self) -> Stewards {
        let all = self.folders.get(".");
        all.map(|entry| entry.stewards.clone()).unwrap_or_default()
    }

    /// How a forge calls an owner: `@` and the name, unless `handles` says otherwise.
    #[must_use]
    pub fn handle(&self, owner: &str) -> String {
        match self.handles.get(owner) {
            Some(handle) => handle.to_string(),
            None if owner.contains('@') => owner.to_owned(),
            None => format!("@{owner}"),
        }
    }

    fn files_with(&self, file: &str) -> impl Iterator<Item = (&Box<str>, &Entry)> {
        let entries = self.files.iter();
        let file = file.to_owned();
        entries.filter(move |(pattern, _)| glob::matches(pattern, &file))
    }

    /// Reports what only shows beside the contracts: entries that name nothing, or disagree.
    /// `files` are paths below the contracts folder; `upstreams` is `None` where unknown.
    pub fn judge(
        &self,
        sheet: &mut Sheet<'_>,
        files: &[&str],
        ids: &BTreeSet<&str>,
        upstreams: Option<&[&str]>,
    ) {
        for (id, entry) in &self.contracts {
            if !ids.contains(id.as_str()) {
                unused(sheet, entry.place, &format!("contract '{}'", id.as_str()));
            }
        }
        for (folder, entry) in &self.folders {
            let is_in = |file: &&str| {
                let rest = file.strip_prefix(&**folder);
                rest.is_some_and(|rest| rest.starts_with('/'))
            };
            if &**folder != "." && !files.iter().any(is_in) {
                unused(sheet, entry.place, &format!("file below '{folder}'"));
            }
        }
        self.judge_patterns(sheet, files);
        let unknown = |name: &str| upstreams.is_some_and(|known| !known.contains(&name));
        for (name, (_, place)) in &self.upstreams {
            if unknown(name) {
                unused(sheet, *place, &format!("upstream '{name}'"));
            }
        }
    }

    fn judge_patterns(&self, sheet: &mut Sheet<'_>, files: &[&str]) {
        let mut used: BTreeSet<&str> = BTreeSet::new();
        let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
        for file in files {
            let all: Vec<_> = self.files_with(file).collect();
            used.extend(all.iter().map(|(pattern, _)| &***pattern));
            for (number, (pattern, entry)) in all.iter().enumerate() {
                for (other, second) in all.iter().skip(number + 1) {
                    if !entry.stewards.disagree(&second.stewards) || !told.insert((pattern, other))
                    {
                        continue;
                    }
                    let (first, later) = match entry.place <= second.place {
                        true => (pattern, *second),
                        false => (other, *entry),
                    };
                    let message =
                        format!("'{file}' is also that of '{first}', which says otherwise");
                    sheet.error(later.place, Code::OwnersClash, message);
                }
            }
        }
        for (pattern, entry) in &self.files {
            if !used.contains(&**pattern) {
                unused(sheet, entry.place, &format!("file like '{pattern}'"));
            }
        }
    }
}

fn unused(sheet: &mut Sheet<'_>, place: Place, what: &str) {
    sheet.warning(place, Code::OwnersUnused, format!("there is no {what}"));
}

#[cfg(test)]
mod tests;
