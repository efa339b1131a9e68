//! Where requests and operators come in.

use std::net::SocketAddr;

use super::upstreams::bounded;
use crate::config::address::read_socket;
use crate::config::settings::Listener;
use crate::diagnostic::Code;
use crate::units::Tier;
use crate::yaml::{Fields, Keys, Node, Sheet};

const LISTENER_KEYS: Keys = Keys::plain("a listener", &["bind", "tier"]);
const ADMIN_KEYS: Keys = Keys::plain("'admin'", &["bind"]);

pub(super) fn read_listeners(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    process: Tier,
    admin: Option<SocketAddr>,
) -> Option<Vec<Listener>> {
    let node = sheet.required(fields, "listeners")?;
    let items = bounded(sheet, node, "'listeners'")?;
    let mut listeners: Vec<Listener> = Vec::new();
    let mut is_whole = true;
    for item in items {
        let Some(listener) = read_listener(sheet, item, process) else {
            is_whole = false;
            continue;
        };
        let bind = listener.bind;
        let taken = listeners.iter().map(|other| other.bind).chain(admin);
        if bind.port() != 0 && taken.into_iter().any(|other| other == bind) {
            let message = format!("{bind} is taken already");
            sheet.error(item.place, Code::SameAddress, message);
            is_whole = false;
        }
        listeners.push(listener);
    }
    if items.is_empty() {
        let message = "'listeners' is empty: no request could come in".to_owned();
        sheet.error(node.place, Code::MissingKey, message);
        is_whole = false;
    }
    is_whole.then_some(listeners)
}

fn read_listener(sheet: &mut Sheet<'_>, node: &Node, process: Tier) -> Option<Listener> {
    let fields = sheet.fields(node, &LISTENER_KEYS)?;
    let bind = sheet.required(fields, "bind");
    let bind = bind.and_then(|node| read_socket(sheet, node, "'bind'"));
    let tier = match fields.get("tier") {
        Some(node) => Some(read_tier(sheet, node, "'tier'")?),
        None => None,
    };
    if let (Some(node), Some(tier)) = (fields.get("tier"), tier)
        && tier > process
    {
        let (own, process) = (tier.key(), process.key());
        let message = format!("'{own}' has no effect below a process in '{process}'");
        sheet.warning(node.place, Code::TierAboveProcess, message);
    }
    Some(Listener { bind: bind?, tier })
}

/// R280: the admin listener has no authentication, so nothing but loopback may reach it.
pub(super) fn read_admin(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<SocketAddr> {
    let default = SocketAddr::from(([127, 0, 0, 1], 9_901));
    let Some(node) = fields.get("admin") else {
        return Some(default);
    };
    let fields = sheet.fields(node, &ADMIN_KEYS)?;
    let Some(node) = fields.get("bind") else {
        return Some(default);
    };
    let bind = read_socket(sheet, node, "'bind'")?;
    if !bind.ip().is_loopback() {
        let message = format!("{bind} can be reached by others");
        sheet.error(node.place, Code::AdminExposed, message);
        return None;
    }
    Some(bind)
}

pub(super) fn read_tier(sheet: &mut Sheet<'_>, node: &Node, what: &str) -> Option<Tier> {
    let tier = sheet.choice(node, what, &Tier::ALL.map(Tier::key), Tier::from_key)?;
    if tier == Tier::Autonomous {
        let message = "'autonomous' needs a signed envelope".to_owned();
        sheet.error(node.place, Code::TierUnavailable, message);
        return None;
    }
    Some(tier)
}
