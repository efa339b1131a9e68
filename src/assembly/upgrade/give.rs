//! The old process: hands its sockets to whoever takes over, and gives way once that one serves.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::wire::{Bell, Line};
use super::{GREETING, READY_MAX, STEP_MAX, bell};
use crate::gateway::Control;

/// How often the thread looks whether it shall end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A message, and the descriptor with it.
type Words = (String, Option<OwnedFd>);

/// What is handed over, and what is done around it.
pub(in crate::assembly) struct GiveParts {
    pub(in crate::assembly) state_dir: PathBuf,
    pub(in crate::assembly) control: Control,
    /// The address that the settings ask for, the one it has, and the socket.
    pub(in crate::assembly) admin: (SocketAddr, SocketAddr, OwnedFd),
    /// Writes down what the next process goes on from.
    pub(in crate::assembly) save: Box<dyn Fn() + Send>,
    /// Called with the process that serves now, before this one drains.
    pub(in crate::assembly) gave: Box<dyn Fn(Option<u32>) + Send>,
}

/// The thread that waits for somebody to take over; it ends when this is dropped.
#[derive(Debug)]
pub(in crate::assembly) struct Giver {
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Giver {
    /// Starts to wait. Where that is not possible an upgrade is a restart, and the log says so.
    pub(in crate::assembly) fn start(parts: GiveParts) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let path = bell(&parts.state_dir);
        let started = Bell::hang(&path).and_then(|bell| {
            let builder = std::thread::Builder::new().name("upgrade".to_owned());
            builder.spawn(move || wait(&parts, bell, &end))
        });
        let unavailable = |error: &io::Error| {
            let path = path.display();
            tracing::warn!(event = "upgrade_unavailable", %path, %error);
        };
        Self {
            ending,
            thread: started.inspect_err(unavailable).ok(),
        }
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has left this process as it was.
            _ = thread.join();
        }
    }
}

fn wait(parts: &GiveParts, mut bell: Bell, end: &AtomicBool) {
    while !end.load(Ordering::Acquire) && !parts.control.is_draining() {
        let answered = bell.answer(LOOK_EVERY).and_then(|line| match line {
            None => Ok(None),
            Some(line) => offer(parts, &line, end).map(|()| Some(line)),
        });
        let line = match answered {
            Ok(None) => continue,
            Ok(Some(line)) => line,
            Err(error) => {
                tracing::warn!(event = "upgrade_failed", %error, "this process goes on");
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
        };
        // From here on the other one has its own bell at this place.
        drop(bell);
        match give_way(parts, &line, end) {
            Ok(()) => return,
            Err(error) => tracing::error!(event = "upgrade_failed", %error, "this process goes on"),
        }
        match Bell::hang(&super::bell(&parts.state_dir)) {
            Ok(again) => bell = again,
            Err(error) => {
                tracing::warn!(event = "upgrade_unavailable", %error);
                return;
            }
        }
    }
}

/// Hands copies of the sockets over, and waits until the other process is ready.
fn offer(parts: &GiveParts, line: &Line, end: &AtomicBool) -> io::Result<()> {
    tracing::info!(event = "upgrade_asked", pid = line.peer());
    line.say(GREETING, None)?;
    (parts.save)();
    let sockets = parts.control.sockets()?;
    if sockets.is_empty() {
        return Err(io::Error::other("there is no copy of the sockets"));
    }
    for one in sockets {
        let words = format!("listener {} {}", one.asked, one.address);
        line.say(&words, Some(&one.socket))?;
    }
    let (asked, address, socket) = &parts.admin;
    line.say(&format!("admin {asked} {address}"), Some(socket))?;
    line.say("end", None)?;
    match hear(line, READY_MAX, end)? {
        (words, _) if words == "ready" => Ok(()),
        (words, _) => Err(io::Error::other(format!("it says {words:?}"))),
    }
}

/// The next message; a stop waits for nobody who says nothing.
fn hear(line: &Line, patience: Duration, end: &AtomicBool) -> io::Result<Words> {
    let mut left = patience;
    loop {
        match line.hear(LOOK_EVERY) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                left = left.saturating_sub(LOOK_EVERY);
                if end.load(Ordering::Acquire) {
                    return Err(io::Error::other("this process stops"));
                }
                if left.is_zero() {
                    let text = format!("it has said nothing for {} s", patience.as_secs());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
            }
            heard => return heard,
        }
    }
}

fn give_way(parts: &GiveParts, line: &Line, end: &AtomicBool) -> io::Result<()> {
    line.say("go", None)?;
    match hear(line, STEP_MAX, end)? {
        (words, _) if words == "serving" => {}
        (words, _) => return Err(io::Error::other(format!("it says {words:?}"))),
    }
    let pid = line.peer();
    tracing::info!(event = "handed_over", pid);
    (parts.gave)(pid);
    parts.control.hand_over();
    Ok(())
}
