//! A place of bundles that is well, and then each fault by itself.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;

use super::*;
use crate::bundle::digest_hex;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope, ROOT_TYPE};
use crate::bundle::manifest::{Breakglass, Manifest};
use crate::bundle::payload;
use crate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use crate::cli::doctor::State;
use crate::cli::doctor::tests::shipped;
use crate::config::OnNone;
use crate::policy::canonical;
use crate::policy::rules::Rules;
use crate::units::Tier;

const NOW: u64 = 1_700_000_000_000_000;

fn signed(kind: &str, payload: Vec<u8>) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(kind, payload);
    envelope.sign(&SigningKey::from_bytes(&[7; 32])).unwrap();
    envelope.to_bytes()
}

fn root_until(version: u64, expires_at_us: u64) -> Vec<u8> {
    let parts = RootParts {
        version,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: false,
        expires_at_us,
        principals: vec![Principal {
            name: "alice".to_owned(),
            keys: vec![SigningKey::from_bytes(&[7; 32]).verifying_key()],
            roles: Role::ALL.into(),
        }],
        groups: BTreeMap::new(),
        thresholds: Thresholds {
            authority: 1,
            breaking: 1,
            breakglass: 1,
            loosen: 1,
            root: 1,
            tighten: 1,
        },
    };
    signed(ROOT_TYPE, Root::new(parts).unwrap().to_payload().unwrap())
}

fn manifest(serial: u64, days: u64) -> Manifest {
    Manifest {
        name: "line".to_owned(),
        epoch: 1,
        serial,
        parent: None,
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: NOW - MICROS_PER_DAY,
        not_before_us: NOW - MICROS_PER_DAY,
        expires_at_us: NOW + days * MICROS_PER_DAY,
        engine_min: "0.1.0".to_owned(),
        tier_max: Tier::Control,
        revert_of: None,
        change_request: None,
        breakglass: None,
    }
}

/// The envelope and its digest.
fn bundle(manifest: &Manifest) -> (Vec<u8>, String) {
    let content = canonical::write(&[], &Rules::default()).unwrap();
    let payload = payload::write(manifest, &content).unwrap();
    let digest = digest_hex(&payload);
    (signed(BUNDLE_TYPE, payload), digest)
}

struct Scene {
    folder: tempfile::TempDir,
    settings: Settings,
    now_us: u64,
}

impl Scene {
    fn new() -> Self {
        let (folder, mut settings) = shipped();
        settings.bundle = Some(BundleSettings {
            root: folder.path().join("root.json"),
            dir: Some(folder.path().join("in")),
            on_none: OnNone::Refuse,
        });
        let scene = Self {
            folder,
            settings,
            now_us: NOW,
        };
        for dir in ["in", "bundle"] {
            fs::create_dir(scene.path(dir)).unwrap();
            set_mode(&scene.path(dir), 0o750);
        }
        scene.put("root.json", &root_until(1, NOW + 31 * MICROS_PER_DAY));
        scene.at_mark(&manifest(1, 60));
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        set_mode(&self.path(name), 0o640);
    }

