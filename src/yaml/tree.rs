//! The tree of one document.

use crate::diagnostic::Place;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A text without quotes: may be read as number, boolean or text.
    Plain(Box<str>),
    /// A text in quotes or a block: only a text.
    Quoted(Box<str>),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file, possibly with keys that stand twice.
    Map(Vec<(Key, Node)>),
}

/// The key of a map entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it begins.
    pub place: Place,
    /// Its text.
    pub text: Box<str>,
}

impl Value {
    /// What it is, in an error.
    #[must_use]
    pub const fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Plain(_) => "a scalar",
            Self::Quoted(_) => "a quoted text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}
