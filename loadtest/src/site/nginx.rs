//! What every nginx of a run has in common: one process in the foreground, its files in one folder.
//!
//! What it serves and how much of it is logged is whoever's that starts one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{PATIENCE, get};
use crate::process::Process;

/// The text of its configuration: `main` goes before its blocks, `http` into that of this name.
pub(crate) fn configuration(folder: &Path, main: &str, http: &str) -> String {
    let dir = folder.display();
    format!(
        r"daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
{main}
http {{
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  {http}
}}
"
    )
}

/// Starts one with that configuration and waits until it answers at `address`.
///
/// # Errors
/// When a file cannot be written, or it does not come up.
pub(crate) fn start(
    program: &Path,
    folder: &Path,
    configuration: &str,
    address: SocketAddr,
) -> anyhow::Result<Process> {
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let mut process = Process::start(command, &folder.join("nginx.log"))?;
    process.until(PATIENCE, || get(address, "/").is_ok())?;
    Ok(process)
}
