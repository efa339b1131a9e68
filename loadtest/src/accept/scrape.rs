//! The scrape, judged by Prometheus' own tool.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::{Context, Verdict};
use crate::drive;
use crate::process::installed;
use crate::site::{PATIENCE, Setup, Site, get, said};
use crate::upstream::Upstream;

// R272
pub(super) fn accepted_by_promtool(context: &Context) -> anyhow::Result<Verdict> {
    let promtool = installed("promtool").context("promtool is not installed; make tools")?;
    let upstream = Upstream::start()?;
    let site = Site::prepare(
        &context.folder("scrape"),
        &Setup::observing(upstream.address()),
    )?;
    let mut gateway = site.start()?;
    drive::run(&drive::Options::new(site.listen, "mixed", 1_000))?;
    let (status, text) = get(site.admin, "/metrics")?;
    gateway.stop(PATIENCE)?;

    let mut tool = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    tool.stdin
        .take()
        .context("stdin")?
        .write_all(text.as_bytes())?;
    let output = tool.wait_with_output()?;
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    let pass = status == 200 && samples > 100 && output.status.success();
    Ok(Verdict::new(
        pass,
        format!(
            "{samples} samples, promtool {} {}",
            output.status,
            said(&output)
        ),
    ))
}
