//! Whether the gateway runs, answers and has descriptors enough.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use rustix::process::{Resource, getrlimit};

use super::Checked;
use crate::cli::admin::{AdminArgs, Request};
use crate::config::Settings;

/// Descriptors that are needed once, and for each connection of a client.
const DESCRIPTORS_ONCE: u64 = 128;
const DESCRIPTORS_PER_CONNECTION: u64 = 2;

/// The process that holds the ledger. Asks the kernel's table of locks: to try the lock would be in
/// the way of a gateway that starts at that moment.
pub(super) fn holder(dir: &Path) -> Option<u32> {
    let path = dir.join("LOCK");
    let facts = fs::metadata(&path).ok()?;
    let table = fs::read_to_string("/proc/locks").ok()?;
    let pid = fs::read_to_string(&path).ok()?.trim().parse().ok();
    let device = format!("{:02x}:{:02x}", major(facts.dev()), minor(facts.dev()));
    holder_in(&table, &device, facts.ino(), pid)
}

/// Some file systems give the table another device than the file: then the process must fit.
fn holder_in(table: &str, device: &str, inode: u64, named: Option<u32>) -> Option<u32> {
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "FLOCK")?;
        let pid: u32 = words.get(at + 3)?.parse().ok()?;
        let (place, number) = words.get(at + 4)?.rsplit_once(':')?;
        let same = number.parse() == Ok(inode) && (place == device || named == Some(pid));
        same.then(|| named.unwrap_or(pid))
    })
}

pub(super) fn check(settings: &Settings, running: Option<u32>) -> Vec<Checked> {
    vec![descriptors(settings, running), admin(settings, running)]
}

fn descriptors(settings: &Settings, running: Option<u32>) -> Checked {
    let needed =
        u64::from(settings.limits.connections) * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_ONCE;
    let of_process = running.and_then(|pid| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
        hard_limit(&limits)
    });
    let (place, limit) = match (running, of_process) {
        (Some(pid), Some(limit)) => (format!("process {pid}"), limit),
        _ => {
            let own = getrlimit(Resource::Nofile).maximum;
            ("this shell".to_owned(), own.unwrap_or(u64::MAX))
        }
    };
    let check = Checked::new("descriptors", place);
    let found = format!("at most {limit}, {needed} for limits.connections");
    if limit < needed {
        let remedy =
            "raise the limit of open files (ulimit -n, LimitNOFILE=) or lower limits.connections";
        return check.finding("DOCTOR_DESCRIPTORS", found, remedy);
    }
    check.fine(found)
}

/// The hard limit in the kernel's table of a process.
fn hard_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    match line.split_whitespace().nth(4)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn admin(settings: &Settings, running: Option<u32>) -> Checked {
    let check = Checked::new("gateway", settings.admin);
    let asked = AdminArgs {
        config: PathBuf::new(),
        admin: Some(settings.admin),
    };
    let answer = asked.ask(Request::Get("/readyz"));
    match (running, answer) {
        (None, Err(_)) => check.fine("not running"),
        (Some(pid), Ok(answer)) if answer.status == 200 => {
            check.fine(format!("process {pid} runs and is ready"))
        }
        (Some(pid), Ok(answer)) => check.finding(
            "DOCTOR_NOT_READY",
            format!("process {pid} answers {}", answer.status),
            "look at /readyz and the log; the ledger may not be writable",
        ),
        (Some(pid), Err(_)) => check.finding(
            "DOCTOR_NOT_ANSWERING",
            format!("process {pid} holds the ledger and does not answer"),
            "look at its log; is this the configuration that it was started with?",
        ),
        (None, Ok(_)) => check.finding(
            "DOCTOR_ANOTHER_GATEWAY",
            "a gateway answers that does not hold this ledger",
            "check that the configuration is the one that it was started with",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_in_the_kernels_table() {
        let table = "1: POSIX  ADVISORY  WRITE 10 08:01:77 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 11 08:01:77 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 12 00:2f:78 0 EOF\n";
        for (device, inode, named, expected) in [
            ("08:01", 77, None, Some(11)),
            ("08:01", 77, Some(40), Some(40)),
            ("08:01", 78, None, None),
            ("08:01", 78, Some(12), Some(12)),
            ("08:01", 79, Some(12), None),
        ] {
            let found = holder_in(table, device, inode, named);
            assert_eq!(found, expected, "{device} {inode} {named:?}");
        }
    }

    #[test]
    fn the_hard_limit_counts() {
        let line = |hard| format!("Limit x\nMax open files            1024   {hard}   files\n");
        assert_eq!(hard_limit(&line("524288")), Some(524_288));
        assert_eq!(hard_limit(&line("unlimited")), Some(u64::MAX));
        assert_eq!(hard_limit(""), None);
    }
}
