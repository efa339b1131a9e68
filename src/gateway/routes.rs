//! Which upstream group of the gateway a route's requests go to.

use crate::rulebook::Rulebook;

/// The numbers of the upstream groups by route, for one rulebook at a time.
#[derive(Debug, Default)]
pub(super) struct UpstreamNumbers {
    serial: Option<u32>,
    numbers: Vec<u16>,
}

impl UpstreamNumbers {
    /// The number of the group that a route's requests go to. Names are resolved once per
    /// rulebook; a name that is none of the gateway's leads to the first group, which a checked
    /// configuration cannot have.
    pub(super) fn of(&mut self, rulebook: &Rulebook, route: usize, names: &[String]) -> usize {
        if self.serial != Some(rulebook.serial()) {
            self.serial = Some(rulebook.serial());
            self.numbers = (0..rulebook.board().routes())
                .map(|route| number_of(rulebook.upstream_of(route), names))
                .collect();
        }
        self.numbers.get(route).copied().map_or(0, usize::from)
    }
}

/// The number of the group that diverted requests of a route go to.
pub(super) fn divert_number(rulebook: &Rulebook, route: usize, names: &[String]) -> usize {
    let contract = rulebook.contract_of(route);
    let named = contract.and_then(|contract| contract.divert_upstream());
    let name = named.unwrap_or_else(|| rulebook.upstream_of(route));
    usize::from(number_of(name, names))
}

fn number_of(wanted: &str, names: &[String]) -> u16 {
    let number = names.iter().position(|name| name == wanted).unwrap_or(0);
    u16::try_from(number).unwrap_or(0)
}
