//! What a listener speaks: TLS and its certificates, HTTP/2, and a PROXY header before all of it.
//!
//! Only what stands in the file is judged here; whether the files that it names can be used is
//! asked where they are (`check`, `doctor`, and every start).

use std::path::{Path, PathBuf};

use super::path_at;
use super::upstreams::bounded;
use crate::config::settings::Listener;
use crate::diagnostic::Code;
use crate::tls::{CertificateFiles, ClientAuth, TlsFiles};
use crate::yaml::{Fields, Keys, Node, Sheet};

pub(super) const TLS_KEYS: Keys =
    Keys::plain("'tls'", &["certificates", "client_ca", "client_auth"]);
pub(super) const CERTIFICATE_KEYS: Keys = Keys::plain("a certificate", &["cert", "key"]);

/// What comes before HTTP, and which HTTP.
pub(super) struct Protocols {
    pub(super) tls: Option<TlsFiles>,
    pub(super) http2: bool,
    pub(super) h2c: bool,
    pub(super) proxy_protocol: bool,
}

impl Protocols {
    /// Every key is read before any is judged, so that every fault is reported.
    pub(super) fn read(sheet: &mut Sheet<'_>, fields: Fields<'_>, folder: &Path) -> Option<Self> {
        let tls = match fields.get("tls") {
            Some(node) => read_tls(sheet, node, folder).map(Some),
            None => Some(None),
        };
        let has_tls = fields.get("tls").is_some();
        let mut flag = |key: &str, default| match fields.get(key) {
            Some(node) => sheet.boolean(node, &format!("'{key}'")),
            None => Some(default),
        };
        let http2 = flag("http2", has_tls);
        let h2c = flag("h2c", false);
        let proxy_protocol = flag("proxy_protocol", false);
        let read = Self {
            tls: tls?,
            http2: http2?,
            h2c: h2c?,
            proxy_protocol: proxy_protocol?,
        };
        read.fits(sheet, fields).then_some(read)
    }

    fn fits(&self, sheet: &mut Sheet<'_>, fields: Fields<'_>) -> bool {
        let has_tls = self.tls.is_some();
        let wrong = [
            (
                "http2",
                self.http2 && !has_tls,
                "'http2' is agreed on with TLS, and this listener has none",
                "write 'h2c: true' for HTTP/2 without TLS, or add 'tls'",
            ),
            (
                "h2c",
                self.h2c && has_tls,
                "'h2c' is HTTP/2 without TLS, and this listener has TLS",
                "remove it: with TLS HTTP/2 is on unless 'http2: false' is written",
            ),
        ];
        let mut fits = true;
        for (key, is_wrong, message, remedy) in wrong {
            if let (true, Some(node)) = (is_wrong, fields.get(key)) {
                let (message, remedy) = (message.to_owned(), remedy.to_owned());
                sheet.error_with(node.place, Code::ListenerKeys, message, remedy);
                fits = false;
            }
        }
        fits
    }
}

/// A PROXY header is believed from trusted proxies alone, so without any nobody could come in.
pub(super) fn judge_proxy_protocol(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    listeners: &[Listener],
) {
    let is_said = listeners.iter().any(|listener| listener.proxy_protocol);
    if is_said && fields.get("trusted_proxies").is_none() {
        let place = fields.get("listeners").map_or(fields.place(), |n| n.place);
        let message = "'proxy_protocol' closes every connection that is not from a trusted proxy, and there is none".to_owned();
        let remedy = "add 'trusted_proxies' with the addresses of the proxies in front".to_owned();
        sheet.error_with(place, Code::ListenerKeys, message, remedy);
    }
}

fn read_tls(sheet: &mut Sheet<'_>, node: &Node, folder: &Path) -> Option<TlsFiles> {
    let fields = sheet.fields(node, &TLS_KEYS)?;
    let certificates = read_certificates(sheet, fields, folder);
    let client_ca = match fields.get("client_ca") {
        Some(node) => path_at(sheet, node, "'client_ca'", folder).map(|(path, _)| Some(path)),
        None => Some(None),
    };
    let client_auth = match fields.get("client_auth") {
        Some(node) => read_client_auth(sheet, node, fields.get("client_ca").is_some()),
        // Whoever names an authority wants to know who comes.
        None if fields.get("client_ca").is_some() => Some(ClientAuth::Required),
        None => Some(ClientAuth::None),
    };
    Some(TlsFiles {
        certificates: certificates?,
        client_ca: client_ca?,
        client_auth: client_auth?,
    })
}

fn read_client_auth(sheet: &mut Sheet<'_>, node: &Node, has_ca: bool) -> Option<ClientAuth> {
    let choices = ClientAuth::ALL.map(ClientAuth::key);
    let auth = sheet.choice(node, "'client_auth'", &choices, |text| {
        ClientAuth::ALL.into_iter().find(|auth| auth.key() == text)
    })?;
    if auth == ClientAuth::None || has_ca {
        return Some(auth);
    }
    let message = "certificates of clients cannot be verified without an authority".to_owned();
    let remedy = "add 'client_ca', the file of the authorities that sign them".to_owned();
    sheet.error_with(node.place, Code::ListenerKeys, message, remedy);
    None
}

fn read_certificates(
    sheet: &mut Sheet<'_>,
    fields: Fields<'_>,
    folder: &Path,
) -> Option<Vec<CertificateFiles>> {
    let node = sheet.required(fields, "certificates")?;
    let items = bounded(sheet, node, "'certificates'")?;
    if items.is_empty() {
        let message = "'certificates' is empty: nothing could be shown to a client".to_owned();
        sheet.error(node.place, Code::MissingKey, message);
        return None;
    }
    let read: Vec<_> = items
        .iter()
        .map(|item| {
            let fields = sheet.fields(item, &CERTIFICATE_KEYS)?;
            let mut path = |key: &str| -> Option<PathBuf> {
                let node = sheet.required(fields, key)?;
                path_at(sheet, node, &format!("'{key}'"), folder).map(|(path, _)| path)
            };
            let (cert, key) = (path("cert"), path("key"));
            Some(CertificateFiles {
                cert: cert?,
                key: key?,
            })
        })
        .collect();
    read.into_iter().collect()
}
