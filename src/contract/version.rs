//! The version of a contract: `MAJOR.MINOR.PATCH` of Semantic Versioning 2.0.0.
//!
//! Pre-releases and build metadata are deliberately not accepted: what a caller may rely on is told
//! by the lifecycle of the contract, and metadata has no order.

use std::fmt;

/// The version; the order is that of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

/// How far a version is from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bump {
    /// The same version, or one before it.
    None,
    /// Only the last number rose.
    Patch,
    /// The second number rose.
    Minor,
    /// The first number rose.
    Major,
}

impl Bump {
    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

impl Version {
    /// What a contract has that does not say.
    pub const FIRST: Self = Self {
        major: 1,
        minor: 0,
        patch: 0,
    };

    /// A version written as `MAJOR.MINOR.PATCH`; `None` for everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let version = semver::Version::parse(text).ok()?;
        let is_plain = version.pre.is_empty() && version.build.is_empty();
        is_plain.then_some(Self {
            major: version.major,
            minor: version.minor,
            patch: version.patch,
        })
    }

    /// The step from `before` to this version.
    #[must_use]
    pub const fn bump_since(self, before: Self) -> Bump {
        if self.major != before.major {
            rise(self.major, before.major, Bump::Major)
        } else if self.minor != before.minor {
            rise(self.minor, before.minor, Bump::Minor)
        } else {
            rise(self.patch, before.patch, Bump::Patch)
        }
    }

    /// The smallest version that is such a step after this one.
    #[must_use]
    pub const fn bumped(self, bump: Bump) -> Self {
        let Self {
            major,
            minor,
            patch,
        } = self;
        let (major, minor, patch) = match bump {
            Bump::None => (major, minor, patch),
            Bump::Patch => (major, minor, patch.saturating_add(1)),
            Bump::Minor => (major, minor.saturating_add(1), 0),
            Bump::Major => (major.saturating_add(1), 0, 0),
        };
        Self {
            major,
            minor,
            patch,
        }
    }
}

const fn rise(now: u64, before: u64, bump: Bump) -> Bump {
    if now > before { bump } else { Bump::None }
}

impl Default for Version {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bump, Version};

    #[test]
    fn only_three_plain_numbers_are_a_version() {
        for text in ["1.0.0", "0.0.0", "10.20.30", "1.2.18446744073709551615"] {
            let version = Version::parse(text).map(|version| version.to_string());
            assert_eq!(version.as_deref(), Some(text));
        }
        for text in [
            "",
            "1",
            "1.0",
            "v1.0.0",
            "1.0.0-beta",
            "1.0.0+x",
            "01.0.0",
            "1.0.0 ",
            "1.0.18446744073709551616",
        ] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_number_that_differs_is_the_step() {
        let check = |from: &str, to: &str, expected: Bump| {
            let (from, to) = (Version::parse(from), Version::parse(to));
            let (from, to) = (from.expect("a version"), to.expect("a version"));
            assert_eq!(to.bump_since(from), expected, "{from} to {to}");
            assert_eq!(from.bumped(expected).bump_since(from), expected);
        };
        check("1.2.3", "1.2.3", Bump::None);
        check("1.2.3", "1.2.4", Bump::Patch);
        check("1.2.3", "1.3.0", Bump::Minor);
        check("1.2.3", "2.0.0", Bump::Major);
        check("1.2.3", "1.2.2", Bump::None);
        check("1.2.3", "1.1.9", Bump::None);
        check("2.0.0", "1.9.9", Bump::None);
    }
}
