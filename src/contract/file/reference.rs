//! Where a contract is described: a file beside the contracts, for people and for `check`.
//!
//! No part of what was agreed: a description may be moved or get better words without a new digest.

use crate::diagnostic::Place;
use crate::yaml::{Fields, Sheet};

/// The most characters of a reference.
pub(super) const CHARS_MAX: usize = 4_096;

/// A description that a contract names, relative to the contracts folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A file, `#` and the JSON pointer of an operation.
    OpenApi(Box<str>),
    /// A file of protocol buffers.
    Proto(Box<str>),
}

type Kind = fn(Box<str>) -> Reference;

const KINDS: [Kind; 2] = [Reference::OpenApi, Reference::Proto];

/// The references, each with its place.
pub(super) fn read_references(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
) -> Vec<(Place, Reference)> {
    let kinds = ["openapi", "proto"].into_iter().zip(KINDS);
    let mut references = Vec::new();
    for (key, kind) in kinds {
        let Some(node) = fields.get(key) else {
            continue;
        };
        if let Some(text) = sheet.text(node, &format!("'{key}'"), CHARS_MAX) {
            references.push((node.place, kind(text.into())));
        }
    }
    references
}
