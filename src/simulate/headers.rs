//! Reads header fields as an object in which no name stands twice.
//!
//! Field names know no case, so `A` and `a` are one name. Deliberately not here: what a field says.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};

/// The fields by name; a second field of a name is an error.
pub(super) fn once_each<'de, D>(reader: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    reader.deserialize_map(OnceEach)
}

struct OnceEach;

impl<'de> Visitor<'de> for OnceEach {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object of header fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        let mut seen = std::collections::BTreeSet::new();
        while let Some((name, value)) = fields.next_entry::<String, String>()? {
            if !seen.insert(name.to_ascii_lowercase()) {
                let message = format!("header '{name}' stands twice; give each name once");
                return Err(A::Error::custom(message));
            }
            found.insert(name, value);
        }
        Ok(found)
    }
}
