//! YAML with places: a small tree of texts, lists and maps, and typed reading of it.
//!
//! The tree keeps every scalar as written, so a decimal is converted exactly and nothing is
//! coerced (`yes`, `017`, `<<` are just text). Only plain YAML is read: one document, no
//! anchors, aliases, tags or merge keys. A reader reports every fault of a file, not the first.
//!
//! Bounds: [`FILE_BYTES_MAX`] per file, [`DEPTH_MAX`] levels.

mod decimal;
mod marks;
mod reader;
mod scalar;
mod shape;
mod sheet;
mod tree;

pub use decimal::{DecimalFault, parse_decimal};
pub use reader::read;
pub use scalar::is_printable;
pub use shape::{Kind, Line, Shape};
pub use sheet::{Fields, Keys, Sheet};
pub use tree::{Key, Node, Value};

/// The version of the format of every file that people write: `version: 1`.
pub const FORMAT_VERSION: u64 = 1;

/// The most bytes of one file.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// The most levels of lists and maps.
pub const DEPTH_MAX: usize = 16;