    fn at_mark(&self, manifest: &Manifest) {
        let (bytes, digest) = bundle(manifest);
        self.put("bundle/current.json", &bytes);
        let serial = manifest.serial;
        let mark = format!(r#"{{"digest":"{digest}","epoch":1,"serial":{serial}}}"#);
        self.put("bundle/high_water.json", mark.as_bytes());
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn code(check: &Checked) -> Option<&'static str> {
    match check.state {
        State::Finding(code, _) => Some(code),
        _ => None,
    }
}

// R281, R303
#[test]
fn each_fault_of_a_place_of_bundles_has_its_code() {
    type Fault = fn(&mut Scene);
    let cases: &[(&[&str], Fault)] = &[
        (&[], |_| {}),
        (&[], |s| s.settings.bundle = None),
        (&[], |s| fs::remove_dir_all(s.path("bundle")).unwrap()),
        (&["DOCTOR_ROOT_EXPIRES"], |s| s.now_us += MICROS_PER_DAY + 1),
        (&["DOCTOR_ROOT_EXPIRES"], |s| {
            s.put("root.json", &root_until(1, NOW - 1))
        }),
        // The newest root counts, and the pinned one may have ended.
        (&[], |s| {
            s.put("root.json", &root_until(1, NOW - 1));
            let next = root_until(2, NOW + 60 * MICROS_PER_DAY);
            s.put("bundle/root.2.json", &next);
        }),
        (&["DOCTOR_ROOT"], |s| s.put("bundle/root.2.json", b"{}")),
        (&["DOCTOR_ROOT"], |s| {
            fs::remove_file(s.path("root.json")).unwrap()
        }),
        (&["DOCTOR_ROOT_MODE"], |s| {
            set_mode(&s.path("root.json"), 0o660)
        }),
        (&["DOCTOR_ROOT_MODE"], |s| set_mode(s.folder.path(), 0o777)),
        (&["DOCTOR_BUNDLE_STATE"], |s| {
            set_mode(&s.path("bundle"), 0o757)
        }),
        (&["DOCTOR_BUNDLE_STATE"], |s| {
            set_mode(&s.path("bundle/current.json"), 0o642)
        }),
        (&["DOCTOR_BUNDLE_EXPIRES"], |s| s.at_mark(&manifest(2, 6))),
        (&["DOCTOR_BUNDLE_MISSING"], |s| {
            fs::remove_file(s.path("bundle/current.json")).unwrap()
        }),
        (&["DOCTOR_MARK"], |s| {
            s.put("bundle/high_water.json", b"torn")
        }),
        (&["DOCTOR_BUNDLE_DIR"], |s| {
            fs::remove_dir(s.path("in")).unwrap()
        }),
    ];
    for (number, (expected, fault)) in cases.iter().enumerate() {
        let mut scene = Scene::new();
        fault(&mut scene);
        let checks = check(&scene.settings, scene.now_us);
        let found: Vec<_> = checks.iter().filter_map(code).collect();
        assert_eq!(&found, expected, "{number}: {checks:#?}");
    }
}

#[test]
fn after_an_emergency_measure_the_bundle_before_it_counts() {
    let scene = Scene::new();
    let (before, digest) = bundle(&manifest(1, 6));
    scene.put("bundle/previous.json", &before);
    let until_us = NOW + 3_600_000_000;
    let measure = Manifest {
        parent: Some(digest),
        created_at_us: NOW,
        not_before_us: NOW,
        breakglass: Some(Breakglass {
            reason: "fire".to_owned(),
            until_us,
        }),
        ..manifest(2, 8)
    };
    scene.at_mark(&measure);
    let codes = |now_us| -> Vec<_> {
        let checks = check(&scene.settings, now_us);
        checks.iter().filter_map(code).collect()
    };
    assert_eq!(codes(NOW), [""; 0]);
    assert_eq!(codes(until_us), ["DOCTOR_BUNDLE_EXPIRES"]);
}

#[test]
fn a_file_that_says_less_than_the_ledger_is_found() {
    let place = |serial, digest: &str| {
        Some(HighWater {
            epoch: 1,
            serial,
            digest: digest.to_owned(),
        })
    };
    for (kept, recorded, expected) in [
        (None, None, None),
        (place(1, "a"), None, None),
        (place(1, "a"), place(1, "a"), None),
        (place(2, "b"), place(1, "a"), None),
        (place(1, "a"), place(2, "b"), Some("DOCTOR_MARK")),
        (place(1, "b"), place(1, "a"), Some("DOCTOR_MARK")),
        (None, place(1, "a"), Some("DOCTOR_MARK")),
    ] {
        let told = mark(Path::new("m"), Ok(kept), Ok(recorded));
        assert_eq!(code(&told), expected, "{told:?}");
    }
}
