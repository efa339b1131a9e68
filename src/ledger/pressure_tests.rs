//! The writer under back-pressure: what is counted, what keeps its line, what is lost, and that it all
//! adds up. Faults come from the disk's plan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use super::fixture::{RULEBOOK, facts};
use super::pressure::Bounds;
use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const BOOT: u32 = 7;

/// A decision by its number, or the end of one.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Admitted(u64),
    Refused(u64),
    Ended(u64),
}

struct Encoder;

impl Encode<Deed> for Encoder {
    fn line(&mut self, entry: &mut EntryBuilder<'_>, source: Source, deed: &Deed) {
        let (Deed::Admitted(n) | Deed::Refused(n) | Deed::Ended(n)) = *deed;
        let id = format!("{}{:02x}{n:012x}", source.boot, source.worker);
        entry.text("decision_id", &id);
        if let Deed::Ended(_) = deed {
            entry.text("kind", "outcome");
            entry.uint("ts_us", 0);
            return;
        }
        entry.text("kind", "decision");
        entry.uint("n", n);
        entry.uint("ts_us", 0);
        entry.uint("worker", u64::from(source.worker));
    }

    fn summary<'a>(&'a mut self, _: Source, deed: &'a Deed) -> Option<Summary<'a>> {
        match deed {
            Deed::Admitted(n) => Some(Summary::Admitted {
                n: *n,
                contract: ["a", "b"][(*n % 2) as usize],
                status: 200,
                second: 1_000,
            }),
            Deed::Refused(_) => None,
            Deed::Ended(_) => Some(Summary::Ended),
        }
    }
}

fn start(settings: &Settings, capacity: usize) -> (Ledger, Producer<Deed>) {
    let source = Source {
        boot: BootId::from_u32(BOOT),
        worker: 0,
    };
    let (producer, consumer) = ring(source, capacity);
    let ledger = Ledger::start(settings, &facts(BOOT), RULEBOOK, vec![consumer], Encoder).unwrap();
    (ledger, producer)
}

struct Scene {
    dir: tempfile::TempDir,
    settings: Settings,
    ledger: Ledger,
    producer: Producer<Deed>,
}

impl Scene {
    fn new(capacity: usize, bounds: Bounds) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(dir.path());
        settings.bounds = bounds;
        let (ledger, producer) = start(&settings, capacity);
        Self {
            dir,
            settings,
            ledger,
            producer,
        }
    }

    fn admit(&mut self) -> bool {
        let n = self.producer.next_number();
        self.producer
            .push(Lane::Ordinary, Some(n), Deed::Admitted(n))
    }

    fn refuse(&mut self) -> bool {
        let n = self.producer.next_number();
        self.producer.push(Lane::Refusal, Some(n), Deed::Refused(n))
    }

    /// The disk takes nothing from here on.
    fn stall(&mut self) {
        self.ledger.flush(PATIENCE).unwrap();
        self.settings.disk.plan.space.store(0, SeqCst);
        // Something to write, so that the writer finds out.
        self.refuse();
        self.until(|now| now.pressure == Pressure::Rollup);
    }

    fn recover(&self) {
        self.settings.disk.plan.space.store(u64::MAX, SeqCst);
        self.until(|now| now.pressure == Pressure::Full);
    }

    fn until(&self, reached: impl Fn(&Snapshot) -> bool) {
        let began = Instant::now();
        while !reached(&self.ledger.snapshot()) {
            assert!(began.elapsed() < PATIENCE, "{:?}", self.ledger.snapshot());
            std::thread::yield_now();
        }
    }

    /// Closes the ledger and reads it.
    fn told(self) -> Told {
        drop(self.producer);
        self.ledger.close().unwrap();
        Told::of(self.dir.path())
    }
}

/// What a ledger says of one worker.
#[derive(Debug, Default)]
struct Told {
    kinds: BTreeMap<String, usize>,
    faults: Vec<String>,
    counted: u64,
    allowed: BTreeMap<String, u64>,
    outcomes: u64,
    lost: u64,
    others: u64,
    made: u64,
    unaccounted: u64,
    /// How often each number occurs in lines, rollups and losses.
    numbers: BTreeMap<u64, u32>,
}

