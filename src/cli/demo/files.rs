//! The demo's files: this repository's contracts and policy, in a folder of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The shipped files, so that the demo needs nothing but the program.
const SHIPPED: [(&str, &str); 5] = [
    (
        "contracts/status.yaml",
        include_str!("../../../contracts/status.yaml"),
    ),
    (
        "contracts/deployments.yaml",
        include_str!("../../../contracts/deployments.yaml"),
    ),
    (
        "contracts/commerce/orders.yaml",
        include_str!("../../../contracts/commerce/orders.yaml"),
    ),
    (
        "contracts/commerce/payments.yaml",
        include_str!("../../../contracts/commerce/payments.yaml"),
    ),
    (
        "policies/default.yaml",
        include_str!("../../../policies/default.yaml"),
    ),
];

/// A folder that is removed when the demo ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    /// An empty folder below the system's one for temporary files.
    pub(super) fn new() -> Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("{error}"))?;
        let path = std::env::temp_dir().join(format!("tidegate-demo-{}", hex::encode(random)));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Writes all files for an upstream; the result is the configuration.
    pub(super) fn write(&self, upstream: SocketAddr) -> Result<PathBuf> {
        for (name, text) in SHIPPED {
            self.put(name, text)?;
        }
        let config = format!(
            "version: 1\n\
             tier: control\n\
             environment: sandbox\n\
             listeners: [{{ bind: \"127.0.0.1:0\" }}]\n\
             upstreams:\n\
             \x20 platform: {{ servers: [\"{upstream}\"] }}\n\
             \x20 commerce: {{ servers: [\"{upstream}\"] }}\n\
             default_upstream: platform\n\
             contracts: contracts/\n\
             policy: policies/default.yaml\n\
             state_dir: state\n\
             ledger: {{ dir: state/ledger }}\n\
             admin: {{ bind: \"127.0.0.1:0\" }}\n"
        );
        self.put("tidegate.yaml", &config)?;
        Ok(self.0.join("tidegate.yaml"))
    }

    /// Where the ledger will be.
    pub(super) fn ledger(&self) -> PathBuf {
        self.0.join("state/ledger")
    }

    /// Where the key that signs it will be.
    pub(super) fn key(&self) -> PathBuf {
        self.0.join("state/ledger.key")
    }

    fn put(&self, name: &str, text: &str) -> Result<()> {
        let path = self.0.join(name);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to tell; the system cleans its temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
