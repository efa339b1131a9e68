//! A request is put before the governor, and waits where it has to.
//!
//! Not here: what becomes of it, which stands in its exchange.

use std::time::Duration;

use pingora::Result;
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use super::Hooks;
use crate::gateway::clock;
use crate::gateway::governor::HeadFacts;
use crate::gateway::passage::Passage;

impl Hooks {
    pub(super) fn admit(&self, session: &Session, passage: &mut Passage) {
        let request = session.req_header();
        let facts = HeadFacts {
            listener: passage.connection.listener,
            worker: self.worker,
            peer: passage.connection.peer,
            peer_trusted: passage.connection.peer_trusted,
            identity: passage.connection.identity.as_deref(),
            method: request.method.as_str(),
            raw_target: behind_authority(request.raw_path()),
            origin_form: request.raw_path().starts_with(b"/"),
            host: host_of(request),
            headers: (&request.headers).into(),
            has_body: passage.has_body,
            caller: self.caller((&request.headers).into(), &passage.connection),
            at: clock::now(),
        };
        passage.admit(self.governor.admit(&facts));
    }

    /// Waits until the request's turn has come. A client that leaves meanwhile is noticed, unless
    /// its body is on the way: then nobody reads before the request is sent on.
    pub(super) async fn wait_for_turn(
        &self,
        session: &mut Session,
        passage: &Passage,
        hold: Duration,
    ) -> Result<()> {
        let turn = tokio::time::sleep(hold);
        if passage.has_body {
            turn.await;
        } else {
            // The edge holds back what the client sends ahead, so only its end can come here.
            let gone = async {
                match session.as_downstream_mut().read_body_or_idle(true).await {
                    Err(error) => error,
                    Ok(_) => std::future::pending().await,
                }
            };
            tokio::select! {
                () = turn => {}
                error = gone => return Err(error.into_down()),
            }
        }
        if let Some(exchange) = passage.exchange() {
            self.governor.turn_came(exchange, clock::now());
        }
        Ok(())
    }
}

fn host_of(request: &RequestHeader) -> &[u8] {
    match request.uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => request
            .headers
            .get(http::header::HOST)
            .map_or(b"", http::HeaderValue::as_bytes),
    }
}

/// Path and query of a target; the edge lets only `/...`, `*` and `scheme://authority...` pass.
fn behind_authority(target: &[u8]) -> &[u8] {
    if matches!(target.first(), Some(b'/' | b'*')) {
        return target;
    }
    let authority = target.windows(3).position(|three| three == b"://");
    let rest = target
        .get(authority.map_or(0, |at| at + 3)..)
        .unwrap_or_default();
    let path = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    path.and_then(|at| rest.get(at..)).unwrap_or(b"/")
}

#[cfg(test)]
mod tests {
    use super::behind_authority;

    #[test]
    fn a_target_is_cut_behind_its_authority() {
        for (target, expected) in [
            ("/a?b=http://c/d", "/a?b=http://c/d"),
            ("*", "*"),
            ("http://a/b?c", "/b?c"),
            ("http://a", "/"),
            ("http://a?c", "?c"),
        ] {
            assert_eq!(behind_authority(target.as_bytes()), expected.as_bytes());
        }
    }
}
