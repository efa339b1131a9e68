//! What stands beside the gateway in a run: a real nginx as upstream, the bare proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{PATIENCE, free, get, nginx};
use crate::process::{Process, beside, installed};

const MAIN: &str = "error_log error.log error;\nevents { worker_connections 4096; }";

/// An nginx of the run's own: its files in one folder, on a free loopback port.
pub struct Nginx {
    // Held: the process ends with this value.
    _process: Process,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Nginx {
    /// Starts it with a few kinds of answers; `None` when nginx is not installed.
    ///
    /// # Errors
    /// When it is installed but does not come up.
    pub fn start(folder: &Path) -> anyhow::Result<Option<Self>> {
        let Some(program) = installed("nginx") else {
            return Ok(None);
        };
        std::fs::create_dir_all(folder.join("html/files"))?;
        let folder = folder.canonicalize()?;
        let all_bytes: Vec<u8> = (0..=255_u8).cycle().take(200_000).collect();
        std::fs::write(folder.join("html/files/all-bytes.bin"), all_bytes)?;
        std::fs::write(folder.join("html/files/empty.txt"), "")?;
        let address = free()?;
        let text = nginx::configuration(&folder, MAIN, &served(&folder, address));
        let process = nginx::start(&program, &folder, &text, address)?;
        Ok(Some(Self {
            _process: process,
            address,
        }))
    }
}

fn served(folder: &Path, address: SocketAddr) -> String {
    let dir = folder.display();
    format!(
        r#"access_log off;
  keepalive_requests 1000000;
  server {{
    listen {address};
    root {dir}/html;
    default_type application/json;
    location / {{ return 200 '{{"ok":true,"n":1234567}}'; }}
    location /echo/ {{ return 200 '$request_method $request_uri'; }}
    location /teapot {{ return 418 'short and stout'; }}
    location /nothing {{ return 204; }}
    location /moved {{ return 302 /echo/there; }}
    location /files/ {{ try_files $uri =404; }}
  }}"#
    )
}

/// Starts the bare proxy in front of `upstream`.
///
/// # Errors
/// When it is not built or does not come up.
pub fn bare_pingora(
    folder: &Path,
    upstream: SocketAddr,
    threads: u32,
) -> anyhow::Result<(Process, SocketAddr)> {
    let bind = free()?;
    let mut command = Command::new(beside("bare-pingora")?);
    command.args([
        "--bind",
        &bind.to_string(),
        "--upstream",
        &upstream.to_string(),
    ]);
    command.args(["--threads", &threads.to_string()]);
    let mut process = Process::start(command, &folder.join("bare-pingora.log"))?;
    process.until(PATIENCE, || get(bind, "/").is_ok())?;
    Ok((process, bind))
}