impl Told {
    fn of(dir: &Path) -> Self {
        let mut told = Self::default();
        let mut lines = DirectoryLines::open(dir).unwrap();
        while let Some((_, line)) = lines.next().unwrap() {
            let record: serde_json::Value = serde_json::from_slice(line.bytes).unwrap();
            let kind = record["kind"].as_str().unwrap().to_owned();
            told.take(&kind, &record);
            *told.kinds.entry(kind).or_default() += 1;
        }
        told
    }

    fn take(&mut self, kind: &str, record: &serde_json::Value) {
        let number = |name: &str| record[name].as_u64().unwrap_or(0);
        match kind {
            "decision" => *self.numbers.entry(number("n")).or_default() += 1,
            "rollup" | "loss" => {
                for range in record["ranges"].as_array().unwrap() {
                    let [first, last] = [0, 1].map(|end| range[end].as_u64().unwrap());
                    for n in first..=last {
                        *self.numbers.entry(n).or_default() += 1;
                    }
                }
                assert!(record["ranges"].as_array().unwrap().len() <= 24);
                if kind == "loss" {
                    self.lost += number("count");
                    self.others += number("others");
                    return;
                }
                assert_eq!(number("second"), 1_000);
                self.counted += number("count");
                self.outcomes += number("outcomes");
                let mut sum = 0;
                for (name, count) in record["allowed"].as_object().unwrap() {
                    let count = count.as_u64().unwrap();
                    sum += count;
                    *self.allowed.entry(name.clone()).or_default() += count;
                }
                assert_eq!(sum, number("count"));
            }
            "fault" => self
                .faults
                .push(record["code"].as_str().unwrap().to_owned()),
            "close" => {
                self.made = record["made"]["00"].as_u64().unwrap();
                self.unaccounted = record["unaccounted"]["00"].as_u64().unwrap_or(0);
            }
            _ => {}
        }
    }

    fn count(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0) as u64
    }

    /// The identity of accounts, and each number exactly once.
    fn adds_up(&self) {
        let sum = self.count("decision") + self.counted + self.lost + self.unaccounted;
        assert_eq!(self.made, sum, "{self:?}");
        assert_eq!(self.unaccounted, 0);
        let all: Vec<u64> = self.numbers.keys().copied().collect();
        assert_eq!(all, (0..self.made).collect::<Vec<_>>());
        assert!(self.numbers.values().all(|times| *times == 1));
    }
}

fn quick() -> Bounds {
    Bounds {
        rollup_min: Duration::ZERO,
        ..Bounds::default()
    }
}

#[test]
fn a_stalled_disk_turns_admitted_requests_into_counts_and_loses_nothing() {
    // R090
    let mut scene = Scene::new(256, quick());
    for _ in 0..10 {
        assert!(scene.admit());
    }
    scene.stall();
    // What waited for the disk, and what the machine held up.
    let (mut slow, mut longest) = (0, Duration::ZERO);
    for round in 0..500 {
        for _ in 0..20 {
            let began = Instant::now();
            assert!(scene.admit(), "the ring never fills");
            let took = began.elapsed();
            slow += u32::from(took > Duration::from_millis(5));
            longest = longest.max(took);
        }
        assert!(scene.refuse());
        let ended = Deed::Ended(round);
        assert!(scene.producer.push(Lane::Ordinary, None, ended));
        // As fast as the writer takes them: it must, though it can write nothing.
        scene.until(|now| now.queued < 128);
    }
    assert!(!scene.ledger.snapshot().ok, "the disk takes nothing still");
    assert_eq!(scene.producer.lost(), 0);
    // The bound is a thousand times what a push takes: only a wait would exceed it, and each would.
    assert!(slow < 500, "{slow} of 10,000 pushes took long");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    scene.recover();
    assert_eq!(scene.ledger.snapshot().rolled_up, 10_000);
    assert!(scene.admit());
    scene.ledger.flush(PATIENCE).unwrap();
    let told = scene.told();
    told.adds_up();
    assert_eq!((told.counted, told.lost, told.outcomes), (10_000, 0, 500));
    assert_eq!(
        told.count("decision"),
        10 + 501 + 1,
        "all refusals have lines"
    );
    assert_eq!(told.allowed.values().sum::<u64>(), 10_000);
    let names: Vec<&String> = told.allowed.keys().collect();
    assert_eq!(names, ["a:2xx", "b:2xx"]);
    assert_eq!(told.faults, ["LEDGER_DISK_FULL", "LEDGER_ROLLUP"]);
}

