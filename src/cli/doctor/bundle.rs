//! What a gateway of bundles stands on: the trust root, the bundle in force, the mark, the folders.
//!
//! Only times, places and permissions are looked at. Whether the bundle is signed by whom the root
//! asks for is judged by each start and by `tidegate bundle verify`. Who may write to the watched
//! folder is not asked: what lies there is believed only when it is signed.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Checked;
use crate::bundle::payload::Payload;
use crate::bundle::verify::{VerifiedRoot, read_unverified, verify_root};
use crate::cli::signing::{read, span};
use crate::config::{BundleSettings, Settings};
use crate::ledger::{HighWater, high_water};

const MICROS_PER_DAY: u64 = 86_400_000_000;
/// To rotate a root people have to meet.
const ROOT_DAYS_LEFT: u64 = 30;
/// As the alert `TidegateBundleExpires` has it.
const BUNDLE_DAYS_LEFT: u64 = 7;
/// What may stand at the mark, and what may be the bundle before it.
const CANDIDATES: [&str; 3] = ["current.json", "current.before.json", "previous.json"];
const BEFORE: [&str; 2] = ["previous.json", "previous.before.json"];

/// The form of `high_water.json`.
#[derive(Deserialize)]
struct MarkForm {
    digest: Option<String>,
    epoch: Option<u64>,
    serial: Option<u64>,
}

/// Nothing where plain files are in force.
pub(super) fn check(settings: &Settings, now_us: u64) -> Vec<Checked> {
    let Some(bundle) = &settings.bundle else {
        return Vec::new();
    };
    let state = settings.state_dir.join("bundle");
    let kept = kept_mark(&state.join("high_water.json"));
    let recorded = high_water(&settings.ledger.dir).map(|remembered| remembered.mark);
    let known = kept.as_ref().ok().into_iter().chain(recorded.as_ref().ok());
    let newest = known.flatten().max().cloned();
    let mut checks = vec![
        root(bundle, &state, now_us),
        root_mode(&bundle.root),
        state_mode(&state),
        in_force(&state, newest.as_ref(), now_us),
        mark(&state.join("high_water.json"), kept, recorded),
    ];
    checks.extend(bundle.dir.as_deref().map(folder));
    checks
}

fn root(bundle: &BundleSettings, state: &Path, now_us: u64) -> Checked {
    let check = Checked::new("trust root", bundle.root.display());
    let root = match newest_root(&bundle.root, state) {
        Ok(root) => root,
        Err(error) => {
            let remedy = "restore the root that was pinned, or rotate it: tidegate root rotate";
            return check.finding("DOCTOR_ROOT", error, remedy);
        }
    };
    let parts = root.root().parts();
    let found = format!("version {}", parts.version);
    let remedy = "rotate it: tidegate root rotate; after its end nothing new is activated";
    let end = (parts.expires_at_us, ROOT_DAYS_LEFT);
    ends(check, "DOCTOR_ROOT_EXPIRES", &found, end, remedy, now_us)
}

/// The pinned root, or the newest of those that follow it in the state directory.
fn newest_root(pinned: &Path, state: &Path) -> Result<VerifiedRoot, String> {
    let bytes = read(pinned).map_err(|error| format!("{error:#}"))?;
    let mut root = verify_root(&bytes, None).map_err(|refused| refused.to_string())?;
    loop {
        let path = state.join(format!("root.{}.json", root.root().parts().version + 1));
        if !path.exists() {
            return Ok(root);
        }
        let told = |error: String| format!("{}: {error}", path.display());
        let bytes = read(&path).map_err(|error| told(format!("{error:#}")))?;
        root = verify_root(&bytes, Some(&root)).map_err(|refused| told(refused.to_string()))?;
    }
}

/// When something ends, and how many days before that it is a finding.
fn ends(
    check: Checked,
    code: &'static str,
    what: &str,
    (at_us, days_left): (u64, u64),
    remedy: &'static str,
    now_us: u64,
) -> Checked {
    let word = if at_us <= now_us { "ended" } else { "ends" };
    let found = format!("{what}, {word} {}", span(now_us, at_us));
    match at_us.saturating_sub(now_us) < days_left * MICROS_PER_DAY {
        true => check.finding(code, found, remedy),
        false => check.fine(found),
    }
}

/// Who may write the root says who may sign; so may who may put another file in its place.
fn root_mode(path: &Path) -> Checked {
    let check = Checked::new("mode of the trust root", path.display());
    let remedy = "if nobody else can have changed it: chmod go-w the file, and o-w its folder; otherwise restore it";
    let folder = path.parent().unwrap_or(Path::new("."));
    let folder = match folder == Path::new("") {
        true => Path::new("."),
        false => folder,
    };
    let (Ok(file), Ok(folder)) = (mode(path), mode(folder)) else {
        return check.skipped("there is no such file");
    };
    if file & 0o022 != 0 {
        let found = format!("others may write it (mode {:04o})", file & 0o777);
        return check.finding("DOCTOR_ROOT_MODE", found, remedy);
    }
    // In a folder with the sticky bit only owners replace files.
    if folder & 0o1002 == 0o002 {
        let found = format!("others may replace it (mode {folder:04o} of its folder)");
        return check.finding("DOCTOR_ROOT_MODE", found, remedy);
    }
    check.fine("written by its owner alone")
}

