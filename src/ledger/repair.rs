//! `tidegate ledger recover`: what a start would do about the end of a ledger, on request and told.
//!
//! Invariants: damage is refused and nothing is changed; a rollback is accepted only with a reason
//! and under the signature of a key of the log, and both stand in the ledger from then on. Whatever is done stands between an `open` and a
//! `close` of its own boot. No checkpoint is signed here: the next start does.

use std::path::Path;

use super::acceptance::{Claim, ROLLBACK_ACCEPTED};
use super::chain::Chain;
use super::clock::wall_us;
use super::directory::{Directory, has_traces};
use super::entry::EntryBuilder;
use super::error::LedgerError;
use super::facts::{OpenFacts, Recovered};
use super::frame::BootId;
use super::heads::Heads;
use super::keeper::known_damage;
use super::note::Checkpoint;
use super::opening::resume;
use super::recovery::{DamagedRecords, Examined, examine};
use super::segment::Segment;
use super::settings::Settings;

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What a start would have found.
    pub found: Recovered,
    /// Size of the signed head that was given up, if one was.
    pub rolled_back: Option<u64>,
    /// True when records were appended; false where there was nothing to do.
    pub changed: bool,
    /// Records that the chain has now.
    pub records: u64,
    /// Damage that an earlier start told of and went on behind; nothing repairs it.
    pub known_damage: Option<DamagedRecords>,
}

/// Why nothing was repaired. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// Damage that no repair may hide.
    #[error(
        "REPAIR_ERROR: {segment} at byte {offset}, record {seq}: {rule}; nothing was changed: a \
         signed head covers this record, so it is damage and no torn tail; keep the directory, \
         compare with a copy; `tidegate run` leaves the file as it is and goes on in a new segment"
    )]
    Damaged {
        /// File name of the segment.
        segment: String,
        /// Byte offset of the first bad line.
        offset: u64,
        /// The number that it should carry.
        seq: u64,
        /// The rule that it breaks.
        rule: String,
    },
    /// A rollback without a key that may accept it.
    #[error(
        "REPAIR_ERROR: {rule}; nothing was changed: name the private key that signed this ledger \
         with --key FILE (as ledger.key does)"
    )]
    Key {
        /// What the key breaks.
        rule: &'static str,
    },
    /// A start would refuse it as well.
    #[error("REPAIR_ERROR: {0}")]
    Refused(LedgerError),
    /// What the system answers, or another process has the ledger.
    #[error(transparent)]
    Failed(LedgerError),
}

impl RepairError {
    /// True where the evidence itself is the obstacle.
    #[must_use]
    pub const fn is_about_evidence(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Key { .. })
    }
}

impl From<LedgerError> for RepairError {
    fn from(error: LedgerError) -> Self {
        if error.is_about_evidence() {
            Self::Refused(error)
        } else {
            Self::Failed(error)
        }
    }
}

impl From<DamagedRecords> for RepairError {
    fn from(damaged: DamagedRecords) -> Self {
        Self::Damaged {
            segment: damaged.segment,
            offset: damaged.offset,
            seq: damaged.seq,
            rule: damaged.rule,
        }
    }
}

