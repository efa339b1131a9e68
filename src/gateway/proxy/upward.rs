//! What goes upstream: to which server, and with which head.
//!
//! Invariant: a head goes upstream without what only this hop may say. Not here: which upstream a
//! contract has.

use std::time::Duration;

use pingora::http::RequestHeader;
use pingora::proxy::Session;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use pingora::{Error, ErrorType, Result};

use super::Hooks;
use crate::gateway::common::QUARANTINE;
use crate::gateway::edge;
use crate::gateway::failure::NO_ADDRESS;
use crate::gateway::fields;
use crate::gateway::framing;
use crate::gateway::governor::Forward;
use crate::gateway::passage::Passage;
use crate::gateway::upstreams::Target;

/// By how much the upstream's side of a tunnel outlives its greatest age.
const TUNNEL_GRACE: Duration = Duration::from_secs(1);

impl Hooks {
    /// The server of the next attempt, as Pingora wants it.
    pub(super) fn next_peer(
        &self,
        session: &Session,
        passage: &mut Passage,
    ) -> Result<Box<HttpPeer>> {
        passage.attempts += 1;
        // Whoever did not take the first attempt is not asked again while there is another one.
        let last = passage.target.take().map(|target| target.socket());
        // A further attempt begins with the body from its first byte.
        passage.body_bytes = 0;
        let forward = passage
            .forward()
            .ok_or_else(|| Error::new_in(ErrorType::InternalError))?;
        let chosen = self.picker.pick(forward.upstream, last);
        let may_switch = may_switch(session, passage);
        let chosen =
            chosen.and_then(|target| Some((self.peer(&target, forward, may_switch)?, target)));
        let Some((mut peer, target)) = chosen else {
            passage.never_sent += 1;
            return Err(Error::new_up(ErrorType::Custom(NO_ADDRESS)));
        };
        if may_switch {
            self.expect_tunnel(session, forward, &mut peer);
        }
        passage.target = Some(target);
        if let Some(body) = &passage.body {
            let is_http2 = peer.options.alpn.get_min_http_version() == 2;
            let is_stream = passage.forward().is_some_and(|forward| forward.is_stream);
            body.note_forwarding(is_stream || is_http2);
        }
        Ok(Box::new(peer))
    }

    /// Makes of the head that came the head that goes upstream.
    pub(super) fn mend_request(
        &self,
        session: &Session,
        request: &mut RequestHeader,
        passage: &Passage,
    ) -> Result<()> {
        if let Some(path) = passage
            .forward()
            .and_then(|forward| forward.path.as_deref())
        {
            request.set_raw_path(path)?;
        }
        let strict = passage.forward().is_some_and(|forward| forward.strict);
        fields::strip_request(request, passage.connection.peer_trusted, strict);
        if let Some(field) = self.settings.caller_header.as_ref() {
            // Beside a certificate the field was not looked at.
            let connection = &passage.connection;
            let is_believed = connection.peer_trusted && connection.identity.is_none();
            fields::strip_caller(request, field, is_believed);
        }
        fields::one_hop_less(request)?;
        if session.req_header().version == http::Version::HTTP_10 {
            // Its client knows no 100, whatever it says.
            request.remove_header(&http::header::EXPECT);
        }
        if let Some(case) = passage
            .forward()
            .and_then(|forward| forward.case.as_deref())
        {
            request.insert_header(QUARANTINE, case)?;
        }
        // HTTP/1.0 may leave it out; what goes upstream is HTTP/1.1, which may not.
        // HTTP/2 has it in the authority.
        if !request.headers.contains_key(http::header::HOST)
            && request.uri.authority().is_none()
            && let Some(target) = &passage.target
            && let Some(authority) = self.picker.authority(target)
        {
            request.insert_header(http::header::HOST, authority)?;
        }
        Ok(())
    }

    /// A tunnel is silent for as long as it wants; only its handshake has to be answered in time.
    fn expect_tunnel(&self, session: &Session, forward: &Forward, peer: &mut HttpPeer) {
        // The client's side tells its age. This ends what that side no longer asks, so it comes later:
        // both at once would tell one end by two names.
        let later = self
            .settings
            .timeouts
            .tunnel_age
            .saturating_add(TUNNEL_GRACE);
        peer.options.read_timeout = Some(later);
        if let Some(stream) = session.stream() {
            edge::answer_handshake_within(stream, forward.timeout);
        }
    }

    fn peer(&self, target: &Target, forward: &Forward, may_switch: bool) -> Option<HttpPeer> {
        let timeouts = &self.settings.timeouts;
        let mut peer = self.picker.peer(target)?;
        peer.options.connection_timeout = Some(timeouts.connect);
        peer.options.total_connection_timeout = Some(timeouts.connect);
        peer.options.read_timeout = Some(forward.timeout);
        peer.options.write_timeout = Some(timeouts.upstream_write);
        peer.options.idle_timeout = Some(timeouts.upstream_idle);
        if !may_switch {
            peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        }
        Some(peer)
    }
}

/// Whether the request asked its upstream for another protocol.
pub(super) fn may_switch(session: &Session, passage: &Passage) -> bool {
    // The contract first: most allow no upgrade, and their requests need no look-up of fields.
    passage.forward().is_some_and(|forward| forward.may_upgrade)
        && !passage.has_body
        && framing::is_handshake(session.req_header())
}
