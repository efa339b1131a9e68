//! Answers of the gateway's own on the lane.
//!
//! Invariant: they are the answers that the full proxy gives, in one write.

use std::future::poll_fn;
use std::task::{Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::time::Instant;

use super::telling::{self, Telling};
use super::{Errand, Lane};
use crate::gateway::clock;
use crate::gateway::edge::{Alarm, Conn};
use crate::gateway::failure;
use crate::gateway::governor::{Course, Failure};
use crate::gateway::passage::Ending;
use crate::gateway::proxy::decorate;
use crate::gateway::respond::Answer;
use crate::units::Moment;

impl Lane {
    /// Gives the answer of a request that goes nowhere; whether the connection stays.
    pub(super) async fn refuse(
        &self,
        errand: &mut Errand,
        conn: &mut Conn,
        alarm: &mut Alarm,
    ) -> bool {
        let Some(Course::Answer(answer)) = errand.passage.exchange().map(|it| it.course()) else {
            return false;
        };
        let status = answer.status;
        errand.asked.keeps &= !answer.close;
        // It is answered at once, so the clock need not be read again.
        let given = self.give(errand, answer, errand.at, (conn, alarm)).await;
        errand.passage.close(&Ending {
            at: clock::now(),
            status_sent: if given.is_ok() { status } else { 0 },
            failure: given.err(),
            request_body_bytes: 0,
            response_body_bytes: given.unwrap_or(0),
        });
        given.is_ok() && errand.asked.keeps
    }

    /// Tells the client that its request has failed; which status it has got.
    pub(super) async fn tell_failure(
        &self,
        errand: &mut Errand,
        conn: &mut Conn,
        alarm: &mut Alarm,
        failure: Failure,
    ) -> u16 {
        let Some(answer) = Answer::to_failure(failure) else {
            return 0;
        };
        errand.asked.keeps = false;
        match self
            .give(errand, &answer, clock::now(), (conn, alarm))
            .await
        {
            Ok(_) => answer.status,
            Err(_) => 0,
        }
    }

    /// Gives an answer; how many bytes of it were the body.
    async fn give(
        &self,
        errand: &Errand,
        answer: &Answer,
        at: Moment,
        (conn, alarm): (&mut Conn, &mut Alarm),
    ) -> Result<u64, Failure> {
        let within = self.common.settings.timeouts.client_write;
        let last = !errand.asked.keeps;
        let (mut is_begun, mut body_bytes) = (false, 0);
        // Only what the client does not take at once is kept.
        let mut rest = BytesMut::new();
        let mut ends_by = None;
        poll_fn(|cx| {
            if !std::mem::replace(&mut is_begun, true) {
                telling::with(|telling| {
                    body_bytes = write(errand, answer, at, telling);
                    let written = match conn.poll_give(cx, &telling.wire, last) {
                        Poll::Ready(written) => written?,
                        Poll::Pending => 0,
                    };
                    rest.extend_from_slice(telling.wire.get(written..).unwrap_or_default());
                    Ok(())
                })
                .map_err(|error| failure::of_client_io(&error))?;
            }
            loop {
                let step = match rest.is_empty() {
                    true => conn.poll_sent(cx, last).map_ok(|()| 0),
                    false => conn.poll_give(cx, &rest, last),
                };
                match step {
                    Poll::Ready(Ok(_)) if rest.is_empty() => return Poll::Ready(Ok(body_bytes)),
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(Failure::ClientAbort)),
                    Poll::Ready(Ok(written)) => {
                        rest.advance(written);
                        ends_by = None;
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(Err(failure::of_client_io(&error)));
                    }
                    Poll::Pending => {
                        let ends_by = *ends_by.get_or_insert_with(|| Instant::now() + within);
                        ready!(alarm.poll_past(cx, ends_by));
                        return Poll::Ready(Err(Failure::AnswerTooSlow));
                    }
                }
            }
        })
        .await
    }
}

/// Writes an answer as it is sent; how many bytes of it are the body.
fn write(errand: &Errand, answer: &Answer, at: Moment, telling: &mut Telling) -> u64 {
    let Some(exchange) = errand.passage.exchange() else {
        return 0;
    };
    let Telling { ours, date, wire } = telling;
    // A value that cannot stand in a field is left out; the answer is given all the same.
    _ = decorate(ours, exchange);
    let connection: &[u8] = match errand.asked.keeps {
        true => b"Connection: keep-alive\r\n",
        false => b"Connection: close\r\n",
    };
    let lines = [ours.lines(), date.at(at.wall_us), connection];
    answer.write_http1(exchange.decision_id(), !errand.asked.is_head, &lines, wire) as u64
}
