//! What a file may hold, as data: the keys of each kind of map with the values that they take.
//!
//! A shape stands beside the reader of its map and takes its bounds from the same constants; JSON
//! Schemas are made of it. Invariant, held by `tests/schema.rs`: a shape has a line for each key
//! that its reader knows and for no other, and the reader takes what the line says and nothing else.
//! Deliberately not here: rules between keys, which only the readers know.

use super::Keys;

/// The values of a key.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// The version of the format: the one that this program reads.
    Version,
    /// An integer within bounds.
    Integer {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Any integer below 2^53, also a negative one.
    AnyInteger,
    /// A share from 0 to 1.
    Share {
        /// The most digits after the point.
        digits: u32,
        /// Whether 0 is none of its values.
        positive: bool,
    },
    /// A number from 0 to 2^32 - 1 thousandths.
    Thousandths,
    /// `true` or `false`.
    Boolean,
    /// A text of 1 to so many printable characters.
    Text(usize),
    /// A text of a form, as a regular expression of JSON Schema.
    Form(&'static str),
    /// One of several texts.
    Choice(fn() -> Vec<&'static str>),
    /// A list.
    List {
        /// Of these.
        of: &'static Kind,
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A map with known keys.
    Map(&'static Shape),
    /// A map whose keys are names of a form.
    Named {
        /// The form of the names, as a regular expression of JSON Schema.
        names: &'static str,
        /// The fewest entries.
        min: usize,
        /// What each stands for.
        of: &'static Kind,
    },
    /// One of these, told apart by their types.
    Either(&'static [Kind]),
}

/// One key of a map.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// The key.
    pub key: &'static str,
    /// Its values.
    pub kind: Kind,
    /// Whether it must be there.
    pub needed: bool,
    /// What it says, for whoever writes the file.
    pub about: &'static str,
}

impl Line {
    /// A key that may be left out.
    #[must_use]
    pub const fn new(key: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            key,
            kind,
            needed: false,
            about,
        }
    }

    /// The same key where it must be there.
    #[must_use]
    pub const fn needed(self) -> Self {
        Self {
            needed: true,
            ..self
        }
    }
}

/// One kind of map.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The keys that its reader knows.
    pub keys: Keys,
    /// A line for each of them.
    pub lines: &'static [Line],
}
