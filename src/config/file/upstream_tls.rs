//! How connections to an upstream are secured.

use std::path::PathBuf;

use super::PATH_CHARS_MAX;
use super::upstreams::UpstreamPlace;
use crate::config::address::is_host_name;
use crate::config::settings::{ClientCertificate, Environment, UpstreamTls};
use crate::diagnostic::Code;
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const TLS_KEYS: Keys = Keys::plain(
    "'tls' of an upstream",
    &["server_name", "ca", "cert", "key", "verify"],
);

pub(super) fn read_tls(
    sheet: &mut Sheet<'_>,
    node: &Node,
    place: UpstreamPlace<'_>,
) -> Option<UpstreamTls> {
    let fields = sheet.fields(node, &TLS_KEYS)?;
    let mut path = |key: &str| file(sheet, fields, key, place);
    let (ca, cert, key) = (path("ca"), path("cert"), path("key"));
    let client = match (cert, key) {
        (Some(cert), Some(key)) => Some(ClientCertificate { cert, key }),
        (None, None) => None,
        _ => {
            let message = "a certificate of our own takes both 'cert' and 'key'";
            sheet.error(node.place, Code::UpstreamTls, message.to_owned());
            None
        }
    };
    let verify = fields.get("verify");
    let verifies = verify.is_none_or(|node| sheet.boolean(node, "'verify'").unwrap_or(true));
    if !verifies && place.environment == Some(Environment::Production) {
        let at = verify.map_or(node.place, |node| node.place);
        let message = "certificates of upstreams are not verified, in production";
        sheet.error(at, Code::UpstreamVerify, message.to_owned());
    }
    Some(UpstreamTls {
        server_name: read_server_name(sheet, fields),
        ca,
        client,
        verify: verifies,
    })
}

fn file(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    key: &str,
    place: UpstreamPlace<'_>,
) -> Option<PathBuf> {
    let node = fields.get(key)?;
    let text = sheet.text(node, &format!("'{key}'"), PATH_CHARS_MAX)?;
    Some(place.folder.join(text))
}

fn read_server_name(sheet: &mut Sheet<'_>, fields: Fields<'_>) -> Option<Box<str>> {
    let node = fields.get("server_name")?;
    let text = sheet.text(node, "'server_name'", 253)?;
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    if !is_address && !is_host_name(text) {
        let message = format!("'server_name' is a host name or an address, not '{text}'");
        sheet.error(node.place, Code::UpstreamTls, message);
        return None;
    }
    Some(text.to_ascii_lowercase().into())
}
