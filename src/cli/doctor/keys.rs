//! The keys that sign, and the secret of client identities: usable, for their owner alone, not old.
//!
//! A key says nothing of its age; the file does, by the time when its content was last written.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Checked;
use crate::cli::signing::PURPOSE;
use crate::config::Settings;
use crate::ledger::{LedgerKey, VerifierKey};

/// Bytes of the secret.
const CLIENT_KEY_BYTES: u64 = 16;
/// Keys are replaced after so many days.
const DAYS_MAX: u64 = 90;
const MICROS_PER_DAY: u64 = 86_400_000_000;

pub(super) fn check(settings: &Settings, now_us: u64) -> Vec<Checked> {
    let ledger = &settings.ledger;
    let begun = ledger.dir.join("origin").exists();
    let client_key = settings.state_dir.join("client.key");
    let mut checks = vec![
        signing(&ledger.key, &ledger.dir, ledger.key_is_given || begun),
        client(&client_key, begun),
    ];
    let ages = [
        ("age of the ledger key", &ledger.key, LEDGER_REMEDY),
        ("age of the client key", &client_key, CLIENT_REMEDY),
    ];
    let ages = ages.into_iter();
    checks.extend(ages.filter_map(|(name, path, remedy)| age(name, path, remedy, now_us)));
    checks
}

const LEDGER_REMEDY: &str = "make a new one with tidegate ledger keygen, name it as 'ledger.key' and restart; the ledger goes on with a record of kind 'key'";
const CLIENT_REMEDY: &str =
    "move it away and restart: a new one is made, and clients get new names in records";

const SIGNING_REMEDY: &str = "make a new one with tidegate bundle keygen, and put it into the root with tidegate root rotate";

/// Keys of people, which no configuration names.
pub(super) fn check_signing(paths: &[PathBuf], now_us: u64) -> Vec<Checked> {
    let both = |path: &PathBuf| {
        let check = Checked::new("key of bundles", path.display());
        let usable = match PURPOSE.read(path) {
            Ok(_) => check.fine("readable, for its owner alone"),
            Err(error) => {
                let remedy = "until it is mended this key signs nothing";
                check.finding("DOCTOR_SIGNING_KEY", error.to_string(), remedy)
            }
        };
        let age = age("age of a key of bundles", path, SIGNING_REMEDY, now_us);
        std::iter::once(usable).chain(age).collect::<Vec<_>>()
    };
    paths.iter().flat_map(both).collect()
}

/// `None` where there is no file; that is told by the others.
fn age(name: &'static str, path: &Path, remedy: &'static str, now_us: u64) -> Option<Checked> {
    let written = fs::metadata(path).ok()?.modified().ok()?;
    let written = written.duration_since(UNIX_EPOCH).ok()?.as_micros();
    let written = u64::try_from(written).ok()?;
    let days = now_us.saturating_sub(written) / MICROS_PER_DAY;
    let check = Checked::new(name, path.display());
    let found = format!("written {days} days ago, of at most {DAYS_MAX}");
    Some(match days > DAYS_MAX {
        true => check.finding("DOCTOR_KEY_OLD", found, remedy),
        false => check.fine(found),
    })
}

fn signing(path: &Path, dir: &Path, wanted: bool) -> Checked {
    let check = Checked::new("ledger key", path.display());
    // A link that leads nowhere is there: the first start refuses it.
    if !wanted && fs::symlink_metadata(path).is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return check.fine("not there yet; the first start makes it");
    }
    let key = match LedgerKey::read(path) {
        Ok(key) => key,
        Err(error) => {
            let remedy = "a ledger without its key cannot sign: restore it, or make a new one with tidegate ledger keygen";
            return check.finding("DOCTOR_LEDGER_KEY", error.to_string(), remedy);
        }
    };
    let Ok(origin) = fs::read_to_string(dir.join("origin")) else {
        return check.fine("readable, for its owner alone");
    };
    let known = known(dir);
    let own = key.verifier(origin.trim_end());
    if own.is_ok_and(|own| known.contains(&own)) {
        return check.fine("readable, for its owner alone, and in log.vkey");
    }
    let remedy = "give the key back that signs here; a new one is put into log.vkey by the next start, and auditors have to be told";
    check.finding("DOCTOR_KEY_UNKNOWN", "log.vkey does not have it", remedy)
}

/// The keys that have signed here.
pub(super) fn known(dir: &Path) -> Vec<VerifierKey> {
    let text = fs::read_to_string(dir.join("log.vkey")).unwrap_or_default();
    text.lines()
        .filter_map(|line| VerifierKey::parse(line).ok())
        .collect()
}

fn client(path: &Path, wanted: bool) -> Checked {
    let check = Checked::new("client key", path.display());
    let remedy = "restore it with mode 0600; a new one gives clients new names in records";
    let facts = match fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == ErrorKind::NotFound && !wanted => {
            return check.fine("not there yet; the first start makes it");
        }
        Err(error) => return check.finding("DOCTOR_CLIENT_KEY", error.to_string(), remedy),
    };
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let found = format!("others can read it (mode {mode:04o})");
        return check.finding("DOCTOR_CLIENT_KEY", found, remedy);
    }
    if facts.len() != CLIENT_KEY_BYTES {
        let found = format!("{} bytes instead of {CLIENT_KEY_BYTES}", facts.len());
        return check.finding("DOCTOR_CLIENT_KEY", found, remedy);
    }
    check.fine("for its owner alone")
}
