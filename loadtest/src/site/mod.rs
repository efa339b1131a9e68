//! A place to run the gateway in: its files, its process, its admin listener, its peers.

mod admin;
mod ledger;
pub(crate) mod nginx;
mod peers;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::Context;

pub use admin::{Metrics, get, post, post_if_match};
pub use ledger::{Line, lines, segments};
pub use peers::{Nginx, bare_pingora};

use crate::generate;
use crate::process::{Process, beside};

/// Where a gateway's stdout and stderr go.
pub const LOG: &str = "gateway.log";
/// How long a start or a stop may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a site's configuration says.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where matched and unmatched traffic goes.
    pub upstream: SocketAddr,
    /// Generated contracts.
    pub contracts: u32,
    /// Worker threads.
    pub threads: u32,
    /// `observe_only` or `control`.
    pub tier: &'static str,
    /// Whether answers carry contract, decision and risk.
    pub expose_headers: bool,
}

impl Setup {
    /// 1,000 contracts, two workers, observing.
    #[must_use]
    pub fn observing(upstream: SocketAddr) -> Self {
        Self {
            upstream,
            contracts: 1000,
            threads: 2,
            tier: "observe_only",
            expose_headers: false,
        }
    }
}

/// A folder with everything that one gateway needs.
pub struct Site {
    folder: PathBuf,
    program: PathBuf,
    /// The data listener.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
}

impl Site {
    /// Writes configuration, contracts and policy into an emptied `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written or the gateway's program is missing.
    pub fn prepare(folder: &Path, setup: &Setup) -> anyhow::Result<Self> {
        if folder.exists() {
            std::fs::remove_dir_all(folder)
                .with_context(|| format!("empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let site = Self {
            program: beside("tidegate")?,
            listen: free()?,
            admin: free()?,
            folder,
        };
        generate::write(
            setup.contracts,
            generate::SEED,
            &site.folder.join("contracts"),
        )?;
        std::fs::write(site.folder.join("policy.yaml"), policy())?;
        std::fs::write(site.config(), site.yaml(setup))?;
        Ok(site)
    }

    /// A site in tier CONTROL whose contracts are those of `contracts` alone, a whole file.
    ///
    /// # Errors
    /// As [`Site::prepare`].
    pub fn controlling(
        folder: &Path,
        upstream: SocketAddr,
        contracts: &str,
    ) -> anyhow::Result<Self> {
        let setup = Setup {
            contracts: 0,
            tier: "control",
            ..Setup::observing(upstream)
        };
        let site = Self::prepare(folder, &setup)?;
        site.write("contracts/own.yaml", contracts)?;
        Ok(site)
    }

    /// Runs another program than the one beside this one.
    ///
    /// # Errors
    /// When there is none.
    pub fn use_program(&mut self, program: &Path) -> anyhow::Result<()> {
        let found = program.canonicalize();
        self.program = found.with_context(|| format!("find {}", program.display()))?;
        Ok(())
    }

    /// Writes one of its files.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        self.write_bytes(file, text.as_bytes())
    }

    /// Writes one of its files that need not be text.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_bytes(&self, file: &str, bytes: &[u8]) -> anyhow::Result<()> {
        std::fs::write(self.folder.join(file), bytes).with_context(|| format!("write {file}"))
    }

    /// Changes its configuration.
    ///
    /// # Errors
    /// When what is to be changed does not stand in it.
    pub fn amend(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let before = std::fs::read_to_string(self.config())?;
        anyhow::ensure!(before.contains(from), "no '{from}' in the configuration");
        self.write("tidegate.yaml", &before.replace(from, to))
    }

    fn yaml(&self, setup: &Setup) -> String {
        let orders = generate::UPSTREAM;
        format!(
            "version: 1\ntier: {}\nthreads: {}\nlisteners: [{{ bind: \"{}\" }}]\nupstreams:\n  \
             {orders}: {{ servers: [\"{}\"] }}\ndefault_upstream: {orders}\ncontracts: contracts/\n\
             policy: policy.yaml\nledger: {{ dir: \"{}\" }}\nadmin: {{ bind: \"{}\" }}\nstate_dir: \"{}\"\nexpose_headers: {}\n",
            setup.tier,
            setup.threads,
            self.listen,
            setup.upstream,
            self.ledger().display(),
            self.admin,
            self.folder.join("state").display(),
            setup.expose_headers,
        )
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("tidegate.yaml")
    }

