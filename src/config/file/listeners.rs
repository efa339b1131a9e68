//! Where requests and operators come in.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::listener_tls::{Protocols, judge_proxy_protocol};
use super::upstreams::bounded;
use crate::config::address::read_socket;
use crate::config::settings::Listener;
use crate::diagnostic::Code;
use crate::units::Tier;
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const LISTENER_KEYS: Keys = Keys::plain(
    "a listener",
    &["bind", "tier", "tls", "http2", "h2c", "proxy_protocol"],
);
pub(super) const ADMIN_KEYS: Keys = Keys::plain("'admin'", &["bind"]);

pub(super) fn read_listeners(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    process: Tier,
    admin: Option<SocketAddr>,
    folder: &Path,
) -> Option<Vec<Listener>> {
    let node = sheet.required(fields, "listeners")?;
    let items = bounded(sheet, node, "'listeners'")?;
    let mut listeners: Vec<Listener> = Vec::new();
    let mut is_whole = true;
    for item in items {
        let Some(listener) = read_listener(sheet, item, process, folder) else {
            is_whole = false;
            continue;
        };
        let bind = listener.bind;
        let mut taken = listeners.iter().map(|other| other.bind).chain(admin);
        if let Some(other) = taken.find(|other| overlap(bind, *other)) {
            let message = if other == bind {
                format!("{bind} is taken already")
            } else {
                format!("{bind} overlaps with {other}: the second of them cannot be opened")
            };
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
    judge_proxy_protocol(sheet, fields, &listeners);
    is_whole.then_some(listeners)
}

/// Whether the kernel would refuse the second of two addresses: they share a port, and are equal
/// or one of them stands for all addresses. `[::]` stands for those of IPv4 too.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V4(wide) => wide.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(wide) => wide.is_unspecified(),
    };
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() != 0 && one.port() == other.port() && (a == b || covers(a, b) || covers(b, a))
}

fn read_listener(
    sheet: &mut Sheet<'_>,
    node: &Node,
    process: Tier,
    folder: &Path,
) -> Option<Listener> {
    let fields = sheet.fields(node, &LISTENER_KEYS)?;
    let bind = sheet.required(fields, "bind");
    let bind = bind.and_then(|node| read_socket(sheet, node, "'bind'"));
    let protocols = Protocols::read(sheet, fields, folder);
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
    let protocols = protocols?;
    Some(Listener {
        bind: bind?,
        tier,
        tls: protocols.tls,
        http2: protocols.http2,
        h2c: protocols.h2c,
        proxy_protocol: protocols.proxy_protocol,
    })
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

#[cfg(test)]
mod tests {
    use super::overlap;

    #[test]
    fn addresses_overlap_where_the_kernel_says_so() {
        let check = |one: &str, other: &str, expected: bool| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        };
        check("127.0.0.1:80", "127.0.0.1:80", true);
        check("127.0.0.1:80", "127.0.0.2:80", false);
        check("127.0.0.1:80", "127.0.0.1:81", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("0.0.0.0:80", "127.0.0.1:80", true);
        check("0.0.0.0:80", "127.0.0.1:81", false);
        check("0.0.0.0:80", "[::1]:80", false);
        check("[::]:80", "[::1]:80", true);
        check("[::]:80", "127.0.0.1:80", true);
        check("[::]:80", "0.0.0.0:80", true);
        check("[::1]:80", "127.0.0.1:80", false);
        check("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true);
    }

    /// The same pairs, asked of the kernel: what overlaps cannot be opened together.
    #[test]
    fn the_kernel_refuses_the_second_of_two_that_overlap() {
        for (first, second) in [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0")] {
            let first = std::net::TcpListener::bind((first, 0)).unwrap();
            let taken = first.local_addr().unwrap();
            let wanted = std::net::SocketAddr::new(second.parse().unwrap(), taken.port());
            assert!(overlap(taken, wanted));
            let refused = std::net::TcpListener::bind(wanted).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::AddrInUse, "{wanted}");
        }
    }
}
