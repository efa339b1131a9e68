//! One check of one server: a connection, or a request and the status of its answer.
//!
//! A check makes a connection of its own each time, the same way as requests do: protocol, server
//! name, authorities and certificate are those of the group. So what a check says holds for
//! requests too, and a kept connection hides nothing.

use std::sync::Arc;

use pingora::connectors::TransportConnector;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;

use super::{Address, Upstreams};
use crate::config::HealthCheck;

/// What connects.
pub(super) struct Checker {
    http: Arc<Connector>,
    transport: Arc<TransportConnector>,
}

impl Checker {
    pub(super) fn new() -> Self {
        Self {
            http: Arc::new(Connector::new(None)),
            transport: Arc::new(TransportConnector::new(None)),
        }
    }

    /// Checks in a task of its own and tells the group what came of it.
    pub(super) fn check(
        &self,
        upstreams: &Arc<Upstreams>,
        number: usize,
        address: Address,
        check: &HealthCheck,
    ) {
        let Some(group) = upstreams.groups.get(number) else {
            return;
        };
        let mut peer = group.peer(address);
        // A connection with room for one request is not kept for others.
        peer.options.max_h2_streams = 1;
        let host = group
            .peers()
            .host(address.server, group.authority(address.server));
        let (http, transport) = (Arc::clone(&self.http), Arc::clone(&self.transport));
        let (upstreams, check) = (Arc::downgrade(upstreams), check.clone());
        tokio::spawn(async move {
            let timeout = std::time::Duration::from_millis(u64::from(check.timeout.get()));
            let asked = async {
                match &check.path {
                    None => connect(&transport, &peer).await,
                    Some(path) => ask(&http, &peer, &host, path, &check).await,
                }
            };
            let said = tokio::time::timeout(timeout, asked).await;
            let said = said.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            if let Some(upstreams) = upstreams.upgrade()
                && let Some(group) = upstreams.groups.get(number)
            {
                group.checked(address, &check, said);
            }
        });
    }
}

async fn connect(transport: &TransportConnector, peer: &HttpPeer) -> Result<(), String> {
    match transport.new_stream(peer).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

async fn ask(
    http: &Connector,
    peer: &HttpPeer,
    host: &str,
    path: &str,
    check: &HealthCheck,
) -> Result<(), String> {
    let status = status(http, peer, host, path).await;
    let status = status.map_err(|error| error.to_string())?;
    if check.expect.contains(&status) {
        Ok(())
    } else {
        Err(format!("status {status}"))
    }
}

async fn status(http: &Connector, peer: &HttpPeer, host: &str, path: &str) -> pingora::Result<u16> {
    let (mut session, _) = http.get_http_session(peer).await?;
    let mut request = RequestHeader::build("GET", path.as_bytes(), None)?;
    request.insert_header(http::header::USER_AGENT, "tidegate-health")?;
    if session.as_http1().is_some() {
        request.insert_header(http::header::HOST, host)?;
        request.insert_header(http::header::CONNECTION, "close")?;
    } else {
        let scheme = if peer.is_tls() { "https" } else { "http" };
        let uri = format!("{scheme}://{host}{path}").parse::<http::Uri>();
        let invalid = |error| {
            pingora::Error::because(pingora::ErrorType::InvalidHTTPHeader, "health path", error)
        };
        request.set_uri(uri.map_err(invalid)?);
        request.set_version(http::Version::HTTP_2);
    }
    session.write_request_header(Box::new(request)).await?;
    session.finish_request_body().await?;
    session.read_response_header().await?;
    let head = session.response_header();
    Ok(head.map_or(0, |head| head.status.as_u16()))
}
