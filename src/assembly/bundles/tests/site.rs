//! The files of a gateway that lives on bundles, its starts at a time of the test's, its records.

use std::path::PathBuf;

use super::super::activation::From;
use super::super::*;
use super::signed::{NOW, digest, root};
use crate::assembly::certificates::Certificates;
use crate::assembly::convert;
use crate::assembly::entering::{open_ledger, opening_facts};
use crate::assembly::kill_switch::KillSwitch;
use crate::assembly::prepared::open_state;
use crate::config::{Bundled, Runnable, load_to_run};
use crate::gateway::Gateway;
use crate::ledger::{BootId, DirectoryLines, Record, Settings as LedgerSettings, Start};
use crate::rulebook::Registry;
use crate::telemetry::{ConnectionCounts, Telemetry};

pub(super) struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let main = "version: 1\ntier: control\nlisteners: [{bind: \"127.0.0.1:0\"}]\n\
                    upstreams: {main: {servers: [\"127.0.0.1:9\"]}}\nadmin: {bind: \"127.0.0.1:0\"}\n\
                    bundle: {root: root.json, dir: bundles}\n";
        std::fs::write(folder.path().join("tidegate.yaml"), main).unwrap();
        std::fs::write(folder.path().join("root.json"), root(1)).unwrap();
        std::fs::create_dir(folder.path().join("bundles")).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a start at that time finds.
    pub(super) fn begun(&self, now_us: u64) -> Begun {
        let Ok(Runnable::Bundles(bundled)) = load_to_run(&self.path("tidegate.yaml")) else {
            panic!("no configuration of bundles");
        };
        Begun::read_at(&bundled.settings, &bundled.bundle, now_us, Some(NOW)).unwrap()
    }

    /// A start at that time, ready for its first look.
    pub(super) fn start(&self, now_us: u64) -> Bundles {
        let Ok(Runnable::Bundles(bundled)) = load_to_run(&self.path("tidegate.yaml")) else {
            panic!("no configuration of bundles");
        };
        let Bundled {
            settings,
            bundle,
            sources,
            stamp,
            demands,
            ..
        } = *bundled;
        let settings = Arc::new(settings);
        let key = open_state(&settings).unwrap();
        // The clock of these tests stands before that of the ledger's own records.
        let begun = Begun::read_at(&settings, &bundle, now_us, Some(NOW)).unwrap();
        let (parts, content, open) = first(&begun, &settings, 1, now_us).unwrap();
        let kill_switch = KillSwitch::open(&settings.state_dir);
        let registry = Arc::new(Registry::new(parts));
        let facts = opening_facts(BootId::from_u32(1), content.digest_hex(), &key, open);
        let start = Start {
            settings: &LedgerSettings::new(&settings.ledger.dir),
            facts: &facts,
            rulebook: content.bytes(),
        };
        let ledger = open_ledger(start, Vec::new(), &registry, false).unwrap();
        let connections = Box::new(ConnectionCounts::default);
        let telemetry = Telemetry::new(Vec::new(), &[], connections, clock::now());
        let gateway = convert::gateway_settings(&settings, &Certificates::default(), 100);
        let gateway = Gateway::bind_closed(gateway, Vec::new()).unwrap();
        let doors = Doors::new(
            gateway.control(),
            gateway.addresses(),
            Arc::clone(&settings),
        );
        Bundles::new(BundleParts {
            shared: Shared::new(registry, Arc::clone(&ledger), kill_switch, Arc::default()),
            ledger,
            telemetry: Arc::new(telemetry),
            settings,
            workers: 1,
            begun,
            doors,
            main: Watch::new(sources, stamp),
            demands,
        })
    }

    /// The digests that records tell as activated.
    pub(super) fn activated(&self) -> Vec<String> {
        let records = self.records("bundle").into_iter();
        let records = records.filter(|line| line.contains("\"result\":\"activated\""));
        let digest = |line: String| {
            let (_, rest) = line.split_once("\"bundle_digest\":\"").unwrap();
            rest[..64].to_owned()
        };
        records.map(digest).collect()
    }

    /// What stands in the state directory.
    pub(super) fn put_state(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path("state/bundle").join(name), bytes).unwrap();
    }

    /// Somebody writes a mark.
    pub(super) fn put_mark(&self, bundle: &[u8], serial: u64) {
        let digest = digest(bundle);
        let mark = format!("{{\"digest\":\"{digest}\",\"epoch\":1,\"serial\":{serial}}}");
        self.put_state("high_water.json", mark.as_bytes());
    }

    /// Exchanges bytes in the records.
    pub(super) fn forge_ledger(&self, from: &str, to: &str) {
        let dir = std::fs::read_dir(self.path("state/ledger")).unwrap();
        for path in dir.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|end| end == "jsonl") {
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(&path, text.replace(from, to)).unwrap();
            }
        }
    }

    /// The records of a kind.
    pub(super) fn records(&self, kind: &str) -> Vec<String> {
        let mut lines = DirectoryLines::open(&self.path("state/ledger")).unwrap();
        let (mut found, mut scratch) = (Vec::new(), Vec::new());
        while let Some((_, line)) = lines.next().unwrap() {
            if Record::check(line.bytes, &mut scratch).unwrap().kind == kind {
                found.push(String::from_utf8(line.bytes.to_vec()).unwrap());
            }
        }
        found
    }
}

pub(super) fn by_hand() -> From {
    From {
        trigger: Trigger::Admin,
        source: "admin",
        if_match: None,
    }
}

/// Hands a bundle in; the code where it was refused.
pub(super) fn apply(bundles: &mut Bundles, bytes: &[u8], now_us: u64) -> Option<RefusalCode> {
    let attempt = bundles.attempt_at(Some(bytes), &by_hand(), now_us);
    attempt.refused.map(|refused| refused.code)
}

pub(super) fn serial(bundles: &Bundles) -> Option<u64> {
    let bundle = bundles.in_force.as_ref()?;
    let rulebook = bundles.shared.registry.active().load_full();
    assert_eq!(
        rulebook.bundle().map(|facts| facts.serial),
        Some(bundle.position().serial),
        "what is said to be in force is"
    );
    Some(bundle.position().serial)
}

/// Hands a bundle in that is refused.
pub(super) fn check_refused(bundles: &mut Bundles, bytes: &[u8], now_us: u64, code: RefusalCode) {
    assert_eq!(apply(bundles, bytes, now_us), Some(code));
}

/// The tier of what is in force.
pub(super) fn tier(bundles: &Bundles) -> Tier {
    bundles.shared.registry.active().load().tier()
}
