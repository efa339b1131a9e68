//! What the gateway says on an answer, in memory that is used again for the next one.
//!
//! It is borrowed within one poll, so a worker needs it once.

use std::cell::RefCell;

use super::answer::{DateLine, OurFields};

thread_local! {
    static TELLING: RefCell<Telling> = RefCell::default();
}

/// The memory of a worker.
#[derive(Default)]
pub(super) struct Telling {
    /// Fields of ours.
    pub(super) ours: OurFields,
    /// The value of `Date`.
    pub(super) date: DateLine,
    /// An answer of ours.
    pub(super) wire: Vec<u8>,
}

/// Works with the memory of this worker, which has no fields in it yet.
pub(super) fn with<T>(work: impl FnOnce(&mut Telling) -> T) -> T {
    TELLING.with_borrow_mut(|telling| {
        telling.ours.clear();
        telling.wire.clear();
        work(telling)
    })
}
