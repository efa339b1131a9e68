//! Without a valid rulebook there is no gateway: the data port stays closed.

use std::net::TcpListener;
use std::process::Command;

use super::{Context, Verdict};
use crate::process::{Process, beside};
use crate::site::{PATIENCE, Setup, Site};

/// Exit code of files that are not valid.
const INVALID: i32 = 78;

/// The part holds the data port itself: a gateway that so much as tried to open it would fail
/// with the port in use, and not with the file.
// R061
pub(super) fn without_a_rulebook(context: &Context) -> anyhow::Result<Verdict> {
    // Nothing may connect to it either; the system would refuse port 9 on loopback anyway.
    let nowhere = ([127, 0, 0, 1], 9).into();
    let site = Site::prepare(&context.folder("closed"), &Setup::observing(nowhere))?;
    let policy = site.folder().join("policy.yaml");
    std::fs::write(&policy, "version: 1\nname: default\nwieghts: {}\n")?;
    let held = TcpListener::bind(site.listen)?;
    let held_admin = TcpListener::bind(site.admin)?;
    let mut command = Command::new(beside("tidegate")?);
    command.arg("run").arg("-c").arg(site.config());
    let mut gateway = Process::start(command, &site.folder().join("gateway.log"))?;
    let status = gateway.wait(PATIENCE)?;
    drop((held, held_admin));
    let said = std::fs::read_to_string(site.folder().join("gateway.log"))?;
    let named = said.contains("policy.yaml:3:") && said.contains("wieghts");
    let ledger = site.ledger().exists();
    Ok(Verdict::new(
        status.code() == Some(INVALID) && named && !ledger,
        format!(
            "{status}; file and key {}; ledger {}",
            if named { "named" } else { "NOT named" },
            if ledger { "WRITTEN" } else { "not begun" }
        ),
    ))
}
