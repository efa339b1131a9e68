//! The key that signs, and the secret of client identities.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Checked;
use crate::config::Settings;
use crate::ledger::{LedgerKey, VerifierKey};

/// Bytes of the secret.
const CLIENT_KEY_BYTES: u64 = 16;

pub(super) fn check(settings: &Settings) -> Vec<Checked> {
    let ledger = &settings.ledger;
    let begun = ledger.dir.join("origin").exists();
    vec![
        signing(&ledger.key, &ledger.dir, ledger.key_is_given || begun),
        client(&settings.state_dir.join("client.key"), begun),
    ]
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
