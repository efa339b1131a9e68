//! The key `bundle`: who may sign what this gateway runs, and where bundles come from.
//!
//! The root is verified here by its own signatures, so that a start meets no surprise.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::path_at;
use crate::bundle::envelope::ENVELOPE_BYTES_MAX;
use crate::bundle::verify::verify_root;
use crate::config::settings::{BundleSettings, OnNone};
use crate::diagnostic::{Code, Place};
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const KEYS: Keys = Keys::plain("'bundle'", &["root", "dir", "on_none"]);

/// Reads `bundle`; `Some(None)` where it is not there.
pub(super) fn read_bundle(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    folder: &Path,
) -> Option<Option<BundleSettings>> {
    let Some(node) = fields.get("bundle") else {
        return Some(None);
    };
    let fields = sheet.fields(node, &KEYS)?;
    // Every key is read before any is judged, so that every fault is reported.
    let root = sheet.required(fields, "root");
    let root = root.and_then(|node| path_at(sheet, node, "'root'", folder));
    let root = root.and_then(|named| usable_root(sheet, named));
    let dir = match fields.get("dir") {
        Some(node) => usable_folder(sheet, node, folder).map(Some),
        None => Some(None),
    };
    let on_none = match fields.get("on_none") {
        Some(node) => read_on_none(sheet, node),
        None => Some(OnNone::default()),
    };
    Some(Some(BundleSettings {
        root: root?,
        dir: dir?,
        on_none: on_none?,
    }))
}

fn usable_root(sheet: &mut Sheet<'_>, (path, place): (PathBuf, Place)) -> Option<PathBuf> {
    let shown = path.display();
    let bytes = match read_bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("'root' names '{shown}', which cannot be read: {error}");
            sheet.error(place, Code::Unreadable, message);
            return None;
        }
    };
    match verify_root(&bytes, None) {
        Ok(_) => Some(path),
        Err(refused) => {
            let message = format!("'root' names '{shown}', which is no root: {refused}");
            sheet.error(place, Code::BundleRoot, message);
            None
        }
    }
}

/// A regular file of at most one byte more than an envelope may have.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before opening: opening a named pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("this is not a regular file"));
    }
    let mut bytes = Vec::new();
    let limit = ENVELOPE_BYTES_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn usable_folder(sheet: &mut Sheet<'_>, node: &Node, folder: &Path) -> Option<PathBuf> {
    let (path, place) = path_at(sheet, node, "'dir'", folder)?;
    match std::fs::read_dir(&path) {
        Ok(_) => Some(path),
        Err(error) => {
            let shown = path.display();
            let message = format!("'dir' names '{shown}', which cannot be read: {error}");
            let remedy = "create the folder, or leave 'dir' out where bundles come by \
                          'tidegate bundle apply' alone";
            sheet.error_with(place, Code::Unreadable, message, remedy.to_owned());
            None
        }
    }
}

fn read_on_none(sheet: &mut Sheet<'_>, node: &Node) -> Option<OnNone> {
    let choices = OnNone::ALL.map(OnNone::key);
    sheet.choice(node, "'on_none'", &choices, |text| {
        OnNone::ALL.into_iter().find(|this| this.key() == text)
    })
}
