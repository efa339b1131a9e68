//! `snapshot.json` in the state directory: what a restart goes on from.
//!
//! Written every half minute and at the end, under another name first and then renamed, so a
//! reader finds a whole file or none. Used at a start only if it is younger than a minute, not from
//! the future, and of this format: anything else is said in the log and left alone, because a cold
//! start is always safe. It is no record of anything and is never synced to the disk.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::observation::{
    BASELINE_MINUTES, BaselineSnapshot, Board, BurnSnapshot, CircuitState, Load, RouteSnapshot,
    SavedCircuit, Share, Snapshot, Ticker,
};
use crate::rulebook::Rulebook;
use crate::units::Moment;

const FORMAT: u32 = 1;
const EVERY_NS: u64 = 30_000_000_000;
const AGE_MAX_US: u64 = 60_000_000;
/// Ten times what ten thousand busy contracts write.
const BYTES_MAX: u64 = 256 << 20;
/// For how long a circuit can still be open: an hour, in centiseconds, six times what a policy can
/// say.
const CIRCUIT_AHEAD_MAX_CS: i64 = 3_600 * 100;

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it has {0} bytes, more than {BYTES_MAX}")]
    TooLong(u64),
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it has format {0}, and this version reads {FORMAT}")]
    Format(u32),
    #[error("it is {0} s old, and only a minute is believed")]
    Old(u64),
    #[error("it is from the future: the clock of this host was set back")]
    Future,
}

/// Why a route of a snapshot is not used: what it holds would mislead its risk, or keep it closed.
#[derive(Debug, thiserror::Error)]
#[error("{member} of {contract} is out of its range")]
struct OutOfRange {
    contract: String,
    member: &'static str,
}

/// A file that can be believed, and the first of its routes that cannot.
#[derive(Debug)]
struct Believed {
    snapshot: Snapshot,
    first_bad: Option<OutOfRange>,
    bad: usize,
}

/// Keeps the file of one state directory up to date.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    due_ns: u64,
    writing: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Reads nothing yet.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self {
            path: state_dir.join("snapshot.json"),
            due_ns: 0,
            writing: None,
        }
    }

    /// Lets the ticker go on from the file, where there is one that can be believed.
    pub(super) fn restore(&mut self, rulebook: &Rulebook, ticker: &mut Ticker, now: Moment) {
        self.due_ns = now.monotonic_ns + EVERY_NS;
        match read(&self.path, now) {
            Ok(believed) => {
                let (board, snapshot) = (rulebook.board(), believed.snapshot);
                let limit_of = |route| {
                    if route == board.unmatched() {
                        return Some(*rulebook.unknown_limit());
                    }
                    rulebook.limit_of(route).copied()
                };
                let contracts = ticker.restore(board, &snapshot, now, limit_of);
                let age_ms = now.wall_us.saturating_sub(snapshot.wall_us) / 1_000;
                tracing::info!(event = "snapshot_restored", contracts, age_ms);
                if let Some(first) = believed.first_bad {
                    let routes = believed.bad;
                    tracing::warn!(event = "snapshot_routes_ignored", routes, %first);
                }
            }
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(why) => {
                let path = self.path.display();
                tracing::warn!(event = "snapshot_ignored", %path, %why);
            }
        }
    }

    /// Writes the file where it is time to, on a thread of its own: a slow disk must not hold up
    /// the next tick.
    pub(super) fn after_tick(&mut self, board: &Board, ticker: &Ticker, now: Moment) {
        if now.monotonic_ns < self.due_ns {
            return;
        }
        self.due_ns = now.monotonic_ns + EVERY_NS;
        if self
            .writing
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
        {
            return;
        }
        let (path, snapshot) = (self.path.clone(), ticker.snapshot(board, now));
        let thread = std::thread::Builder::new().name("snapshot".to_owned());
        match thread.spawn(move || write_and_say(&path, &snapshot)) {
            Ok(thread) => self.writing = Some(thread),
            Err(error) => tracing::warn!(event = "snapshot_not_written", %error),
        }
    }

    /// Writes the file for the next start.
    pub(super) fn finish(mut self, board: &Board, ticker: &Ticker, now: Moment) {
        if let Some(thread) = self.writing.take() {
            // What it wrote is written again.
            let _ = thread.join();
        }
        write_and_say(&self.path, &ticker.snapshot(board, now));
    }
}

