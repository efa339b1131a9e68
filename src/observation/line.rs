//! A value that shares its cache lines with nothing else.
//!
//! One line, not the two that processors may fetch together: with a hundred thousand contracts the
//! difference is what they take, and what is written by many stands apart from what is read by many.

use std::ops::Deref;

/// Begins at a cache line, and ends at one.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Line<T>(T);

impl<T> Line<T> {
    pub(super) const fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Line<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
