//! The closed set of actions, and sets of them.

/// Something the gateway can do about a request. Closed: policies name only these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Action {
    /// Write the decision into the ledger.
    Log,
    /// Count it as worth a look.
    Report,
    /// Draft a change for people to judge.
    Propose,
    /// Refuse for now; the client may come back.
    Throttle,
    /// Set the request apart.
    Quarantine,
    /// Refuse.
    Drop,
    /// Stop sending to an upstream.
    CircuitOpen,
    /// Move a limit inside its envelope.
    PolicyUpdate,
}

impl Action {
    /// All actions, in the order of their bits.
    pub const ALL: [Self; 8] = [
        Self::Log,
        Self::Report,
        Self::Propose,
        Self::Throttle,
        Self::Quarantine,
        Self::Drop,
        Self::CircuitOpen,
        Self::PolicyUpdate,
    ];

    /// All actions, in the alphabetical order of their names, which is that of records.
    pub const BY_NAME: [Self; 8] = [
        Self::CircuitOpen,
        Self::Drop,
        Self::Log,
        Self::PolicyUpdate,
        Self::Propose,
        Self::Quarantine,
        Self::Report,
        Self::Throttle,
    ];

    /// The name in files, records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Report => "report",
            Self::Propose => "propose",
            Self::Throttle => "throttle",
            Self::Quarantine => "quarantine",
            Self::Drop => "drop",
            Self::CircuitOpen => "circuit_open",
            Self::PolicyUpdate => "policy_update",
        }
    }

    /// The action of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// A set of actions, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ActionSet(u8);

impl ActionSet {
    /// No action.
    pub const EMPTY: Self = Self(0);

    /// The set of these bits, one for each action in the order of [`Action::ALL`].
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of the actions given.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut rest = actions;
        while let [first, tail @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = tail;
        }
        Self(bits)
    }

    /// This set and `action`.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | 1 << action as u8)
    }

    /// Whether `action` is in the set.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & 1 << action as u8 != 0
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The actions in the set, in the alphabetical order of their names.
    pub fn iter_by_name(self) -> impl Iterator<Item = Action> {
        Action::BY_NAME
            .into_iter()
            .filter(move |action| self.contains(*action))
    }

    /// The actions in the set, in the order of their bits.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL
            .into_iter()
            .filter(move |action| self.contains(*action))
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, ActionSet};

    #[test]
    fn sets_keep_what_was_put_in() {
        assert!(Action::BY_NAME.is_sorted_by_key(|action| action.name()));
        let set = ActionSet::of(&[Action::Log, Action::Drop]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Action::Log, Action::Drop]);
        assert_eq!(
            set.iter_by_name().collect::<Vec<_>>(),
            [Action::Drop, Action::Log]
        );
        assert_eq!(
            set.minus(ActionSet::of(&[Action::Log])),
            ActionSet::of(&[Action::Drop])
        );
    }
}
