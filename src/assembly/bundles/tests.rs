//! A gateway of three people, its bundles, and a clock that the test holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ed25519_dalek::SigningKey;

use super::activation::From;
use super::memory::{Memory, newest_record};
use super::*;
use crate::assembly::certificates::Certificates;
use crate::assembly::convert;
use crate::assembly::entering::{open_ledger, opening_facts};
use crate::assembly::kill_switch::KillSwitch;
use crate::assembly::prepared::open_state;
use crate::bundle::envelope::{BUNDLE_TYPE, Envelope, ROOT_TYPE};
use crate::bundle::manifest::{Breakglass, Manifest};
use crate::bundle::refusal::RefusalCode;
use crate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use crate::bundle::{digest_hex, payload};
use crate::config::{Bundled, Runnable, load_to_run};
use crate::contract::{Contract, ContractId, ContractParts, Method, MethodSet, Terms};
use crate::gateway::Gateway;
use crate::ledger::{BootId, DirectoryLines, Record, Settings as LedgerSettings};
use crate::rulebook::Registry;
use crate::telemetry::{ConnectionCounts, Telemetry};

/// Noon of some day, before any record that a ledger of today has.
const NOW: u64 = 1_700_000_000_000_000;
const HOUR: u64 = 3_600_000_000;
const ALL: &[&str] = &["alice", "bob", "carol", "dave"];

fn key(name: &str) -> SigningKey {
    let mut seed = [7; 32];
    for (to, from) in seed.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    SigningKey::from_bytes(&seed)
}

fn sign(kind: &str, payload: Vec<u8>, signers: &[&str]) -> Vec<u8> {
    let mut envelope = Envelope::unsigned(kind, payload);
    for signer in signers {
        envelope.sign(&key(signer)).unwrap();
    }
    envelope.to_bytes()
}

fn root(version: u64) -> Vec<u8> {
    root_of(version, ALL)
}

fn root_of(version: u64, people: &[&str]) -> Vec<u8> {
    let principal = |name: &str| Principal {
        name: name.to_owned(),
        keys: vec![key(name).verifying_key()],
        roles: [Role::Author, Role::Approver, Role::Security, Role::Root].into(),
    };
    let parts = RootParts {
        version,
        audience: "edge".to_owned(),
        epoch: 1,
        is_production: false,
        expires_at_us: NOW + 1_000 * HOUR,
        principals: people.iter().map(|name| principal(name)).collect(),
        groups: BTreeMap::new(),
        thresholds: Thresholds::default(),
    };
    let payload = Root::new(parts).unwrap().to_payload().unwrap();
    sign(ROOT_TYPE, payload, ALL)
}

fn manifest(serial: u64, parent: Option<&[u8]>) -> Manifest {
    Manifest {
        name: "line".to_owned(),
        epoch: 1,
        serial,
        parent: parent.map(digest),
        author: "alice".to_owned(),
        audience: "edge".to_owned(),
        created_at_us: NOW,
        not_before_us: NOW,
        expires_at_us: NOW + 24 * HOUR,
        engine_min: "0.1.0".to_owned(),
        tier_max: Tier::Control,
        revert_of: None,
        change_request: None,
        breakglass: None,
    }
}

fn bundle(manifest: &Manifest, ids: &[&str]) -> Vec<u8> {
    bundle_by(manifest, ids, ALL)
}

fn bundle_by(manifest: &Manifest, ids: &[&str], signers: &[&str]) -> Vec<u8> {
    let contract = |id: &&str| {
        let methods = MethodSet::EMPTY.with(Method::Get);
        let endpoint = format!("GET /{id}");
        let id = ContractId::new(id).unwrap();
        Contract::new(ContractParts::new(id, &endpoint, methods, Terms::default()))
    };
    let contracts: Vec<_> = ids.iter().map(contract).collect();
    let content = canonical::write(&contracts, &Rules::default()).unwrap();
    sign(
        BUNDLE_TYPE,
        payload::write(manifest, &content).unwrap(),
        signers,
    )
}

