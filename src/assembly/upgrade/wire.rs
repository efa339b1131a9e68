//! Messages between the process that serves and the one that takes over: packets with words, each with
//! at most one descriptor.
//!
//! Invariant: only processes of the same user are heard, by what the kernel says of them; nobody waits
//! longer than a bound. A packet is whole or not there.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with, sockopt,
};

use super::STEP_MAX;

/// Longer than every message.
const PACKET_MAX: usize = 512;

/// One side of a conversation.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

/// Where a running gateway is asked to hand over.
#[derive(Debug)]
pub(super) struct Bell {
    socket: OwnedFd,
    path: PathBuf,
}

fn packets() -> io::Result<OwnedFd> {
    let family = AddressFamily::UNIX;
    Ok(socket_with(
        family,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

impl Bell {
    /// Puts the socket there, for this user alone. What lies there is of a process that has ended: the
    /// caller has the state directory.
    pub(super) fn hang(path: &Path) -> io::Result<Self> {
        let socket = packets()?;
        // Made under another name, so that nobody finds it before it is closed to others.
        let unfinished = path.with_extension("new");
        for old in [path, &unfinished] {
            match std::fs::remove_file(old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        bind(&socket, &SocketAddrUnix::new(&unfinished)?)?;
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&unfinished, own)?;
        listen(&socket, 1)?;
        std::fs::rename(&unfinished, path)?;
        Ok(Self {
            socket,
            path: path.to_path_buf(),
        })
    }

    /// Whoever asks next, if it is of this user; `None` where nobody asks within `patience`.
    pub(super) fn answer(&self, patience: Duration) -> io::Result<Option<Line>> {
        wait_at_most(&self.socket, patience)?;
        let asking = match accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(asking) => asking,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let uid = sockopt::socket_peercred(&asking)?.uid;
        if !is_trusted(uid) {
            tracing::error!(
                event = "upgrade_refused",
                uid = uid.as_raw(),
                "another user"
            );
            return Ok(None);
        }
        Ok(Some(Line(asking)))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        // Nobody else has put one there: it is this process' until it is dropped.
        _ = std::fs::remove_file(&self.path);
    }
}

impl Line {
    /// Rings at the gateway that serves; `None` where none does.
    pub(super) fn ring(path: &Path) -> io::Result<Option<Self>> {
        if !is_ours(path)? {
            return Ok(None);
        }
        let socket = packets()?;
        match connect(&socket, &SocketAddrUnix::new(path)?) {
            Ok(()) => {
                let uid = sockopt::socket_peercred(&socket)?.uid;
                if is_trusted(uid) {
                    return Ok(Some(Self(socket)));
                }
                let text = format!("a process of user {} answers there", uid.as_raw());
                Err(io::Error::new(io::ErrorKind::PermissionDenied, text))
            }
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The process at the other end.
    pub(super) fn peer(&self) -> Option<u32> {
        let peer = sockopt::socket_peercred(&self.0).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    pub(super) fn say(&self, words: &str, descriptor: Option<&OwnedFd>) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.iter().map(|socket| socket.as_fd()).collect();
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        // Who reads nothing fills the socket.
        sockopt::set_socket_timeout(&self.0, sockopt::Timeout::Send, Some(STEP_MAX))?;
        let words = [IoSlice::new(words.as_bytes())];
        sendmsg(&self.0, &words, &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message; an error where none comes within `patience`, or no more will.
    pub(super) fn hear(&self, patience: Duration) -> io::Result<(String, Option<OwnedFd>)> {
        wait_at_most(&self.0, patience)?;
        let mut bytes = [0; PACKET_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let got = loop {
            match recvmsg(&self.0, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let text = format!("it has said nothing for {} ms", patience.as_millis());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                }
                got => break got?,
            }
        };
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            _ => None,
        });
        if got.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let words = bytes.get(..got.bytes).unwrap_or_default();
        let words = String::from_utf8_lossy(words).into_owned();
        Ok((words, descriptor))
    }
}

/// Root may do everything anyway.
fn is_trusted(uid: rustix::process::Uid) -> bool {
    uid == rustix::process::geteuid() || uid.is_root()
}

/// Whether something lies there that may be asked: what a link leads to is nobody's that was started on
/// this state directory.
fn is_ours(path: &Path) -> io::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.is_symlink() => {
            let text = format!("{} is a link; remove it", path.display());
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn wait_at_most(socket: &OwnedFd, patience: Duration) -> io::Result<()> {
    let which = sockopt::Timeout::Recv;
    Ok(sockopt::set_socket_timeout(socket, which, Some(patience))?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::{Bell, Line};

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn words_and_a_descriptor_arrive_as_they_were_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upgrade.sock");
        assert!(Line::ring(&path).unwrap().is_none(), "nobody is there");
        let bell = Bell::hang(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(bell.answer(Duration::from_millis(1)).unwrap().is_none());
        let asking = Line::ring(&path).unwrap().unwrap();
        let answering = bell.answer(SOON).unwrap().unwrap();
        assert_eq!(answering.peer(), Some(std::process::id()));
        let (mut reader, writer) = std::io::pipe().unwrap();
        answering
            .say("a pipe", Some(&OwnedFd::from(writer)))
            .unwrap();
        answering.say("no more", None).unwrap();
        let (words, pipe) = asking.hear(SOON).unwrap();
        assert_eq!(words, "a pipe");
        std::fs::File::from(pipe.unwrap())
            .write_all(b"through")
            .unwrap();
        let text = std::io::read_to_string(&mut reader).unwrap();
        assert_eq!(text, "through");
        let (words, none) = asking.hear(SOON).unwrap();
        assert_eq!((words.as_str(), none.is_none()), ("no more", true));
        drop(answering);
        assert!(asking.hear(SOON).is_err(), "the other side is gone");
        drop(bell);
        assert!(!path.exists() && Line::ring(&path).unwrap().is_none());
    }

    #[test]
    fn a_link_is_not_followed_and_gives_way_to_the_socket() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (
            folder.path().join("upgrade.sock"),
            folder.path().join("x.sock"),
        );
        let elsewhere = Bell::hang(&other).unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        let told = Line::ring(&path).unwrap_err().to_string();
        assert!(told.contains("is a link"), "{told}");
        let bell = Bell::hang(&path).unwrap();
        assert!(!path.symlink_metadata().unwrap().is_symlink());
        assert!(Line::ring(&path).unwrap().is_some() && bell.answer(SOON).unwrap().is_some());
        let asked = elsewhere.answer(Duration::from_millis(1)).unwrap();
        assert!(asked.is_none() && other.exists());
        // A file that is no socket is nobody.
        drop(bell);
        std::fs::write(&path, "").unwrap();
        assert!(Line::ring(&path).unwrap().is_none());
    }

    #[test]
    fn who_says_nothing_is_told_to_have_said_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upgrade.sock");
        let bell = Bell::hang(&path).unwrap();
        let _silent = Line::ring(&path).unwrap().unwrap();
        let line = bell.answer(SOON).unwrap().unwrap();
        let error = line.hear(Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("said nothing"), "{error}");
    }

    #[test]
    fn what_a_killed_process_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upgrade.sock");
        std::mem::forget(Bell::hang(&path).unwrap());
        let bell = Bell::hang(&path).unwrap();
        assert!(Line::ring(&path).unwrap().is_some());
        assert!(bell.answer(SOON).unwrap().is_some());
    }
}
