//! How a boot enters the chain: the genesis of a new ledger, or the `open` record of one that goes on.

use std::path::Path;
use std::time::Duration;

use super::chain::Chain;
use super::clock::wall_us;
use super::directory::{Directory, SegmentName};
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::facts::{OpenBundle, OpenFacts};
use super::high_water::{HighWater, RootMark};
use super::line::Record;
use super::reader::Lines;
use super::recovery::{Found, Genesis};
use super::segment::Segment;
use super::settings::Settings;

/// Starts a chain: first segment with the genesis in it, then the origin.
pub(super) fn genesis(
    settings: &Settings,
    directory: &Directory,
    facts: &OpenFacts,
) -> Result<(Chain, Segment), LedgerError> {
    let mut nonce = [0_u8; 16];
    getrandom::fill(&mut nonce)
        .map_err(|e| LedgerError::Unavailable(format!("no random numbers: {e}")))?;
    let mut chain = Chain::genesis();
    let mut line = Vec::new();
    chain.append(&mut line, |e| {
        open_members(e, facts, Opening::Genesis(nonce))
    });
    let segment = Segment::create(&settings.disk, directory.path(), 0, &line, true)
        .map_err(|e| LedgerError::io("creating the first segment in", &settings.dir, e))?;
    put_origin(&settings.disk, directory, facts, chain.head())?;
    Ok((chain, segment))
}

/// Continues a chain: the start is recorded before anything else.
pub(super) fn resume(
    settings: &Settings,
    directory: &Directory,
    facts: &OpenFacts,
    found: Found,
) -> Result<(Chain, Segment), LedgerError> {
    keep_origin(&settings.disk, directory, found.origin.as_deref())?;
    let mut chain = found.chain.clone();
    let path = found.segment.path.clone();
    let mut line = Vec::new();
    let first_seq = chain.next_seq();
    chain.append(&mut line, |e| {
        open_members(e, facts, Opening::Resumed(&found))
    });
    if found.begins_segment() {
        // What is damaged stays as it is, and to a compressed file nothing can be appended.
        let segment = Segment::create(&settings.disk, directory.path(), first_seq, &line, true)
            .map_err(|e| LedgerError::io("creating a segment in", &settings.dir, e))?;
        return Ok((chain, segment));
    }
    let age = age_of(&found.segment);
    let mut segment = Segment::resume(&settings.disk, found.segment.clone(), found.len, age)
        .map_err(|e| LedgerError::io("opening", &path, e))?;
    segment
        .append_durably(&line)
        .map_err(|e| LedgerError::io("writing", &path, e))?;
    Ok((chain, segment))
}

/// How long ago a segment began, by its first record and the host's clock; unreadable is new.
fn age_of(segment: &SegmentName) -> Duration {
    let began = || {
        let mut lines = Lines::open(&segment.path).ok()?;
        let line = lines.next().ok()??;
        let mut scratch = Vec::new();
        let record = Record::check(line.bytes, &mut scratch).ok()?;
        record.uint("ts_us")
    };
    let now = wall_us();
    Duration::from_micros(now.saturating_sub(began().unwrap_or(now)))
}

fn put_origin(
    disk: &Disk,
    directory: &Directory,
    facts: &OpenFacts,
    genesis: &[u8],
) -> Result<(), LedgerError> {
    let id = String::from_utf8_lossy(genesis.get(..16).unwrap_or_default()).into_owned();
    let text = format!(
        "{}/{id}
",
        facts.instance
    );
    disk.put(directory.path(), "origin", text.as_bytes())
}

/// A crash right after the genesis may have kept the origin from being written: it is made up for.
fn keep_origin(
    disk: &Disk,
    directory: &Directory,
    origin: Option<&str>,
) -> Result<(), LedgerError> {
    match origin {
        Some(origin) if !directory.path().join("origin").exists() => {
            disk.put(directory.path(), "origin", format!("{origin}\n").as_bytes())
        }
        _ => Ok(()),
    }
}