fn digest(envelope: &[u8]) -> String {
    let envelope = Envelope::parse(envelope, BUNDLE_TYPE).unwrap();
    digest_hex(envelope.unverified_payload())
}

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let main = "version: 1\ntier: control\nlisteners: [{bind: \"127.0.0.1:0\"}]\n\
                    upstreams: {main: {servers: [\"127.0.0.1:9\"]}}\nadmin: {bind: \"127.0.0.1:0\"}\n\
                    bundle: {root: root.json, dir: bundles}\n";
        std::fs::write(folder.path().join("tidegate.yaml"), main).unwrap();
        std::fs::write(folder.path().join("root.json"), root(1)).unwrap();
        std::fs::create_dir(folder.path().join("bundles")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a start at that time finds.
    fn begun(&self, now_us: u64) -> Begun {
        let Ok(Runnable::Bundles(bundled)) = load_to_run(&self.path("tidegate.yaml")) else {
            panic!("no configuration of bundles");
        };
        Begun::read_at(&bundled.settings, &bundled.bundle, now_us, Some(NOW)).unwrap()
    }

    /// A start at that time, ready for its first look.
    fn start(&self, now_us: u64) -> Bundles {
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
        let ledger = LedgerSettings::new(&settings.ledger.dir);
        let ledger = open_ledger(
            &ledger,
            &facts,
            content.bytes(),
            Vec::new(),
            &registry,
            false,
        )
        .unwrap();
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
    fn activated(&self) -> Vec<String> {
        let records = self.records("bundle").into_iter();
        let records = records.filter(|line| line.contains("\"result\":\"activated\""));
        let digest = |line: String| {
            let (_, rest) = line.split_once("\"bundle_digest\":\"").unwrap();
            rest[..64].to_owned()
        };
        records.map(digest).collect()
    }

    /// What stands in the state directory.
    fn put_state(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path("state/bundle").join(name), bytes).unwrap();
    }

    /// Somebody writes a mark.
    fn put_mark(&self, bundle: &[u8], serial: u64) {
        let digest = digest(bundle);
        let mark = format!("{{\"digest\":\"{digest}\",\"epoch\":1,\"serial\":{serial}}}");
        self.put_state("high_water.json", mark.as_bytes());
    }

    /// Exchanges bytes in the records.
    fn forge_ledger(&self, from: &str, to: &str) {
        let dir = std::fs::read_dir(self.path("state/ledger")).unwrap();
        for path in dir.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|end| end == "jsonl") {
                let text = std::fs::read_to_string(&path).unwrap();
                std::fs::write(&path, text.replace(from, to)).unwrap();
            }
        }
    }

    /// The records of a kind.
    fn records(&self, kind: &str) -> Vec<String> {
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

fn by_hand() -> From {
    From {
        trigger: Trigger::Admin,
        source: "admin",
        if_match: None,
    }
}

/// Hands a bundle in; the code where it was refused.
fn apply(bundles: &mut Bundles, bytes: &[u8], now_us: u64) -> Option<RefusalCode> {
    let attempt = bundles.attempt_at(Some(bytes), &by_hand(), now_us);
    attempt.refused.map(|refused| refused.code)
}

fn serial(bundles: &Bundles) -> Option<u64> {
    let bundle = bundles.in_force.as_ref()?;
    let rulebook = bundles.shared.registry.active().load_full();
    assert_eq!(
        rulebook.bundle().map(|facts| facts.serial),
        Some(bundle.position().serial),
        "what is said to be in force is"
    );
    Some(bundle.position().serial)
}

// R065 R122
#[test]
fn what_is_refused_changes_nothing_and_is_recorded() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    assert_eq!(serial(&bundles), None);
    assert!(bundles.doors.are_closed());
    let one = bundle(&manifest(5, None), &["a"]);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert!(!bundles.doors.are_closed());
    assert_eq!(serial(&bundles), Some(5));
    let tier = |bundles: &Bundles| bundles.shared.registry.active().load().tier();
    assert_eq!(tier(&bundles), Tier::Control);
    let same = bundles.attempt_at(Some(&one), &by_hand(), NOW);
    assert_eq!(same.result, Reload::Unchanged);
    // In force already, and in an envelope that somebody changed.
    let text = String::from_utf8(one.clone()).unwrap();
    let at = text.find("\"sig\":\"").unwrap() + 8;
    let mut forged = one.clone();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(
        apply(&mut bundles, &forged, NOW),
        Some(RefusalCode::SignatureInvalid)
    );
    let older = bundle(&manifest(4, Some(&one)), &["b"]);
    assert_eq!(
        apply(&mut bundles, &older, NOW),
        Some(RefusalCode::RollbackRejected)
    );
    let other = bundle(&manifest(5, Some(&one)), &["b"]);
    assert_eq!(
        apply(&mut bundles, &other, NOW),
        Some(RefusalCode::SerialReused)
    );
    let orphan = bundle(&manifest(6, None), &["b"]);
    assert_eq!(
        apply(&mut bundles, &orphan, NOW),
        Some(RefusalCode::ParentUnknown)
    );
    let two = bundle(&manifest(6, Some(&one)), &["a", "b"]);
    assert_eq!(
        apply(&mut bundles, &two, NOW - 1),
        Some(RefusalCode::ClockBehindLedger)
    );
    assert_eq!(
        apply(&mut bundles, &two, NOW + 25 * HOUR),
        Some(RefusalCode::Expired)
    );
    let stale = From {
        if_match: Some("0".repeat(64)),
        ..by_hand()
    };
    let raced = bundles.attempt_at(Some(&two), &stale, NOW);
    assert_eq!(raced.refused.unwrap().code, RefusalCode::StateChanged);
    let large = bundles.attempt_at(None, &by_hand(), NOW);
    assert_eq!(large.refused.unwrap().code, RefusalCode::TooLarge);
    assert_eq!(serial(&bundles), Some(5));
    let expected = From {
        if_match: Some(digest(&one)),
        ..by_hand()
    };
    assert_eq!(bundles.attempt_at(Some(&two), &expected, NOW).refused, None);
    assert_eq!(serial(&bundles), Some(6));
    bundles.ledger.close().unwrap();
    let records = site.records("bundle");
    let count = |text: &str| records.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (records.len(), count("\"activated\"")),
        (10, 2),
        "{records:#?}"
    );
    for code in [
        "SIGNATURE_INVALID",
        "ROLLBACK_REJECTED",
        "STATE_CHANGED",
        "BUNDLE_TOO_LARGE",
    ] {
        assert_eq!(count(&format!("\"code\":\"{code}\"")), 1, "{code}");
    }
    assert_eq!(
        count("\"signers\":[\"alice\",\"bob\",\"carol\",\"dave\"]"),
        2
    );
}

