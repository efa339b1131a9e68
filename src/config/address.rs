//! Addresses, names and networks in the configuration.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config::settings::Server;
use crate::diagnostic::Code;
use crate::yaml::{Node, Sheet};

const ADDRESS_CHARS_MAX: usize = 260;

/// `127.0.0.1:8080` or `[::1]:8080`; names are not resolved here.
pub(super) fn read_socket(sheet: &mut Sheet<'_>, node: &Node, what: &str) -> Option<SocketAddr> {
    let text = sheet.text(node, what, ADDRESS_CHARS_MAX)?;
    let address = text.parse().ok();
    if address.is_none() {
        let message = format!("{what} is an address and a port, not '{text}'");
        let remedy = "write it as '127.0.0.1:8080' or '[::1]:8080'".to_owned();
        sheet.error_with(node.place, Code::Address, message, remedy);
    }
    address
}

/// An address or a name, with a port.
pub(super) fn read_server(sheet: &mut Sheet<'_>, node: &Node) -> Option<Server> {
    let text = sheet.text(node, "a server", ADDRESS_CHARS_MAX)?;
    let server = parse_server(text);
    if server.is_none() {
        let message = format!("a server is 'host:port', not '{text}'");
        let remedy = "write it as '127.0.0.1:9000' or 'orders.internal:9000', without a scheme";
        sheet.error_with(node.place, Code::Address, message, remedy.to_owned());
    }
    server
}

fn parse_server(text: &str) -> Option<Server> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then_some(Server::Address(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| *port != 0)?;
    (is_digits && is_host_name(host)).then(|| Server::Name {
        host: host.to_ascii_lowercase().into(),
        port,
    })
}

/// A host name of RFC 1123; all digits and dots would be a mistyped address.
pub(super) fn is_host_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or(host);
    let is_numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(is_label) && !is_numeric
}

/// `10.0.0.0/8` or one address. Bits beyond the prefix are refused: they show a mistake.
pub(super) fn read_network(sheet: &mut Sheet<'_>, node: &Node) -> Option<IpNet> {
    let text = sheet.text(node, "a network", ADDRESS_CHARS_MAX)?;
    let single = text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = single.or_else(|| text.parse::<IpNet>().ok());
    let Some(network) = network else {
        let message = format!("'{text}' is not a network");
        sheet.error(node.place, Code::Network, message);
        return None;
    };
    if network.trunc() != network {
        let message = format!("'{text}' has bits beyond its prefix");
        let remedy = format!("write '{}'", network.trunc());
        sheet.error_with(node.place, Code::Network, message, remedy);
        return None;
    }
    Some(network)
}

#[cfg(test)]
mod tests {
    use super::{Server, parse_server};

    #[test]
    fn a_server_is_an_address_or_a_name_with_a_port() {
        let name = |host: &str, port| {
            let host = host.into();
            Some(Server::Name { host, port })
        };
        let address = |text: &str| Some(Server::Address(text.parse().unwrap()));
        for (text, expected) in [
            ("127.0.0.1:9000", address("127.0.0.1:9000")),
            ("[::1]:9000", address("[::1]:9000")),
            ("localhost:80", name("localhost", 80)),
            ("Orders.Internal:9000", name("orders.internal", 9000)),
            ("my_service:1", name("my_service", 1)),
            ("127.0.0.1", None),
            ("127.0.0.1:0", None),
            ("127.0.0.256:80", None),
            ("host:0", None),
            ("host:+80", None),
            ("host:65536", None),
            ("http://host:80", None),
            ("host:80/path", None),
            ("-a:80", None),
            (":80", None),
            ("a..b:80", None),
        ] {
            assert_eq!(parse_server(text), expected, "{text}");
        }
    }
}