fn write_and_say(path: &Path, snapshot: &Snapshot) {
    if let Err(error) = write(path, snapshot) {
        let path = path.display();
        tracing::warn!(event = "snapshot_not_written", %path, %error);
    }
}

fn write(path: &Path, snapshot: &Snapshot) -> io::Result<()> {
    let unfinished = path.with_extension("json.new");
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let mut out = BufWriter::with_capacity(1 << 16, file);
    serde_json::to_writer(&mut out, &SnapshotFile::from(snapshot))?;
    out.flush()?;
    fs::rename(&unfinished, path)
}

fn read(path: &Path, now: Moment) -> Result<Believed, Unusable> {
    let length = fs::metadata(path)?.len();
    if length > BYTES_MAX {
        return Err(Unusable::TooLong(length));
    }
    let text = fs::read(path)?;
    let head: Head = serde_json::from_slice(&text)?;
    if head.format != FORMAT {
        return Err(Unusable::Format(head.format));
    }
    let file: SnapshotFile = serde_json::from_slice(&text)?;
    if file.wall_us > now.wall_us {
        return Err(Unusable::Future);
    }
    let age_us = now.wall_us - file.wall_us;
    if age_us > AGE_MAX_US {
        return Err(Unusable::Old(age_us / 1_000_000));
    }
    Ok(Believed::from(file))
}

/// What every format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotFile {
    format: u32,
    wall_us: u64,
    routes: Vec<RouteFile>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RouteFile {
    contract: String,
    observed_minutes: u64,
    #[serde(skip_serializing_if = "is_default")]
    phase: u64,
    #[serde(skip_serializing_if = "is_default")]
    learning_us: Vec<u32>,
    #[serde(skip_serializing_if = "is_default")]
    p95_1024: u64,
    /// Minutes, mean and variance.
    #[serde(skip_serializing_if = "is_default")]
    load: (u32, u64, u64),
    #[serde(skip_serializing_if = "is_default")]
    minutes: Vec<(u32, u32)>,
    #[serde(skip_serializing_if = "is_default")]
    fives: Vec<(u32, u32)>,
    #[serde(skip_serializing_if = "is_default")]
    hours: Vec<(u32, u32)>,
    #[serde(skip_serializing_if = "is_default")]
    current: [(u32, u32); 3],
    #[serde(skip_serializing_if = "is_default")]
    circuits: [Option<CircuitFile>; 2],
    #[serde(skip_serializing_if = "is_default")]
    rate_tat_ns: [u64; 2],
    /// 0 in files of earlier versions.
    #[serde(skip_serializing_if = "is_default")]
    rate_period_ns: u64,
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct CircuitFile {
    state: StateFile,
    epoch: u32,
    step: u32,
    at_cs: i64,
}

#[derive(Serialize, Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum StateFile {
    Closed,
    Open,
    HalfOpen,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn pair(share: Share) -> (u32, u32) {
    (share.part, share.whole)
}

const fn share((part, whole): (u32, u32)) -> Share {
    Share { part, whole }
}

impl From<&Snapshot> for SnapshotFile {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            format: FORMAT,
            wall_us: snapshot.wall_us,
            routes: snapshot.routes.iter().map(RouteFile::from).collect(),
        }
    }
}

impl From<&RouteSnapshot> for RouteFile {
    fn from(route: &RouteSnapshot) -> Self {
        let pairs = |shares: &[Share]| shares.iter().copied().map(pair).collect();
        let burn = &route.burn;
        Self {
            contract: route.contract.to_string(),
            observed_minutes: burn.observed_minutes,
            phase: burn.phase,
            learning_us: route.baseline.learning_us.clone(),
            p95_1024: route.baseline.p95_1024,
            load: (
                route.load.minutes,
                route.load.mean_1024,
                route.load.variance_1024,
            ),
            minutes: pairs(&burn.minutes),
            fives: pairs(&burn.fives),
            hours: pairs(&burn.hours),
            current: burn.current.map(pair),
            circuits: route.circuits.map(|circuit| circuit.map(CircuitFile::from)),
            rate_tat_ns: route.rate_tat_ns,
            rate_period_ns: route.rate_period_ns,
        }
    }
}