#[test]
fn a_start_takes_what_stands_at_the_mark_and_nothing_else() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    drop(bundles);
    let state = site.path("state/bundle");
    let check = |what: &str, change: &dyn Fn(), want: Option<u64>, is_told: bool| {
        change();
        let bundles = site.start(NOW);
        assert_eq!(serial(&bundles), want, "{what}: {:?}", bundles.found);
        assert_eq!(
            !bundles.found.is_empty(),
            is_told,
            "{what}: {:?}",
            bundles.found
        );
    };
    let put = |name: &str, bytes: &[u8]| std::fs::write(state.join(name), bytes).unwrap();
    check("nothing", &|| {}, Some(2), false);
    // Ended long ago: it stays in force.
    let mut late = site.start(NOW + 100 * HOUR);
    assert_eq!(serial(&late), Some(2));
    late.on_time(NOW + 100 * HOUR);
    assert!(late.told_ended);
    drop(late);
    let gone = |name: &str| std::fs::remove_file(state.join(name)).unwrap();
    check(
        "no mark in the file",
        &|| gone("high_water.json"),
        Some(2),
        true,
    );
    check("made good", &|| {}, Some(2), false);
    check("damaged", &|| put("current.json", b"{"), None, true);
    check(
        "an older one in its place",
        &|| put("current.json", &one),
        None,
        true,
    );
    let rolled_back = format!(
        "{{\"digest\":\"{}\",\"epoch\":1,\"serial\":1}}",
        digest(&one)
    );
    check(
        "a mark put back",
        &|| put("high_water.json", rolled_back.as_bytes()),
        None,
        true,
    );
    check(
        "all gone",
        &|| std::fs::remove_dir_all(&state).unwrap(),
        None,
        true,
    );
    // Whoever deletes the files has not disarmed the gateway, and the same bundle heals it.
    let mut bundles = site.start(NOW);
    let three = bundle(&manifest(1, None), &["c"]);
    assert_eq!(
        apply(&mut bundles, &three, NOW),
        Some(RefusalCode::RollbackRejected)
    );
    assert!(bundles.doors.are_closed());
    std::fs::write(site.path("bundles/bundle.json"), &two).unwrap();
    assert!(bundles.take_folder(Trigger::Start).is_empty());
    assert_eq!(serial(&bundles), Some(2));
}

#[test]
fn a_crash_leaves_the_bundle_before_or_the_one_after() {
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    for is_marked in [false, true] {
        let site = Site::new();
        let mut bundles = site.start(NOW);
        assert_eq!(apply(&mut bundles, &one, NOW), None);
        let mark = HighWater {
            epoch: 1,
            serial: if is_marked { 2 } else { 1 },
            digest: digest(if is_marked { &two } else { &one }),
        };
        // Kept, and then nothing more: neither record nor swap.
        bundles.store.keep(Some(&one), &two, &mark, None).unwrap();
        drop(bundles);
        let mut bundles = site.start(NOW);
        bundles.take_kept(NOW);
        assert_eq!(serial(&bundles), Some(if is_marked { 2 } else { 1 }));
        let again = apply(&mut bundles, &two, NOW);
        assert_eq!((again, serial(&bundles)), (None, Some(2)));
        drop(bundles);
        // Nothing was in force that no record names, and none is recorded twice.
        let activated = site.activated();
        assert_eq!(activated, [digest(&one), digest(&two)], "{is_marked}");
        assert_eq!(serial(&site.start(NOW)), Some(2));
    }
}

