//! Bytes that are kept for the day on which somebody asks for them.
//!
//! A bundle in force is megabytes of text that say the same as its compiled contracts, and nobody
//! reads them but who compares, keeps or verifies it again. Contracts are much alike, so packed they
//! take a twentieth. Packing takes some milliseconds, so whoever holds them says when. What comes
//! out is what went in, byte for byte; what could not be packed stays as it is.

use std::sync::{Arc, Mutex, PoisonError};

/// The fastest one: the next ones gain little on text that repeats itself so much.
const LEVEL: i32 = 1;

/// Some bytes, packed or not. Copies share them.
#[derive(Debug, Clone)]
pub(super) struct Shelf(Arc<Mutex<Kept>>);

#[derive(Debug)]
enum Kept {
    Plain(Arc<[u8]>),
    Packed { packed: Box<[u8]>, length: usize },
}

impl Shelf {
    pub(super) fn new(bytes: Arc<[u8]>) -> Self {
        Self(Arc::new(Mutex::new(Kept::Plain(bytes))))
    }

    /// The bytes, as they were.
    pub(super) fn bytes(&self) -> Arc<[u8]> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Kept::Plain(bytes) => Arc::clone(bytes),
            // This process has packed them, and looked that they come out again.
            Kept::Packed { packed, length } => zstd::bulk::decompress(packed, *length)
                .inspect_err(|error| tracing::error!(event = "bundle_text_damaged", %error))
                .unwrap_or_default()
                .into(),
        }
    }

    /// Whether these are the bytes.
    pub(super) fn holds(&self, other: &[u8]) -> bool {
        self.len() == other.len() && *self.bytes() == *other
    }

    fn len(&self) -> usize {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Kept::Plain(bytes) => bytes.len(),
            Kept::Packed { length, .. } => *length,
        }
    }

    /// Packs the bytes, if that was not done before.
    pub(super) fn pack(&self) {
        let bytes = match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Kept::Plain(bytes) => Arc::clone(bytes),
            Kept::Packed { .. } => return,
        };
        if let Some(kept) = packed(&bytes) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        }
    }
}

/// `None` where nothing is gained.
fn packed(bytes: &[u8]) -> Option<Kept> {
    let packed = zstd::bulk::compress(bytes, LEVEL).ok()?;
    // A copy, because packing made room for the worst case.
    let packed: Box<[u8]> = packed.as_slice().into();
    let comes_back = |back: Vec<u8>| back == bytes;
    let is_worth_it = packed.len() < bytes.len()
        && zstd::bulk::decompress(&packed, bytes.len()).is_ok_and(comes_back);
    is_worth_it.then_some(Kept::Packed {
        packed,
        length: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Kept, Shelf};

    #[test]
    fn what_comes_out_is_what_went_in() {
        let check = |bytes: &[u8], shrinks: bool| {
            let shelf = Shelf::new(bytes.into());
            for _ in 0..2 {
                assert_eq!(&*shelf.bytes(), bytes);
                assert!(shelf.holds(bytes) && !shelf.holds(b"other"));
                shelf.pack();
            }
            let is_packed = matches!(*shelf.0.lock().unwrap(), Kept::Packed { .. });
            assert_eq!(is_packed, shrinks, "{} bytes", bytes.len());
        };
        check(b"", false);
        check(b"a", false);
        check("{\"id\":\"a\"}".repeat(1_000).as_bytes(), true);
    }
}