impl From<SavedCircuit> for CircuitFile {
    fn from(circuit: SavedCircuit) -> Self {
        Self {
            state: match circuit.state {
                CircuitState::Closed => StateFile::Closed,
                CircuitState::Open => StateFile::Open,
                CircuitState::HalfOpen => StateFile::HalfOpen,
            },
            epoch: circuit.epoch,
            step: circuit.step,
            at_cs: circuit.at_cs,
        }
    }
}

impl From<CircuitFile> for SavedCircuit {
    fn from(file: CircuitFile) -> Self {
        Self {
            state: match file.state {
                StateFile::Closed => CircuitState::Closed,
                StateFile::Open => CircuitState::Open,
                StateFile::HalfOpen => CircuitState::HalfOpen,
            },
            epoch: file.epoch,
            step: file.step,
            at_cs: file.at_cs,
        }
    }
}

/// A route that cannot be believed begins with nothing; the others lose nothing by it.
impl From<SnapshotFile> for Believed {
    fn from(file: SnapshotFile) -> Self {
        let mut believed = Self {
            snapshot: Snapshot {
                wall_us: file.wall_us,
                routes: Vec::with_capacity(file.routes.len()),
            },
            first_bad: None,
            bad: 0,
        };
        for route in file.routes {
            match RouteSnapshot::try_from(route) {
                Ok(route) => believed.snapshot.routes.push(route),
                Err(bad) => {
                    believed.bad += 1;
                    believed.first_bad.get_or_insert(bad);
                }
            }
        }
        believed
    }
}

impl TryFrom<RouteFile> for RouteSnapshot {
    type Error = OutOfRange;

    fn try_from(file: RouteFile) -> Result<Self, OutOfRange> {
        file.check()?;
        let shares = |pairs: Vec<(u32, u32)>| pairs.into_iter().map(share).collect();
        let (minutes, mean_1024, variance_1024) = file.load;
        Ok(Self {
            contract: file.contract.into(),
            baseline: BaselineSnapshot {
                learning_us: file.learning_us,
                p95_1024: file.p95_1024,
            },
            load: Load {
                minutes,
                mean_1024,
                variance_1024,
            },
            burn: BurnSnapshot {
                observed_minutes: file.observed_minutes,
                phase: file.phase,
                minutes: shares(file.minutes),
                fives: shares(file.fives),
                hours: shares(file.hours),
                current: file.current.map(share),
            },
            circuits: file.circuits.map(|circuit| circuit.map(SavedCircuit::from)),
            rate_tat_ns: file.rate_tat_ns,
            rate_period_ns: file.rate_period_ns,
        })
    }
}

