//! CPU time of a process with all its threads and children, finer than clock ticks.

use std::fs;

use anyhow::Context;

/// Clock ticks per second of /proc on every Linux that runs this.
const TICK_NS: u64 = 10_000_000;
/// The two counts of `stat` are cut to ticks: a difference below this says nothing.
const COARSE_NS: u64 = 3 * TICK_NS;

/// Time on a CPU since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    /// Of the threads that live, by the scheduler.
    fine_ns: u64,
    user_ticks: u64,
    system_ticks: u64,
}

/// What was used between two moments, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) user_us: f64,
    pub(super) system_us: f64,
}

impl Spent {
    pub(super) fn total_us(self) -> f64 {
        self.user_us + self.system_us
    }
}

impl Used {
    /// Of a process and all below it.
    ///
    /// # Errors
    /// When the process is gone.
    pub(super) fn by(id: u32) -> anyhow::Result<Self> {
        let mut sum = Self::default();
        for id in family(id)? {
            sum.add(id)?;
        }
        Ok(sum)
    }

    fn add(&mut self, id: u32) -> anyhow::Result<()> {
        for task in fs::read_dir(format!("/proc/{id}/task")).context("read /proc/ID/task")? {
            // A thread may end between both calls; `stat` still knows what it used.
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            self.fine_ns += text
                .split(' ')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
        }
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).context("read /proc/ID/stat")?;
        self.user_ticks += field(&stat, 11);
        self.system_ticks += field(&stat, 12);
        Ok(())
    }

    /// From then until now; `stat` says how it divides into user and system.
    pub(super) fn since(self, then: Self) -> Spent {
        let user = self.user_ticks.saturating_sub(then.user_ticks);
        let system = self.system_ticks.saturating_sub(then.system_ticks);
        let coarse = (user + system) * TICK_NS;
        let fine = self.fine_ns.saturating_sub(then.fine_ns);
        // Threads that ended meanwhile are only in the coarse count.
        let total = if coarse > fine + COARSE_NS {
            coarse
        } else {
            fine
        };
        let share = user as f64 / ((user + system).max(1)) as f64;
        let total_us = total as f64 / 1_000.0;
        Spent {
            user_us: total_us * share,
            system_us: total_us * (1.0 - share),
        }
    }
}

/// A field of `stat`, counted from the one after the name, which may hold spaces itself.
fn field(stat: &str, number: usize) -> u64 {
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let text = after.split(' ').nth(number);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// A process and all below it.
fn family(first: u32) -> anyhow::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        parents.push((id, u32::try_from(field(&stat, 1)).unwrap_or(0)));
    }
    let mut found = vec![first];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        at += 1;
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(id, _)| *id),
        );
    }
    Ok(found)
}

/// Resident memory of a process and all below it, in KiB.
///
/// # Errors
/// When the process is gone.
pub(super) fn rss_kib(id: u32) -> anyhow::Result<u64> {
    family(id)?.into_iter().map(crate::process::rss_kib).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_name() {
        let stat = "7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 41 42 0 0";
        assert_eq!(field(stat, 1), 3);
        assert_eq!(field(stat, 11), 41);
        assert_eq!(field(stat, 12), 42);
    }

    #[test]
    fn what_ended_meanwhile_is_counted() {
        let used = |fine_ns, user_ticks, system_ticks| Used {
            fine_ns,
            user_ticks,
            system_ticks,
        };
        let check = |now: Used, expected: f64| {
            let spent = now.since(used(0, 0, 0)).total_us();
            assert!((spent - expected).abs() < 0.001, "{spent} {expected}");
        };
        // 100 ms by the scheduler, 9 or 20 ticks.
        check(used(100_000_000, 4, 5), 100_000.0);
        check(used(100_000_000, 10, 10), 200_000.0);
    }

    #[test]
    fn work_is_seen() {
        let id = std::process::id();
        let before = Used::by(id).unwrap();
        // Work, and not time: a machine that stands still does none in it.
        let sum = (0..5_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        assert_eq!(sum, 0);
        assert!(Used::by(id).unwrap().since(before).total_us() > 1_000.0);
        assert!(rss_kib(id).unwrap() > 100);
    }
}