/// The folder of the state and all that lies in it.
fn state_mode(state: &Path) -> Checked {
    let check = Checked::new("bundle state", state.display());
    let remedy = "chmod o-w it, and compare high_water.json with the ledger";
    let entries = match fs::read_dir(state) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return check.fine("not there yet; the first start makes it");
        }
        Err(error) => {
            let remedy = "give it to the gateway's user, mode 0750";
            return check.finding("DOCTOR_BUNDLE_STATE", error.to_string(), remedy);
        }
    };
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let all: Vec<PathBuf> = std::iter::once(state.to_path_buf()).chain(files).collect();
    let open = all
        .iter()
        .find(|path| mode(path).is_ok_and(|mode| mode & 0o002 != 0));
    match open {
        Some(path) => {
            let found = format!("others may write to {}", path.display());
            check.finding("DOCTOR_BUNDLE_STATE", found, remedy)
        }
        None => check.fine("others may not write to it"),
    }
}

fn in_force(state: &Path, mark: Option<&HighWater>, now_us: u64) -> Checked {
    let check = Checked::new("bundle in force", state.display());
    let Some(mark) = mark else {
        return check.fine("none was in force yet");
    };
    let Some(at_mark) = with_digest(state, &CANDIDATES, &mark.digest) else {
        let place = format!("epoch {} serial {}", mark.epoch, mark.serial);
        let found = format!("no file holds the bundle at the mark ({place})");
        let remedy = "restore the state directory, or apply a later bundle: tidegate bundle apply";
        return check.finding("DOCTOR_BUNDLE_MISSING", found, remedy);
    };
    // After an emergency measure the bundle before it is in force again.
    let manifest = at_mark.manifest();
    let glass = manifest.breakglass.as_ref();
    let is_over = glass.is_some_and(|glass| glass.until_us <= now_us);
    let before = manifest.parent.as_deref().filter(|_| is_over);
    let before = before.and_then(|digest| with_digest(state, &BEFORE, digest));
    let bundle = before.unwrap_or(at_mark);
    let manifest = bundle.manifest();
    let (name, digest) = (&manifest.name, bundle.digest());
    let place = format!("epoch {} serial {}", manifest.epoch, manifest.serial);
    let found = format!("'{name}' {place} sha256:{digest}");
    let remedy = "build, sign and apply a later bundle; beyond its end it stays in force, with CONTROL at most";
    let end = (manifest.expires_at_us, BUNDLE_DAYS_LEFT);
    ends(check, "DOCTOR_BUNDLE_EXPIRES", &found, end, remedy, now_us)
}

/// The bundle with that digest in one of these files.
fn with_digest(state: &Path, names: &[&str], digest: &str) -> Option<Payload> {
    let bundles = names
        .iter()
        .filter_map(|name| read_unverified(&read(&state.join(name)).ok()?).ok());
    bundles.into_iter().find(|bundle| bundle.digest() == digest)
}

fn kept_mark(path: &Path) -> io::Result<Option<HighWater>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    let form: MarkForm = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    let place = form.epoch.zip(form.serial);
    // Before the first bundle it holds the root alone.
    Ok(place
        .zip(form.digest)
        .map(|((epoch, serial), digest)| HighWater {
            epoch,
            serial,
            digest,
        }))
}

/// The file is written before the record, so a file that says more is no finding.
fn mark(
    path: &Path,
    kept: io::Result<Option<HighWater>>,
    recorded: io::Result<Option<HighWater>>,
) -> Checked {
    let check = Checked::new("high-water mark", path.display());
    let remedy = "the state directory was deleted, changed or put back: ask who did; the next start goes by the ledger";
    let kept = match kept {
        Ok(kept) => kept,
        Err(error) => return check.finding("DOCTOR_MARK", error.to_string(), remedy),
    };
    let recorded = match recorded {
        Ok(recorded) => recorded,
        Err(error) => return check.skipped(format!("the ledger cannot be read ({error})")),
    };
    let place = |mark: &HighWater| (mark.epoch, mark.serial);
    let said = |mark: &Option<HighWater>| {
        mark.as_ref().map_or("nothing".to_owned(), |mark| {
            format!("epoch {} serial {}", mark.epoch, mark.serial)
        })
    };
    let found = format!(
        "the file says {}, the ledger {}",
        said(&kept),
        said(&recorded)
    );
    let is_well = match (&kept, &recorded) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(kept), Some(recorded)) => kept == recorded || place(kept) > place(recorded),
    };
    match is_well {
        true => check.fine(found),
        false => check.finding("DOCTOR_MARK", found, remedy),
    }
}

fn folder(dir: &Path) -> Checked {
    let check = Checked::new("bundle folder", dir.display());
    let candidate = dir.join("bundle.json");
    let opened = fs::read_dir(dir).and_then(|_| match fs::File::open(&candidate) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok("readable, no bundle.json"),
        opened => opened.map(|_| "readable"),
    });
    match opened {
        Ok(found) => check.fine(found),
        Err(error) => {
            let remedy = "make the folder of bundle.dir, and let the gateway's user read it";
            check.finding("DOCTOR_BUNDLE_DIR", error.to_string(), remedy)
        }
    }
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[cfg(test)]
mod tests;
