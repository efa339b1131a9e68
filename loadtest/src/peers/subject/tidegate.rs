//! The gateway as a subject: tier CONTROL, ledger and metrics on, one worker.
//!
//! Closed segments are not compressed in the comparison, because nobody compresses the peers'
//! files meanwhile either; what compressing costs is a scenario of its own.

use std::path::Path;

use super::{Place, Prepared};
use crate::accept::bundles::people;
use crate::process::beside;
use crate::site::{LOG, PATIENCE, Setup, Site};

/// The key of the configuration that chooses how ordinary requests are served.
const LANE: &str = "fast_lane";

/// What is different from the settings that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Tuning {
    /// Nothing.
    AsCompared,
    /// Every request takes the full proxy.
    FullProxy,
    /// Forwards everything and says what it would have done.
    Observing,
    /// Closed segments are compressed, and are small, so that it happens all the time.
    Compressing,
    /// Metrics are asked for ten times a second meanwhile.
    Scraped,
}

impl Tuning {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::AsCompared => "tidegate",
            Self::FullProxy => "tidegate, full proxy",
            Self::Observing => "tidegate, OBSERVE_ONLY",
            Self::Compressing => "tidegate, compressing",
            Self::Scraped => "tidegate, scraped",
        }
    }

    pub(super) fn enforces(self) -> bool {
        self != Self::Observing
    }

    /// A gateway without the key cannot take the full proxy on demand.
    pub(super) fn missing(self) -> Option<String> {
        if self != Self::FullProxy {
            return None;
        }
        match knows_the_lane() {
            Ok(true) => None,
            Ok(false) => Some(format!("the gateway has no key {LANE}")),
            Err(e) => Some(format!("{e:#}")),
        }
    }
}

/// Asks the gateway itself, so that an older one can be measured, too.
fn knows_the_lane() -> anyhow::Result<bool> {
    let folder = std::env::temp_dir().join(format!("tidegate-lane-{}", std::process::id()));
    let upstream = ([127, 0, 0, 1], 9).into();
    let contract = "version: 1\ncontracts:\n  - {id: a, owner: me, endpoint: \"GET /a\"}\n";
    let site = Site::controlling(&folder, upstream, contract)?;
    site.amend("version: 1\n", &format!("version: 1\n{LANE}: false\n"))?;
    let output = site.run(&["check", "-c", "tidegate.yaml"]);
    std::fs::remove_dir_all(&folder)?;
    Ok(output?.status.success())
}

pub(super) fn prepare(tuning: Tuning, place: &Place<'_>) -> anyhow::Result<Prepared> {
    prepared(&written(tuning, place)?)
}

fn prepared(site: &Site) -> anyhow::Result<Prepared> {
    Ok(Prepared {
        program: beside("tidegate")?,
        args: vec!["run".into(), "-c".into(), site.config().into()],
        log: site.folder().join(LOG),
        address: site.listen,
        ledger: Some(site.ledger()),
        admin: Some(site.admin),
    })
}

fn written(tuning: Tuning, place: &Place<'_>) -> anyhow::Result<Site> {
    let setup = Setup {
        contracts: 0,
        threads: 1,
        tier: if tuning.enforces() {
            "control"
        } else {
            "observe_only"
        },
        ..Setup::observing(place.upstream)
    };
    let site = Site::prepare(place.folder, &setup)?;
    place.catalogue.write(&site.folder().join("contracts"))?;
    site.amend(
        "expose_headers:",
        "limits: { requests_per_connection: 10000000, connections_per_address: 16384 }\nexpose_headers:",
    )?;
    match tuning {
        Tuning::Compressing => site.ledger_keys("segment_mib: 8")?,
        _ => site.ledger_keys("compress: false")?,
    }
    if tuning == Tuning::FullProxy {
        site.amend("version: 1\n", &format!("version: 1\n{LANE}: false\n"))?;
    }
    listen(&site, place)?;
    Ok(site)
}

fn listen(site: &Site, place: &Place<'_>) -> anyhow::Result<()> {
    let bind = format!("bind: \"{}\"", site.listen);
    let mut keys = String::new();
    if place.speaks.h2c {
        keys += ", h2c: true";
    }
    if let (true, Some((cert, key))) = (place.speaks.tls, place.certificate) {
        // The key has to be its reader's alone, and beside the configuration.
        copy(cert, &site.folder().join("own.pem"))?;
        copy(key, &site.folder().join("own.key"))?;
        keys += ", tls: { certificates: [{ cert: own.pem, key: own.key }] }";
    }
    let listeners = format!("listeners: [{{ {bind}");
    site.amend(&listeners, &format!("{listeners}{keys}"))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from, to)?;
    Ok(())
}

/// A gateway that takes its rules from a signed bundle. It was started once, so that what is
/// measured is a start and not the making of keys.
pub(in super::super) fn of_a_bundle(place: &Place<'_>) -> anyhow::Result<Prepared> {
    let site = written(Tuning::AsCompared, place)?;
    people::found(&site)?;
    people::run_on_bundles(&site)?;
    people::agree(&site, "bundle.json", None)?;
    let bundle = site.folder().join("bundle.json");
    people::put(&bundle, &people::candidate(&site))?;
    let mut first = site.start()?;
    first.stop(PATIENCE)?;
    prepared(&site)
}
