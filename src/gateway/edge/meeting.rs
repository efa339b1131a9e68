//! What happens on a connection before its first request: who it is, and which protocol it speaks.
//!
//! Invariant: a connection is counted before anything is read from it, and what comes before HTTP
//! (a PROXY header, TLS) has one deadline and a bound on how many of it are under way. A listener of
//! plain HTTP passes through none of this. Deliberately not here: requests.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{Error, InvalidMessage};
use tokio_rustls::server::TlsStream;

use super::Edge;
use super::caps::{Closed, Permit};
use super::conn::{Conn, Inner};
use super::handshakes::{ProxyRefusal, TlsEnd};
use super::proxy_protocol::{self, Fault};
use super::secured::Secured;
use crate::gateway::accepted::Accepted;
use crate::gateway::connection::Connection;
use crate::gateway::settings::ListenerSettings;
use crate::gateway::stop::LAST_REQUEST;
use crate::tls::{ListenerTls, identity};

/// What a connection speaks, as far as it is known before its first byte of HTTP.
pub(super) enum Protocol {
    /// HTTP/1, or HTTP/2 where its preface comes first and the listener takes that.
    Http1,
    /// HTTP/2, agreed on with TLS.
    Http2,
}

/// What becomes of a new connection.
pub(crate) enum Arrival {
    Met(Met),
    /// Something has to come before HTTP.
    Stranger(Box<Stranger>),
    /// There are too many.
    TurnedAway,
}

/// A connection that nothing has been read from.
pub(crate) struct Stranger {
    socket: Accepted,
    connection: Connection,
}

/// A connection that requests may come on.
pub(crate) struct Met {
    pub(super) conn: Box<Conn>,
    pub(super) connection: Arc<Connection>,
    pub(super) protocol: Protocol,
}

impl Edge {
    /// Meets a new connection: a number of a listener, and who is on the other side.
    pub(crate) fn meet(&self, socket: Accepted, (number, peer): (u16, SocketAddr)) -> Arrival {
        let connection = Connection {
            listener: number,
            peer: Some(peer),
            peer_trusted: self.settings.trusts(peer),
            identity: None,
        };
        let listener = self.settings.listener(number);
        if listener.is_some_and(ListenerSettings::has_handshake) {
            return Arrival::Stranger(Box::new(Stranger { socket, connection }));
        }
        let Ok(permit) = self.connections.admit(Some(peer.ip())) else {
            return Arrival::TurnedAway;
        };
        Arrival::Met(Met {
            conn: Box::new(Conn::new(Inner::Plain(socket), permit)),
            connection: Arc::new(connection),
            protocol: Protocol::Http1,
        })
    }

    /// What comes before HTTP; `None` where a stranger is not let in.
    pub(crate) async fn introduced(
        &self,
        stranger: Box<Stranger>,
        shutdown: &ShutdownWatch,
    ) -> Option<Met> {
        let Stranger { socket, connection } = *stranger;
        let listener = self.settings.listener(connection.listener)?;
        self.shake_hands(Box::new(socket), connection, listener, shutdown)
            .await
    }

    /// Everything before HTTP; a gateway that stops waits for it as long as for a request.
    async fn shake_hands(
        &self,
        stream: Stream,
        connection: Connection,
        listener: &ListenerSettings,
        shutdown: &ShutdownWatch,
    ) -> Option<Met> {
        // Behind a proxy the address is not known yet; the connection counts all the same.
        let known = connection.peer.filter(|_| !listener.proxy_protocol);
        let mut permit = self.connections.admit(known.map(|peer| peer.ip())).ok()?;
        permit.ends_as(Closed::Handshake);
        let _under_way = self.connections.handshakes().begin()?;
        let mut stopping = shutdown.clone();
        tokio::select! {
            biased;
            met = self.introduce(stream, connection, listener, permit) => met,
            () = async {
                // An error means the sender is gone, and with it everything else.
                _ = stopping.wait_for(|stopping| *stopping).await;
                tokio::time::sleep(LAST_REQUEST).await;
            } => None,
        }
    }

    async fn introduce(
        &self,
        mut stream: Stream,
        mut connection: Connection,
        listener: &ListenerSettings,
        mut permit: Permit,
    ) -> Option<Met> {
        let deadline = Instant::now() + self.settings.timeouts.handshake;
        if listener.proxy_protocol {
            let believed = self
                .believe(&mut stream, &mut connection, deadline)
                .await
                .map_err(|refusal| self.connections.handshakes().note_proxy(refusal));
            believed.ok()?;
            let address = connection.peer.map(|peer| peer.ip());
            permit.claim(address).ok()?;
        }
        let mut protocol = Protocol::Http1;
        if let Some(tls) = &listener.tls {
            let secured = secure(stream, tls, deadline).await;
            let end = secured
                .as_ref()
                .map_or_else(|end| *end, |_| TlsEnd::Completed);
            self.connections.handshakes().note_tls(end);
            let secured = secured.ok()?;
            let (_, session) = secured.get_ref();
            if session.alpn_protocol() == Some(b"h2") {
                protocol = Protocol::Http2;
            }
            // With certificates asked for there are only those that were verified.
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            connection.identity = certificate.and_then(|der| identity(der));
            stream = Box::new(Secured::new(secured));
        }
        permit.ends_as(Closed::Unused);
        Some(Met {
            conn: Box::new(Conn::new(Inner::Around(stream), permit)),
            connection: Arc::new(connection),
            protocol,
        })
    }

    /// Takes the word of a trusted proxy for who the client is.
    async fn believe(
        &self,
        stream: &mut Stream,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<(), ProxyRefusal> {
        if !connection.peer_trusted {
            return Err(ProxyRefusal::Untrusted);
        }
        let read = timeout_at(deadline, read_header(stream)).await;
        let source = read.map_err(|_| ProxyRefusal::Timeout)??;
        if let Some(source) = source {
            connection.peer = Some(source);
            connection.peer_trusted = self.settings.trusts(source);
        }
        Ok(())
    }
}

/// Reads a PROXY header and not one byte more.
async fn read_header(stream: &mut Stream) -> Result<Option<SocketAddr>, ProxyRefusal> {
    let mut bytes = Vec::new();
    loop {
        match proxy_protocol::read(&bytes) {
            Ok(Some(header)) => return Ok(header.source),
            Ok(None) => {}
            Err(Fault::Version1) => return Err(ProxyRefusal::Version1),
            Err(Fault::Malformed | Fault::TooLong) => return Err(ProxyRefusal::Malformed),
        }
        let missing = proxy_protocol::wanted(&bytes).saturating_sub(bytes.len());
        let missing = u64::try_from(missing).unwrap_or(0);
        match (&mut *stream).take(missing).read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Err(ProxyRefusal::Gone),
        }
    }
}

async fn secure(
    stream: Stream,
    tls: &ListenerTls,
    deadline: Instant,
) -> Result<TlsStream<Stream>, TlsEnd> {
    let accepted = TlsAcceptor::from(tls.current()).accept(stream);
    let accepted = timeout_at(deadline, accepted).await;
    accepted
        .map_err(|_| TlsEnd::Timeout)?
        .map_err(|error| end_of(&error))
}

fn end_of(error: &io::Error) -> TlsEnd {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref());
    match reason {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => TlsEnd::NotTls,
        Some(_) => TlsEnd::Failed,
        None => TlsEnd::Gone,
    }
}
