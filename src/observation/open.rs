//! The requests of one worker that have not ended yet.
//!
//! Owned by the worker's thread: no lock, no atomic. Looking through it every 100 ms finds the
//! overdue ones and those whose decision must be written although they still run. It grows to
//! the most requests ever open at once and never shrinks; the connection cap bounds it.

use crate::units::Moment;

/// A decision is written after this long even if its request still runs.
pub const WRITE_OPEN_AFTER_NS: u64 = 500_000_000;

/// How an open request stands to the time that its contract promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lateness {
    /// It has never been overdue.
    #[default]
    InTime,
    /// It has no response head and is overdue: it counts as slow already.
    Overdue,
    /// It was overdue when its response head came: it counts as slow, and is overdue no more.
    HeadCame,
}

impl Lateness {
    /// Whether the request has been counted as slow.
    #[must_use]
    pub const fn was_overdue(self) -> bool {
        !matches!(self, Self::InTime)
    }
}

/// A request that has not ended. `T` is what will be written about it.
#[derive(Debug)]
pub struct OpenRequest<T> {
    /// Its route on the board.
    pub route: usize,
    /// When it was admitted.
    pub since: Moment,
    /// When it becomes overdue, on the monotonic clock; `u64::MAX` = never.
    pub overdue_at_ns: u64,
    /// Whether it is overdue, or was.
    pub lateness: Lateness,
    /// Its decision has been written already.
    pub written: bool,
    /// What will be written.
    pub about: T,
}

/// The place of an open request; valid until it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenToken(u32);

impl OpenToken {
    /// The token as a number, for a shell that carries it around.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 as u64
    }

    /// The token of a number; one that is none of ours finds no request.
    #[must_use]
    pub const fn of(number: u64) -> Self {
        Self(if number < u32::MAX as u64 {
            number as u32
        } else {
            u32::MAX
        })
    }
}

/// All open requests of one worker.
#[derive(Debug)]
pub struct OpenRequests<T> {
    slots: Vec<Option<OpenRequest<T>>>,
    free: Vec<u32>,
}

impl<T> Default for OpenRequests<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> OpenRequests<T> {
    /// Space for `capacity` requests before the first allocation.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            slots: Vec::with_capacity(capacity),
            free: Vec::with_capacity(capacity),
        }
    }

    /// Notes a request.
    pub fn open(&mut self, request: OpenRequest<T>) -> OpenToken {
        if let Some(place) = self.free.pop() {
            if let Some(slot) = self.slots.get_mut(place as usize) {
                *slot = Some(request);
            }
            return OpenToken(place);
        }
        let place = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Some(request));
        OpenToken(place)
    }

    /// The request of a token, if it is still open.
    pub fn get_mut(&mut self, token: OpenToken) -> Option<&mut OpenRequest<T>> {
        self.slots.get_mut(token.0 as usize)?.as_mut()
    }

    /// Ends a request; `None` where it has ended before.
    pub fn close(&mut self, token: OpenToken) -> Option<OpenRequest<T>> {
        let request = self.slots.get_mut(token.0 as usize)?.take()?;
        self.free.push(token.0);
        Some(request)
    }

    /// Ends a request that the caller has dealt with in its place.
    pub fn forget(&mut self, token: OpenToken) {
        if let Some(slot @ Some(_)) = self.slots.get_mut(token.0 as usize) {
            *slot = None;
            self.free.push(token.0);
        }
    }

    /// All open requests.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut OpenRequest<T>> {
        self.slots.iter_mut().flatten()
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Lateness, OpenRequest, OpenRequests};
    use crate::units::Moment;

    fn request(about: u8) -> OpenRequest<u8> {
        OpenRequest {
            route: 0,
            since: Moment::default(),
            overdue_at_ns: u64::MAX,
            lateness: Lateness::InTime,
            written: false,
            about,
        }
    }

    #[test]
    fn a_place_is_used_again_only_after_it_was_closed() {
        let mut open = OpenRequests::default();
        let first = open.open(request(1));
        let second = open.open(request(2));
        assert_eq!(open.close(first).map(|request| request.about), Some(1));
        assert!(open.close(first).is_none(), "closed once only");
        let third = open.open(request(3));
        assert_eq!(third, first, "the free place is taken");
        assert_eq!(open.len(), 2);
        assert_eq!(open.get_mut(second).map(|request| request.about), Some(2));
    }
}
