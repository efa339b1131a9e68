//! The directory, how the last run ended, and the host's clock against the newest record.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::Checked;
use crate::config::Settings;
use crate::ledger::{LedgerError, NewestFacts, known_damage, lost_boots, newest_facts};

/// Clocks of one host are this exact.
const CLOCK_US_MAX: u64 = 5_000_000;
/// systemd's time service says with this file that the clock was set by it.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

/// What the newest records say; `None` where there is no ledger yet.
pub(super) type Facts = Result<Option<NewestFacts>, LedgerError>;

pub(super) fn facts(dir: &Path) -> Facts {
    if !dir.join("origin").exists() {
        return Ok(None);
    }
    newest_facts(dir).map(Some)
}

pub(super) fn check(
    settings: &Settings,
    facts: &Facts,
    running: Option<u32>,
    now_us: u64,
) -> Vec<Checked> {
    let dir = &settings.ledger.dir;
    let mut checks = vec![directory(dir, &settings.state_dir)];
    match facts {
        Ok(None) => checks.push(Checked::new("ledger", dir.display()).fine("none yet")),
        Err(error) => checks.push(Checked::new("ledger", dir.display()).finding(
            "DOCTOR_LEDGER",
            error.to_string(),
            "run tidegate ledger verify on it",
        )),
        Ok(Some(facts)) => {
            checks.push(end(dir, facts, running));
            checks.extend(lost(dir));
            checks.push(damage(dir));
            checks.push(clock(dir, facts, now_us));
        }
    }
    checks.push(synchronised(Path::new(SYNCHRONISED)));
    checks.push(quarantine(dir));
    checks
}

fn directory(dir: &Path, state_dir: &Path) -> Checked {
    let check = Checked::new("directory", dir.display());
    let Ok(facts) = fs::metadata(dir) else {
        return check.fine("not there yet; the first start makes it");
    };
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o002 != 0 {
        let found = format!("others may write to it (mode {mode:04o})");
        return check.finding("DOCTOR_DIRECTORY_MODE", found, "chmod o-w the directory");
    }
    let user = rustix::process::geteuid().as_raw();
    // Root may do everything; then what counts is that both belong to the same user.
    let owner = match fs::metadata(state_dir) {
        Ok(state) if user == 0 => state.uid(),
        _ => user,
    };
    if facts.uid() != owner {
        let found = format!("it belongs to user {}, not to user {owner}", facts.uid());
        let remedy = "run doctor as the user of the gateway, or chown the directory to that user";
        return check.finding("DOCTOR_DIRECTORY_OWNER", found, remedy);
    }
    check.fine(format!("mode {mode:04o}, user {}", facts.uid()))
}

fn end(dir: &Path, facts: &NewestFacts, running: Option<u32>) -> Checked {
    let check = Checked::new("ledger", dir.display());
    let records = facts.records;
    if running.is_some() {
        return check.fine(format!(
            "{records} records, being written; hashes were not checked"
        ));
    }
    if !facts.whole {
        let found = format!("after {records} records the last line is torn");
        let remedy = "the next start moves the torn tail to quarantine/ and reports it";
        return check.finding("DOCTOR_TORN_TAIL", found, remedy);
    }
    if !facts.closed {
        let found = format!("the last run did not end in order ({records} records)");
        let remedy = "the next start records what is missing; find out why it ended";
        return check.finding("DOCTOR_NOT_CLOSED", found, remedy);
    }
    check.fine(format!(
        "{records} records, closed in order; hashes were not checked"
    ))
}

/// Boots that took over and were killed before they had the ledger; nothing where there is none.
fn lost(dir: &Path) -> Vec<Checked> {
    let check = || Checked::new("boot without a ledger", dir.display());
    match lost_boots(dir) {
        Ok(lost) => lost
            .iter()
            .map(|lost| {
                let found = format!(
                    "boot {} served and was killed before the ledger was its own: {} decisions are in no record",
                    lost.boot,
                    lost.total()
                );
                let remedy = "start the gateway, which records it; find out what killed that process";
                check().finding("DOCTOR_BOOT_LOST", found, remedy)
            })
            .collect(),
        Err(error) => vec![check().skipped(error.to_string())],
    }
}

/// Damage that a start has gone on behind; any other shows only where every hash is checked.
fn damage(dir: &Path) -> Checked {
    let check = Checked::new("known damage", dir.display());
    match known_damage(dir) {
        Ok(None) => check.fine("no start has told of any that is still there"),
        Ok(Some(known)) => {
            let (seq, file) = (known.seq, known.segment);
            let found = format!("record {seq} of {file}: {}", known.rule);
            let remedy =
                "find out why, compare with a copy; tidegate ledger verify says what is intact";
            check.finding("DOCTOR_DAMAGED", found, remedy)
        }
        Err(error) => check.skipped(error.to_string()),
    }
}

fn clock(dir: &Path, facts: &NewestFacts, now_us: u64) -> Checked {
    let check = Checked::new("clock", dir.display());
    let ahead = facts.newest_us.saturating_sub(now_us);
    if ahead > CLOCK_US_MAX {
        let found = format!("the newest record is {} s in the future", ahead / 1_000_000);
        let remedy = "set the host's clock; retention and heads count on it";
        return check.finding("DOCTOR_CLOCK_BEHIND", found, remedy);
    }
    check.fine("not behind the newest record")
}

fn synchronised(file: &Path) -> Checked {
    let check = Checked::new("time service", file.display());
    if file.exists() {
        check.fine("the clock was set by it")
    } else {
        check.skipped("another service or none sets the clock here: ask timedatectl or chronyc")
    }
}

fn quarantine(dir: &Path) -> Checked {
    let path = dir.join("quarantine");
    let check = Checked::new("quarantine", path.display());
    match fs::read_dir(&path).map(Iterator::count) {
        Ok(0) | Err(_) => check.fine("empty"),
        Ok(count) => check.finding(
            "DOCTOR_QUARANTINE",
            format!("{count} torn tails"),
            "look at the open records that name them (torn_file), then keep the files elsewhere",
        ),
    }
}
