//! The new process: asks the one that serves for its sockets, and takes its place.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::wire::Line;
use super::{GREETING, READY_MAX, STEP_MAX, bell};
use crate::gateway::ListeningSocket;

/// What a running gateway hands over, and the line to it.
#[derive(Debug)]
pub struct Takeover {
    line: Line,
    listeners: Vec<ListeningSocket>,
    admin: Option<(SocketAddr, TcpListener)>,
    before: Option<u32>,
}

impl Takeover {
    /// Asks the gateway that runs on this state directory; `None` where none runs.
    ///
    /// # Errors
    /// One that does not answer, or in another format; it goes on as it was.
    pub fn ask(state_dir: &Path) -> io::Result<Option<Self>> {
        let Some(line) = Line::ring(&bell(state_dir))? else {
            return Ok(None);
        };
        // It may be busy with another one that asks.
        let (greeting, _) = line.hear(READY_MAX)?;
        if greeting != GREETING {
            let text = format!("it says {greeting:?}, and this program {GREETING:?}");
            return Err(io::Error::other(text));
        }
        let mut takeover = Self {
            before: line.peer(),
            line,
            listeners: Vec::new(),
            admin: None,
        };
        while takeover.hear_one()? {}
        Ok(Some(takeover))
    }

    /// False after the last socket.
    fn hear_one(&mut self) -> io::Result<bool> {
        let (words, descriptor) = self.line.hear(STEP_MAX)?;
        let strange = || io::Error::other(format!("it says {words:?}"));
        let mut words = words.split(' ');
        let kind = words.next().unwrap_or_default();
        if kind == "end" {
            return Ok(false);
        }
        let mut address = || words.next().and_then(|word| word.parse().ok());
        let (asked, address) = (address(), address());
        let (Some(asked), Some(address), Some(socket)) = (asked, address, descriptor) else {
            return Err(strange());
        };
        match kind {
            "listener" => self.listeners.push(ListeningSocket {
                asked,
                address,
                socket,
            }),
            "admin" => self.admin = Some((asked, TcpListener::from(socket))),
            _ => return Err(strange()),
        }
        Ok(true)
    }

    /// The process that hands over, where the kernel says which.
    #[must_use]
    pub const fn before(&self) -> Option<u32> {
        self.before
    }

    /// The sockets of the listeners.
    pub(in crate::assembly) fn listeners(&mut self) -> Vec<ListeningSocket> {
        std::mem::take(&mut self.listeners)
    }

    /// The socket of the admin listener, where it was asked for at the same address.
    pub(in crate::assembly) fn admin(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        let (asked, listener) = self.admin.take()?;
        (asked == wanted).then_some(listener)
    }

    /// Says that everything is prepared; on return this process is to serve.
    ///
    /// # Errors
    /// The other process does not give way.
    pub(in crate::assembly) fn ready(&self) -> io::Result<()> {
        self.line.say("ready", None)?;
        match self.line.hear(STEP_MAX)? {
            (words, _) if words == "go" => Ok(()),
            (words, _) => Err(io::Error::other(format!("it says {words:?}"))),
        }
    }

    /// Says that this process serves. One that is gone need not hear it.
    pub(in crate::assembly) fn serving(self) {
        _ = self.line.say("serving", None);
    }
}
