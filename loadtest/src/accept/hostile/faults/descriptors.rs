//! The process may open no more descriptors: who is connected is served, who comes waits or is
//! closed, and when there is room again all is well.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use super::Rows;
use super::place::Place;
use crate::accept::Context;
use crate::ask::Client;

/// Connections that come while there is no room.
const COMERS: usize = 200;
/// Descriptors left when the limit falls.
const LEFT: usize = 4;

pub(super) fn rows(context: &Context, rows: &mut Rows) {
    rows.note("descriptors used up", exhausted(context));
}

fn exhausted(context: &Context) -> anyhow::Result<String> {
    let mut place = Place::new(&context.folder("faults-descriptors"))?;
    let gateway = place.start(&[])?;
    let listen = place.site.listen;
    // One client and one upstream connection that are there before.
    let mut kept = Client::new(listen)?;
    anyhow::ensure!(kept.get("/f")?.status == 200, "no service before the fault");
    place.sent += 1;
    let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.id()))?.count();
    let (soft, hard) = limits(gateway.id())?;
    limit(gateway.id(), open + LEFT, &hard)?;
    let comers: Vec<TcpStream> = (0..COMERS)
        .filter_map(|_| TcpStream::connect(listen).ok())
        .collect();
    std::thread::sleep(Duration::from_millis(200));
    let during = kept.get("/f")?;
    place.sent += 1;
    anyhow::ensure!(
        during.status == 200,
        "who was connected gets {}",
        during.status
    );
    let at_most = std::fs::read_dir(format!("/proc/{}/fd", gateway.id()))?.count();
    let connected = comers.len();
    limit(gateway.id(), soft, &hard)?;
    drop(comers);
    let after = place.recovered()?;
    let closed = place.close(gateway)?;
    Ok(format!(
        "{open} descriptors, at most {at_most} with {connected} comers; kept connection 200 in {} ms; well after {} ms; {closed}",
        during.took.as_millis(),
        after.as_millis()
    ))
}

/// Soft and hard limit, the hard one as text: it may be `unlimited`.
fn limits(id: u32) -> anyhow::Result<(usize, String)> {
    let text = std::fs::read_to_string(format!("/proc/{id}/limits"))?;
    let line = text.lines().find(|line| line.starts_with("Max open files"));
    let mut words = line.context("a limit")?.split_whitespace().skip(3);
    let soft = words.next().and_then(|word| word.parse().ok());
    let hard = words.next().context("a hard limit")?;
    Ok((soft.context("a soft limit")?, hard.to_owned()))
}

fn limit(id: u32, soft: usize, hard: &str) -> anyhow::Result<()> {
    let output = Command::new("prlimit")
        .args(["--pid", &id.to_string(), &format!("--nofile={soft}:{hard}")])
        .output()
        .context("run prlimit")?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "prlimit: {said}");
    Ok(())
}
