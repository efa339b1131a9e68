//! JSON Schemas (2020-12) of all files that people write or read, made of the shapes that stand
//! beside their readers.
//!
//! A schema says which keys there are, and which values each takes. Rules between keys, places and
//! the words of a finding are the readers': `tidegate check` has the last word. In one thing a
//! schema is stricter: what is a text to a reader without quotes (`owner: 7`) has to be written as
//! a text for it. Pure; where schemas are written is the command line's.

mod json;
mod record;
mod root;

use crate::yaml::Shape;
use crate::{config, contract, policy};

pub use json::json_schema;

/// One kind of file.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// The name of its schema: `contract` is written to `contract.schema.json`.
    pub name: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it may hold.
    pub shape: Shape,
}

/// All kinds of files. A new one gets one line here.
pub const DOCUMENTS: &[Document] = &[
    Document::new(
        "charter",
        "Charter: how an installation changes its contracts",
        policy::file::charter::SHAPE,
    ),
    Document::new(
        "configuration",
        "Configuration of a gateway: tidegate.yaml",
        config::SHAPE,
    ),
    Document::new("contract", "Contract file", contract::file::shape::SHAPE),
    Document::new(
        "decision-record",
        "Ledger line of kind decision",
        record::SHAPE,
    ),
    Document::new(
        "exemptions",
        "Exemptions from rules of contracts: exemptions.yaml",
        config::EXEMPTIONS_SHAPE,
    ),
    Document::new(
        "owners",
        "Owners of contracts: OWNERS.yaml",
        contract::file::owners::shape::SHAPE,
    ),
    Document::new("policy", "Policy file", policy::file::shape::SHAPE),
    Document::new(
        "root",
        "Trust root: the payload of its envelope",
        root::SHAPE,
    ),
    Document::new(
        "self-tests",
        "File of self-tests",
        policy::self_tests::file::shape::SHAPE,
    ),
];

impl Document {
    const fn new(name: &'static str, title: &'static str, shape: Shape) -> Self {
        Self { name, title, shape }
    }

    /// The name of the file that holds its schema.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.schema.json", self.name)
    }

    /// Its schema as text, the same for the same program.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{:#}\n", json_schema(self))
    }
}
