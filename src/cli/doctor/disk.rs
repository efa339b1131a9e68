//! Space on the ledger's file system, and its budget.

use std::path::{Path, PathBuf};

use super::{Checked, bytes};
use crate::config::Settings;
use crate::ledger::Space;

/// A closed segment and the one after it, and a compressed copy under way.
const SEGMENTS_FREE: u64 = 3;
/// The alarm comes at this share of the budget, in fifths.
const ALARM_FIFTHS: u64 = 4;

/// A folder, or the nearest one above it that is there.
fn there(path: &Path) -> PathBuf {
    let mut above = path.ancestors().filter(|path| path.exists());
    above.next().unwrap_or(Path::new(".")).to_path_buf()
}

pub(super) fn check(settings: &Settings) -> Vec<Checked> {
    let ledger = &settings.ledger;
    let dir = ledger.dir.display();
    let space = match rounded(&ledger.dir) {
        Ok(space) => space,
        Err(error) => {
            let said = format!("the file system cannot be asked ({error})");
            let remedy = "check that ledger.dir exists and that this user may read it";
            return vec![Checked::new("disk", dir).finding("DOCTOR_DISK", said, remedy)];
        }
    };
    vec![
        free(&space, ledger.segment_bytes, &dir),
        budget(&space, ledger.disk_bytes_max, &dir),
    ]
}

fn rounded(dir: &Path) -> std::io::Result<Space> {
    let mut space = Space::of(&there(dir))?;
    if !dir.exists() {
        space.used = 0;
    }
    Ok(space)
}

fn free(space: &Space, segment_bytes: u64, dir: &dyn std::fmt::Display) -> Checked {
    let check = Checked::new("disk", dir);
    let wanted = segment_bytes.saturating_mul(SEGMENTS_FREE);
    let found = format!("{} free of {}", bytes(space.free), bytes(space.total));
    if space.free < wanted {
        let found = format!("{found}, less than three segments ({})", bytes(wanted));
        let remedy = "free space on that file system, or move ledger.dir to a larger one";
        return check.finding("DOCTOR_DISK_LOW", found, remedy);
    }
    check.fine(found)
}

fn budget(space: &Space, most: Option<u64>, dir: &dyn std::fmt::Display) -> Checked {
    let check = Checked::new("budget", dir);
    let Some(most) = most else {
        return check.fine(format!("{} used, no budget", bytes(space.used)));
    };
    let found = format!("{} used of {}", bytes(space.used), bytes(most));
    if space.used.saturating_mul(5) >= most.saturating_mul(ALARM_FIFTHS) {
        let remedy = "raise ledger.disk_mib_max or shorten ledger.retention_days; beyond the budget only summaries are written";
        return check.finding("DOCTOR_BUDGET_LOW", found, remedy);
    }
    check.fine(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::State;

    fn code(check: &Checked) -> &'static str {
        match check.state {
            State::Finding(code, _) => code,
            _ => "",
        }
    }

    #[test]
    fn three_segments_must_fit_and_a_fifth_of_the_budget_must_be_left() {
        let space = |used, free| Space {
            used,
            free,
            total: 1_000,
        };
        assert_eq!(code(&free(&space(0, 30), 10, &"d")), "");
        assert_eq!(code(&free(&space(0, 29), 10, &"d")), "DOCTOR_DISK_LOW");
        assert_eq!(code(&budget(&space(79, 0), Some(100), &"d")), "");
        assert_eq!(code(&budget(&space(900, 0), None, &"d")), "");
        let full = budget(&space(80, 0), Some(100), &"d");
        assert_eq!(code(&full), "DOCTOR_BUDGET_LOW");
    }
}
