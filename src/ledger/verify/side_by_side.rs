//! Segments read by several threads, joined in order by this one.
//!
//! Invariant: at most [`AHEAD`] segments per thread are read ahead of the one that is joined.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;

use super::join::Log;
use super::part::{Job, Part, read as read_part};
use super::report::{At, Damage};
use super::steps::Step;

/// Finished segments that may wait for an earlier one, for each thread.
const AHEAD: usize = 4;

type Done = io::Result<(Part, Vec<(At, Step)>)>;

fn one(job: &Job<'_>) -> Done {
    let mut steps = Vec::new();
    let part = read_part(job, &mut |at, step| {
        steps.push((at, step));
        true
    })?;
    Ok((part, steps))
}

/// Reads all jobs and joins them; gives the first broken rule.
pub(super) fn read(
    jobs: &[Job<'_>],
    threads: usize,
    log: &mut Log<'_>,
) -> io::Result<Option<Damage>> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads }.min(jobs.len());
    if threads <= 1 {
        return in_turn(jobs, log);
    }
    let state = Shared {
        jobs,
        ahead: threads * AHEAD,
        next: AtomicUsize::new(0),
        joined: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let (send, done) = mpsc::channel();
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (send, state) = (send.clone(), &state);
                scope.spawn(move || state.work(&send))
            })
            .collect();
        drop(send);
        let wake = || workers.iter().for_each(|worker| worker.thread().unpark());
        let outcome = state.join(&done, log, &wake);
        state.stop.store(true, SeqCst);
        wake();
        outcome
    })
}

fn in_turn(jobs: &[Job<'_>], log: &mut Log<'_>) -> io::Result<Option<Damage>> {
    for job in jobs {
        let (part, steps) = one(job)?;
        let wrong = log.join(job, part, steps)?;
        if wrong.is_some() {
            return Ok(wrong);
        }
    }
    Ok(None)
}

/// What the readers and the one who joins tell each other.
struct Shared<'a> {
    jobs: &'a [Job<'a>],
    /// Segments that may be read before an earlier one is joined.
    ahead: usize,
    /// The first that nobody has taken.
    next: AtomicUsize,
    joined: AtomicUsize,
    stop: AtomicBool,
}

impl Shared<'_> {
    /// Reads segments until there are none left, or somebody has seen enough.
    fn work(&self, send: &mpsc::Sender<(usize, Done)>) {
        loop {
            let at = self.next.fetch_add(1, SeqCst);
            let Some(job) = self.jobs.get(at) else { return };
            while at >= self.joined.load(SeqCst) + self.ahead && !self.stop.load(SeqCst) {
                thread::park();
            }
            if self.stop.load(SeqCst) || send.send((at, one(job))).is_err() {
                return;
            }
        }
    }

    /// Joins what comes, in order, until something is wrong.
    fn join(
        &self,
        done: &mpsc::Receiver<(usize, Done)>,
        log: &mut Log<'_>,
        wake: &dyn Fn(),
    ) -> io::Result<Option<Damage>> {
        let mut waiting = BTreeMap::new();
        for (at, job) in self.jobs.iter().enumerate() {
            let ready = loop {
                if let Some(ready) = waiting.remove(&at) {
                    break ready;
                }
                let Ok((index, result)) = done.recv() else {
                    return Err(io::Error::other("a thread of the verifier ended early"));
                };
                waiting.insert(index, result);
            };
            let outcome = ready.and_then(|(part, steps)| log.join(job, part, steps));
            self.joined.store(at + 1, SeqCst);
            wake();
            if !matches!(outcome, Ok(None)) {
                return outcome;
            }
        }
        Ok(None)
    }
}