#[test]
fn an_emergency_measure_ends_by_itself() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let until = NOW + 2 * HOUR;
    let glass = |serial, parent: &[u8]| Manifest {
        tier_max: Tier::ObserveOnly,
        breakglass: Some(Breakglass {
            reason: "too many refusals".to_owned(),
            until_us: until,
        }),
        ..manifest(serial, Some(parent))
    };
    let measure = bundle(&glass(2, &one), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &measure, NOW), None);
    let tier = |bundles: &Bundles| bundles.shared.registry.active().load().tier();
    assert_eq!(
        (serial(&bundles), tier(&bundles)),
        (Some(2), Tier::ObserveOnly)
    );
    bundles.on_time(until - 1);
    assert_eq!(serial(&bundles), Some(2));
    drop(bundles);
    // Before its end a start keeps it, after its end it does not.
    let mut bundles = site.start(until - 1);
    assert_eq!(serial(&bundles), Some(2));
    bundles.on_time(until);
    assert_eq!((serial(&bundles), tier(&bundles)), (Some(1), Tier::Control));
    assert_eq!(
        apply(&mut bundles, &measure, NOW),
        Some(RefusalCode::RollbackRejected)
    );
    drop(bundles);
    let mut bundles = site.start(until);
    assert_eq!(serial(&bundles), Some(1));
    bundles.begin();
    let acts = site.records("governance");
    assert_eq!(acts.len(), 2, "{acts:?}");
    assert!(acts[0].contains("breakglass_reverted"), "{acts:?}");
    // What is built on the one that came back, above the mark.
    let low = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    assert_eq!(
        apply(&mut bundles, &low, NOW),
        Some(RefusalCode::SerialReused)
    );
    let three = bundle(&manifest(3, Some(&one)), &["a", "b"]);
    assert_eq!(apply(&mut bundles, &three, NOW), None);
    drop(bundles);
    let mut bundles = site.start(until);
    assert_eq!(serial(&bundles), Some(3));
    // Ratified in time: nothing comes back.
    let measure = bundle(&glass(4, &three), &["a", "b"]);
    assert_eq!(apply(&mut bundles, &measure, NOW), None);
    let ratified = Manifest {
        tier_max: Tier::ObserveOnly,
        ..manifest(5, Some(&measure))
    };
    let ratified = bundle(&ratified, &["a", "b"]);
    assert_eq!(apply(&mut bundles, &ratified, NOW), None);
    // Compared with what was before the measure too, where the tier was higher.
    let classified = bundles.in_force.as_ref().unwrap().classified();
    let classes = &classified.unwrap().classes;
    assert_eq!(*classes, [crate::bundle::change::Class::Loosen].into());
    bundles.on_time(until);
    assert_eq!(serial(&bundles), Some(5));
}

/// An emergency measure of two hours that only observes.
fn measure(serial: u64, parent: &[u8]) -> Vec<u8> {
    let manifest = Manifest {
        tier_max: Tier::ObserveOnly,
        breakglass: Some(Breakglass {
            reason: "too many refusals".to_owned(),
            until_us: NOW + 2 * HOUR,
        }),
        ..manifest(serial, Some(parent))
    };
    bundle(&manifest, &["a"])
}

/// A gateway with a measure in force, and the bundle before it.
fn during_a_measure(site: &Site) -> (Bundles, Vec<u8>) {
    let one = bundle(&manifest(1, None), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &measure(2, &one), NOW), None);
    (bundles, one)
}

#[test]
fn a_deleted_file_keeps_no_measure_in_force() {
    let site = Site::new();
    let until = NOW + 2 * HOUR;
    let previous = site.path("state/bundle/previous.json");
    let (mut bundles, _) = during_a_measure(&site);
    std::fs::remove_file(&previous).unwrap();
    bundles.on_time(until);
    assert_eq!((serial(&bundles), &bundles.stuck), (Some(1), &None));
    drop(bundles);
    // A start comes to the same, for the file was written again.
    assert_eq!(serial(&site.start(until)), Some(1));
    // After a restart during the measure as well, where the file was there at the start.
    let mut bundles = site.start(NOW);
    assert_eq!(serial(&bundles), Some(2));
    bundles.find_behind(NOW);
    std::fs::remove_file(&previous).unwrap();
    bundles.on_time(until);
    assert_eq!(serial(&bundles), Some(1));
}

