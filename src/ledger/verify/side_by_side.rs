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
        for job in jobs {
            let (part, steps) = one(job)?;
            let wrong = log.join(job, part, steps)?;
            if wrong.is_some() {
                return Ok(wrong);
            }
        }
        return Ok(None);
    }
    let (next, joined, stop) = (
        AtomicUsize::new(0),
        AtomicUsize::new(0),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        let (send, done) = mpsc::channel::<(usize, Done)>();
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (send, next, joined, stop) = (send.clone(), &next, &joined, &stop);
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, SeqCst);
                        let Some(job) = jobs.get(at) else { return };
                        while at >= joined.load(SeqCst) + threads * AHEAD && !stop.load(SeqCst) {
                            thread::park();
                        }
                        if stop.load(SeqCst) || send.send((at, one(job))).is_err() {
                            return;
                        }
                    }
                })
            })
            .collect();
        drop(send);
        let wake = || workers.iter().for_each(|worker| worker.thread().unpark());
        let mut waiting = BTreeMap::new();
        let mut outcome = Ok(None);
        for (at, job) in jobs.iter().enumerate() {
            let ready = loop {
                if let Some(ready) = waiting.remove(&at) {
                    break Some(ready);
                }
                match done.recv() {
                    Ok((index, result)) => drop(waiting.insert(index, result)),
                    Err(_) => break None,
                }
            };
            let Some(ready) = ready else {
                outcome = Err(io::Error::other("a thread of the verifier ended early"));
                break;
            };
            outcome =
                ready.and_then(|(part, steps): (Part, Vec<(At, Step)>)| log.join(job, part, steps));
            joined.store(at + 1, SeqCst);
            wake();
            if !matches!(outcome, Ok(None)) {
                break;
            }
        }
        stop.store(true, SeqCst);
        wake();
        outcome
    })
}
