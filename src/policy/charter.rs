//! The charter: how an installation changes what it has agreed.
//!
//! Deliberately not here: what is agreed (contracts), and how requests are judged (rules). A request
//! never meets the charter.

use crate::contract::compare::Mode;

/// How the gateways of an installation come to other files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Deployment {
    /// One after the other: old and new answer side by side.
    #[default]
    Rolling,
    /// All at one moment.
    Atomic,
    /// A second set of gateways takes over from the first.
    BlueGreen,
}

impl Deployment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rolling, Self::Atomic, Self::BlueGreen];

    /// The name in files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Atomic => "atomic",
            Self::BlueGreen => "blue_green",
        }
    }

    /// The deployment of a file key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.key() == key)
    }

    /// Whether changes of a mode can be put in force this way: strict ones only where no two
    /// formats ever meet.
    #[must_use]
    pub const fn allows(self, mode: Mode) -> bool {
        match mode {
            Mode::Strict => matches!(self, Self::Atomic),
            Mode::Backward | Mode::Forward => true,
        }
    }
}

/// How an installation changes. The default is what it has without a charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charter {
    compatibility: Mode,
    deployment: Deployment,
}

impl Charter {
    /// `None` where the deployment does not allow the mode.
    #[must_use]
    pub fn new(compatibility: Mode, deployment: Deployment) -> Option<Self> {
        deployment.allows(compatibility).then_some(Self {
            compatibility,
            deployment,
        })
    }

    /// Which changes are taken.
    #[must_use]
    pub const fn compatibility(&self) -> Mode {
        self.compatibility
    }

    /// How they are put in force.
    #[must_use]
    pub const fn deployment(&self) -> Deployment {
        self.deployment
    }
}

#[cfg(test)]
mod tests {
    use super::{Charter, Deployment};
    use crate::contract::compare::Mode;

    // R113
    #[test]
    fn strict_needs_gateways_that_change_at_one_moment() {
        for deployment in Deployment::ALL {
            for mode in Mode::ALL {
                let expected = mode != Mode::Strict || deployment == Deployment::Atomic;
                let charter = Charter::new(mode, deployment);
                assert_eq!(charter.is_some(), expected, "{deployment:?} {mode:?}");
            }
        }
        let default = Charter::default();
        let again = Charter::new(default.compatibility(), default.deployment());
        assert_eq!(again, Some(default));
    }
}
