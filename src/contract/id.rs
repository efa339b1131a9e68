//! The name of a contract, and its number inside one rulebook.

/// A contract's name: `[a-z0-9_.-]{1,64}`, stable for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractId(Box<str>);

impl ContractId {
    /// The same rule as a regular expression, for JSON Schemas.
    pub const FORM: &str = "^[a-z0-9_.-]{1,64}$";

    /// `Some` where the text is a valid name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-');
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(allowed);
        valid.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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
}
