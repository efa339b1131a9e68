//! The thread that waits for the disk, so that the writer does not.
//!
//! Invariant: at most one job is under way; its answer always comes back.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, Thread};

use super::disk::Disk;
use super::jobs::{Answer, Job};

/// The writer's side of the sync thread.
#[derive(Debug)]
pub(super) struct Syncer {
    /// What to do, and whom to wake after it. Taken to end the thread.
    jobs: Option<Sender<(Job, Thread)>>,
    answers: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
    under_way: bool,
    gone: bool,
}

impl Syncer {
    /// Starts the thread. `disk` lets a test refuse it.
    pub(super) fn start(disk: &Disk) -> io::Result<Self> {
        disk.before_thread()?;
        let (jobs, inbox) = channel::<(Job, Thread)>();
        let (outbox, answers) = channel();
        let disk = disk.clone();
        let thread = thread::Builder::new()
            .name("ledger-sync".to_owned())
            .spawn(move || {
                while let Ok((job, writer)) = inbox.recv() {
                    if outbox.send(job.run(&disk)).is_err() {
                        return;
                    }
                    writer.unpark();
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            answers,
            thread: Some(thread),
            under_way: false,
            gone: false,
        })
    }

    /// True until the answer to the last request has been taken.
    pub(super) const fn under_way(&self) -> bool {
        self.under_way
    }

    /// True once the thread was found dead, as after a panic: nothing is to be asked of it any more.
    pub(super) const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Asks for `job`; wakes the calling thread when the answer is there. Not while one is under
    /// way.
    pub(super) fn request(&mut self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // A thread that is gone answers as well: see below.
            let _ = jobs.send((job, thread::current()));
            self.under_way = true;
        }
    }

    /// The answer to the last request, once it is there.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        use std::sync::mpsc::TryRecvError;
        if !self.under_way {
            return None;
        }
        let answer = match self.answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => {
                self.gone = true;
                Answer::Gone
            }
        };
        self.under_way = false;
        Some(answer)
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.jobs = None;
        // A sync that hangs in the kernel would hang the stop as well: leave it to the exit.
        if !self.under_way
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}
