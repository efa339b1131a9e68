//! The contracts folder as one unit: contracts, who answers for them, what they are exempted from.
//!
//! `OWNERS.yaml` and `exemptions.yaml` stand in the folder itself; below it, these names are those
//! of contract files as any other.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::assembling::load_catalogue;
use super::drafts::Drafts;
use super::exemptions::{EXEMPTIONS_FILE, Exemptions, Subject, read_exemptions};
use super::file::Main;
use super::loading::{Circumstances, read_or_report};
use super::references::Descriptions;
use super::secrets;
use super::sources::{Source, TOTAL_BYTES_MAX, about_file, list_yaml};
use crate::contract::Catalogue;
use crate::contract::file::{
    FileOwners, OWNERS_FILE, Owners, OwnersFile, Surroundings, read_owners,
};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::units::Date;
use crate::yaml::{self, Sheet};

/// The files of a contracts folder.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// The contract files, and their paths below the folder.
    contracts: Vec<(Source, String)>,
    /// Where it lies; what paths in its files are relative to.
    path: PathBuf,
    owners: Option<Source>,
    exemptions: Option<Source>,
    /// Whether there is a file of owners that could not be read.
    has_unread_owners: bool,
    /// Whether these are all files of a folder, so that a name must be found among them.
    is_whole: bool,
}

/// What came of it.
pub(super) struct Read {
    /// The contracts; `None` where a fault leaves none.
    pub(super) catalogue: Option<Catalogue>,
    /// Who answers for them, from the file of owners.
    pub(super) owners: Option<Owners>,
    /// Where each contract stands: its id and the path below the folder.
    pub(super) places: Vec<(Box<str>, Box<str>)>,
}

impl Folder {
    /// Reads all files below a folder.
    pub(super) fn read(folder: &Path, found: &mut Vec<Diagnostic>) -> Self {
        let mut read = Self {
            path: folder.to_owned(),
            is_whole: true,
            ..Self::default()
        };
        let mut total = 0;
        for path in list_yaml(folder, found) {
            let below = path.strip_prefix(folder).unwrap_or(&path);
            let below = below.to_string_lossy().into_owned();
            if let Some(source) = read_or_report(&path, found) {
                total += source.text.len();
                match below.as_str() {
                    OWNERS_FILE => read.owners = Some(source),
                    EXEMPTIONS_FILE => read.exemptions = Some(source),
                    _ => read.contracts.push((source, below)),
                }
            } else if below == OWNERS_FILE {
                read.has_unread_owners = true;
            }
            if total > TOTAL_BYTES_MAX {
                let message = "the contract files hold more than 256 MiB".to_owned();
                found.push(about_file(&path, Code::TooMany, Severity::Error, message));
                break;
            }
        }
        read
    }

    /// One contract file alone.
    pub(super) fn of_file(path: &Path, found: &mut Vec<Diagnostic>) -> Self {
        let source = read_or_report(path, found);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.into_owned();
        Self {
            contracts: source
                .into_iter()
                .map(|source| (source, name.clone()))
                .collect(),
            path: path.parent().unwrap_or(Path::new("")).to_owned(),
            ..Self::default()
        }
    }

    /// How many contract files there are.
    pub(super) fn len(&self) -> usize {
        self.contracts.len()
    }

    /// Makes contracts of the files of a configuration, for a process that runs these upstreams.
    pub(super) fn compile_beside(
        &self,
        main: &Main,
        Circumstances { today, running }: Circumstances<'_>,
        found: &mut Vec<Diagnostic>,
    ) -> Read {
        let upstreams: Vec<&str> = main.upstreams.iter().map(|name| &**name).collect();
        let settings = main.settings.as_ref();
        let around = Surroundings {
            upstreams: &upstreams,
            running,
            has_default_upstream: main.has_default_upstream,
            default_upstream: settings.map(|s| &*s.default_upstream),
            is_known: !upstreams.is_empty(),
            tier: main.tier,
            connections: settings.map(|s| s.limits.connections),
            owners: OwnersFile::Absent,
            today,
        };
        self.compile(around, found)
    }

