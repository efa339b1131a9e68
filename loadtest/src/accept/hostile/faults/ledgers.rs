//! A ledger whose disk fills up, fails or is slow, and one whose writer dies: requests go on, and
//! what is not written is told.

use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Rows;
use super::place::Place;
use super::shim::Shim;
use crate::accept::Context;
use crate::process::installed;
use crate::site::{PATIENCE, get, segments};

/// How long requests are sent while the fault lasts.
const LONG: Duration = Duration::from_millis(900);
/// Within this a fault has come about and is told, in the ledger or by readiness. It stands against faults
/// that are never told, not against a machine that stands still.
const NOTICED: Duration = Duration::from_secs(20);
/// The ledger's writer, by its name.
const WRITER: &str = "ledger-writer";

/// Name, what strace injects, and the `fault` record that tells of it.
const DISK: &[(&str, &str, Option<&str>)] = &[
    (
        "disk full",
        "write:error=ENOSPC:when=4..6",
        Some("LEDGER_DISK_FULL"),
    ),
    (
        "EIO at a write",
        "write:error=EIO:when=4",
        Some("LEDGER_WRITE_FAILED"),
    ),
    (
        "EIO at a sync",
        "fdatasync:error=EIO:when=3",
        Some("LEDGER_SYNC_FAILED"),
    ),
    ("slow fsync", "fdatasync:delay_enter=700000:when=3+", None),
];

pub(super) fn rows(context: &Context, rows: &mut Rows) {
    for (name, inject, fault) in DISK {
        rows.note(name, disk(context, inject, *fault));
    }
    rows.note("ledger writer panics", writer_panics(context));
}

fn disk(context: &Context, inject: &str, fault: Option<&str>) -> anyhow::Result<String> {
    installed("strace").context("strace is missing; 'make tools' installs it")?;
    let mut place = Place::new(&context.folder("faults-disk"))?;
    let call = inject.split(':').next().unwrap_or_default();
    let segment = place.site.ledger().join("seg-0000000000000000.jsonl");
    let args = [
        "strace",
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        "/dev/null",
    ];
    let mut wrapper: Vec<String> = args.map(str::to_owned).to_vec();
    wrapper.extend(["-e".to_owned(), format!("trace={call}")]);
    wrapper.extend(["-e".to_owned(), format!("inject={inject}")]);
    wrapper.extend(["-P".to_owned(), segment.display().to_string()]);
    let gateway = place.start(&wrapper)?;
    let began = Instant::now();
    let mut served = place.served_for(LONG)?;
    // Faults come with a certain write or sync, which a slow machine reaches later.
    while let Some(fault) = fault
        && !is_told(&place, fault)?
        && began.elapsed() < NOTICED
    {
        served += place.served_for(LONG)?;
    }
    let closed = place.close(gateway)?;
    if let Some(fault) = fault {
        anyhow::ensure!(closed.contains(fault), "no {fault} in the ledger: {closed}");
    }
    Ok(format!("{served} requests served; {closed}"))
}

/// Whether a fault stands in the ledger already; a segment that fails is given up for a next one.
fn is_told(place: &Place, fault: &str) -> anyhow::Result<bool> {
    for segment in segments(&place.site.ledger())? {
        if std::fs::read_to_string(segment)?.contains(fault) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The thread dies; requests do not wait for it, readiness is withdrawn, and the next start tells
/// what was lost.
fn writer_panics(context: &Context) -> anyhow::Result<String> {
    let folder = context.folder("faults-writer");
    let mut place = Place::new(&folder)?;
    let shim = Shim::build(&folder)?;
    let mut gateway = place.start(&shim.wrapper())?;
    let before = place.served_for(LONG)?;
    shim.order(0, WRITER)?;
    let mut during = place.served_for(LONG)?;
    let log = place.site.folder().join(crate::site::LOG);
    let began = Instant::now();
    while !std::fs::read_to_string(&log)?.contains("panicked") {
        anyhow::ensure!(began.elapsed() < NOTICED, "no thread has panicked");
        during += place.served_for(LONG)?;
    }
    let began = Instant::now();
    let ready = loop {
        let (ready, _) = get(place.site.admin, "/readyz")?;
        if ready == 503 || began.elapsed() > NOTICED {
            break ready;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    anyhow::ensure!(
        ready == 503,
        "its writer is dead, and readyz answers {ready}"
    );
    shim.order(0, "")?;
    // It may say that not all was in order: it was not.
    let status = gateway.stop(PATIENCE)?;
    place.start(&[])?.stop(PATIENCE)?;
    let account = place.account(None)?;
    Ok(format!(
        "{before} requests served before it and {during} after; readyz {ready}; ended with {status}; {account}"
    ))
}