#[test]
fn a_measure_that_cannot_end_is_told_and_tried_again_later() {
    let site = Site::new();
    let until = NOW + 2 * HOUR;
    let previous = site.path("state/bundle/previous.json");
    let (bundles, one) = during_a_measure(&site);
    drop(bundles);
    std::fs::remove_file(&previous).unwrap();
    let mut bundles = site.start(NOW);
    bundles.find_behind(NOW);
    assert_eq!(bundles.emergency().unwrap().returns_place, None);
    bundles.on_time(until);
    let check = |bundles: &mut Bundles, at: u64, want: u64| {
        bundles.on_time(at);
        assert_eq!(serial(bundles), Some(want), "{at}");
        let is_told = bundles
            .troubles()
            .iter()
            .any(|told| told.contains("cannot come back"));
        assert_eq!(is_told, want == 2, "{:?}", bundles.troubles());
    };
    std::fs::write(&previous, &one).unwrap();
    check(&mut bundles, until + 1, 2);
    check(&mut bundles, until + emergency::RETRY_US - 1, 2);
    check(&mut bundles, until + emergency::RETRY_US, 1);
}

#[test]
fn an_emergency_measure_is_told_while_it_lasts() {
    let site = Site::new();
    let (mut bundles, one) = during_a_measure(&site);
    let want = crate::admin::Emergency {
        reason: "too many refusals".to_owned(),
        until_us: NOW + 2 * HOUR,
        returns: digest(&one),
        returns_place: Some((1, 1)),
    };
    bundles.publish();
    let told = bundles.shared.last().bundle.clone().unwrap();
    assert_eq!(told.emergency, Some(want));
    assert_eq!(
        told.troubles,
        Vec::<String>::new(),
        "the tier is above that of the measure"
    );
    // It lies in the folder all the time, and comes back.
    std::fs::write(site.path("bundles/bundle.json"), &one).unwrap();
    let found = bundles.take_folder(Trigger::Watch);
    assert_eq!(found, [], "no rollback");
    assert_eq!(
        bundles.last_attempt.as_ref().unwrap().result,
        Reload::Unchanged
    );
    assert_eq!(serial(&bundles), Some(2));
    // Who asks for it by hand is told that it does not come now.
    assert_eq!(
        apply(&mut bundles, &one, NOW),
        Some(RefusalCode::RollbackRejected)
    );
    // What lies there and follows the one that comes back is looked at again then.
    bundles.folder.refused(RefusalCode::ParentUnknown, NOW);
    bundles.on_time(NOW + 2 * HOUR);
    assert!(bundles.folder.look(NOW + 2 * HOUR));
    assert_eq!(bundles.emergency(), None);
}

// R120
#[test]
fn the_expected_policy_is_asked_of_bundles_and_not_of_what_comes_back() {
    let site = Site::new();
    let (mut bundles, one) = during_a_measure(&site);
    let content = bundles.in_force.as_ref().unwrap().content().digest_hex();
    let expect = |policy: &str| Demands {
        policy: Some(policy.to_owned()),
        ..Demands::default()
    };
    let two = bundle(&manifest(3, Some(&measure(2, &one))), &["a"]);
    for other in ["9.9.9", &content[..11]] {
        bundles.demands = expect(other);
        assert_eq!(
            bundles.is_as_expected().map_err(|refused| refused.code),
            Err(RefusalCode::PolicyUnexpected)
        );
        let refused = apply(&mut bundles, &two, NOW);
        assert_eq!(refused, Some(RefusalCode::PolicyUnexpected));
    }
    assert_eq!(serial(&bundles), Some(2));
    bundles.on_time(NOW + 2 * HOUR);
    assert_eq!(serial(&bundles), Some(1));
    assert_eq!(bundles.is_as_expected(), Ok(()));
    let three = bundle(&manifest(3, Some(&one)), &["a"]);
    bundles.demands = expect(&content[..12]);
    assert_eq!(apply(&mut bundles, &three, NOW), None);
}

