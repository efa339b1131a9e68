//! The thread that waits for the disk, so that the writer does not.
//!
//! Invariant: at most one sync is under way; its answer always comes back.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle, Thread};

use super::segment::SyncHandle;

/// The writer's side of the sync thread.
#[derive(Debug)]
pub(super) struct Syncer {
    /// Taken to end the thread.
    jobs: Option<Sender<SyncHandle>>,
    answers: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
    pub(super) under_way: bool,
}

impl Syncer {
    /// Starts the thread; it wakes `writer` after each answer.
    pub(super) fn start(writer: Thread) -> io::Result<Self> {
        let (jobs, inbox) = channel::<SyncHandle>();
        let (outbox, answers) = channel();
        let thread = thread::Builder::new()
            .name("ledger-sync".to_owned())
            .spawn(move || {
                while let Ok(segment) = inbox.recv() {
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

    /// Asks for everything written to `segment` so far to be made durable.
    pub(super) fn request(&mut self, segment: SyncHandle) {
        if let Some(jobs) = &self.jobs {
            self.under_way = jobs.send(segment).is_ok();
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
