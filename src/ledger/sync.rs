//! The thread that waits for the disk, so that the writer does not.
//!
//! Invariant: at most one sync is under way; its answer always comes back.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, Thread};

use super::disk::{Disk, DiskFile};

/// What to sync, and whom to wake after it.
type Job = (DiskFile, Thread);

/// The writer's side of the sync thread.
#[derive(Debug)]
pub(super) struct Syncer {
    /// Taken to end the thread.
    jobs: Option<Sender<Job>>,
    answers: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
    pub(super) under_way: bool,
}

impl Syncer {
    /// Starts the thread. `disk` lets a test refuse it.
    pub(super) fn start(disk: &Disk) -> io::Result<Self> {
        disk.before_thread()?;
        let (jobs, inbox) = channel::<Job>();
        let (outbox, answers) = channel();
        let thread = thread::Builder::new()
            .name("ledger-sync".to_owned())
            .spawn(move || {
                while let Ok((segment, writer)) = inbox.recv() {
                    if outbox.send(segment.sync()).is_err() {
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
        })
    }

    /// Asks for everything written to `segment` so far to be made durable; wakes the
    /// calling thread when the answer is there.
    pub(super) fn request(&mut self, segment: DiskFile) {
        if let Some(jobs) = &self.jobs {
            self.under_way = jobs.send((segment, thread::current())).is_ok();
        }
    }

    /// The answer to the last request, once it is there. A thread that is gone is a failed sync.
    pub(super) fn answer(&mut self) -> Option<io::Result<()>> {
        use std::sync::mpsc::TryRecvError;
        if !self.under_way {
            return None;
        }
        let answer = match self.answers.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the sync thread is gone")),
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
