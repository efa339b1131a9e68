//! How a boot enters the chain: the genesis of a new ledger, or the `open` record of one that goes on.

use std::time::Duration;

use super::chain::Chain;
use super::clock::wall_us;
use super::directory::{Directory, SegmentName};
use super::disk::Disk;
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::handle::{OpenFacts, Settings};
use super::line::Record;
use super::reader::Lines;
use super::recovery::Found;
use super::segment::Segment;

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
    if let Some(genesis) = &found.genesis {
        check_origin(&settings.disk, directory, facts, genesis)?;
    }
    let mut chain = found.chain.clone();
    let path = found.segment.path.clone();
    let age = age_of(&found.segment);
    let mut segment = Segment::resume(&settings.disk, found.segment.clone(), found.len, age)
        .map_err(|e| LedgerError::io("opening", &path, e))?;
    let mut line = Vec::new();
    chain.append(&mut line, |e| {
        open_members(e, facts, Opening::Resumed(&found))
    });
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

/// The origin names this very chain; a crash right after the genesis may have kept it from being
/// written, so a missing one is made up for.
fn check_origin(
    disk: &Disk,
    directory: &Directory,
    facts: &OpenFacts,
    genesis: &str,
) -> Result<(), LedgerError> {
    let path = directory.path().join("origin");
    match std::fs::read_to_string(&path) {
        Ok(text) if origin_matches(&text, genesis) => Ok(()),
        Ok(_) => Err(LedgerError::NotALedger {
            path,
            rule: "origin ends in the first 16 digits of the genesis hash",
            remedy: "bring the right origin or the right segments back, or move the directory aside as evidence and start again",
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            put_origin(disk, directory, facts, genesis.as_bytes())
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
    entry.text("boot", &facts.boot.to_string());
    if let Some(id) = &facts.client_key_id {
        entry.text("client_key_id", id);
    }
    entry.text("instance", &facts.instance);
    entry.text("kind", "open");
    if let Opening::Genesis(nonce) = &opening {
        entry.hex("nonce", nonce);
    }
    entry.text("policy_hash", &facts.policy_hash);
    if let Opening::Resumed(found) = opening {
        if let Some(boot) = &found.boot {
            entry.text("previous_boot", boot);
        }
        entry.flag("previous_closed", found.closed);
        if let Some(torn) = &found.torn {
            entry.uint("torn_bytes", torn.bytes);
            entry.text("torn_file", &torn.file);
            entry.text("torn_sha256", &torn.sha256);
        }
    }
    entry.uint("ts_us", wall_us());
    entry.text("version", &facts.version);
}
