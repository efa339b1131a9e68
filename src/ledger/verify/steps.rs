//! What a record says beyond its own line, taken out of it: accounts, heads, keys, removals.
//!
//! A segment is read by one thread and judged in the order of the log by another, so what matters
//! travels as these values. The shape of each is checked here, where the line is at hand.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::super::acceptance::{Claim, ROLLBACK_ACCEPTED};
use super::super::line::{Record, is_hash};
use super::super::note::VerifierKey;
use super::super::scan::{as_counts, as_pairs, as_uint};
use super::super::unopened::BOOT_LOST;
use super::report::{Broken, broken};
use super::tree::{Hash, from_hex};

/// Workers and their numbers.
pub(super) type Counts = Vec<(u8, u64)>;
/// At most so many ranges in `rollup` and `redact`.
const RANGES_MAX: usize = 24;

/// What the joining thread needs of a record.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Lines of kind `decision`: consecutive numbers of one worker.
    Lines {
        boot: u32,
        worker: u8,
        first: u64,
        last: u64,
    },
    /// A `loss` or a `rollup`.
    Instead(Box<Instead>),
    Open(Box<Open>),
    Close {
        boot: u32,
        made: Counts,
        unaccounted: Counts,
    },
    Handover {
        boot: u32,
    },
    Stubs(u64),
    Checkpoint(Box<Signed>),
    Key(Box<VerifierKey>),
    /// A segment that was given up.
    GivenUp(String),
    /// A head that an operator gave up, if the signature is good.
    RolledBack(Box<Claim>),
    Removal(Box<Removal>),
    /// A boot that decided and never had the ledger, and the sum of what it made.
    LostBoot {
        boot: u32,
        made: u64,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Instead {
    pub(super) boot: u32,
    pub(super) worker: u8,
    pub(super) ranges: Vec<(u64, u64)>,
    pub(super) unplaced: u64,
    /// `outcome` records: lost, or left out beside a rollup.
    pub(super) others: u64,
    pub(super) rolled_up: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) boot: u32,
    /// What the boot before made, where its counters survived.
    pub(super) previous: Option<(u32, Counts, Counts)>,
}

/// A `checkpoint` record.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) boot: u32,
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) signature: String,
    pub(super) accounted: Counts,
}

/// A `prune` or `redact` record.
#[derive(Debug, Clone)]
pub(super) struct Removal {
    pub(super) segment: String,
    /// First and next number and last hash, of `prune`.
    pub(super) bounds: Option<(u64, u64, String)>,
    /// How many stubs, and the digest over their numbers; `None` where the file is removed.
    pub(super) stubs: Option<(u64, String)>,
}

/// What there is in a record of a kind that is neither `decision` nor `outcome`.
pub(super) fn step_of(record: &Record<'_>) -> Result<Option<Step>, Broken> {
    Ok(Some(match record.kind {
        "loss" => Step::Instead(Box::new(loss(record)?)),
        "rollup" => Step::Instead(Box::new(rollup(record)?)),
        "open" => Step::Open(Box::new(open(record)?)),
        "close" => close(record)?,
        "handover" => handover(record)?,
        "stub" => Step::Stubs(1),
        "checkpoint" => Step::Checkpoint(Box::new(checkpoint(record)?)),
        "key" => {
            boot_of(record)?;
            let vkey = record.text("vkey").unwrap_or_default();
            let key = VerifierKey::parse(vkey).map_err(|rule| broken(rule, "a vkey", vkey))?;
            Step::Key(Box::new(key))
        }
        "fault" => return fault(record),
        "prune" | "redact" => Step::Removal(Box::new(removal(record)?)),
        _ => return Ok(None),
    }))
}

pub(super) fn boot_of(record: &Record<'_>) -> Result<u32, Broken> {
    boot_text(record.text("boot"))
}

fn boot_text(text: Option<&str>) -> Result<u32, Broken> {
    let lower = |text: &&str| text.len() == 8 && !text.bytes().any(|b| b.is_ascii_uppercase());
    text.filter(lower)
        .and_then(|text| u32::from_str_radix(text, 16).ok())
        .ok_or_else(|| {
            broken(
                "boot is 8 hex digits",
                "8 hex digits",
                text.unwrap_or("none"),
            )
        })
}

fn worker_of(record: &Record<'_>) -> Option<u8> {
    record.uint("worker").and_then(|w| u8::try_from(w).ok())
}

/// Boot, worker and number of a decision, which its id repeats.
pub(super) fn decision(record: &Record<'_>) -> Result<(u32, u8, u64), Broken> {
    const RULE: &str = "decision_id is boot, worker and n in hex";
    let (id, n, worker) = record.numbered;
    let found = || format!("worker {worker:?}, n {n:?}");
    let parsed = id.filter(|id| id.len() == 22).and_then(|id| {
        Some((
            u32::from_str_radix(id.get(..8)?, 16).ok()?,
            u8::from_str_radix(id.get(8..10)?, 16).ok()?,
            u64::from_str_radix(id.get(10..)?, 16).ok()?,
        ))
    });
    let Some((boot, id_worker, id_n)) = parsed else {
        return Err(broken(RULE, "22 hex digits", found()));
    };
    if Some(id_n) != n || Some(u64::from(id_worker)) != worker {
        let expected = format!("worker {id_worker}, n {id_n}");
        return Err(broken(RULE, expected, found()));
    }
    Ok((boot, id_worker, id_n))
}

