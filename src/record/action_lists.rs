//! Sets of actions as a line writes them, put together once: there are few, and each line has three.

use crate::units::{Action, ActionSet};

/// The array of each set, by its bits.
#[derive(Debug)]
pub(super) struct ActionLists(Box<[Box<str>]>);

impl ActionLists {
    pub(super) fn new() -> Self {
        Self((0..=u8::MAX).map(ActionSet::from_bits).map(list).collect())
    }

    /// The array of the names in a set: canonical JSON.
    pub(super) fn of(&self, set: ActionSet) -> &str {
        self.0
            .get(usize::from(set.bits()))
            .map_or("[]", |list| list)
    }
}

/// Actions are sorted by name in records; the bits are in another order.
fn list(set: ActionSet) -> Box<str> {
    let names: Vec<String> = set
        .iter_by_name()
        .map(Action::name)
        .map(|name| format!("\"{name}\""))
        .collect();
    format!("[{}]", names.join(",")).into()
}

#[cfg(test)]
mod tests {
    use super::ActionLists;
    use crate::units::{Action, ActionSet};

    #[test]
    fn a_set_is_the_array_of_its_names() {
        let lists = ActionLists::new();
        for bits in 0..=u8::MAX {
            let set = ActionSet::from_bits(bits);
            let names: Vec<&str> = set.iter_by_name().map(Action::name).collect();
            let want = serde_json::to_string(&names).expect("strings");
            assert_eq!(lists.of(set), want);
        }
    }
}
