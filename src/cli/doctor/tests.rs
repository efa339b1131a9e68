//! A gateway that is well, and then each fault by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::config::load;
use crate::ledger::fixture::{POLICY_HASH, RULEBOOK, facts_of};
use crate::ledger::{
    BootId, Checkpoint, DirectoryLines, EntryBuilder, Frontier, Ledger, LedgerKey, Record, Source,
};

/// What is shipped, with its state in a folder of its own.
pub(super) fn shipped() -> (tempfile::TempDir, Settings) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tidegate.yaml");
    let mut settings = load(&file).unwrap().settings;
    let folder = tempfile::tempdir().unwrap();
    settings.state_dir = folder.path().to_path_buf();
    settings.ledger.dir = folder.path().join("ledger");
    (folder, settings)
}

struct Scene {
    _port: tokio::net::TcpSocket,
    folder: tempfile::TempDir,
    settings: Settings,
    now_us: u64,
}

impl Scene {
    /// A ledger that was closed in order and is signed to its end, and its keys.
    fn new() -> Self {
        let (folder, mut settings) = shipped();
        settings.ledger.key = folder.path().join("ledger.key");
        settings.ledger.segment_bytes = 1 << 20;
        settings.limits.connections = 10;
        // Nobody listens on a port that is bound, and nobody else can begin to.
        let port = tokio::net::TcpSocket::new_v4().unwrap();
        port.bind(([127, 0, 0, 1], 0).into()).unwrap();
        settings.admin = port.local_addr().unwrap();
        let scene = Self {
            _port: port,
            folder,
            settings,
            now_us: clock::now().wall_us,
        };
        scene.start().close().unwrap();
        scene.sign();
        let client = scene.file("client.key");
        fs::write(&client, [1; 16]).unwrap();
        mode(&client, 0o600);
        scene
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Ledger {
        let settings = crate::ledger::Settings::new(&self.settings.ledger.dir);
        Ledger::start::<(), _>(
            &settings,
            &facts_of(BootId::random().unwrap(), POLICY_HASH),
            RULEBOOK,
            vec![],
            |_: &mut EntryBuilder<'_>, _: Source, (): &()| {},
        )
        .unwrap()
    }

    /// Puts a head over all records beside them, as the writer does.
    fn sign(&self) {
        let mut tree = Frontier::new();
        let mut lines = DirectoryLines::open(&self.settings.ledger.dir).unwrap();
        let mut scratch = Vec::new();
        while let Some((_, line)) = lines.next().unwrap() {
            let record = Record::check(line.bytes, &mut scratch).unwrap();
            let mut leaf = [0; 32];
            hex::decode_to_slice(record.hash, &mut leaf).unwrap();
            tree.push(leaf);
        }
        let key = LedgerKey::create(&self.settings.ledger.key).unwrap();
        let origin = fs::read_to_string(self.file("ledger/origin")).unwrap();
        let origin = origin.trim_end().to_owned();
        let vkey = key.verifier(&origin).unwrap().to_text();
        fs::write(self.file("ledger/log.vkey"), vkey + "\n").unwrap();
        let (size, root) = (tree.size(), tree.root());
        let head = Checkpoint { origin, size, root };
        let note = key.sign(&head).unwrap().to_text();
        fs::write(self.file("ledger/checkpoint"), note).unwrap();
    }

    /// A listener with a certificate that is good until the first day of that year.
    fn put_certificate(&mut self, year: i32, key_mode: u32) {
        let mut params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(1_990, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let (cert_file, key_file) = (self.file("a.pem"), self.file("a.key"));
        fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        mode(&key_file, key_mode);
        let files = crate::tls::CertificateFiles {
            cert: cert_file,
            key: key_file,
        };
        self.settings.listeners[0].tls = Some(crate::tls::TlsFiles {
            certificates: vec![files],
            client_ca: None,
            client_auth: crate::tls::ClientAuth::None,
        });
    }

    fn codes(&self) -> Vec<&'static str> {
        let code = |check: &Checked| match check.state {
            State::Finding(code, _) => Some(code),
            _ => None,
        };
        let checks = examine(&self.settings, self.now_us);
        assert_eq!(
            exit_code(&checks) == OK,
            checks.iter().all(|c| code(c).is_none())
        );
        checks.iter().filter_map(code).collect()
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

type Fault = fn(&mut Scene);

/// The code that a fault is told under, and how it comes about.
const FAULTS: &[(&str, Fault)] = &[
    ("", |_| {}),
    ("DOCTOR_DISK_LOW", |s| {
        s.settings.ledger.segment_bytes = 1 << 60
    }),
    ("DOCTOR_BUDGET_LOW", |s| {
        s.settings.ledger.disk_bytes_max = Some(1)
    }),
    ("DOCTOR_DIRECTORY_MODE", |s| mode(&s.file("ledger"), 0o777)),
    ("DOCTOR_CLOCK_BEHIND", |s| s.now_us -= 60_000_000),
    ("DOCTOR_QUARANTINE", |s| {
        fs::create_dir(s.file("ledger/quarantine")).unwrap();
        fs::write(s.file("ledger/quarantine/torn-1-00000000.bin"), "x").unwrap();
    }),
    ("DOCTOR_DAMAGED", damage),
    ("DOCTOR_LEDGER_KEY", |s| mode(&s.file("ledger.key"), 0o644)),
    ("DOCTOR_LEDGER_KEY", |s| {
        fs::remove_file(s.file("ledger.key")).unwrap()
    }),
    ("DOCTOR_KEY_UNKNOWN", |s| {
        fs::remove_file(s.file("ledger.key")).unwrap();
        LedgerKey::create(&s.file("ledger.key")).unwrap();
    }),
    ("DOCTOR_CLIENT_KEY", |s| mode(&s.file("client.key"), 0o640)),
    ("DOCTOR_CLIENT_KEY", |s| {
        fs::write(s.file("client.key"), "short").unwrap()
    }),
    ("DOCTOR_CERTIFICATE", |s| {
        s.put_certificate(2_100, 0o600);
        fs::write(s.file("a.key"), "x").unwrap();
    }),
    ("DOCTOR_CERTIFICATE_EXPIRES", |s| {
        s.put_certificate(2_000, 0o600)
    }),
    ("DOCTOR_CERTIFICATE_EXPIRES", come_near_its_end),
    ("DOCTOR_CERTIFICATE_KEY", |s| {
        s.put_certificate(2_100, 0o640)
    }),
    ("DOCTOR_HEAD_MISSING", |s| {
        fs::remove_file(s.file("ledger/checkpoint")).unwrap()
    }),
    ("DOCTOR_HEAD_UNREADABLE", |s| {
        fs::write(s.file("ledger/checkpoint"), "x").unwrap()
    }),
    ("DOCTOR_HEAD_FORGED", |s| {
        let path = s.file("ledger/checkpoint");
        let note = fs::read_to_string(&path).unwrap();
        fs::write(path, note.replacen("\n2\n", "\n1\n", 1)).unwrap();
    }),
    ("DOCTOR_HEAD_OLD", |s| {
        s.start().close().unwrap();
        s.start().close().unwrap();
        s.now_us += 120_000_000;
    }),
    ("DOCTOR_DESCRIPTORS", |s| {
        s.settings.limits.connections = u32::MAX
    }),
];

/// Two starts after a change, and the whole file brought back and taken again.
fn damage(s: &mut Scene) {
    s.start().close().unwrap();
    fs::remove_file(s.file("ledger.key")).unwrap();
    s.sign();
    let path = s.file("ledger/seg-0000000000000000.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let (first, rest) = whole.split_once('\n').unwrap();
    let changed = rest.replacen("\"ts_us\":1", "\"ts_us\":2", 1);
    fs::write(&path, format!("{first}\n{changed}")).unwrap();
    s.start().close().unwrap();
    s.start().close().unwrap();
    fs::rename(&path, s.file("kept")).unwrap();
    fs::write(&path, &whole).unwrap();
    assert_eq!(s.codes(), [""; 0], "brought back whole");
    fs::rename(s.file("kept"), path).unwrap();
}

/// Ten days before the certificate ends, in a place without a ledger.
fn come_near_its_end(s: &mut Scene) {
    s.put_certificate(2_100, 0o600);
    // Ten days before it ends.
    s.now_us = (4_102_444_800 - 10 * 86_400) * 1_000_000;
    s.settings.ledger.dir = s.file("no ledger yet");
    for key in ["ledger.key", "client.key"] {
        fs::remove_file(s.file(key)).unwrap();
    }
}

// R281
#[test]
fn each_fault_has_its_code() {
    for (expected, fault) in FAULTS {
        let mut scene = Scene::new();
        fault(&mut scene);
        let expected: Vec<&str> = Some(*expected)
            .filter(|e| !e.is_empty())
            .into_iter()
            .collect();
        let codes = scene.codes();
        let told = text(&examine(&scene.settings, scene.now_us));
        assert_eq!(codes, expected, "{told}");
    }
}

// R303
#[test]
fn a_key_is_old_after_90_days_and_refused_where_others_can_read_it() {
    const DAY_US: u64 = 86_400_000_000;
    let check = |file: &str, days: u64, expected: &[&str]| {
        let scene = Scene::new();
        let then = std::time::Duration::from_micros(scene.now_us - days * DAY_US);
        let key = fs::File::open(scene.file(file)).unwrap();
        key.set_modified(std::time::UNIX_EPOCH + then).unwrap();
        assert_eq!(scene.codes(), expected, "{file} {days}");
    };
    for file in ["ledger.key", "client.key"] {
        check(file, 0, &[]);
        check(file, 90, &[]);
        check(file, 91, &["DOCTOR_KEY_OLD"]);
    }
    // A file from the future is not old.
    let mut scene = Scene::new();
    scene.now_us -= 1_000_000;
    assert_eq!(scene.codes(), [""; 0]);
    let open = |file: &str, expected: &str| {
        let scene = Scene::new();
        mode(&scene.file(file), 0o604);
        assert_eq!(scene.codes(), [expected], "{file}");
    };
    open("ledger.key", "DOCTOR_LEDGER_KEY");
    open("client.key", "DOCTOR_CLIENT_KEY");
}

// R303
#[test]
fn a_key_that_signs_bundles_is_judged_where_it_lies() {
    const DAY_US: u64 = 86_400_000_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alice.key");
    crate::cli::signing::PURPOSE.create(&path).unwrap();
    let now_us = clock::now().wall_us;
    let codes = |now_us| -> Vec<_> {
        let checks = keys::check_signing(std::slice::from_ref(&path), now_us);
        let states = checks.into_iter().map(|check| check.state);
        let code = |state| match state {
            State::Finding(code, _) => Some(code),
            _ => None,
        };
        states.filter_map(code).collect()
    };
    assert_eq!(codes(now_us), [""; 0]);
    assert_eq!(codes(now_us + 90 * DAY_US), [""; 0]);
    assert_eq!(codes(now_us + 92 * DAY_US), ["DOCTOR_KEY_OLD"]);
    mode(&path, 0o640);
    assert_eq!(codes(now_us), ["DOCTOR_SIGNING_KEY"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(codes(now_us), ["DOCTOR_SIGNING_KEY"]);
}

#[test]
fn what_a_crash_leaves_is_told() {
    let scene = Scene::new();
    let path = scene.file("ledger/seg-0000000000000000.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{whole}torn")).unwrap();
    assert_eq!(scene.codes(), ["DOCTOR_TORN_TAIL"]);
    let open = whole.split_inclusive('\n').next().unwrap();
    fs::write(&path, open).unwrap();
    assert_eq!(scene.codes(), ["DOCTOR_NOT_CLOSED", "DOCTOR_ROLLBACK"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(scene.codes(), ["DOCTOR_LEDGER"]);
}

#[test]
fn a_gateway_that_runs_is_seen_without_its_lock_being_touched() {
    let scene = Scene::new();
    let ledger = scene.start();
    assert_eq!(
        process::holder(&scene.settings.ledger.dir),
        Some(std::process::id())
    );
    assert_eq!(scene.codes(), ["DOCTOR_NOT_ANSWERING"]);
    ledger.close().unwrap();
    assert_eq!(process::holder(&scene.settings.ledger.dir), None);
}

#[test]
fn a_gateway_that_never_ran_is_well() {
    let mut scene = Scene::new();
    fs::remove_dir_all(scene.file("ledger")).unwrap();
    fs::remove_file(scene.file("ledger.key")).unwrap();
    fs::remove_file(scene.file("client.key")).unwrap();
    scene.settings.ledger.key_is_given = true;
    // A start would refuse a key that is named and not there.
    assert_eq!(scene.codes(), ["DOCTOR_LEDGER_KEY"]);
    scene.settings.ledger.key_is_given = false;
    assert_eq!(scene.codes(), [""; 0]);
    let checks = examine(&scene.settings, scene.now_us);
    let json = to_json(&checks);
    assert_eq!(json["findings"], 0);
    assert_eq!(json["checks"].as_array().unwrap().len(), checks.len());
    assert!(text(&checks).ends_with(&format!("0 findings in {} checks\n", checks.len())));
}