fn ranges_of(record: &Record<'_>, rule: &str) -> Result<(Vec<(u64, u64)>, u64), Broken> {
    let ranges = record.member("ranges").and_then(as_pairs);
    let ranges = ranges.ok_or_else(|| broken(rule, "ranges", "none"))?;
    let (mut count, mut next) = (0, 0);
    for (first, last) in &ranges {
        if first > last || *first < next {
            return Err(broken(rule, "ascending ranges", format!("{first}, {last}")));
        }
        count += last - first + 1;
        next = last + 1;
    }
    Ok((ranges, count))
}

fn loss(record: &Record<'_>) -> Result<Instead, Broken> {
    const RULE: &str = "a loss counts its ranges and the numbers without place";
    let boot = boot_of(record)?;
    let worker = worker_of(record).ok_or_else(|| broken(RULE, "worker", "none"))?;
    let (ranges, placed) = ranges_of(record, RULE)?;
    let unplaced = record.uint("unplaced").unwrap_or(0);
    let count = record.uint("count").unwrap_or(0);
    if Some(count) != placed.checked_add(unplaced) {
        return Err(broken(RULE, placed.saturating_add(unplaced), count));
    }
    Ok(Instead {
        boot,
        worker,
        ranges,
        unplaced,
        others: record.uint("others").unwrap_or(0),
        rolled_up: false,
    })
}

fn rollup(record: &Record<'_>) -> Result<Instead, Broken> {
    const RULE: &str = "a rollup counts its ranges, and what it allowed adds up to them";
    const OUTCOMES: &str = "a rollup names the outcomes it left out only where there are some";
    let boot = boot_of(record)?;
    let worker = worker_of(record).ok_or_else(|| broken(RULE, "worker", "none"))?;
    let (ranges, placed) = ranges_of(record, RULE)?;
    let outcomes = match record.member("outcomes") {
        None => 0,
        Some(raw) => as_uint(raw)
            .filter(|outcomes| *outcomes > 0)
            .ok_or_else(|| broken(OUTCOMES, "above 0", String::from_utf8_lossy(raw)))?,
    };
    // Outcomes carry no number: a record of them alone stands for no decision.
    if ranges.len() > RANGES_MAX || (ranges.is_empty() && outcomes == 0) {
        return Err(broken(RULE, "1 to 24 ranges", ranges.len()));
    }
    let count = record.uint("count");
    if count != Some(placed) {
        return Err(broken(RULE, placed, count.unwrap_or(0)));
    }
    if record.uint("second").is_none() {
        return Err(broken("a rollup is of one second", "second", "none"));
    }
    let allowed = record.member("allowed").and_then(as_counts);
    let allowed = allowed.ok_or_else(|| broken(RULE, "allowed", "none"))?;
    let sum = allowed
        .iter()
        .fold(0_u64, |sum, (_, n)| sum.saturating_add(*n));
    if sum != placed {
        return Err(broken(RULE, placed, sum));
    }
    Ok(Instead {
        boot,
        worker,
        ranges,
        unplaced: 0,
        others: outcomes,
        rolled_up: true,
    })
}

fn counts(record: &Record<'_>, key: &'static str) -> Result<Option<Counts>, Broken> {
    let Some(raw) = record.member(key) else {
        return Ok(None);
    };
    let rule = "counts name each worker in two hex digits";
    let by_worker = |(name, n): (&str, u64)| {
        let lower = name.len() == 2 && !name.bytes().any(|b| b.is_ascii_uppercase());
        let worker = u8::from_str_radix(name, 16).ok().filter(|_| lower)?;
        Some((worker, n))
    };
    let counts = as_counts(raw).and_then(|list| list.into_iter().map(by_worker).collect());
    let found = String::from_utf8_lossy(raw);
    counts
        .map(Some)
        .ok_or_else(|| broken(rule, format!("an object in {key}"), found))
}

fn open(record: &Record<'_>) -> Result<Open, Broken> {
    let boot = boot_of(record)?;
    let previous = match counts(record, "previous_made")? {
        None => None,
        Some(made) => {
            let before = boot_text(record.text("previous_boot"))?;
            let missing = counts(record, "previous_unaccounted")?.unwrap_or_default();
            Some((before, made, missing))
        }
    };
    Ok(Open { boot, previous })
}

fn close(record: &Record<'_>) -> Result<Step, Broken> {
    const RULE: &str = "a close gives made and unaccounted";
    let boot = boot_of(record)?;
    let (Some(made), Some(unaccounted)) = (counts(record, "made")?, counts(record, "unaccounted")?)
    else {
        return Err(broken(RULE, "made and unaccounted", "none"));
    };
    Ok(Step::Close {
        boot,
        made,
        unaccounted,
    })
}

