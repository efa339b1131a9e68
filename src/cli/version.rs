//! `tidegate version`: the program's version, and those of the formats it reads and writes.

use clap::Args;

use crate::cli::offline::OK;
use crate::cli::stdio::put;
use crate::policy::canonical;

/// Prints the version.
#[derive(Debug, Args)]
pub struct VersionArgs {
    /// Also the versions of all formats.
    #[arg(long, env = "TIDEGATE_FORMATS")]
    pub formats: bool,
}

/// The version of configuration, contract and policy files.
const FILES: u64 = 1;
/// `v` of every ledger line.
const LEDGER_LINE: u64 = 1;

/// Runs the verb; the result is the exit code.
#[must_use]
pub fn run(args: &VersionArgs) -> u8 {
    put(&text(args.formats), OK)
}

fn text(formats: bool) -> String {
    let mut text = format!("tidegate {}\n", env!("CARGO_PKG_VERSION"));
    if formats {
        for (name, version) in [
            ("configuration", FILES),
            ("contract", FILES),
            ("policy", FILES),
            ("rulebook", canonical::FORMAT_VERSION),
            ("ledger", LEDGER_LINE),
        ] {
            text += &format!("{name} {version}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LEDGER_LINE, text};
    use crate::ledger::Chain;

    #[test]
    fn formats_are_those_that_are_written() {
        // R111
        let mut line = Vec::new();
        Chain::genesis().append(&mut line, |_| {});
        let line = String::from_utf8_lossy(&line).into_owned();
        assert!(line.contains(&format!("\"v\":{LEDGER_LINE},")), "{line}");
        assert_eq!(text(false).lines().count(), 1);
        assert!(text(true).ends_with("rulebook 1\nledger 1\n"));
    }
}