#[test]
fn beyond_every_bound_losses_are_exact() {
    // R090
    let bounds = Bounds {
        ordinary_bytes: 2_000,
        refusal_bytes: 6_000,
        record_bytes: 8_000,
        pending_max: 300,
        ..quick()
    };
    let mut scene = Scene::new(64, bounds);
    scene.stall();
    // Each refusal breaks a range of admitted ones, so the counts take room as well.
    let mut refused_lost = 0;
    while refused_lost < 100 {
        scene.admit();
        refused_lost += u64::from(!scene.refuse());
    }
    scene.until(|now| now.pressure == Pressure::Lossy);
    let lost = scene.producer.lost();
    assert!(lost >= 100);
    assert_eq!(scene.ledger.snapshot().lost, lost);
    scene.recover();
    scene.producer.settle();
    assert!(scene.admit() && scene.refuse());
    scene.ledger.flush(PATIENCE).unwrap();
    let lost = scene.producer.lost();
    let told = scene.told();
    told.adds_up();
    assert_eq!(told.lost, lost);
    assert!(told.counted > 0 && told.count("decision") > 10, "{told:?}");
}

#[test]
fn refusals_keep_their_lines_where_admitted_requests_are_lost() {
    // R090
    let bounds = Bounds {
        ordinary_bytes: 0,
        // Nothing can be counted either: not a turn fits.
        pending_max: 0,
        record_bytes: 0,
        ..quick()
    };
    let mut scene = Scene::new(32, bounds);
    scene.settings.disk.plan.space.store(0, SeqCst);
    let admitted = (0..100).filter(|_| scene.admit()).count();
    assert_eq!(admitted, 32, "the ring is full, and nobody empties it");
    for _ in 0..200 {
        assert!(scene.refuse(), "a refusal has room");
        scene.until(|now| now.queued <= 40);
    }
    assert_eq!(scene.producer.lost(), 68);
    assert_eq!(scene.ledger.snapshot().pressure, Pressure::Lossy);
    drop(scene.producer);
    // The end of a full disk: nothing is durable, and `close` says so.
    assert_eq!(
        scene.ledger.close().unwrap_err().code(),
        "LEDGER_UNAVAILABLE"
    );
}

#[test]
fn a_disk_budget_that_is_used_up_counts_until_there_is_room_again() {
    let mut scene = Scene::new(256, quick());
    scene.ledger.set_over_budget(true);
    scene.until(|now| now.pressure == Pressure::Rollup);
    for _ in 0..100 {
        assert!(scene.admit() && scene.refuse());
    }
    scene.ledger.flush(PATIENCE).unwrap();
    assert!(scene.ledger.snapshot().ok, "the disk is well");
    scene.ledger.set_over_budget(false);
    scene.until(|now| now.pressure == Pressure::Full);
    assert!(scene.admit());
    let told = scene.told();
    told.adds_up();
    assert_eq!((told.counted, told.count("decision")), (100, 101));
    assert_eq!(told.faults, ["LEDGER_ROLLUP"]);
}

#[test]
fn a_close_in_the_middle_of_a_rollup_tells_all_of_it() {
    let mut scene = Scene::new(256, Bounds::default());
    scene.ledger.set_over_budget(true);
    scene.until(|now| now.pressure == Pressure::Rollup);
    for _ in 0..50 {
        assert!(scene.admit());
    }
    let told = scene.told();
    told.adds_up();
    assert_eq!((told.counted, told.count("decision")), (50, 0));
    assert_eq!(told.faults, ["LEDGER_ROLLUP"]);
}