/// The name of this very chain: from the file, which has to fit the genesis where that is still
/// here, or made of the genesis where there is no file.
pub(super) fn origin_of(
    dir: &Path,
    genesis: Option<&Genesis>,
) -> Result<Option<String>, LedgerError> {
    let path = dir.join("origin");
    let text = std::fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match text {
        Ok(text) if genesis.is_none_or(|genesis| origin_matches(&text, &genesis.hash)) => {
            Ok(Some(text.trim_end_matches('\n').to_owned()))
        }
        Ok(_) => Err(LedgerError::NotALedger {
            path,
            rule: "origin ends in the first 16 digits of the genesis hash",
            remedy: "bring the right origin or the right segments back, or move the directory aside as evidence and start again",
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(genesis.and_then(|genesis| {
                let id = genesis.hash.get(..16)?;
                Some(format!("{}/{id}", genesis.instance.as_ref()?))
            }))
        }
        Err(error) => Err(LedgerError::io("reading", &path, error)),
    }
}

/// `<name>/<first 16 hex of the genesis hash>` and a newline.
pub(super) fn origin_matches(text: &str, genesis: &str) -> bool {
    text.strip_suffix('\n')
        .and_then(|origin| origin.rsplit_once('/'))
        .is_some_and(|(name, id)| !name.is_empty() && genesis.get(..16) == Some(id))
}

/// Where in its life the ledger is opened.
enum Opening<'a> {
    Genesis([u8; 16]),
    Resumed(&'a Found),
}

fn open_members(entry: &mut EntryBuilder<'_>, facts: &OpenFacts, opening: Opening<'_>) {
    let found = match &opening {
        Opening::Genesis(_) => None,
        Opening::Resumed(found) => Some(*found),
    };
    entry.text("boot", &facts.boot.to_string());
    let (high_water, root) = bundle_member(entry, facts.bundle.as_ref());
    if let Some(id) = &facts.client_key_id {
        entry.text("client_key_id", id);
    }
    if let Some(damaged) = found.and_then(|found| found.damaged.as_ref()) {
        entry.uint("damaged_offset", damaged.offset);
        entry.text("damaged_rule", &damaged.rule);
        entry.text("damaged_segment", &damaged.segment);
        entry.uint("damaged_seq", damaged.seq);
    }
    if let Some(mark) = high_water {
        entry.text("high_water_digest", &mark.digest);
        entry.uint("high_water_epoch", mark.epoch);
        entry.uint("high_water_serial", mark.serial);
    }
    entry.text("instance", &facts.instance);
    entry.text("kind", "open");
    if let Some(missing) = found.and_then(|found| found.missing.as_ref()) {
        entry.text("missing_boot", &missing.boot.to_string());
        let made = missing.made.iter().map(|(w, n)| (w.as_str(), *n));
        entry.counts("missing_made", made);
    }
    if found.is_some_and(|found| found.moved) {
        entry.flag("moved", true);
    }
    if let Opening::Genesis(nonce) = &opening {
        entry.hex("nonce", nonce);
    }
    entry.text("policy_hash", &facts.policy_hash);
    if let Some(found) = found {
        before(entry, found);
    }
    if let Some(root) = root {
        entry.text("root_digest", &root.digest);
        entry.uint("root_version", root.version);
    }
    if let Some(torn) = found.and_then(|found| found.torn.as_ref()) {
        entry.uint("torn_bytes", torn.bytes);
        entry.text("torn_file", &torn.file);
        entry.text("torn_sha256", &torn.sha256);
    }
    entry.uint("ts_us", wall_us());
    entry.text("version", &facts.version);
}

/// Where the rulebook comes from; gives the mark and the root to tell.
fn bundle_member<'f>(
    entry: &mut EntryBuilder<'_>,
    bundle: Option<&'f OpenBundle>,
) -> (Option<&'f HighWater>, Option<&'f RootMark>) {
    match bundle {
        None => (None, None),
        Some(OpenBundle::Unsigned) => {
            entry.text("bundle", "unsigned");
            (None, None)
        }
        Some(OpenBundle::Bundles {
            in_force,
            high_water,
            root,
        }) => {
            entry.text("bundle", in_force.as_deref().unwrap_or("none"));
            (high_water.as_ref(), root.as_ref())
        }
    }
}

/// What the boot before left.
fn before(entry: &mut EntryBuilder<'_>, found: &Found) {
    if let Some(boot) = &found.boot {
        entry.text("previous_boot", boot);
    }
    entry.flag("previous_closed", found.closed);
    if let Some(previous) = &found.previous {
        let (made, open) = (&previous.made, &previous.unaccounted);
        entry.counts("previous_made", made.iter().map(|(w, n)| (w.as_str(), *n)));
        entry.counts(
            "previous_unaccounted",
            open.iter().map(|(w, n)| (w.as_str(), *n)),
        );
    }
}
