//! The upstream of a comparison: nginx with a small answer, and with 64 KiB on another port.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;

use crate::process::{Process, installed};
use crate::site::{free, nginx};

/// Bytes of the large answer.
pub(super) const LARGE: usize = 64 * 1_024;

const MAIN: &str = "error_log error.log crit;\nevents { worker_connections 8192; }";

/// Runs until it is dropped.
pub(super) struct Answers {
    _process: Process,
    /// 23 bytes of JSON to everything.
    pub(super) small: SocketAddr,
    /// 64 KiB to everything.
    pub(super) large: SocketAddr,
}

impl Answers {
    pub(super) fn start(folder: &Path) -> anyhow::Result<Self> {
        let program = installed("nginx").context("nginx is needed as the upstream; make tools")?;
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        std::fs::write(folder.join("large.bin"), vec![b'x'; LARGE])?;
        let (small, large) = (free()?, free()?);
        let text = nginx::configuration(&folder, MAIN, &served(&folder, small, large));
        let process = nginx::start(&program, &folder, &text, large)?;
        Ok(Self {
            _process: process,
            small,
            large,
        })
    }
}

fn served(folder: &Path, small: SocketAddr, large: SocketAddr) -> String {
    let dir = folder.display();
    format!(
        r#"access_log off;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=10 inactive=1h;
  default_type application/json;
  server {{
    listen {small} backlog=4096;
    location / {{ return 200 '{{"ok":true,"n":1234567}}'; }}
  }}
  server {{
    listen {large} backlog=4096;
    root {dir};
    location / {{ rewrite ^ /large.bin break; }}
  }}"#
    )
}