/// Repairs the end of a ledger. `reason` accepts that signed records are gone, if they are.
///
/// # Errors
/// Damage, a rollback without a reason or without a key of the log, and whatever keeps a start from going on.
pub fn recover(
    settings: &Settings,
    version: &str,
    reason: Option<&str>,
) -> Result<Repair, RepairError> {
    let absent = |rule| LedgerError::NotALedger {
        path: settings.dir.clone(),
        rule,
        remedy: "name the directory in ledger.dir",
    };
    // Before the lock, which is a file in the directory; and no evidence is in the way here.
    if settings.dir.is_file() {
        let rule = "a ledger is a directory, and this is a file";
        return Err(RepairError::Failed(absent(rule)));
    }
    if !settings.dir.is_dir() {
        let rule = "there is no such directory";
        return Err(RepairError::Failed(absent(rule)));
    }
    if !has_traces(&settings.dir) {
        let rule = "it is not a ledger: a ledger has at least one segment";
        return Err(RepairError::Failed(absent(rule)));
    }
    let directory = Directory::lock(&settings.dir)?;
    let Some(mut examined) = examine(settings, &directory, true)? else {
        return Err(absent("a ledger has at least one segment").into());
    };
    if let Some(damaged) = examined.found.damaged.take() {
        return Err(damaged.into());
    }
    if let (Some(signed), None) = (examined.rollback.first(), reason) {
        return Err(rollback(&settings.dir, &examined, signed).into());
    }
    let known_damage = known_damage(&settings.dir)?;
    let opened = examined.found.opened.clone().ok_or_else(|| {
        RepairError::from(absent("no open record names instance and policy_hash"))
    })?;
    let signed = accept(settings, &examined, reason.unwrap_or_default())?;
    let found = examined.settle(&settings.disk, &settings.dir)?;
    let (before, head) = (Recovered::of(&found), found.chain.next_seq());
    if signed.is_empty() && !before.unclosed && before.torn.is_none() && !before.moved {
        return Ok(Repair {
            found: before,
            rolled_back: None,
            changed: false,
            records: head,
            known_damage,
        });
    }
    let random = |e| LedgerError::Unavailable(format!("no random numbers: {e}"));
    let facts = OpenFacts {
        boot: BootId::random().map_err(random)?,
        instance: opened.instance,
        version: version.to_owned(),
        policy_hash: opened.policy_hash,
        client_key_id: opened.client_key_id,
        bundle: None,
    };
    let end = resume(settings, &directory, &facts, found)?;
    let records = finish(end, facts.boot, head, &signed)
        .map_err(|e| LedgerError::io("writing", &settings.dir, e))?;
    Ok(Repair {
        found: before,
        rolled_back: signed.first().map(|claim| claim.size),
        changed: true,
        records,
        known_damage,
    })
}

fn rollback(dir: &Path, examined: &Examined, signed: &Checkpoint) -> LedgerError {
    LedgerError::Rollback {
        dir: dir.to_path_buf(),
        records: examined.found.chain.next_seq(),
        signed_size: signed.size,
    }
}

/// Records what was accepted, and closes.
fn finish(
    (mut chain, mut segment): (Chain, Segment),
    boot: BootId,
    kept: u64,
    given_up: &[Claim],
) -> std::io::Result<u64> {
    let mut lines = Vec::new();
    for claim in given_up {
        let name = segment.file_name();
        chain.append(&mut lines, |entry| {
            accepted(entry, claim, kept, &name);
        });
    }
    chain.append(&mut lines, |entry| {
        entry.text("boot", &boot.to_string());
        entry.text("kind", "close");
        entry.counts("made", []);
        entry.uint("ts_us", wall_us());
        entry.counts("unaccounted", []);
    });
    segment.append_durably(&lines)?;
    Ok(chain.next_seq())
}

/// Signs the acceptance of every head that is given up; nothing where none is.
fn accept(
    settings: &Settings,
    examined: &Examined,
    reason: &str,
) -> Result<Vec<Claim>, RepairError> {
    let found = &examined.found;
    let (Some(origin), Some(_)) = (found.origin.as_deref(), examined.rollback.first()) else {
        return Ok(Vec::new());
    };
    let Some(key) = &settings.key else {
        let rule = "a rollback is accepted under a signature, and no key was named";
        return Err(RepairError::Key { rule });
    };
    if !Heads::of(&settings.dir, origin, Some(key))?.may_accept() {
        let rule = "a rollback is accepted by a key of log.vkey, and this one is not there";
        return Err(RepairError::Key { rule });
    }
    // An acceptance that was interrupted may have left its `open`: that is of the new history.
    let opened_at = found.opened_at.filter(|_| !found.begins_segment());
    let head = found.chain.next_seq();
    let sign = |signed: &Checkpoint| {
        let mut claim = Claim {
            seq: head,
            kept: opened_at.unwrap_or(head),
            size: signed.size,
            root: signed.root,
            reason: reason.to_owned(),
            acceptance: String::new(),
        };
        claim
            .sign(key, origin)
            .map_err(|rule| RepairError::Key { rule })?;
        Ok(claim)
    };
    examined.rollback.iter().map(sign).collect()
}

fn accepted(entry: &mut EntryBuilder<'_>, claim: &Claim, kept: u64, segment: &str) {
    let error = format!("{kept} of {} signed records are here", claim.size);
    entry.text("acceptance", &claim.acceptance);
    entry.uint("began_us", wall_us());
    entry.text("code", ROLLBACK_ACCEPTED);
    entry.text("error", &error);
    entry.uint("kept", claim.kept);
    entry.text("kind", "fault");
    entry.text("reason", &claim.reason);
    entry.text("segment", segment);
    entry.hex("signed_root", &claim.root);
    entry.uint("signed_size", claim.size);
    entry.uint("ts_us", wall_us());
}
