//! The name of a contract, and its number inside one rulebook.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A contract's name: `[a-z0-9_.-]{1,64}`, stable for ever.
///
/// The name of a contract in a catalogue begins a longer piece of text, with what else the contract
/// is called: a record tells all of it, and finds it in one place. Whoever compares, sorts, hashes,
/// copies or shows a name sees nothing of that.
pub struct ContractId {
    text: Box<str>,
    len: u8,
}

impl ContractId {
    /// The same rule as a regular expression, for JSON Schemas.
    pub const FORM: &str = "^[a-z0-9_.-]{1,64}$";

    /// `Some` where the text is a valid name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self::alone(text))
    }

    fn alone(name: &str) -> Self {
        Self {
            text: name.into(),
            len: name.len() as u8,
        }
    }

    /// The name.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        self.text.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The same name with these texts behind it, one after the other.
    pub(super) fn followed_by(&self, texts: &[&str]) -> Self {
        let mut text = String::with_capacity(
            usize::from(self.len) + texts.iter().map(|text| text.len()).sum::<usize>(),
        );
        text.push_str(self.as_str());
        texts.iter().for_each(|more| text.push_str(more));
        Self {
            text: text.into(),
            len: self.len,
        }
    }

    /// The name and what stands behind it.
    #[inline]
    pub(super) fn whole(&self) -> &str {
        &self.text
    }

    /// What stands behind the name, from one place of it to another.
    #[inline]
    pub(super) fn behind(&self, from: u32, to: u32) -> &str {
        let at = |place: u32| usize::from(self.len) + place as usize;
        self.text.get(at(from)..at(to)).unwrap_or_default()
    }

    /// What stands behind the name, from a place of it on.
    #[inline]
    pub(super) fn behind_from(&self, from: u32) -> &str {
        let at = usize::from(self.len) + from as usize;
        self.text.get(at..).unwrap_or_default()
    }
}

impl Clone for ContractId {
    fn clone(&self) -> Self {
        Self::alone(self.as_str())
    }
}

impl std::fmt::Debug for ContractId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("ContractId").field(&self.as_str()).finish()
    }
}

impl PartialEq for ContractId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ContractId {}

impl PartialOrd for ContractId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ContractId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for ContractId {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.as_str().hash(hasher);
    }
}

/// The place of a contract in its catalogue; means nothing in another rulebook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractIndex(pub u32);

impl ContractIndex {
    /// As an index into a slice.
    #[must_use]
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
mod tests {
    use super::ContractId;

    #[test]
    fn names_are_short_lower_case_and_plain() {
        // R010
        for good in ["a", "deploy_get_v1", "a.b-c_9"] {
            assert!(ContractId::new(good).is_some(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "A", "a b", "a/b", "é", long.as_str()] {
            assert!(ContractId::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_stands_behind_a_name_is_no_part_of_it() {
        let name = ContractId::new("a.b").unwrap();
        let long = name.followed_by(&["GET /x", "", "orders"]);
        assert_eq!(long.whole(), "a.bGET /xorders");
        assert_eq!(
            (long.behind(0, 6), long.behind(6, 12)),
            ("GET /x", "orders")
        );
        assert_eq!(long.behind(6, 13), "", "there is no more");
        assert_eq!((long.as_str(), &long), ("a.b", &name));
        assert_eq!(format!("{long:?}"), "ContractId(\"a.b\")");
        assert_eq!(long.clone().whole(), "a.b");
        let names = std::collections::HashSet::from([name, long]);
        assert_eq!(names.len(), 1);
    }
}
