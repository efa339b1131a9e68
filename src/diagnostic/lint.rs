//! Rules that a person may exempt from: their names, and which they are.
//!
//! What keeps files from being read or compiled is no lint: nothing could be made of them.

use super::Code;

/// A rule that can be exempted from, and its name; the rest have none beside their code.
const NAMED: [(Code, &str); 4] = [
    (Code::ApiVersion, "api-version-in-path"),
    (Code::Secret, "secret-in-contract"),
    (Code::OwnerMissing, "owner-missing"),
    (Code::ForeignUpstream, "upstream-of-other-service"),
];

/// Warnings about contracts, which have no name.
const WARNINGS: [Code; 6] = [
    Code::NoOwner,
    Code::TimeoutBelowLatency,
    Code::OutOfReach,
    Code::CircuitWithinBudget,
    Code::DivertToOwn,
    Code::TierAboveProcess,
];

impl Code {
    /// The name of a lint, such as `owner-missing`.
    #[must_use]
    pub fn lint(self) -> Option<&'static str> {
        let named = NAMED.iter().find(|(code, _)| *code == self);
        named.map(|(_, name)| *name)
    }

    /// The lint of a name, or of a code such as `C114`; `None` where nobody may be exempted.
    #[must_use]
    pub fn exemptable(text: &str) -> Option<Self> {
        let named = NAMED.iter().copied();
        let all = named.chain(WARNINGS.map(|code| (code, code.as_str())));
        let mut all = all.filter(|(code, name)| *name == text || code.as_str() == text);
        all.next().map(|(code, _)| code)
    }

    /// What can be exempted from, as words of a file.
    #[must_use]
    pub fn exemptable_words() -> Vec<&'static str> {
        let names = NAMED.iter().map(|(_, name)| *name);
        let codes = NAMED.map(|(code, _)| code).into_iter().chain(WARNINGS);
        names.chain(codes.map(Self::as_str)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn a_lint_is_named_by_its_name_or_its_code() {
        let check = |text, expected| assert_eq!(Code::exemptable(text), expected, "{text}");
        check("owner-missing", Some(Code::OwnerMissing));
        check("C142", Some(Code::OwnerMissing));
        check("C114", Some(Code::NoOwner));
        // A file that is no YAML, a route claimed twice, the expiry of an exemption.
        for text in ["", "C004", "C107", "C148", "owner", "unknown"] {
            check(text, None);
        }
        for word in Code::exemptable_words() {
            assert!(Code::exemptable(word).is_some(), "{word}");
        }
        assert_eq!(Code::Secret.lint(), Some("secret-in-contract"));
        assert_eq!(Code::Syntax.lint(), None);
    }
}
