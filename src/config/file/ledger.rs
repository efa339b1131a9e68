//! The key `ledger`: where records are kept, how safely, how long, and what holds without them.

use std::path::Path;
use std::time::Duration;

use super::path_at;
use crate::config::settings::{Environment, LedgerSettings, LedgerSync, OnUnavailable, Retention};
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const KEYS: Keys = Keys::plain(
    "'ledger'",
    &[
        "dir",
        "key",
        "sync",
        "sync_interval_ms",
        "segment_mib",
        "segment_hours",
        "compress",
        "retention_days",
        "disk_mib_max",
        "on_unavailable",
        "heads_every_secs",
    ],
);
pub(super) const RETENTION_KEYS: Keys = Keys::plain("'retention_days'", &["access", "security"]);

/// A sync that comes later than this is no protection.
pub(super) const SYNC_INTERVAL_MS_MAX: u64 = 10_000;
pub(super) const SEGMENT_MIB_MAX: u64 = 4_096;
pub(super) const SEGMENT_HOURS_MAX: u64 = 24 * 31;
/// 100 years.
pub(super) const RETENTION_DAYS_MAX: u64 = 36_500;
pub(super) const DISK_MIB_MIN: u64 = 16;
pub(super) const DISK_MIB_MAX: u64 = 1 << 40;
pub(super) const HEADS_SECS_MAX: u64 = 86_400;
pub(super) const SYNCS: [&str; 3] = ["interval", "group", "each"];

/// Reads `ledger`; without a `dir` the ledger lies below the state directory.
pub(super) fn read_ledger(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    folder: &Path,
    state_dir: Option<&Path>,
    environment: Option<Environment>,
) -> Option<LedgerSettings> {
    let dir = state_dir.map(|dir| dir.join("ledger"));
    let key = state_dir.map(|dir| dir.join("ledger.key"));
    let environment = environment.unwrap_or_default();
    let Some(node) = fields.get("ledger") else {
        return Some(LedgerSettings::new(dir?, key?, environment));
    };
    let fields = sheet.fields(node, &KEYS)?;
    let given_key = fields.get("key").is_some();
    // Every key is read before any is judged, so that every fault is reported.
    let dir = match fields.get("dir") {
        Some(node) => path_at(sheet, node, "'dir'", folder).map(|(path, _)| path),
        None => dir,
    };
    let key = match fields.get("key") {
        Some(node) => path_at(sheet, node, "'key'", folder).map(|(path, _)| path),
        None => key,
    };
    let sync = read_sync(sheet, fields);
    let segment_mib = integer(sheet, fields, "segment_mib", 1, SEGMENT_MIB_MAX, 256);
    let segment_hours = integer(sheet, fields, "segment_hours", 1, SEGMENT_HOURS_MAX, 24);
    let compress = match fields.get("compress") {
        Some(node) => sheet.boolean(node, "'compress'"),
        None => Some(true),
    };
    let retention = read_retention(sheet, fields, environment);
    let disk_mib = match fields.get("disk_mib_max") {
        Some(node) => sheet
            .integer(node, "'disk_mib_max'", DISK_MIB_MIN, DISK_MIB_MAX)
            .map(Some),
        None => Some(None),
    };
    let on_unavailable = match fields.get("on_unavailable") {
        Some(node) => read_on_unavailable(sheet, node),
        None => Some(OnUnavailable::Continue),
    };
    let heads = integer(sheet, fields, "heads_every_secs", 0, HEADS_SECS_MAX, 60);
    Some(LedgerSettings {
        dir: dir?,
        key: key?,
        key_is_given: given_key,
        sync: sync?,
        segment_bytes: segment_mib? << 20,
        segment_age: Duration::from_secs(segment_hours? * 3_600),
        compress: compress?,
        retention: retention?,
        disk_bytes_max: disk_mib?.map(|mib| mib << 20),
        on_unavailable: on_unavailable?,
        heads_every: Some(heads?)
            .filter(|secs| *secs > 0)
            .map(Duration::from_secs),
    })
}

fn integer(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    min: u64,
    max: u64,
    default: u64,
) -> Option<u64> {
    match fields.get(key) {
        Some(node) => sheet.integer(node, &format!("'{key}'"), min, max),
        None => Some(default),
    }
}

fn read_sync(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<LedgerSync> {
    let millis = integer(
        sheet,
        fields,
        "sync_interval_ms",
        1,
        SYNC_INTERVAL_MS_MAX,
        100,
    )?;
    let interval = LedgerSync::Interval(Duration::from_millis(millis));
    let Some(node) = fields.get("sync") else {
        return Some(interval);
    };
    sheet.choice(node, "'sync'", &SYNCS, |text| match text {
        "interval" => Some(interval),
        "group" => Some(LedgerSync::Group),
        "each" => Some(LedgerSync::Each),
        _ => None,
    })
}

fn read_retention(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    environment: Environment,
) -> Option<Retention> {
    let default = Retention::of(environment);
    let Some(node) = fields.get("retention_days") else {
        return Some(default);
    };
    let fields = sheet.fields(node, &RETENTION_KEYS)?;
    let days = |sheet: &mut Sheet<'_>, key, default: u32| {
        let days = integer(
            sheet,
            fields,
            key,
            1,
            RETENTION_DAYS_MAX,
            u64::from(default),
        )?;
        u32::try_from(days).ok()
    };
    let access_days = days(sheet, "access", default.access_days);
    let security_days = days(sheet, "security", default.security_days);
    Some(Retention {
        access_days: access_days?,
        security_days: security_days?,
    })
}

fn read_on_unavailable(sheet: &mut Sheet<'_>, node: &Node) -> Option<OnUnavailable> {
    let choices = OnUnavailable::ALL.map(OnUnavailable::key);
    sheet.choice(node, "'on_unavailable'", &choices, |text| {
        OnUnavailable::ALL
            .into_iter()
            .find(|this| this.key() == text)
    })
}
