//! How many bytes of answers wait for the client of one connection.
//!
//! Where many answers share a connection its socket tells nothing of one that is not taken: the
//! client closes a window, and only the memory knows. So each piece of an answer is counted when it
//! is handed over and uncounted when the last reference to it is gone, which is when it was
//! written, or its stream was reset. Deliberately not here: what follows from it; the few pieces of
//! an answer that wait behind one that is handed over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

tokio::task_local! {
    static CURRENT: Arc<Held>;
}

/// Smaller pieces cost less than counting them.
const PIECE_BYTES_MIN: usize = 1_024;

/// The bytes that wait.
#[derive(Debug, Default)]
pub(crate) struct Held(AtomicUsize);

impl Held {
    /// Runs what serves a request of the connection.
    pub(crate) async fn serving<T>(self: Arc<Self>, served: impl Future<Output = T>) -> T {
        CURRENT.scope(self, served).await
    }

    /// Counts a piece of the answer to the current request, where somebody counts.
    pub(crate) fn note(piece: &mut Option<Bytes>) {
        let Some(bytes) = piece
            .as_mut()
            .filter(|bytes| bytes.len() >= PIECE_BYTES_MIN)
        else {
            return;
        };
        if let Ok(held) = CURRENT.try_with(Arc::clone) {
            held.0.fetch_add(bytes.len(), Ordering::Relaxed);
            *bytes = Bytes::from_owner(Piece {
                bytes: std::mem::take(bytes),
                held,
            });
        }
    }

    /// How many there are now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Piece {
    bytes: Bytes,
    held: Arc<Held>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.held.0.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::Held;

    #[tokio::test]
    async fn a_piece_counts_until_its_last_part_is_gone() {
        let held = Arc::new(Held::default());
        let mut piece = Some(Bytes::from(vec![7; 4_000]));
        Arc::clone(&held)
            .serving(async { Held::note(&mut piece) })
            .await;
        let mut rest = piece.unwrap();
        let front = rest.split_to(1_000);
        assert_eq!((rest.len(), held.bytes()), (3_000, 4_000));
        drop(rest);
        assert_eq!(
            (front.as_ref(), held.bytes()),
            ([7; 1_000].as_slice(), 4_000)
        );
        drop(front);
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn nothing_is_counted_where_nobody_asks() {
        let mut piece = Some(Bytes::from_static(&[0; 2_000]));
        Held::note(&mut piece);
        assert_eq!(piece.unwrap().len(), 2_000);
        Held::note(&mut None);
    }
}
