//! That a subject does what its name says: asked before anything is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::super::catalogue::{LIMITED_PATH, UNKNOWN_PATH};
use super::{Kind, Place, Running};
use crate::process::installed;

/// Large configurations written the ordinary way take their time.
const START_MAX: Duration = Duration::from_secs(120);
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Status of one request over HTTP/1.1 on a connection of its own.
pub(in super::super) fn status(
    address: SocketAddr,
    method: &str,
    path: &str,
) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut first = [0; 12];
    stream.read_exact(&mut first)?;
    let text = String::from_utf8_lossy(&first);
    let number = text.strip_prefix("HTTP/1.1 ").context("a status line")?;
    Ok(number.parse()?)
}

/// The same for listeners that speak TLS or HTTP/2, by curl.
fn status_by_curl(
    running: &Running,
    place: &Place<'_>,
    method: &str,
    path: &str,
) -> anyhow::Result<u16> {
    let program = installed("curl").context("curl is needed to check TLS and HTTP/2")?;
    let scheme = if place.speaks.tls { "https" } else { "http" };
    let mut command = Command::new(program);
    command.args([
        "-sS",
        "-k",
        "-o",
        "/dev/null",
        "--max-time",
        "10",
        "-X",
        method,
    ]);
    command.args(["-w", "%{http_code}"]);
    if place.speaks.h2c {
        command.arg("--http2-prior-knowledge");
    }
    let output = command
        .arg(format!("{scheme}://{}{path}", running.address))
        .output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

fn ask(running: &Running, place: &Place<'_>, method: &str, path: &str) -> anyhow::Result<u16> {
    if place.speaks.tls || place.speaks.h2c {
        status_by_curl(running, place, method, path)
    } else {
        status(running.address, method, path)
    }
}

/// Waits until an allowed path is answered.
pub(super) fn until_it_serves(running: &mut Running, place: &Place<'_>) -> anyhow::Result<()> {
    let path = place.catalogue.without_delete()?;
    let began = Instant::now();
    while began.elapsed() < START_MAX {
        if ask(running, place, "GET", &path).is_ok_and(|status| status == 200) {
            return Ok(());
        }
        if let Ok(ended) = running
            .process
            .wait(Duration::ZERO.saturating_add(Duration::from_millis(1)))
        {
            bail!(
                "ended at its start with {ended}: {}",
                running.process.log_end()
            );
        }
    }
    bail!(
        "does not serve after {START_MAX:?}: {}",
        running.process.log_end()
    )
}

/// An allowed path is answered, another method and an unknown path are refused, limits hold.
pub(super) fn does_its_work(
    running: &Running,
    kind: Kind,
    place: &Place<'_>,
) -> anyhow::Result<()> {
    let path = place.catalogue.without_delete()?;
    let good = ask(running, place, "GET", &path)?;
    ensure!(good == 200, "an allowed path is answered {good}");
    if !kind.governs() {
        return Ok(());
    }
    let method = ask(running, place, "DELETE", &path)?;
    ensure!(
        matches!(method, 403 | 405),
        "a wrong method is answered {method}"
    );
    let unknown = ask(running, place, "GET", UNKNOWN_PATH)?;
    ensure!(
        matches!(unknown, 403 | 404),
        "an unknown path is answered {unknown}"
    );
    ask(running, place, "GET", LIMITED_PATH)?;
    let limited = ask(running, place, "GET", LIMITED_PATH)?;
    ensure!(
        limited == 429,
        "a limit that is spent is answered {limited}"
    );
    Ok(())
}