impl RouteFile {
    /// What would otherwise keep a contract closed, or mislead its risk, for long. How far a rate
    /// limit can be used up only the limit itself knows.
    fn check(&self) -> Result<(), OutOfRange> {
        let circuits_are_near = self
            .circuits
            .iter()
            .flatten()
            .all(|circuit| circuit.at_cs <= CIRCUIT_AHEAD_MAX_CS);
        let rules = [
            ("learning_us", self.learning_us.len() < BASELINE_MINUTES),
            ("circuits", circuits_are_near),
        ];
        for (member, holds) in rules {
            if !holds {
                let contract = self.contract.clone();
                return Err(OutOfRange { contract, member });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{AGE_MAX_US, Unusable, read, write};
    use crate::observation::{
        BaselineSnapshot, BurnSnapshot, CircuitState, Load, RouteSnapshot, SavedCircuit, Share,
        Snapshot,
    };
    use crate::units::Moment;

    const WALL_US: u64 = 1_767_225_600_000_000;

    fn snapshot() -> Snapshot {
        let share = |part, whole| Share { part, whole };
        Snapshot {
            wall_us: WALL_US,
            routes: vec![
                RouteSnapshot {
                    contract: "never_used".into(),
                    ..RouteSnapshot::default()
                },
                RouteSnapshot {
                    contract: "orders".into(),
                    baseline: BaselineSnapshot {
                        learning_us: vec![1_000, 2_000],
                        p95_1024: 5,
                    },
                    load: Load {
                        minutes: 30,
                        mean_1024: 102_400,
                        variance_1024: 7,
                    },
                    burn: BurnSnapshot {
                        observed_minutes: 99,
                        phase: 39,
                        minutes: vec![share(1, 2), share(0, 3)],
                        fives: vec![share(4, 5)],
                        hours: vec![share(6, 7)],
                        current: [share(8, 9), share(10, 11), share(12, 13)],
                    },
                    circuits: [
                        None,
                        Some(SavedCircuit {
                            state: CircuitState::HalfOpen,
                            epoch: 3,
                            step: 2,
                            at_cs: -150,
                        }),
                    ],
                    rate_tat_ns: [0, 1_500_000_000],
                    rate_period_ns: 1_000_000_000,
                },
            ],
        }
    }

    fn at(wall_us: u64) -> Moment {
        Moment {
            monotonic_ns: 7,
            wall_us,
        }
    }

    #[test]
    fn what_is_written_is_read_while_it_is_young() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("snapshot.json");
        write(&path, &snapshot()).expect("written");
        for age_us in [0, 1, AGE_MAX_US] {
            let found = read(&path, at(WALL_US + age_us)).expect("a young file");
            assert_eq!(found.snapshot, snapshot(), "{age_us} us");
            assert_eq!(found.bad, 0);
        }
        let old = read(&path, at(WALL_US + AGE_MAX_US + 1));
        assert!(matches!(old, Err(Unusable::Old(60))), "{old:?}");
        let future = read(&path, at(WALL_US - 1));
        assert!(matches!(future, Err(Unusable::Future)), "{future:?}");
        let left: Vec<_> = std::fs::read_dir(dir.path()).expect("there").collect();
        assert_eq!(left.len(), 1, "nothing unfinished is left");
        let nowhere = write(Path::new("/nonexistent/snapshot.json"), &snapshot());
        assert!(nowhere.is_err());
    }

    #[test]
    fn a_file_that_cannot_be_believed_says_why() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("snapshot.json");
        write(&path, &snapshot()).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let table = [
            ("\"format\":1", "\"format\":2", "format 2"),
            ("\"format\":1,", "", "missing field"),
            ("\"wall_us\"", "\"wall\"", "unknown field"),
            ("]}", "", "cannot be read"),
            ("half_open", "ajar", "cannot be read"),
        ];
        for (good, bad, want) in table {
            assert!(text.contains(good), "{good} is in {text}");
            std::fs::write(&path, text.replace(good, bad)).expect("written");
            let error = read(&path, at(WALL_US)).expect_err("a bad file");
            assert!(error.to_string().contains(want), "{bad}: {error}");
        }
        let missing = read(&dir.path().join("other.json"), at(WALL_US));
        assert!(matches!(missing, Err(Unusable::Io(_))));
    }

    #[test]
    fn a_route_that_cannot_be_believed_takes_no_other_one_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("snapshot.json");
        write(&path, &snapshot()).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        let twelve = "[1,2,3,4,5,6,7,8,9,10,11,12]";
        let table = [
            ("-150", "360001", Some("circuits of orders")),
            ("-150", "-3153600001", None),
            ("[1000,2000]", twelve, Some("learning_us of orders")),
            // The burst of a limit may be a day's worth, or many.
            ("1500000000", "864000000000000", None),
        ];
        for (good, bad, want) in table {
            assert!(text.contains(good), "{good} is in {text}");
            std::fs::write(&path, text.replace(good, bad)).expect("written");
            let found = read(&path, at(WALL_US)).expect("the file is good");
            let names = found.snapshot.routes.iter().map(|route| &*route.contract);
            let kept: &[&str] = match want {
                Some(_) => &["never_used"],
                None => &["never_used", "orders"],
            };
            assert_eq!(names.collect::<Vec<_>>(), kept, "{bad}");
            let told = found.first_bad.map(|bad| bad.to_string());
            let want = want.map(|want| format!("{want} is out of its range"));
            assert_eq!(told, want, "{bad}");
        }
    }
}