#[test]
fn a_record_says_of_a_stranger_only_what_its_bytes_are() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let mut check = |bytes: &[u8], code: RefusalCode, place: Option<(u64, u64)>| {
        let attempt = bundles.attempt_at(Some(bytes), &by_hand(), NOW);
        assert_eq!(attempt.refused.map(|refused| refused.code), Some(code));
        assert_eq!(
            (attempt.digest, attempt.place),
            (Some(digest(bytes)), place)
        );
    };
    let of = |signers: &[&str]| bundle_by(&manifest(7, None), &["a"], signers);
    check(&of(&["alice", "erin"]), RefusalCode::UnknownKey, None);
    check(&of(&["alice"]), RefusalCode::ThresholdNotMet, None);
    check(
        &of(&["alice", "bob", "carol"]),
        RefusalCode::ApprovalsMissing,
        Some((1, 7)),
    );
}

#[test]
fn a_bundle_is_tried_again_when_the_root_comes_that_knows_its_signers() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let people = [ALL, &["erin"]].concat();
    let one = bundle_by(&manifest(1, None), &["a"], &people);
    std::fs::write(site.path("bundles/bundle.json"), one).unwrap();
    let codes = |found: Vec<crate::admin::Finding>| -> Vec<&str> {
        found.iter().map(|finding| finding.code).collect()
    };
    assert_eq!(codes(bundles.take_folder(Trigger::Watch)), ["UNKNOWN_KEY"]);
    assert!(bundles.take_folder(Trigger::Watch).is_empty());
    std::fs::write(site.path("bundles/root.2.json"), root_of(2, &people)).unwrap();
    // Its keys are known now; what is asked next is the clock, and that is not the test's.
    assert_eq!(codes(bundles.take_folder(Trigger::Watch)), ["ROOT_EXPIRED"]);
}

#[test]
fn what_cannot_be_recorded_is_not_in_force() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    bundles.ledger.close().unwrap();
    assert_eq!(
        apply(&mut bundles, &two, NOW),
        Some(RefusalCode::NotRecorded)
    );
    assert_eq!(serial(&bundles), Some(1));
    assert_eq!(bundles.mark.as_ref().map(|mark| mark.serial), Some(1));
    drop(bundles);
    assert_eq!(serial(&site.start(NOW)), Some(1));
    let mut bundles = site.start(NOW);
    let blocked = site.path("state/bundle/current.json.tmp");
    std::fs::create_dir(&blocked).unwrap();
    assert_eq!(
        apply(&mut bundles, &two, NOW),
        Some(RefusalCode::NotPersisted)
    );
    assert_eq!(serial(&bundles), Some(1));
    drop(bundles);
    std::fs::remove_dir(&blocked).unwrap();
    let mut bundles = site.start(NOW);
    assert_eq!(serial(&bundles), Some(1));
    assert_eq!(apply(&mut bundles, &two, NOW), None);
}

#[test]
fn roots_follow_each_other_and_survive() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let put = |version: u64, bytes: Vec<u8>| {
        std::fs::write(site.path(&format!("bundles/root.{version}.json")), bytes).unwrap();
    };
    put(2, root(3));
    let found = bundles.take_folder(Trigger::Watch);
    assert_eq!(found[0].code, "ROOT_SKIPPED");
    assert!(bundles.take_folder(Trigger::Watch).is_empty(), "told once");
    put(2, root(2));
    put(3, root(3));
    assert!(bundles.take_folder(Trigger::Watch).is_empty());
    assert_eq!(bundles.root.root().parts().version, 3);
    drop(bundles);
    let bundles = site.start(NOW);
    assert_eq!(bundles.root.root().parts().version, 3);
    assert_eq!(site.records("governance").len(), 2);
}

