//! Where requests go.

use crate::config::address::read_server;
use crate::config::settings::{Server, Upstream};
use crate::contract::ContractId;
use crate::diagnostic::{Code, Place};
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const UPSTREAM_KEYS: Keys = Keys::plain("an upstream", &["servers"]);

pub(super) const LIST_ITEMS_MAX: usize = 1_024;

pub(super) fn bounded<'n>(sheet: &mut Sheet<'_>, node: &'n Node, what: &str) -> Option<&'n [Node]> {
    let items = sheet.list(node, what)?;
    if items.len() > LIST_ITEMS_MAX {
        let message = format!(
            "{what} has {} items, more than {LIST_ITEMS_MAX}",
            items.len()
        );
        sheet.error(node.place, Code::TooMany, message);
        return None;
    }
    Some(items)
}

/// The upstreams by name, and the default one. Where one has a fault the rest stands, so that
/// contracts can still be checked against the names.
pub(super) fn read_upstreams(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
) -> (Vec<Upstream>, Option<Box<str>>) {
    let mut upstreams = Vec::new();
    let Some(node) = sheet.required(fields, "upstreams") else {
        return (upstreams, None);
    };
    let Some(entries) = sheet.entries(node, "'upstreams'") else {
        return (upstreams, None);
    };
    if entries.is_empty() || entries.len() > LIST_ITEMS_MAX {
        let message = format!("'upstreams' has 1 to {LIST_ITEMS_MAX} entries");
        sheet.error(node.place, Code::NoUpstreams, message);
    }
    for (key, node) in entries.iter().take(LIST_ITEMS_MAX) {
        if ContractId::new(&key.text).is_none() {
            let message = "the name of an upstream is 1 to 64 of a-z, 0-9, '_', '.', '-'";
            sheet.error(key.place, Code::UpstreamName, message.to_owned());
        }
        let servers = read_servers(sheet, node);
        let name = key.text.clone();
        upstreams.push(Upstream { name, servers });
    }
    upstreams.sort_by(|a, b| a.name.cmp(&b.name));
    upstreams.dedup_by(|a, b| a.name == b.name);
    let default_upstream = read_default_upstream(sheet, fields, node.place, &upstreams);
    (upstreams, default_upstream)
}

fn read_servers(sheet: &mut Sheet<'_>, node: &Node) -> Vec<Server> {
    let Some(fields) = sheet.fields(node, &UPSTREAM_KEYS) else {
        return Vec::new();
    };
    let Some(node) = sheet.required(fields, "servers") else {
        return Vec::new();
    };
    let items = bounded(sheet, node, "'servers'").unwrap_or_default();
    if items.is_empty() {
        let message = "'servers' names no server".to_owned();
        sheet.error(node.place, Code::MissingKey, message);
    }
    let servers = items.iter();
    servers
        .filter_map(|item| read_server(sheet, item))
        .collect()
}

fn read_default_upstream(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    place: Place,
    upstreams: &[Upstream],
) -> Option<Box<str>> {
    if let Some(node) = fields.get("default_upstream") {
        let name = sheet.text(node, "'default_upstream'", 64)?;
        if !upstreams.iter().any(|upstream| *upstream.name == *name) {
            let message = format!("there is no upstream '{name}'");
            sheet.error(node.place, Code::UnknownUpstream, message);
            return None;
        }
        return Some(name.into());
    }
    match upstreams {
        [] => None,
        [only] => Some(only.name.clone()),
        _ => {
            let message = "several upstreams, and no 'default_upstream'".to_owned();
            sheet.error(place, Code::DefaultUpstream, message);
            None
        }
    }
}
