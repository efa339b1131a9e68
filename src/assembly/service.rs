//! Tells the service manager how the process is: the protocol of `sd_notify`, a datagram per message.
//!
//! Invariant: nothing here can fail a request or hold one up; without a manager it says nothing. Not
//! here: when what is said.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// The line to the service manager, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Service {
    manager: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Service {
    /// As the environment of this process says.
    #[must_use]
    pub fn of_environment() -> Self {
        let text = |name| std::env::var_os(name);
        let pid = text("WATCHDOG_PID").and_then(|pid| pid.to_str()?.parse().ok());
        Self::of(
            text("NOTIFY_SOCKET"),
            text("WATCHDOG_USEC"),
            pid.is_none_or(|pid: u32| pid == std::process::id()),
        )
    }

    fn of(socket: Option<OsString>, watchdog_us: Option<OsString>, is_meant: bool) -> Self {
        let Some(path) = socket.filter(|path| !path.is_empty()) else {
            return Self::default();
        };
        let manager = match line_to(&path) {
            Ok(line) => Some(Arc::new(line)),
            Err(error) => {
                tracing::warn!(event = "service_manager_unreachable", %error);
                None
            }
        };
        let micros = watchdog_us.and_then(|micros| micros.to_str()?.parse().ok());
        Self {
            manager,
            watchdog: micros
                .filter(|micros| is_meant && *micros > 0)
                .map(Duration::from_micros),
        }
    }

    /// Within which time the manager wants to hear that all is well.
    #[must_use]
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Whether somebody listens.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.manager.is_some()
    }

    /// Says `state`, lines of `NAME=value`.
    pub fn tell(&self, state: &str) {
        let Some((socket, manager)) = self.manager.as_deref() else {
            return;
        };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), manager) {
            tracing::debug!(event = "service_manager_unreachable", %error);
        }
    }
}

fn line_to(path: &std::ffi::OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold anybody up.
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    use std::time::Duration;

    use super::Service;

    fn heard(manager: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let limit = Some(Duration::from_secs(5));
        manager.set_read_timeout(limit).unwrap();
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_is_told_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = Service::of(Some(path.into()), None, true);
        service.tell("READY=1");
        assert_eq!(heard(&manager), "READY=1");
        assert_eq!(service.watchdog(), None);
        let name = format!("tidegate-service-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let socket = format!("@{name}").into();
        let service = Service::of(Some(socket), Some("2000000".into()), true);
        service.tell("STOPPING=1");
        assert_eq!(heard(&manager), "STOPPING=1");
        assert_eq!(service.watchdog(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn without_a_manager_nothing_is_said_and_nothing_fails() {
        for socket in [None, Some("".into()), Some("/nowhere/notify".into())] {
            let service = Service::of(socket, Some("soon".into()), true);
            service.tell("READY=1");
            assert_eq!(service.watchdog(), None);
        }
        let other = Service::of(Some("/nowhere".into()), Some("5".into()), false);
        assert_eq!(other.watchdog(), None, "another process is meant");
    }
}
