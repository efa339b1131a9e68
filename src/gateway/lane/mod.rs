//! The fast lane: ordinary HTTP/1.1 requests served at the edge, without the full proxy.
//!
//! Their head has been read by the edge already; here they are judged, sent on in one write over a
//! connection of the worker's own pool, and answered in one write where the answer is small. Invariant:
//! what a client, an upstream and the records see is what they would see of the full proxy; a test
//! compares both. Deliberately not here: anything that is rare. `entry` leaves it to the full proxy.

pub(crate) mod answer;
pub(crate) mod body;
mod carry;
#[cfg(test)]
mod comparison;
mod crossing;
mod entry;
pub(crate) mod pool;
mod refuse;
mod request;
mod scratch;
mod telling;

use std::sync::Arc;

use bytes::BytesMut;

use super::clock;
use super::common::Common;
use super::connection::Connection;
use super::edge::{Alarm, Conn, Parsed};
use super::governor::{Course, Forward, HeadFacts};
use super::passage::{Ending, Passage};
use super::received::Fields;
use crate::units::Moment;
use entry::Asked;

/// The lane of one worker.
#[derive(Clone)]
pub(crate) struct Lane {
    pub(crate) common: Arc<Common>,
}

/// A request that the lane has taken.
pub(crate) struct Errand {
    asked: Asked,
    /// When its head had come.
    at: Moment,
    passage: Passage,
    /// What its upstream is sent; empty where it goes to none.
    wire: BytesMut,
}

/// What becomes of a request that the lane was shown.
pub(crate) enum Shown {
    /// It is not for the lane, and nothing has been decided.
    Left,
    /// The lane has it, with so many bytes of its body.
    Taken(usize, Box<Errand>),
    /// It has been decided about, and its way is not the lane's.
    Decided(Box<Passage>),
}

impl Lane {
    /// Looks at a request whose head has come, with what has come behind it.
    pub(crate) fn show(
        &self,
        parsed: &Parsed<'_, '_>,
        behind: &[u8],
        connection: &Arc<Connection>,
    ) -> Shown {
        let Some(asked) = entry::take(parsed, behind.len()) else {
            return Shown::Left;
        };
        let common = &*self.common;
        let mut passage = Passage::on(
            Arc::clone(&common.governor),
            common.in_flight.enter(),
            Arc::clone(connection),
        );
        passage.has_body = asked.body > 0;
        let at = clock::now();
        // Where it stays, before it is filled: what is kept of a request is too large to be moved about.
        let mut errand = Box::new(Errand {
            asked,
            at,
            passage,
            wire: BytesMut::new(),
        });
        self.admit(parsed, &mut errand.passage, at);
        match errand.passage.forward() {
            Some(forward) if self.carries(forward, asked) => {
                let body = behind.get(..asked.body).unwrap_or_default();
                errand.wire = request::write(parsed, body, forward, self.rules(connection));
            }
            Some(_) => return Shown::Decided(Box::new(errand.passage)),
            None => {}
        }
        Shown::Taken(asked.body, errand)
    }

    fn admit(&self, parsed: &Parsed<'_, '_>, passage: &mut Passage, at: Moment) {
        let connection = &*passage.connection;
        let fields = Fields::raw(parsed.fields);
        let facts = HeadFacts {
            listener: connection.listener,
            worker: self.common.worker,
            peer: connection.peer,
            peer_trusted: connection.peer_trusted,
            identity: connection.identity.as_deref(),
            method: parsed.method,
            raw_target: parsed.target,
            origin_form: true,
            host: parsed.host.unwrap_or_default(),
            headers: fields,
            has_body: passage.has_body,
            caller: self.common.caller(fields, connection),
            at,
        };
        passage.admit(self.common.governor.admit(&facts));
    }

    /// Whether the way of a request is the lane's: at once, and without TLS or HTTP/2.
    fn carries(&self, forward: &Forward, asked: Asked) -> bool {
        let most = forward.body_bytes_max;
        let is_too_large = most.is_some_and(|most| asked.body as u64 > most);
        forward.hold.is_zero() && !is_too_large && self.common.picker.is_plain(forward.upstream)
    }

    fn rules<'a>(&'a self, connection: &Connection) -> request::Rules<'a> {
        let field = self.common.settings.caller_header.as_ref();
        // Beside a certificate the field was not looked at.
        let is_believed = connection.peer_trusted && connection.identity.is_none();
        request::Rules {
            trusted: connection.peer_trusted,
            caller: field.map(|field| (field.as_str(), is_believed)),
        }
    }

    /// Serves a request; whether the connection may carry another one. `last` says that it may not.
    pub(crate) async fn serve(
        &self,
        errand: &mut Errand,
        conn: &mut Conn,
        alarm: &mut Alarm,
        last: bool,
    ) -> bool {
        errand.asked.keeps &= !last;
        match errand.passage.exchange().map(|exchange| exchange.course()) {
            Some(Course::Forward(_)) => self.carry(errand, conn, alarm).await,
            Some(Course::Answer(_)) => self.refuse(errand, conn, alarm).await,
            Some(Course::Close) | None => {
                errand.passage.close(&Ending {
                    at: clock::now(),
                    status_sent: 0,
                    failure: None,
                    request_body_bytes: 0,
                    response_body_bytes: 0,
                });
                false
            }
        }
    }
}