    /// The ledger's folder.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }

    /// The site's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts `tidegate run` and waits until it is ready.
    ///
    /// # Errors
    /// When it ends at its start or is not ready in time.
    pub fn start(&self) -> anyhow::Result<Process> {
        let mut process = self.launch(&[], LOG)?;
        self.ready(&mut process)?;
        Ok(process)
    }

    /// Starts `tidegate run` under a wrapper such as strace, with its output in a file of that name,
    /// and does not wait.
    ///
    /// # Errors
    /// When the wrapper cannot be started.
    pub fn launch(&self, wrapper: &[&str], log: &str) -> anyhow::Result<Process> {
        let mut command = match wrapper.split_first() {
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.arg("run").arg("-c").arg(self.config());
        Process::start(command, &self.folder.join(log))
    }

    /// Starts `tidegate run --upgrade` with its output in a file of that name, in place of the gateway that
    /// runs, and does not wait.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn instead(&self, log: &str) -> anyhow::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(["run", "--upgrade", "-c"]).arg(self.config());
        Process::start(command, &self.folder.join(log))
    }

    /// Waits until a launched gateway is ready.
    ///
    /// # Errors
    /// When it ends first or is not ready in time.
    pub fn ready(&self, process: &mut Process) -> anyhow::Result<()> {
        process.until(PATIENCE, || {
            get(self.admin, "/readyz").is_ok_and(|(status, _)| status == 200)
        })
    }

    /// Adds keys to `ledger`, as they stand in the file: `segment_mib: 1, compress: false`.
    ///
    /// # Errors
    /// When the configuration cannot be changed.
    pub fn ledger_keys(&self, keys: &str) -> anyhow::Result<()> {
        let dir = format!("ledger: {{ dir: \"{}\"", self.ledger().display());
        self.amend(&dir, &format!("{dir}, {keys}"))
    }

    /// Runs one verb to its end.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn run(&self, args: &[&str]) -> anyhow::Result<Output> {
        Command::new(&self.program)
            .args(args)
            .current_dir(&self.folder)
            .output()
            .with_context(|| format!("run tidegate {}", args.join(" ")))
    }

    /// `ledger verify` on a folder.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn verify(&self, ledger: &Path) -> anyhow::Result<Output> {
        self.run(&["ledger", "verify", &ledger.display().to_string()])
    }

    /// The metrics now.
    ///
    /// # Errors
    /// When the admin listener does not answer.
    pub fn metrics(&self) -> anyhow::Result<Metrics> {
        let (status, text) = get(self.admin, "/metrics")?;
        anyhow::ensure!(status == 200, "/metrics answers {status}");
        Ok(Metrics::parse(&text))
    }

    /// What a GET of the admin listener answers, parsed.
    ///
    /// # Errors
    /// When it does not answer 200 with JSON.
    pub fn told(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        let (status, text) = get(self.admin, path)?;
        anyhow::ensure!(status == 200, "{path} answers {status}");
        serde_json::from_str(&text).with_context(|| format!("the answer of {path}"))
    }

    /// The decisions in its ledger, in order.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn decisions(&self) -> anyhow::Result<Vec<Line>> {
        let mut found = Vec::new();
        lines(&self.ledger(), |line| {
            if line["kind"] == "decision" {
                found.push(line.clone());
            }
        })?;
        Ok(found)
    }
}

/// The shipped policy where there is one, so that the run judges what users get.
fn policy() -> String {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/default.yaml");
    std::fs::read_to_string(shipped).unwrap_or_else(|_| "version: 1\nname: default\n".to_owned())
}

/// A loopback address that was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Both outputs of a verb in one line, for messages.
#[must_use]
pub fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), b" ", output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    text.chars().take(400).collect()
}
