//! The proxies that are compared: which there are, how each is started, and that each does what
//! its name says before anything is measured.

mod bare;
pub(super) mod check;
mod haproxy;
mod nginx;
mod tidegate;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::catalogue::Catalogue;
use crate::process::{Process, installed};

pub(super) use tidegate::{Tuning, of_a_bundle};

/// How much of the gateway's work a peer does, and how its rules are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    /// Passes on, no rules.
    Plain,
    /// Route and method, rate limit, outlier detection, one line of JSON per request; written the
    /// ordinary way, a rule for each contract.
    Governed,
    /// The same with rules that are indexed by hand.
    ByHand,
}

impl Variant {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Governed => "governed",
            Self::ByHand => "by hand",
        }
    }
}

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tidegate(Tuning),
    Bare,
    Nginx(Variant),
    Haproxy(Variant),
}

/// What clients speak with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Speaks {
    pub(super) tls: bool,
    /// HTTP/2 without TLS, by prior knowledge.
    pub(super) h2c: bool,
}

/// What a subject is started with.
pub(super) struct Place<'a> {
    /// A folder of its own.
    pub(super) folder: &'a Path,
    pub(super) upstream: SocketAddr,
    pub(super) catalogue: &'a Catalogue,
    pub(super) speaks: Speaks,
    /// A certificate and its key, one file each.
    pub(super) certificate: Option<(&'a Path, &'a Path)>,
}

impl Place<'_> {
    /// Writes a file into its folder; gives the folder and the file, both from the root on.
    fn write(&self, name: &str, text: &str) -> std::io::Result<(PathBuf, PathBuf)> {
        let folder = self.folder.canonicalize()?;
        let file = folder.join(name);
        std::fs::write(&file, text)?;
        Ok((folder, file))
    }
}

/// A proxy whose files are written.
pub(super) struct Prepared {
    program: PathBuf,
    args: Vec<OsString>,
    /// Where its output goes; lines of the log, too, for those that write them there.
    log: PathBuf,
    address: SocketAddr,
    ledger: Option<PathBuf>,
    admin: Option<SocketAddr>,
}

impl Prepared {
    /// A proxy with neither a ledger nor an admin listener.
    fn peer(program: PathBuf, args: Vec<OsString>, log: PathBuf, address: SocketAddr) -> Self {
        Self {
            program,
            args,
            log,
            address,
            ledger: None,
            admin: None,
        }
    }

    /// Starts it, without waiting.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn launch(&self) -> anyhow::Result<Running> {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        Ok(Running {
            process: Process::start(command, &self.log)?,
            address: self.address,
            ledger: self.ledger.clone(),
            admin: self.admin,
        })
    }
}

/// A proxy that runs.
pub(super) struct Running {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    /// The folder of the gateway's ledger.
    pub(super) ledger: Option<PathBuf>,
    /// The gateway's admin listener.
    pub(super) admin: Option<SocketAddr>,
}

impl Kind {
    /// Its name in tables.
    pub(super) fn label(self) -> String {
        match self {
            Self::Tidegate(tuning) => tuning.label().to_owned(),
            Self::Bare => "bare Pingora".to_owned(),
            Self::Nginx(variant) => format!("nginx {}", variant.word()),
            Self::Haproxy(variant) => format!("HAProxy {}", variant.word()),
        }
    }

    /// Whether it refuses what no contract allows.
    pub(super) fn governs(self) -> bool {
        match self {
            Self::Tidegate(tuning) => tuning.enforces(),
            Self::Bare => false,
            Self::Nginx(variant) | Self::Haproxy(variant) => variant != Variant::Plain,
        }
    }

    /// Why it cannot take part, if so.
    pub(super) fn missing(self) -> Option<String> {
        let program = match self {
            Self::Nginx(_) => "nginx",
            Self::Haproxy(_) => "haproxy",
            Self::Tidegate(tuning) => return tuning.missing(),
            Self::Bare => return None,
        };
        installed(program)
            .is_none()
            .then(|| format!("{program} is not installed"))
    }

    /// Writes its files.
    ///
    /// # Errors
    /// When a file cannot be written or the program is not there.
    pub(super) fn prepare(self, place: &Place<'_>) -> anyhow::Result<Prepared> {
        std::fs::create_dir_all(place.folder)?;
        match self {
            Self::Tidegate(tuning) => tidegate::prepare(tuning, place),
            Self::Bare => bare::prepare(place),
            Self::Nginx(variant) => nginx::prepare(variant, place),
            Self::Haproxy(variant) => haproxy::prepare(variant, place),
        }
    }
}

impl Running {
    /// Waits until it serves, then asks it what its kind must allow and refuse.
    ///
    /// # Errors
    /// When it does not come up, or does less than its name says.
    pub(super) fn checked(mut self, kind: Kind, place: &Place<'_>) -> anyhow::Result<Self> {
        check::until_it_serves(&mut self, place)?;
        check::does_its_work(&self, kind, place)?;
        Ok(self)
    }
}
