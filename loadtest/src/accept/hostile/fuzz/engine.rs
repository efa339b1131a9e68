//! What runs a target: libFuzzer where it can be built, else the plain driver. One process at a
//! time, at the lowest priority.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Target;
use super::counts::Slice;

/// One process runs so long before what it did is kept.
const SLICE: Duration = Duration::from_secs(120);
/// An input that takes longer is a crash; more than any does on a machine that is busy elsewhere.
const INPUT_SECONDS: u64 = 60;

/// How targets are run.
pub(super) enum Engine {
    /// The folder of its programs.
    LibFuzzer(PathBuf),
    /// The one program.
    Plain(PathBuf),
}

/// What is left to do.
pub(super) struct Left {
    pub(super) runs: u64,
    pub(super) time: Duration,
    /// Another one for each process.
    pub(super) seed: u64,
}

impl Engine {
    pub(super) fn build() -> anyhow::Result<Self> {
        let output = Command::new(".ci/fuzz-build")
            .stderr(std::process::Stdio::inherit())
            .output()
            .context("run .ci/fuzz-build; call this in the root of the repository")?;
        anyhow::ensure!(output.status.success(), "the fuzz targets cannot be built");
        let text = String::from_utf8_lossy(&output.stdout);
        match text.trim().split_once(' ') {
            Some(("libfuzzer", folder)) => Ok(Self::LibFuzzer(folder.into())),
            Some(("plain", program)) => Ok(Self::Plain(program.into())),
            _ => anyhow::bail!(".ci/fuzz-build says {text:?}"),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::LibFuzzer(_) => "libfuzzer",
            Self::Plain(_) => "plain",
        }
    }

    /// One process of at most [`SLICE`]; its output is kept beside the counts.
    pub(super) fn slice(
        &self,
        folder: &Path,
        target: &Target,
        left: &Left,
    ) -> anyhow::Result<Slice> {
        let began = Instant::now();
        let mut command = self.command(folder, target, left)?;
        let output = command.output().context("run a fuzz target")?;
        let log = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let name = target.name;
        std::fs::write(folder.join(format!("{name}.log")), &log)?;
        let log = String::from_utf8_lossy(&log);
        let executions = executions(&log).with_context(|| format!("no count in {name}.log"))?;
        Ok(Slice {
            executions,
            seconds: began.elapsed().as_secs().max(1),
            crashed: !output.status.success(),
        })
    }

    fn command(&self, folder: &Path, target: &Target, left: &Left) -> anyhow::Result<Command> {
        let Target {
            name, bytes_max, ..
        } = target;
        let seconds = left.time.min(SLICE).as_secs().max(1);
        let mut command = Command::new("nice");
        command.args(["-n", "19"]);
        match self {
            Self::LibFuzzer(programs) => {
                let corpus = folder.join("corpus").join(name);
                std::fs::create_dir_all(&corpus)?;
                command.arg(programs.join(format!("fuzz-{name}"))).args([
                    format!("-runs={}", left.runs),
                    format!("-max_total_time={seconds}"),
                    format!("-timeout={INPUT_SECONDS}"),
                    format!("-seed={}", left.seed % u64::from(u32::MAX)),
                    format!("-artifact_prefix={}/{name}-", folder.display()),
                    format!("-max_len={bytes_max}"),
                    "-print_final_stats=1".to_owned(),
                ]);
                command.arg(corpus).arg(Path::new("fuzz/seeds").join(name));
            }
            Self::Plain(program) => {
                command.arg(program).arg(name);
                command.args([left.runs, left.seed, seconds].map(|n| n.to_string()));
            }
        }
        Ok(command)
    }
}

/// `stat::number_of_executed_units: N` of libFuzzer, or `"executions":N` of the plain driver.
fn executions(log: &str) -> Option<u64> {
    let behind = |mark: &str| {
        let (_, rest) = log.rsplit_once(mark)?;
        let digits = rest.trim_start();
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        digits.get(..end)?.parse().ok()
    };
    behind("stat::number_of_executed_units:").or_else(|| behind("\"executions\":"))
}

#[cfg(test)]
mod tests {
    use super::executions;

    #[test]
    fn both_engines_tell_their_executions() {
        let check = |log: &str, expected| assert_eq!(executions(log), expected, "{log}");
        check(
            "x\nstat::number_of_executed_units: 1234\nstat::a: 5",
            Some(1234),
        );
        check(
            "{\"target\":\"a\",\"executions\":77,\"seconds\":1.0}",
            Some(77),
        );
        check("nothing", None);
    }
}