    /// Makes contracts of the files. `around` needs no owners: they are put in here.
    pub(super) fn compile(&self, around: Surroundings<'_>, found: &mut Vec<Diagnostic>) -> Read {
        let today = around.today;
        let mut owners_sheet = self.owners.as_ref().map(sheet);
        let owners = owners_sheet.as_mut().and_then(|sheet| {
            let root = yaml::read(sheet)?;
            read_owners(sheet, &root)
        });
        let of_files: Option<Vec<FileOwners<'_>>> = owners.as_ref().map(|owners| {
            let files = self.contracts.iter();
            files.map(|(_, below)| owners.of_file(below)).collect()
        });
        let has_owners = self.owners.is_some() || self.has_unread_owners;
        let owners_of = |number: usize| match &of_files {
            Some(files) => files
                .get(number)
                .map_or(OwnersFile::Faulty, OwnersFile::Read),
            None if has_owners => OwnersFile::Faulty,
            None => OwnersFile::Absent,
        };
        let mut sheets: Vec<Sheet<'_>> = self
            .contracts
            .iter()
            .map(|(source, _)| sheet(source))
            .collect();
        let descriptions = today.map(|_| Descriptions::below(&self.path));
        let (catalogue, drafts) =
            load_catalogue(around, &owners_of, descriptions, self.is_whole, &mut sheets);
        if let (Some(owners), Some(sheet)) = (&owners, &mut owners_sheet) {
            let files: Vec<&str> = self.contracts.iter().map(|(_, below)| &**below).collect();
            let ids = drafts.iter().filter_map(|draft| draft.id.as_ref());
            let ids: BTreeSet<&str> = ids.map(|id| id.as_str()).collect();
            let upstreams = around.is_known.then_some(around.upstreams);
            owners.judge(sheet, &files, &ids, upstreams);
        }
        self.conclude(sheets, owners_sheet, &drafts, today, found);
        let places = drafts.iter().filter_map(|draft| {
            let (_, below) = self.contracts.get(draft.file)?;
            Some((draft.id.as_ref()?.as_str().into(), below.as_str().into()))
        });
        Read {
            places: places.collect(),
            catalogue,
            owners,
        }
    }

    /// Gathers the findings of all files, without those that are exempted.
    fn conclude(
        &self,
        sheets: Vec<Sheet<'_>>,
        owners: Option<Sheet<'_>>,
        drafts: &Drafts,
        today: Option<Date>,
        found: &mut Vec<Diagnostic>,
    ) {
        let mut own = self.exemptions.as_ref().map(sheet);
        let root = own.as_mut().and_then(yaml::read);
        let exemptions = own.as_mut().zip(root);
        let mut exemptions = exemptions.map_or_else(Exemptions::default, |(sheet, root)| {
            read_exemptions(sheet, &root)
        });
        for (number, (sheet, (source, below))) in
            sheets.into_iter().zip(&self.contracts).enumerate()
        {
            let mut findings = sheet.into_findings();
            secrets::report(source, &mut findings);
            exemptions.apply(&mut findings, today, |finding| Subject {
                file: below,
                contract: drafts.at(number, finding.place),
            });
            found.append(&mut findings);
        }
        if let Some(sheet) = &mut own {
            exemptions.judge(sheet, today);
        }
        let others = [(own, &self.exemptions), (owners, &self.owners)];
        for (sheet, source) in others {
            let mut findings = sheet.map(Sheet::into_findings).unwrap_or_default();
            if let Some(source) = source {
                secrets::report(source, &mut findings);
            }
            found.append(&mut findings);
        }
    }
}

fn sheet(source: &Source) -> Sheet<'_> {
    Sheet::new(&source.name, &source.text)
}
