//! System calls of the ledger that fail, or at which the process dies: strace does it to the real
//! process. Afterwards an ordinary start must find a ledger that verifies.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;

use super::account::Account;
use super::{Context, Verdict};
use crate::accept::chain::verified;
use crate::drive;
use crate::process::{Process, installed};
use crate::site::{LOG, PATIENCE, Setup, Site, segments};
use crate::upstream::Upstream;

/// What must come of it.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// The start is refused, with this in its message.
    Refused(&'static str),
    /// It goes on, and a `fault` record of this code says what happened.
    Fault(&'static str),
    /// It goes on as if nothing had happened: there is another way.
    Unharmed,
    /// The process is killed there.
    Killed,
}

/// On which file the call must be made.
#[derive(Debug, Clone, Copy)]
enum On {
    Anything,
    /// The first segment.
    Segment,
    /// A file of the ledger by its name.
    File(&'static str),
}

struct Case {
    /// As strace has it, without `inject=`; its first word is the call.
    inject: &'static str,
    on: On,
    /// A ledger with a torn tail lies there before.
    torn: bool,
    expected: Expected,
    /// One of the reduced run too.
    small: bool,
}

const fn case(inject: &'static str, on: On, expected: Expected) -> Case {
    Case {
        inject,
        on,
        torn: false,
        expected,
        small: false,
    }
}

const fn small(case: Case) -> Case {
    Case {
        small: true,
        ..case
    }
}

const fn torn(case: Case) -> Case {
    Case { torn: true, ..case }
}

const SYNC: &str = "LEDGER_SYNC_FAILED";
const WRITE: &str = "LEDGER_WRITE_FAILED";
const FULL: &str = "LEDGER_DISK_FULL";

/// The calls by which the ledger touches the disk, at its start, on its way and at a recovery.
const CASES: &[Case] = &[
    small(case(
        "fdatasync:error=EIO:when=3",
        On::Segment,
        Expected::Fault(SYNC),
    )),
    case(
        "fdatasync:error=EIO:when=3..5",
        On::Segment,
        Expected::Fault(SYNC),
    ),
    case(
        "fdatasync:error=ENOSPC:when=3",
        On::Segment,
        Expected::Fault(SYNC),
    ),
    case(
        "fdatasync:error=EIO:when=1",
        On::Anything,
        Expected::Refused("LEDGER_"),
    ),
    small(case(
        "write:error=EIO:when=4",
        On::Segment,
        Expected::Fault(WRITE),
    )),
    small(case(
        "write:error=ENOSPC:when=4..6",
        On::Segment,
        Expected::Fault(FULL),
    )),
    case(
        "write:error=EDQUOT:when=4",
        On::Segment,
        Expected::Fault(FULL),
    ),
    case(
        "write:error=EINTR:when=4..9",
        On::Segment,
        Expected::Unharmed,
    ),
    case(
        "write:error=EIO:when=1",
        On::File("heads.log"),
        Expected::Unharmed,
    ),
    case(
        "fdatasync:error=EIO:when=1",
        On::File("heads.log"),
        Expected::Unharmed,
    ),
    case(
        "write:error=ENOSPC:when=1",
        On::File("checkpoint.tmp"),
        Expected::Unharmed,
    ),
    case(
        "mmap:error=ENOMEM:when=1",
        On::File("made"),
        Expected::Unharmed,
    ),
    small(case(
        "fallocate:error=ENOSPC:when=1",
        On::Anything,
        Expected::Refused(FULL),
    )),
    case(
        "fallocate:error=EOPNOTSUPP",
        On::Anything,
        Expected::Unharmed,
    ),
    small(case(
        "flock:error=EAGAIN:when=1",
        On::File("LOCK"),
        Expected::Refused("LEDGER_LOCKED"),
    )),
    case(
        "flock:error=ENOLCK:when=1",
        On::File("LOCK"),
        Expected::Refused("LEDGER_IO"),
    ),
    case(
        "openat:error=EACCES:when=1",
        On::File("LOCK"),
        Expected::Refused("LEDGER_NOT_WRITABLE"),
    ),
    torn(case(
        "ftruncate:error=EIO:when=1",
        On::Segment,
        Expected::Refused("LEDGER_IO"),
    )),
    torn(case(
        "read:error=EIO:when=2",
        On::Segment,
        Expected::Refused("LEDGER_IO"),
    )),
    small(case(
        "fdatasync:signal=SIGKILL:when=2",
        On::Segment,
        Expected::Killed,
    )),
    case(
        "fdatasync:signal=SIGKILL:when=6",
        On::Segment,
        Expected::Killed,
    ),
    small(case(
        "write:signal=SIGKILL:when=3",
        On::Segment,
        Expected::Killed,
    )),
    case(
        "write:signal=SIGKILL:when=1",
        On::File("heads.log"),
        Expected::Killed,
    ),
    case(
        "write:signal=SIGKILL:when=1",
        On::File("checkpoint.tmp"),
        Expected::Killed,
    ),
    case(
        "rename:signal=SIGKILL:when=1",
        On::Anything,
        Expected::Killed,
    ),
    case(
        "rename:signal=SIGKILL:when=2",
        On::Anything,
        Expected::Killed,
    ),
    case(
        "rename:signal=SIGKILL:when=3",
        On::Anything,
        Expected::Killed,
    ),
    case(
        "rename:signal=SIGKILL:when=4",
        On::Anything,
        Expected::Killed,
    ),
    case(
        "rename:signal=SIGKILL:when=5",
        On::Anything,
        Expected::Killed,
    ),
    torn(case(
        "ftruncate:signal=SIGKILL:when=1",
        On::Segment,
        Expected::Killed,
    )),
    torn(case(
        "rename:signal=SIGKILL:when=1",
        On::Anything,
        Expected::Killed,
    )),
];

pub(super) fn injected(context: &Context) -> anyhow::Result<Verdict> {
    installed("strace").context("strace is missing; 'make tools' installs it")?;
    let small = context.pick(true, false);
    let upstream = Upstream::start()?;
    let (mut run, mut wrong) = (0, Vec::new());
    for case in CASES.iter().filter(|case| case.small || !small) {
        run += 1;
        let folder = context.folder("syscalls");
        if let Err(error) = judged(case, &folder, &upstream) {
            wrong.push(format!("{} on {:?}: {error:#}", case.inject, case.on));
        }
    }
    let figure = format!(
        "{} of {run} injected faults ended as expected{}{}",
        run - wrong.len(),
        if wrong.is_empty() { "" } else { "; " },
        wrong.join("; "),
    );
    Ok(Verdict::new(wrong.is_empty(), figure))
}

fn judged(case: &Case, folder: &std::path::Path, upstream: &Upstream) -> anyhow::Result<()> {
    let setup = Setup {
        contracts: 20,
        ..Setup::observing(upstream.address())
    };
    let site = Site::prepare(folder, &setup)?;
    site.ledger_keys("compress: false")?;
    if case.torn {
        visit(&site, 50)?;
        let segment = segments(&site.ledger())?.pop().context("a segment")?;
        OpenOptions::new()
            .append(true)
            .open(segment)?
            .write_all(b"{\"torn\":")?;
    }
    let args = wrapper(case, &site)?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut gateway = site.launch(&args, LOG)?;
    match case.expected {
        Expected::Refused(code) => {
            let status = gateway.wait(PATIENCE)?;
            let log = std::fs::read_to_string(site.folder().join(LOG))?;
            anyhow::ensure!(!status.success(), "the start was not refused");
            anyhow::ensure!(
                log.contains(code),
                "ended with {status}, and {code} is not in its log"
            );
        }
        Expected::Killed => {
            // It may be killed at its start or later: then there is load.
            let _ = site.ready(&mut gateway).and_then(|()| load(&site, 300));
            let status = ended(&mut gateway)?;
            anyhow::ensure!(
                status.contains("SIGKILL") || status.contains("signal: 9"),
                "ended with {status}"
            );
        }
        Expected::Fault(_) | Expected::Unharmed => {
            site.ready(&mut gateway)?;
            load(&site, 300)?;
            let status = gateway.stop(PATIENCE)?;
            anyhow::ensure!(status.success(), "ended with {status}");
        }
    }
    drop(gateway);
    visit(&site, 50)?;
    let report = verified(&site)?;
    anyhow::ensure!(report.code == Some(0), "verify: {}", report.json);
    let account = Account::of(&site)?;
    if let Expected::Fault(code) = case.expected {
        anyhow::ensure!(
            account.faults.contains_key(code),
            "no fault {code}: {:?}",
            account.faults
        );
    }
    let astray = account.boots.iter().find(|(_, boot)| !boot.balances());
    anyhow::ensure!(astray.is_none(), "a boot that does not balance: {astray:?}");
    Ok(())
}

fn wrapper(case: &Case, site: &Site) -> anyhow::Result<Vec<String>> {
    let call = case.inject.split(':').next().unwrap_or_default();
    let mut args: Vec<String> = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e"]
        .map(str::to_owned)
        .to_vec();
    args.push(format!("trace={call}"));
    args.push("-e".to_owned());
    args.push(format!("inject={}", case.inject));
    // By its last name and the one it has before: strace asks what a descriptor is called now.
    let names = match case.on {
        On::Anything => vec![],
        On::Segment => vec!["seg-0000000000000000.jsonl"],
        On::File(name) => vec![name],
    };
    for name in names {
        args.push("-P".to_owned());
        args.push(site.ledger().join(name).display().to_string());
    }
    Ok(args)
}

/// An ordinary start, some requests, an ordinary stop.
fn visit(site: &Site, requests: u64) -> anyhow::Result<()> {
    let mut gateway = site.start()?;
    drive::run(&drive::Options::new(site.listen, "echo", requests))?;
    let status = gateway.stop(PATIENCE)?;
    anyhow::ensure!(status.success(), "an ordinary run ended with {status}");
    Ok(())
}

/// Requests in three lots, so that several syncs and a checkpoint happen among them.
fn load(site: &Site, requests: u64) -> anyhow::Result<()> {
    for _ in 0..3 {
        drive::run(&drive::Options::new(site.listen, "echo", requests / 3))?;
        std::thread::sleep(Duration::from_millis(450));
    }
    Ok(())
}

/// How it ended; a call that never comes leaves it running, which is a fault of the case.
fn ended(gateway: &mut Process) -> anyhow::Result<String> {
    match gateway.wait(Duration::from_secs(2)) {
        Ok(status) => Ok(status.to_string()),
        Err(error) => {
            gateway.stop(PATIENCE)?;
            Err(error.context("the call never came"))
        }
    }
}
