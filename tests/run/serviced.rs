//! What a service manager hears of a gateway, in the order of its life.

use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;

use rustix::process::Signal;

use crate::installation::Installation;
use crate::process::Process;
use crate::wire::{PATIENCE, Upstream, eventually};

/// A manager that listens all the time: a socket holds only a few words that nobody takes, and what
/// comes beyond them is lost.
struct Manager {
    heard: mpsc::Receiver<String>,
    path: String,
}

impl Manager {
    fn new(installation: &Installation) -> Self {
        let path = installation.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let (tell, heard) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 512];
            while let Ok(count) = socket.recv(&mut bytes) {
                let said = String::from_utf8_lossy(&bytes[..count]).into_owned();
                if tell.send(said).is_err() {
                    return;
                }
            }
        });
        let path = path.to_str().unwrap().to_owned();
        Self { heard, path }
    }

    /// The variables by which a process finds it.
    fn variables(&self) -> [(&str, &str); 2] {
        [("NOTIFY_SOCKET", &self.path), ("WATCHDOG_USEC", "900000")]
    }

    /// Waits until this line is said.
    fn hears(&self, wanted: &str) {
        loop {
            let said = self.heard.recv_timeout(PATIENCE).expect(wanted);
            if said.lines().any(|line| line == wanted) {
                return;
            }
        }
    }
}

#[test]
fn a_manager_hears_of_ready_reload_and_stop_and_is_fed() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let manager = Manager::new(&installation);
    let process = Process::start_with(&installation, &manager.variables());
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    for thread in ["admin", "ledger-writer", "reloader", "ticker"] {
        let label = format!("thread=\"{thread}\"");
        let up = || process.metric("tidegate_thread_up", &label) == 1.0;
        eventually("the threads", up);
    }
    process.signal(Signal::HUP);
    manager.hears("RELOADING=1");
    manager.hears("READY=1");
    process.signal(Signal::TERM);
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
}

#[test]
fn a_manager_hears_which_process_is_the_main_one() {
    let upstream = Upstream::ok();
    let installation = Installation::in_front_of(upstream.address);
    let manager = Manager::new(&installation);
    let old = Process::start_with(&installation, &manager.variables());
    let new = Process::upgrade(&installation);
    manager.hears(&format!("MAINPID={}", new.id()));
    let (status, log) = old.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
    new.stop();
}

#[test]
fn a_manager_hears_of_a_stop_that_takes_time() {
    let upstream = Upstream::ok();
    let installation =
        Installation::in_front_of(upstream.address).and("timeouts: {drain_notice_ms: 60000}");
    let manager = Manager::new(&installation);
    let process = Process::start_with(&installation, &manager.variables());
    process.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    process.signal(Signal::INT);
    let (status, log) = process.ended();
    assert_eq!(status.code(), Some(0), "{log:?}");
}