fn handover(record: &Record<'_>) -> Result<Step, Broken> {
    let boot = boot_of(record)?;
    boot_text(record.text("to_boot"))?;
    if counts(record, "made")?.is_none() {
        return Err(broken("a handover gives made", "made", "none"));
    }
    Ok(Step::Handover { boot })
}

fn checkpoint(record: &Record<'_>) -> Result<Signed, Broken> {
    const RULE: &str = "a checkpoint has size, root, key_id, signature and accounted";
    let boot = boot_of(record)?;
    let size = record
        .uint("size")
        .ok_or_else(|| broken(RULE, "size", "none"))?;
    if size > record.seq {
        let rule = "a checkpoint covers no more than the records before it";
        return Err(broken(rule, format!("at most {}", record.seq), size));
    }
    let root = record.text("root").unwrap_or_default();
    let root = from_hex(root.as_bytes()).ok_or_else(|| broken(RULE, "64 hex digits", root))?;
    let signature = record.text("signature").unwrap_or_default();
    let key_id = record.text("key_id").unwrap_or_default();
    let bytes = STANDARD.decode(signature).unwrap_or_default();
    let carried = bytes.get(..4).map(hex::encode).unwrap_or_default();
    if bytes.len() != 68 || carried != key_id {
        let rule = "the signature of a checkpoint is its key's id and 64 bytes, in base64";
        return Err(broken(rule, key_id, carried));
    }
    let accounted = counts(record, "accounted")?;
    Ok(Signed {
        boot,
        size,
        root,
        signature: signature.to_owned(),
        accounted: accounted.ok_or_else(|| broken(RULE, "accounted", "none"))?,
    })
}

fn fault(record: &Record<'_>) -> Result<Option<Step>, Broken> {
    if record.text("code") == Some(BOOT_LOST) {
        let boot = boot_text(record.text("lost_boot"))?;
        let made = counts(record, "lost_made")?.unwrap_or_default();
        let made = made.iter().map(|(_, count)| *count);
        let made = made.fold(0, u64::saturating_add);
        return Ok(Some(Step::LostBoot { boot, made }));
    }
    if record.text("code") != Some(ROLLBACK_ACCEPTED) {
        let segment = record.text("segment");
        return Ok(segment.map(|segment| Step::GivenUp(segment.to_owned())));
    }
    let Some(claim) = Claim::of(record) else {
        let rule =
            "an accepted rollback names kept, signed_size, signed_root and reason, and is signed";
        return Err(broken(rule, "all", "not all"));
    };
    Ok(Some(Step::RolledBack(Box::new(claim))))
}

fn removal(record: &Record<'_>) -> Result<Removal, Broken> {
    const RULE: &str = "a prune or redact names a segment, and what goes from it";
    boot_of(record)?;
    let segment = record.text("segment").unwrap_or_default();
    let digits = segment
        .strip_prefix("seg-")
        .filter(|digits| digits.len() == 16);
    let Some(named) = digits.and_then(|digits| digits.parse::<u64>().ok()) else {
        return Err(broken(RULE, "seg- and 16 digits", segment));
    };
    let mode = record.text("mode").unwrap_or_default();
    let prune = record.kind == "prune";
    let bounds = if prune {
        let (first, next) = (record.uint("first_seq"), record.uint("next_seq"));
        let head = record.text("head").filter(|head| is_hash(head));
        let (Some(first), Some(next), Some(head)) = (first, next, head) else {
            return Err(broken(RULE, "first_seq, next_seq and head", "not all"));
        };
        if first != named || next <= first || next > record.seq {
            let rule = "a prune names whole segments that lie before it";
            let found = format!("{first} to {next}");
            return Err(broken(
                rule,
                format!("{named} to at most {}", record.seq),
                found,
            ));
        }
        if !matches!(mode, "segment" | "stubs")
            || !matches!(record.text("class"), Some("access" | "security"))
        {
            return Err(broken(RULE, "a mode and a class", mode));
        }
        Some((first, next, head.to_owned()))
    } else {
        if named >= record.seq {
            return Err(broken(RULE, "a segment before it", segment));
        }
        let (ranges, _) = ranges_of(record, RULE)?;
        if ranges.len() > RANGES_MAX {
            return Err(broken(RULE, "at most 24 ranges", ranges.len()));
        }
        None
    };
    let stubs = if prune && mode == "segment" {
        None
    } else {
        let digest = record.text("stubs_sha256").filter(|text| is_hash(text));
        let (Some(count), Some(digest)) = (record.uint("stubs"), digest) else {
            return Err(broken(RULE, "stubs and stubs_sha256", "not both"));
        };
        if let Some((first, next, _)) = &bounds
            && count > next - first
        {
            return Err(broken(RULE, format!("at most {}", next - first), count));
        }
        Some((count, digest.to_owned()))
    };
    Ok(Removal {
        segment: segment.to_owned(),
        bounds,
        stubs,
    })
}