#[test]
fn the_lowest_of_file_bundle_clock_and_kill_switch_holds() {
    let site = Site::new();
    let one = Manifest {
        tier_max: Tier::ObserveOnly,
        ..manifest(1, None)
    };
    let one = bundle(&one, &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    let tier = |bundles: &Bundles| bundles.shared.registry.active().load().tier();
    assert_eq!(tier(&bundles), Tier::ObserveOnly);
    assert!(
        bundles.troubles()[0].contains("tier control"),
        "{:?}",
        bundles.troubles()
    );
    let two = bundle(&manifest(2, Some(&one)), &["a"]);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    assert_eq!(
        (tier(&bundles), bundles.troubles().len()),
        (Tier::Control, 0)
    );
    let main = std::fs::read_to_string(site.path("tidegate.yaml")).unwrap();
    let lower = main.replace("tier: control", "tier: observe_only");
    std::fs::write(site.path("tidegate.yaml"), lower).unwrap();
    bundles.reload(Trigger::Signal);
    assert_eq!(
        (tier(&bundles), serial(&bundles)),
        (Tier::ObserveOnly, Some(2))
    );
    std::fs::write(site.path("tidegate.yaml"), "version: 1\n").unwrap();
    let refused = bundles.reload(Trigger::Signal);
    assert_eq!(refused.result, Reload::Refused);
    std::fs::write(site.path("tidegate.yaml"), main).unwrap();
    assert_eq!(bundles.reload(Trigger::Signal).result, Reload::Activated);
    std::fs::write(site.path("state/tier_ceiling"), "observe_only").unwrap();
    bundles.reload(Trigger::Signal);
    assert_eq!(tier(&bundles), Tier::ObserveOnly);
}

// R122
#[test]
fn a_mark_that_no_record_names_puts_nothing_in_force() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    drop(bundles);
    // One approver, who is not the author, calls it an emergency and writes the files.
    let evil = Manifest {
        tier_max: Tier::Autonomous,
        breakglass: Some(Breakglass {
            reason: "so they say".to_owned(),
            until_us: NOW + 4 * HOUR,
        }),
        ..manifest(2, Some(&one))
    };
    let evil = bundle_by(&evil, &["a", "b"], &["bob"]);
    let authored = bundle_by(&manifest(2, Some(&one)), &["a", "b"], &["alice", "bob"]);
    for forged in [&evil, &authored] {
        site.put_state("previous.json", &one);
        site.put_state("current.json", forged);
        site.put_mark(forged, 2);
        // Nor does the second start take the word of the first.
        for _ in 0..2 {
            let mut bundles = site.start(NOW);
            bundles.take_kept(NOW);
            assert_eq!(serial(&bundles), Some(1));
            assert!(bundles.troubles().len() > 1, "{:?}", bundles.troubles());
            assert_eq!(bundles.mark.as_ref().map(|mark| mark.serial), Some(1));
        }
    }
    let mut bundles = site.start(NOW);
    let two = bundle(&manifest(2, Some(&one)), &["a", "c"]);
    let held = Some(RefusalCode::SerialReused);
    assert_eq!(apply(&mut bundles, &two, NOW), held);
    let three = bundle(&manifest(3, Some(&one)), &["a", "b"]);
    assert_eq!(apply(&mut bundles, &three, NOW), None);
    drop(bundles);
    let bundles = site.start(NOW);
    assert_eq!((serial(&bundles), bundles.found.len()), (Some(3), 0));
    assert_eq!(site.activated(), [digest(&one), digest(&three)]);
}

#[test]
fn a_mark_without_any_record_is_told_and_has_to_pass_every_check() {
    let one = bundle(&manifest(5, None), &["a"]);
    let alone = bundle_by(&manifest(5, None), &["a"], &["alice", "bob"]);
    for (kept, want) in [(&one, Some(5)), (&alone, None)] {
        let site = Site::new();
        drop(site.start(NOW));
        site.put_state("current.json", kept);
        site.put_mark(kept, 5);
        let mut bundles = site.start(NOW);
        assert!(!bundles.found.is_empty());
        assert_eq!(serial(&bundles), None);
        bundles.take_kept(NOW);
        assert_eq!(serial(&bundles), want);
        assert_eq!(bundles.doors.are_closed(), want.is_none());
        assert_eq!(site.activated().len(), usize::from(want.is_some()));
        if want.is_none() {
            let low = bundle(&manifest(4, None), &["a"]);
            let held = Some(RefusalCode::RollbackRejected);
            assert_eq!(apply(&mut bundles, &low, NOW), held);
        }
    }
}

#[test]
fn a_damaged_record_of_a_bundle_lets_nothing_older_back() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    drop(bundles);
    let mark = std::fs::read(site.path("state/bundle/high_water.json")).unwrap();
    site.forge_ledger("\"serial\":2", "\"serial\":3");
    let place = |mark: &HighWater| (mark.epoch, mark.serial);
    // The files are as they were: the bundle has to pass every check again, and does.
    let begun = site.begun(NOW);
    assert_eq!(begun.mark.as_ref().map(place), Some((1, 1)));
    assert_eq!(begun.held.as_ref().map(place), Some((1, 3)));
    assert!(begun.unrecorded.is_some() && begun.in_force.is_some());
    let told = begun.troubles.join("\n");
    assert!(told.contains("not as they were written"), "{told}");
    // The files were put back as well: the older bundle is not in force again.
    let older = String::from_utf8(mark).unwrap();
    let older = older.replace(&digest(&two), &digest(&one));
    let older = older.replace("\"serial\":2", "\"serial\":1");
    site.put_state("high_water.json", older.as_bytes());
    site.put_state("current.json", &one);
    for _ in 0..2 {
        let begun = site.begun(NOW);
        assert!(begun.in_force.is_none() && begun.unrecorded.is_none());
        assert_eq!(begun.held.as_ref().map(place), Some((1, 3)));
        let told = begun.troubles.join("\n");
        assert!(told.contains("damaged record"), "{told}");
    }
}

