//! One byte changed anywhere in a ledger's directory must be found, and its place named.
//!
//! Every kind of file has its turn, however small it is: chosen by bytes alone, the segments
//! would get nearly all changes.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::Value;

use super::chain::{Verified, ledger_of_a_run, verified};
use super::{Context, Verdict};
use crate::random::Random;
use crate::site::segments;

/// Exit code of an integrity failure.
const INTEGRITY: i32 = 65;

/// What a file of the directory is to its verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Its records carry numbers, and the one that was changed must be named by its own.
    Segment,
    /// Has no records; the file must be named.
    Rulebook,
    /// The same.
    Origin,
}

// R080
pub(super) fn tampered(context: &Context) -> anyhow::Result<Verdict> {
    let site = ledger_of_a_run(context, "tamper", 500)?;
    let files = files_of(&site.ledger())?;
    let mut random = Random::new(42);
    let mut pass = true;
    let mut figures = Vec::new();
    let in_origin = usize::try_from(std::fs::metadata(site.ledger().join("origin"))?.len())?;
    for (part, name, changes) in [
        (Part::Segment, "segments", context.pick(16, 260)),
        (Part::Rulebook, "rulebooks", context.pick(4, 30)),
        // So short that each of its bytes has its turn.
        (Part::Origin, "origin", in_origin),
    ] {
        let of: Vec<&PathBuf> = files.iter().filter(|f| f.0 == part).map(|f| &f.1).collect();
        anyhow::ensure!(!of.is_empty(), "the ledger has no {name}");
        let (mut found, mut missed) = (0, String::new());
        for turn in 0..changes {
            let file = of
                .get(usize::try_from(random.below(of.len() as u64))?)
                .context("a file")?;
            let original = std::fs::read(file)?;
            let at = match part {
                Part::Origin => turn,
                _ => usize::try_from(random.below(original.len() as u64))?,
            };
            let mut changed = original.clone();
            *changed.get_mut(at).context("a byte")? ^= 1;
            std::fs::write(file, &changed)?;
            let report = verified(&site);
            std::fs::write(file, &original)?;
            match named(part, file, &original, at, &report?) {
                Ok(()) => found += 1,
                Err(why) => missed = format!(" (byte {at} of {}: {why})", base_name(file)),
            }
        }
        pass &= found == changes;
        figures.push(format!("{name} {found} of {changes}{missed}"));
    }
    // The directory is whole again, so that what was found was the change.
    let whole = verified(&site)?;
    pass &= whole.code == Some(0);
    Ok(Verdict::new(
        pass,
        format!("changes found and named: {}", figures.join(", ")),
    ))
}

/// Segments, rulebooks and the origin; the lock holds no evidence.
fn files_of(ledger: &Path) -> anyhow::Result<Vec<(Part, PathBuf)>> {
    let mut found: Vec<(Part, PathBuf)> = segments(ledger)?
        .into_iter()
        .map(|file| (Part::Segment, file))
        .collect();
    let rulebooks = std::fs::read_dir(ledger.join("rulebooks")).context("the rulebooks")?;
    for entry in rulebooks {
        found.push((Part::Rulebook, entry?.path()));
    }
    found.push((Part::Origin, ledger.join("origin")));
    // The system lists files in no order, and the draw must repeat.
    found.sort_by(|a, b| a.1.cmp(&b.1));
    Ok(found)
}

/// Whether the report names the change; what it says instead, where it does not.
fn named(
    part: Part,
    file: &Path,
    original: &[u8],
    at: usize,
    report: &Verified,
) -> Result<(), String> {
    let damage = &report.json["damage"];
    if report.code != Some(INTEGRITY) || damage.is_null() {
        return Err(format!(
            "exit {:?}, {}",
            report.code, report.json["verdict"]
        ));
    }
    let right = match part {
        Part::Segment => numbers_at(original, at).any(|number| damage["seq"] == number),
        Part::Rulebook | Part::Origin => {
            let said = damage["file"].as_str().unwrap_or_default();
            base_name(Path::new(said)) == base_name(file)
        }
    };
    if right {
        Ok(())
    } else {
        Err(format!("record {}, file {}", damage["seq"], damage["file"]))
    }
}

/// The number of the record at a byte; a changed line break shows at the next one as well.
fn numbers_at(original: &[u8], at: usize) -> impl Iterator<Item = u64> {
    let line_of = |at: usize| original.get(..at).unwrap_or_default();
    let before = line_of(at).iter().filter(|b| **b == b'\n').count();
    let own = original.split(|b| *b == b'\n').nth(before);
    let own = own.and_then(|line| serde_json::from_slice::<Value>(line).ok());
    let own = own.and_then(|line| line["seq"].as_u64());
    let broken = original.get(at) == Some(&b'\n');
    own.into_iter()
        .flat_map(move |n| [Some(n), broken.then_some(n + 1)])
        .flatten()
}

fn base_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SEGMENT: &[u8] = b"{\"seq\":7}\n{\"seq\":8}\n";

    #[test]
    fn a_byte_belongs_to_its_record_and_a_line_break_to_two() {
        let check = |at, expected: &[u64]| {
            assert_eq!(
                numbers_at(SEGMENT, at).collect::<Vec<_>>(),
                expected,
                "{at}"
            );
        };
        check(0, &[7]);
        check(9, &[7, 8]);
        check(10, &[8]);
        check(19, &[8, 9]);
    }

    #[test]
    fn only_the_right_place_counts_as_found() {
        let check = |part, code, damage: Value, expected: bool| {
            let report = Verified {
                code: Some(code),
                json: json!({"verdict": "damaged", "damage": damage}),
            };
            let file = Path::new("a/seg-7.jsonl");
            let verdict = named(part, file, SEGMENT, 2, &report);
            assert_eq!(verdict.is_ok(), expected, "{part:?} {code} {}", report.json);
        };
        check(Part::Segment, 65, json!({"seq": 7}), true);
        check(Part::Segment, 65, json!({"seq": 8, "found": "7"}), false);
        check(Part::Segment, 0, json!({"seq": 7}), false);
        check(Part::Segment, 65, Value::Null, false);
        check(
            Part::Origin,
            65,
            json!({"seq": 0, "file": "b/seg-7.jsonl"}),
            true,
        );
        check(
            Part::Rulebook,
            65,
            json!({"seq": 0, "file": "seg-8.jsonl"}),
            false,
        );
    }
}
