//! Names of members as they stand in a line.
//!
//! Invariant: a key that is a constant costs nothing when a line is built; one that is too long does
//! not compile there. Not here: the order in which members are pushed.

/// The frame members that the builder inserts, in sorted order.
pub(super) const FRAME: [&str; 3] = ["prev", "seq", "v"];
/// Bytes of a [`Key`]: the longest name and what stands around it.
const KEY_BYTES: usize = 32;

/// The name of a member as it stands in a line, with comma, quotes and colon. Made once where it is
/// a constant; then a member begins with one copy of a known length.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub(super) name: &'static str,
    /// `,"name":"`; the last quote is for strings only.
    pub(super) bytes: [u8; KEY_BYTES],
    /// How many members of the frame come before it.
    pub(super) framed: u8,
}

impl Key {
    /// The key of that name, of at most 27 plain characters.
    #[must_use]
    #[allow(clippy::indexing_slicing)] // of constants: a panic is an error of the compiler there
    pub const fn new(name: &'static str) -> Self {
        let mut bytes = [b'"'; KEY_BYTES];
        bytes[0] = b',';
        let mut at = 0;
        while at < name.len() {
            bytes[at + 2] = name.as_bytes()[at];
            at += 1;
        }
        bytes[at + 3] = b':';
        let mut framed = 0;
        while framed < FRAME.len() && is_before(FRAME[framed], name) {
            framed += 1;
        }
        Self {
            name,
            bytes,
            framed: framed as u8,
        }
    }

    /// Bytes before a value that is not a string.
    pub(super) const fn len(&self) -> usize {
        self.name.len() + 4
    }
}

impl From<&'static str> for Key {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

/// Whether `name` sorts before `other`.
#[allow(clippy::indexing_slicing)] // both are longer than `at`
const fn is_before(name: &str, other: &str) -> bool {
    let (name, other) = (name.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < name.len() && at < other.len() {
        if name[at] != other[at] {
            return name[at] < other[at];
        }
        at += 1;
    }
    name.len() < other.len()
}
