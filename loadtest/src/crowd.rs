//! An open loop: so many requests a second, whatever became of the earlier ones, by clients that
//! give up and try again.
//!
//! A request counts for the second in which it began, and as good when one of its attempts was
//! answered 2xx in time. One thread; each attempt that is given up closes its connection.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::ask::connect;
use crate::wire::{Connection, Framing};

/// Requests that may be open at once; beyond it a request is counted as lost unsent.
const OPEN_MAX: u32 = 10_000;

/// Who asks, and what.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// The server.
    pub target: SocketAddr,
    /// What is asked for in turn.
    pub paths: Vec<String>,
    /// Requests that begin in a second.
    pub per_second: u32,
    /// The clients, each an address of its own: 127.0.`net`.1 and following.
    pub clients: u8,
    /// The third byte of their addresses.
    pub net: u8,
    /// How long an attempt may take.
    pub patience: Duration,
    /// Attempts after the first one.
    pub retries: u32,
    /// The pause before the first of them, doubled each time.
    pub backoff: Duration,
}

impl Crowd {
    /// Clients that wait for ten seconds and do not try again.
    #[must_use]
    pub fn patient(target: SocketAddr, path: &str, per_second: u32) -> Self {
        Self {
            target,
            paths: vec![path.to_owned()],
            per_second,
            clients: 10,
            net: 1,
            patience: Duration::from_secs(10),
            retries: 0,
            backoff: Duration::from_millis(100),
        }
    }
}

/// One second of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// Requests that began in it.
    pub begun: u64,
    /// Of these, the good ones.
    pub good: u64,
}

/// What became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// By second.
    pub seconds: Vec<Second>,
    /// Answers to attempts by status; 0 = none in time.
    pub statuses: BTreeMap<u16, u64>,
}

impl Outcome {
    /// Requests that began from second `from` to before second `to`, and the good ones of them.
    #[must_use]
    pub fn between(&self, from: usize, to: usize) -> Second {
        let seconds = self.seconds.iter().take(to).skip(from);
        seconds.fold(Second::default(), |sum, second| Second {
            begun: sum.begun + second.begun,
            good: sum.good + second.good,
        })
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Second {
        self.between(0, self.seconds.len())
    }

    /// Answers of a status.
    #[must_use]
    pub fn of(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or(0)
    }
}

struct Shared {
    crowd: Crowd,
    idle: RefCell<HashMap<Ipv4Addr, Vec<Connection>>>,
    outcome: RefCell<Outcome>,
    open: Cell<u32>,
}

/// Runs for `long`, or until `stop` is set; then waits for what is open.
///
/// # Errors
/// When the runtime cannot start.
pub fn run(crowd: &Crowd, long: Duration, stop: &AtomicBool) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        crowd.per_second > 0 && crowd.clients > 0 && !crowd.paths.is_empty(),
        "a crowd has clients, paths and a rate"
    );
    let shared = Rc::new(Shared {
        crowd: crowd.clone(),
        idle: RefCell::default(),
        outcome: RefCell::default(),
        open: Cell::new(0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let began = Instant::now();
        let mut clock = interval(Duration::from_secs(1) / crowd.per_second);
        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut number = 0_usize;
        while began.elapsed() < long && !stop.load(Ordering::Relaxed) {
            clock.tick().await;
            let second = usize::try_from(began.elapsed().as_secs()).unwrap_or(usize::MAX);
            shared.begin(second);
            tokio::task::spawn_local(request(Rc::clone(&shared), number, second));
            number += 1;
        }
        while shared.open.get() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    });
    Ok(shared.outcome.take())
}

impl Shared {
    fn begin(&self, second: usize) {
        let seconds = &mut self.outcome.borrow_mut().seconds;
        if seconds.len() <= second {
            seconds.resize(second + 1, Second::default());
        }
        if let Some(second) = seconds.get_mut(second) {
            second.begun += 1;
        }
        self.open.set(self.open.get() + 1);
    }

    fn note(&self, status: u16) {
        *self
            .outcome
            .borrow_mut()
            .statuses
            .entry(status)
            .or_default() += 1;
    }

    fn good(&self, second: usize) {
        if let Some(second) = self.outcome.borrow_mut().seconds.get_mut(second) {
            second.good += 1;
        }
    }
}

async fn request(shared: Rc<Shared>, number: usize, second: usize) {
    let crowd = &shared.crowd;
    let client = u8::try_from(number % usize::from(crowd.clients)).unwrap_or(0);
    let from = Ipv4Addr::new(127, 0, crowd.net, client + 1);
    let at = (number / usize::from(crowd.clients)) % crowd.paths.len();
    let path = crowd.paths.get(at).map_or("/", String::as_str);
    for attempt in 0..=crowd.retries {
        if attempt > 0 {
            // Half of it is by chance of number, so that those who failed together part again.
            let pause = crowd.backoff * 2_u32.saturating_pow(attempt - 1);
            let spread = u32::try_from(number % 50).unwrap_or(0);
            sleep(pause * (50 + spread) / 100).await;
        }
        if shared.open.get() > OPEN_MAX {
            shared.note(0);
            continue;
        }
        let kept = shared.idle.borrow_mut().get_mut(&from).and_then(Vec::pop);
        let answer = timeout(crowd.patience, exchange(kept, from, path, attempt, crowd)).await;
        match answer {
            Ok(Ok((status, connection))) => {
                shared.note(status);
                if let Some(connection) = connection {
                    let mut idle = shared.idle.borrow_mut();
                    idle.entry(from).or_default().push(connection);
                }
                if (200..300).contains(&status) {
                    shared.good(second);
                    break;
                }
            }
            _ => shared.note(0),
        }
    }
    shared.open.set(shared.open.get() - 1);
}

async fn exchange(
    kept: Option<Connection>,
    from: Ipv4Addr,
    path: &str,
    attempt: u32,
    crowd: &Crowd,
) -> anyhow::Result<(u16, Option<Connection>)> {
    let mut connection = match kept {
        Some(connection) => connection,
        None => Connection::new(connect(from, crowd.target).await?)?,
    };
    let declared = match attempt {
        0 => String::new(),
        n => format!("x-retry-count: {n}\r\n"),
    };
    let head = format!("GET {path} HTTP/1.1\r\nHost: load\r\n{declared}\r\n");
    connection.send(head.as_bytes()).await?;
    let head = connection.response().await?;
    let head = head.ok_or_else(|| anyhow::anyhow!("closed without an answer"))?;
    let framing = head.response_framing("GET")?;
    connection.body(framing, None).await?;
    let keep = !head.closes() && framing != Framing::Close;
    Ok((head.status, keep.then_some(connection)))
}
