//! Room that a worker reads into: one piece for all its connections.
//!
//! It is borrowed within one poll and holds nothing between two, so a connection that waits has no
//! share in it. In front of what is read there is room for the head that the client is sent: head and
//! body then lie in one piece, and nothing is copied but the head.

use std::cell::RefCell;

use tokio::io::ReadBuf;

/// Bytes of one read at most: what a socket holds of a fast upstream.
const READ_BYTES: usize = 64 * 1024;
/// Room for a head.
const FRONT_BYTES: usize = 8 * 1024;

thread_local! {
    static ROOM: RefCell<Scratch> = const { RefCell::new(Scratch(Vec::new())) };
}

/// The room of a worker.
pub(super) struct Scratch(Vec<u8>);

/// Works in the room of this worker.
pub(super) fn with<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    ROOM.with_borrow_mut(|room| {
        if room.0.is_empty() {
            room.0 = vec![0; FRONT_BYTES + READ_BYTES];
        }
        work(room)
    })
}

impl Scratch {
    /// Room to read into.
    pub(super) fn room(&mut self) -> ReadBuf<'_> {
        ReadBuf::new(self.0.get_mut(FRONT_BYTES..).unwrap_or_default())
    }

    /// The first `len` bytes that were read.
    pub(super) fn read(&self, len: usize) -> &[u8] {
        self.0
            .get(FRONT_BYTES..FRONT_BYTES + len)
            .unwrap_or_default()
    }

    /// Of `len` bytes that were read those from `from` on, with `head` before them; `None` where
    /// it is too long for that.
    pub(super) fn joined(&mut self, head: &[u8], from: usize, len: usize) -> Option<&[u8]> {
        let body = FRONT_BYTES + from;
        let start = body.checked_sub(head.len())?;
        self.0.get_mut(start..body)?.copy_from_slice(head);
        self.0.get(start..FRONT_BYTES + len)
    }
}

#[cfg(test)]
mod tests {
    use super::{FRONT_BYTES, with};

    #[test]
    fn a_head_is_joined_to_the_body_behind_another() {
        with(|scratch| {
            let mut room = scratch.room();
            room.put_slice(b"old head|body");
            assert_eq!(scratch.read(13), b"old head|body");
            let joined = scratch.joined(b"a longer new head|", 9, 13);
            assert_eq!(joined, Some(b"a longer new head|body".as_slice()));
            let long = vec![b'a'; FRONT_BYTES + 9];
            assert_eq!(
                scratch.joined(&long, 9, 13).map(<[u8]>::len),
                Some(FRONT_BYTES + 13)
            );
            let longer = vec![b'a'; FRONT_BYTES + 10];
            assert_eq!(scratch.joined(&longer, 9, 13), None);
        });
    }
}
