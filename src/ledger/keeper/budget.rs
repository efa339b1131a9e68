//! The disk budget: measured, told, never enforced by removing anything.

use super::super::handle::Ledger;
use super::space::Space;

/// The alarm comes at this share of the budget, in fifths.
const ALARM_FIFTHS: u64 = 4;

/// How near the budget is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Within,
    /// Four fifths are used.
    Alarm,
    Over,
}

impl Level {
    pub(super) fn of(used: u64, most: Option<u64>) -> Self {
        match most {
            Some(most) if used > most => Self::Over,
            Some(most) if used.saturating_mul(5) >= most.saturating_mul(ALARM_FIFTHS) => {
                Self::Alarm
            }
            _ => Self::Within,
        }
    }
}

/// The budget of a ledger and what was said of it last.
#[derive(Debug)]
pub(super) struct Budget {
    most: Option<u64>,
    told: Level,
    space: Space,
}

impl Budget {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self {
            most,
            told: Level::Within,
            space: Space::default(),
        }
    }

    /// Measures, tells the writer, and logs once when the level rises. Where the system gives no
    /// answer, the last one holds.
    pub(super) fn measure(&mut self, ledger: &Ledger) -> Space {
        if let Ok(space) = Space::of(ledger.dir()) {
            self.space = space;
        }
        let level = Level::of(self.space.used, self.most);
        if level != self.told {
            self.tell(level);
            ledger.set_over_budget(level == Level::Over);
        }
        self.space
    }

    fn tell(&mut self, level: Level) {
        let (used, budget) = (self.space.used, self.most.unwrap_or(0));
        match level {
            Level::Over => tracing::error!(
                event = "ledger_over_budget",
                used,
                budget,
                "only summaries of admitted requests are written; raise ledger.disk_mib_max or shorten ledger.retention_days"
            ),
            Level::Alarm if self.told < level => tracing::warn!(
                event = "ledger_budget_low",
                used,
                budget,
                "four fifths of the ledger's disk budget are used; nothing is removed for it"
            ),
            Level::Alarm | Level::Within => {
                tracing::info!(event = "ledger_within_budget", used, budget);
            }
        }
        self.told = level;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alarm_comes_at_four_fifths() {
        for (used, most, expected) in [
            (u64::MAX, None, Level::Within),
            (79, Some(100), Level::Within),
            (80, Some(100), Level::Alarm),
            (100, Some(100), Level::Alarm),
            (101, Some(100), Level::Over),
        ] {
            assert_eq!(Level::of(used, most), expected, "{used} of {most:?}");
        }
    }
}