#[test]
fn a_rollup_that_left_nothing_out_leaves_no_record() {
    let scene = Scene::new(256, quick());
    scene.ledger.set_over_budget(true);
    scene.until(|now| now.pressure == Pressure::Rollup);
    scene.ledger.set_over_budget(false);
    scene.until(|now| now.pressure == Pressure::Full);
    assert_eq!(scene.told().faults, [""; 0]);
}

#[test]
fn a_disk_without_progress_is_unavailable_until_it_moves() {
    // R090, R199
    let bounds = Bounds {
        unavailable_after: Duration::from_millis(300),
        ..quick()
    };
    let mut scene = Scene::new(256, bounds);
    // On a busy machine a sync that is under way may take as long.
    scene.until(|_| !scene.producer.is_ledger_unavailable());
    scene.settings.disk.plan.space.store(0, SeqCst);
    scene.refuse();
    scene.until(|now| now.pressure == Pressure::Unavailable);
    assert!(scene.producer.is_ledger_unavailable());
    scene.recover();
    scene.until(|_| !scene.producer.is_ledger_unavailable());
    let told = scene.told();
    told.adds_up();
    // On a busy machine the writer may have been away for as long once more.
    for code in ["LEDGER_DISK_FULL", "LEDGER_UNAVAILABLE"] {
        assert!(told.faults.iter().any(|fault| fault == code), "{told:?}");
    }
}

#[test]
fn a_writer_that_has_ended_is_unavailable() {
    // R199
    let scene = Scene::new(256, quick());
    assert_eq!(scene.ledger.snapshot().pressure, Pressure::Full);
    scene.ledger.close().unwrap();
    assert_eq!(scene.ledger.snapshot().pressure, Pressure::Unavailable);
    assert!(scene.producer.is_ledger_unavailable());
}

/// The count of worker 0 in the file `made`.
fn made_in_file(dir: &Path) -> u64 {
    let bytes = std::fs::read(dir.join("made")).unwrap();
    assert_eq!(bytes[16..20], BOOT.to_le_bytes());
    u64::from_le_bytes(bytes[4_096..4_104].try_into().unwrap())
}

#[test]
fn what_was_made_is_in_the_file_at_once() {
    // R090
    let mut scene = Scene::new(256, quick());
    assert_eq!(made_in_file(scene.dir.path()), 0);
    for made in 1..=1_000 {
        scene.producer.next_number();
        assert_eq!(made_in_file(scene.dir.path()), made);
    }
}

#[test]
fn without_a_file_for_the_counters_the_ledger_starts_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    // A folder stands where the file would be put.
    std::fs::create_dir_all(dir.path().join("made/in the way")).unwrap();
    let settings = Settings::new(dir.path());
    let (ledger, mut producer) = start(&settings, 8);
    assert_eq!((producer.next_number(), producer.made()), (0, 1));
    producer.push(Lane::Ordinary, Some(0), Deed::Admitted(0));
    drop(producer);
    ledger.close().unwrap();
    Told::of(dir.path()).adds_up();
}

/// Set for the process that is to be killed: the directory of its ledger.
const VICTIM: &str = "TIDEGATE_TEST_VICTIM";

#[test]
fn after_sigkill_the_file_says_exactly_what_was_made() {
    // R087, R090
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    if let Ok(dir) = std::env::var(VICTIM) {
        count_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let name = "ledger::pressure_tests::after_sigkill_the_file_says_exactly_what_was_made";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test runner says something first.
    let mut numbers = told
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("taken ")?.parse::<u64>().ok());
    let seen = numbers.by_ref().take(2_000).last().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let last = numbers.last().unwrap_or(seen);
    let made = made_in_file(dir.path());
    // A number may have been taken that there was no time to tell of.
    assert!(
        (last + 1..=last + 2).contains(&made),
        "{last} was told, {made} made"
    );
}

fn count_until_killed(dir: &Path) -> ! {
    use std::io::Write;
    let (_ledger, mut producer) = start(&Settings::new(dir), 1 << 16);
    let mut out = std::io::stdout();
    loop {
        let n = producer.next_number();
        out.write_all(format!("taken {n}\n").as_bytes()).unwrap();
        producer.push(Lane::Ordinary, Some(n), Deed::Admitted(n));
    }
}
