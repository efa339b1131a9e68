//! What the kernel says about this process, from `/proc/self`; what it does not say is left out.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::telemetry::exposition::Exposition;
use crate::telemetry::names;

/// Times in `/proc/self/stat` and `/proc/stat` are in ticks of which Linux gives programs 100 a
/// second, on every architecture it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Writes the metrics of the process.
pub(super) fn write(text: &mut Exposition<'_>) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    if let Some(stat) = Stat::parse(&stat) {
        text.sample(&names::CPU, &[], stat.cpu_ticks as f64 / TICKS_PER_SECOND);
        text.sample(&names::VIRTUAL, &[], stat.virtual_bytes as f64);
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(boot) = boot_time(&boot) {
            let started = boot as f64 + stat.start_ticks as f64 / TICKS_PER_SECOND;
            text.sample(&names::PROCESS_START, &[], started);
        }
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(resident) = resident_kib(&status) {
        text.sample(&names::RESIDENT, &[], resident as f64 * 1_024.0);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // One of them is the directory that is being read.
        let open = descriptors.count().saturating_sub(1);
        text.sample(&names::OPEN_FDS, &[], open as f64);
    }
    if let Some(max) = getrlimit(Resource::Nofile).current {
        text.sample(&names::MAX_FDS, &[], max as f64);
    }
}

struct Stat {
    cpu_ticks: u64,
    start_ticks: u64,
    virtual_bytes: u64,
}

impl Stat {
    /// The fields behind the name, which is in brackets and may itself contain some.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let field = |number: usize| -> Option<u64> {
            // The manual counts from 1 and the state, field 3, is the first behind the name.
            rest.split_ascii_whitespace().nth(number - 3)?.parse().ok()
        };
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
        })
    }
}

fn resident_kib(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

fn boot_time(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Stat, boot_time, resident_kib, write};
    use crate::telemetry::exposition::tests::written;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 3 0 777 8192 2 18446";
        let stat = Stat::parse(text).expect("all fields are there");
        assert_eq!((stat.cpu_ticks, stat.start_ticks), (200, 777));
        assert_eq!(stat.virtual_bytes, 8_192);
        assert!(Stat::parse("").is_none());
        assert_eq!(resident_kib("VmSize: 9 kB\nVmRSS:\t  12 kB\n"), Some(12));
        assert_eq!(boot_time("cpu 1\nbtime 1700000000\n"), Some(1_700_000_000));
    }

    #[test]
    fn this_process_is_described_in_full() {
        // R274
        let text = written(write);
        for name in [
            "cpu_seconds_total",
            "resident_memory_bytes",
            "open_fds",
            "max_fds",
        ] {
            assert!(
                text.contains(&format!("\nprocess_{name} ")),
                "{name} in\n{text}"
            );
        }
        assert!(text.contains("process_start_time_seconds "));
    }
}
