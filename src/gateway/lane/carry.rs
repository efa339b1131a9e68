//! Carries a request to its upstream: which server, over which connection, and once more if it may.
//!
//! Invariant: attempts, servers and budgets are counted as by the full proxy; a connection is kept
//! only behind an answer that was complete. Deliberately not here: bytes.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::crossing::{Broken, Crossing, Told};
use super::{Errand, Lane, pool};
use crate::gateway::clock;
use crate::gateway::common::may_be_repeated;
use crate::gateway::edge::{Alarm, Conn};
use crate::gateway::governor::Failure;
use crate::gateway::passage::Ending;

/// A connection to an upstream, and whether it carried a request before.
type Way = (TcpStream, bool);

impl Lane {
    /// Sends a request to its upstream and gives the client the answer; whether the client's
    /// connection may carry another one.
    pub(super) async fn carry(
        &self,
        errand: &mut Errand,
        conn: &mut Conn,
        alarm: &mut Alarm,
    ) -> bool {
        let mut told = Told::default();
        let failure = loop {
            match self
                .attempt(errand, (&mut *conn, &mut *alarm), &mut told)
                .await
            {
                Ok(()) => break None,
                Err(Ended::Again) => {}
                Err(Ended::Failed(failure)) => break Some(failure),
            }
        };
        let mut status = told.status;
        if let Some(failure) = failure
            && status == 0
        {
            status = self.tell_failure(errand, conn, alarm, failure).await;
        }
        errand.passage.close(&Ending {
            at: clock::now(),
            status_sent: status,
            failure,
            request_body_bytes: errand.asked.body as u64,
            response_body_bytes: told.body_bytes,
        });
        if errand.passage.upstream_status != 0 {
            // What failed has been judged before.
            self.common.judge(&mut errand.passage, false);
        }
        failure.is_none() && errand.asked.keeps
    }

    async fn attempt(
        &self,
        errand: &mut Errand,
        client: (&mut Conn, &mut Alarm),
        told: &mut Told,
    ) -> Result<(), Ended> {
        let (group, server) = self.choose(errand)?;
        // A second attempt has no third: the system is asked whether its connection lives.
        let once = !errand.asked.is_idempotent || errand.passage.attempts > 1;
        let (mut stream, is_reused) = match self.way_to(group, server, once).await {
            Ok(way) => way,
            Err(failure) => return Err(self.never_sent(errand, failure)),
        };
        if errand.passage.has_body
            && let Some(exchange) = errand.passage.exchange()
        {
            self.common.governor.body_read(exchange, clock::now());
        }
        let way = (&mut stream, is_reused);
        let mut crossing = Crossing::new(&self.common, errand, client, way, told);
        let ended = poll_fn(|cx| crossing.poll(cx)).await;
        let keeps = crossing.upstream_keeps;
        ended.map_err(|broken| self.broke(errand, broken))?;
        if keeps {
            let most = self.common.settings.limits.upstream_pool_per_worker;
            let at = errand.passage.upstream_ended_at;
            pool::keep(group, server, stream, at.unwrap_or_else(clock::now), most);
        }
        Ok(())
    }

    /// The server of the next attempt: another one than the last, where there is one.
    fn choose(&self, errand: &mut Errand) -> Result<(usize, SocketAddr), Ended> {
        let passage = &mut errand.passage;
        passage.attempts += 1;
        let last = passage.target.take().map(|target| target.socket());
        let group = passage.forward().map(|forward| forward.upstream);
        let target = group.and_then(|group| self.common.picker.pick(group, last));
        let Some((group, target)) = group.zip(target) else {
            passage.never_sent += 1;
            return Err(Ended::Failed(Failure::NoAddress));
        };
        let server = target.socket();
        passage.target = Some(target);
        Ok((group, server))
    }

    async fn way_to(&self, group: usize, server: SocketAddr, once: bool) -> Result<Way, Failure> {
        if let Some(stream) = pool::take(group, server, once) {
            return Ok((stream, true));
        }
        let within = self.common.settings.timeouts.connect;
        // Apart, as what is rare: a request that waits for its answer would hold room for it.
        let connected = Box::pin(tokio::time::timeout(within, connect(server))).await;
        match connected {
            Ok(Ok(stream)) => Ok((stream, false)),
            Ok(Err(_)) => Err(Failure::Connect),
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }

    /// There was no connection to send it on.
    fn never_sent(&self, errand: &mut Errand, failure: Failure) -> Ended {
        let passage = &mut errand.passage;
        passage.never_sent += 1;
        self.common.judge(passage, true);
        let may_retry = passage.forward().is_some_and(|forward| forward.may_retry);
        self.again_or(errand, may_retry, failure)
    }

    fn broke(&self, errand: &mut Errand, broken: Broken) -> Ended {
        match broken {
            Broken::Unserved(failure) => {
                errand.passage.unanswered += 1;
                self.again_or(errand, true, failure)
            }
            Broken::Upstream(failure) => {
                self.common.judge(&mut errand.passage, true);
                Ended::Failed(failure)
            }
            Broken::Client(failure) => Ended::Failed(failure),
        }
    }

    fn again_or(&self, errand: &Errand, may_retry: bool, failure: Failure) -> Ended {
        let passage = &errand.passage;
        let again = may_retry
            && may_be_repeated(passage, errand.asked.is_idempotent)
            && self.common.has_budget(passage);
        if again {
            Ended::Again
        } else {
            Ended::Failed(failure)
        }
    }
}

/// Why an attempt is over.
enum Ended {
    /// There may be another one.
    Again,
    /// The request has failed.
    Failed(Failure),
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
