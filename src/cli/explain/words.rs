//! Names and numbers as a person reads them.

use crate::observation::Take;
use crate::policy::rules::Band;
use crate::risk::Family;
use crate::units::{Action, ActionSet, BasisPoints};

pub(super) const fn take_text(take: Take, is_address: bool) -> Option<&'static str> {
    match take {
        Take::ClientRate if is_address => {
            Some("the limit of the client's address, ten times that of one client, is used up")
        }
        Take::NotAsked => None,
        Take::Granted => Some("asked, and granted"),
        Take::ClientRate => Some("the client's rate limit is used up"),
        Take::ContractRate => Some("the contract's rate limit is used up"),
        Take::Concurrency => Some("the contract's places in flight are used up"),
        Take::Probe => Some("no probe of the half-open circuit was left"),
    }
}

pub(super) const fn family_name(family: Family) -> &'static str {
    match family {
        Family::D1 => "D1",
        Family::D2 => "D2",
        Family::D3 => "D3",
        Family::D4 => "D4",
        Family::A1 => "A1",
        Family::A2 => "A2",
        Family::A3 => "A3",
    }
}

pub(super) const fn band_name(band: Band) -> &'static str {
    band.key()
}

pub(super) fn names(set: ActionSet) -> String {
    if set.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<&str> = set.iter_by_name().map(Action::name).collect();
    names.join(", ")
}

pub(super) fn percent(share: BasisPoints) -> String {
    format!("{}.{:02} %", share.get() / 100, share.get() % 100)
}