#[test]
fn a_root_that_held_is_not_forgotten() {
    let one = bundle(&manifest(1, None), &["a"]);
    let two = bundle(&manifest(2, Some(&one)), &["a", "b"]);
    let damages: [fn(&Site); 3] = [
        |site| std::fs::remove_file(site.path("state/bundle/root.2.json")).unwrap(),
        |site| site.put_state("root.2.json", b"{"),
        // With all that the state directory knew.
        |site| {
            std::fs::remove_file(site.path("state/bundle/root.2.json")).unwrap();
            std::fs::remove_file(site.path("state/bundle/high_water.json")).unwrap();
        },
    ];
    for damage in damages {
        let site = Site::new();
        let path = site.path("bundles/root.2.json");
        let mut bundles = site.start(NOW);
        assert_eq!(apply(&mut bundles, &one, NOW), None);
        std::fs::write(&path, root(2)).unwrap();
        assert!(bundles.take_folder(Trigger::Watch).is_empty());
        drop(bundles);
        std::fs::remove_file(&path).unwrap();
        damage(&site);
        for _ in 0..2 {
            let mut bundles = site.start(NOW);
            assert_eq!(serial(&bundles), Some(1), "what is in force stays");
            let troubles = bundles.troubles().join("\n");
            assert!(troubles.contains("version 2"), "{troubles}");
            let refused = apply(&mut bundles, &two, NOW);
            assert_eq!(refused, Some(RefusalCode::RootSkipped));
        }
        let mut bundles = site.start(NOW);
        // Another root of that version, which as many signed, is not the one that held.
        std::fs::write(&path, root_of(2, &["alice", "bob", "carol"])).unwrap();
        assert!(!bundles.take_folder(Trigger::Watch).is_empty());
        std::fs::write(&path, root(2)).unwrap();
        assert!(bundles.take_folder(Trigger::Watch).is_empty());
        assert_eq!(apply(&mut bundles, &two, NOW), None);
        assert_eq!(bundles.standing.behind, None);
    }
}

#[test]
fn what_the_next_start_would_refuse_is_told_now() {
    let site = Site::new();
    let one = bundle(&manifest(1, None), &["a"]);
    let mut bundles = site.start(NOW);
    assert_eq!(apply(&mut bundles, &one, NOW), None);
    // The author left.
    let path = site.path("bundles/root.2.json");
    let left = ["bob", "carol", "dave"];
    std::fs::write(path, root_of(2, &left)).unwrap();
    assert!(bundles.take_folder(Trigger::Watch).is_empty());
    let troubles = bundles.troubles().join("\n");
    assert!(
        troubles.contains("signed by people of root 2"),
        "{troubles}"
    );
    assert_eq!(serial(&bundles), Some(1));
    let by_bob = Manifest {
        author: "bob".to_owned(),
        ..manifest(2, Some(&one))
    };
    let two = bundle_by(&by_bob, &["a", "b"], &left);
    assert_eq!(apply(&mut bundles, &two, NOW), None);
    assert!(bundles.troubles().is_empty(), "{:?}", bundles.troubles());
    drop(bundles);
    assert_eq!(serial(&site.start(NOW)), Some(2));
}

#[test]
fn the_end_of_the_root_is_told() {
    let site = Site::new();
    let mut bundles = site.start(NOW);
    let end = NOW + 1_000 * HOUR;
    bundles.on_time(end - 1);
    assert!(bundles.troubles_of_root().is_empty());
    bundles.on_time(end);
    assert!(bundles.troubles_of_root()[0].contains("has ended"));
    let active = bundles.shared.registry.active().load_full();
    let text = bundles
        .telemetry
        .render(&active, &bundles.ledger.snapshot());
    let line = format!(
        "tidegate_bundle_root_expires_timestamp_seconds {}",
        end / 1_000_000
    );
    assert!(text.contains(&line), "{text}");
}

#[test]
fn a_ledger_whose_newest_time_is_not_known_is_told() {
    let mut troubles = Vec::new();
    let mut memory = Memory::default();
    let nowhere = PathBuf::from("/nowhere/at/all");
    assert_eq!(newest_record(&nowhere, &memory, &mut troubles), 0);
    assert!(troubles.is_empty(), "no record is there yet");
    memory.is_begun = true;
    assert_eq!(newest_record(&nowhere, &memory, &mut troubles), 0);
    assert!(troubles[0].contains("not known"), "{troubles:?}");
}
