//! A gateway with so many contracts, and someone who asks for each of them.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::super::super::bundles::people;
use crate::generate::{self, Contract};
use crate::interrupted;
use crate::site::{Setup, Site};

const PER_FILE: usize = 100;
/// Above so many contracts no bundle is made: its envelope would be larger than one may be.
const BUNDLED_MAX: u32 = 50_000;
/// A gateway closes a connection after a thousand requests.
const PER_CONNECTION: usize = 500;
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway in tier CONTROL, with ledger and metrics.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) contracts: Vec<Contract>,
}

impl Scene {
    /// A folder for a gateway of so many generated contracts and workers, whose rules come from a
    /// signed bundle where they fit into one.
    pub(super) fn prepare(
        folder: &Path,
        upstream: SocketAddr,
        contracts: u32,
        threads: u32,
    ) -> anyhow::Result<Self> {
        let setup = Setup {
            contracts: 0,
            threads,
            tier: "control",
            ..Setup::observing(upstream)
        };
        let scene = Self {
            site: Site::prepare(folder, &setup)?,
            contracts: generate::contracts(contracts, generate::SEED),
        };
        scene.write("")?;
        if scene.is_bundled() {
            people::found(&scene.site)?;
            people::run_on_bundles(&scene.site)?;
            people::agree(&scene.site, "first.json", None)?;
            let first = scene.site.folder().join("first.json");
            people::put(&first, &people::candidate(&scene.site))?;
        }
        Ok(scene)
    }

    /// Whether the rules come from a bundle.
    pub(super) const fn is_bundled(&self) -> bool {
        self.contracts.len() <= BUNDLED_MAX as usize
    }

    /// The files; `more` stands in each contract.
    fn write(&self, more: &str) -> anyhow::Result<()> {
        for (number, part) in self.contracts.chunks(PER_FILE).enumerate() {
            let mut text = generate::to_yaml(part);
            for owner in ["api-team", "billing-team", "data-team", "platform-team"] {
                text = text.replace(&format!("owner: {owner}"), "owner: me");
            }
            if !more.is_empty() {
                text = text.replace("    owner: me", &format!("    {more}\n    owner: me"));
            }
            self.site
                .write(&format!("contracts/c{number:04}.yaml"), &text)?;
        }
        Ok(())
    }

    /// Puts rules in force in which every contract differs from those before.
    pub(super) fn swap(&self) -> anyhow::Result<()> {
        self.write("timeout_ms: 29000")?;
        if !self.is_bundled() {
            let (status, said) = crate::site::post(self.site.admin, "/v1/reload", "")?;
            anyhow::ensure!(status == 200, "reload: {status} {said}");
            return Ok(());
        }
        people::agree(&self.site, "second.json", Some("first.json"))?;
        let in_force = people::digest(&self.site, "first.json")?;
        let bundle = std::fs::read_to_string(self.site.folder().join("second.json"))?;
        let (status, said) =
            crate::site::post_if_match(self.site.admin, "/v1/bundle", &in_force, &bundle)?;
        anyhow::ensure!(status == 200, "second bundle: {status} {said}");
        Ok(())
    }

    /// The path of one contract that takes GET.
    pub(super) fn a_path(&self) -> anyhow::Result<String> {
        let readable = self.contracts.iter().find(|c| c.methods.contains(&"GET"));
        Ok(readable.context("a contract that takes GET")?.path(7))
    }

    /// One request to every contract, one after the other; how many were answered with 200.
    pub(super) fn ask_each(&self) -> anyhow::Result<usize> {
        let mut good = 0;
        let mut numbered = self.contracts.iter().zip(0_u64..).peekable();
        while numbered.peek().is_some() {
            let mut stream = TcpStream::connect(self.site.listen)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            for (contract, number) in numbered.by_ref().take(PER_CONNECTION) {
                let method = contract.methods.first().copied().unwrap_or("GET");
                let length = match method {
                    "GET" => "",
                    _ => "Content-Length: 0\r\n",
                };
                let path = contract.path(number);
                let request = format!("{method} {path} HTTP/1.1\r\nHost: load\r\n{length}\r\n");
                stream.write_all(request.as_bytes())?;
                good += usize::from(answer(&mut stream)? == 200);
            }
        }
        Ok(good)
    }
}

/// Reads one answer with a length; gives its status.
pub(super) fn answer(stream: &mut TcpStream) -> anyhow::Result<u16> {
    let (mut seen, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let read = interrupted::read(stream, &mut piece)?;
        anyhow::ensure!(read > 0, "the connection was closed");
        seen.extend_from_slice(piece.get(..read).unwrap_or_default());
        let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(seen.get(..end).unwrap_or_default()).into_owned();
        let length: usize = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            })
            .with_context(|| format!("a length: {head}"))?;
        if seen.len() >= end + 4 + length {
            let status = head
                .split(' ')
                .nth(1)
                .and_then(|status| status.parse().ok());
            return status.with_context(|| format!("a status: {head}"));
        }
    }
}
