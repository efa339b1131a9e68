//! What comes back from upstream: its head, and what it says of the server.
//!
//! Not here: answers of ours (`own`).

use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::Hooks;
use super::own::decorate;
use super::upward::may_switch;
use crate::gateway::clock;
use crate::gateway::common::is_of_a_gateway;
use crate::gateway::fields;
use crate::gateway::framing;
use crate::gateway::passage::Passage;
use crate::gateway::respond::DECISION_ID;
use crate::gateway::retry_budget::push_back;

impl Hooks {
    /// Makes of the head that came from upstream the head that goes to the client.
    pub(super) fn mend_response(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        passage: &mut Passage,
    ) -> Result<()> {
        framing::mend(response, may_switch(session, passage))?;
        let status = response.status;
        if status.is_informational() && status != http::StatusCode::SWITCHING_PROTOCOLS {
            fields::strip_response(response);
            return passage.one_more_interim();
        }
        passage.upstream_status = status.as_u16();
        if is_of_a_gateway(status.as_u16()) {
            self.judge(passage, true);
        }
        if status == http::StatusCode::SWITCHING_PROTOCOLS {
            // A tunnel may be silent for longer than a body; the edge knows how long.
            session.as_downstream_mut().set_read_timeout(None);
        }
        if let Some(body) = &passage.body {
            body.note_answered();
        }
        fields::strip_response(response);
        if let Some(exchange) = passage.exchange() {
            let at = clock::now();
            self.governor.head_received(exchange, at, status.as_u16());
            let retry_after = response.headers.get(http::header::RETRY_AFTER);
            let retry_after = retry_after.map(http::HeaderValue::as_bytes);
            if let Some(quiet) = push_back(status.as_u16(), retry_after) {
                self.governor.pushed_back(exchange, at, quiet);
            }
            response.insert_header(DECISION_ID, exchange.decision_id().as_bytes())?;
            decorate(response, exchange)?;
        }
        Ok(())
    }
}
