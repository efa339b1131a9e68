//! The answer of an upstream on its way to the client: heads, then the body.
//!
//! Invariant: a head and what came of the body with it leave in one write, from where they were read; only
//! what the client does not take is copied. Deliberately not here: when to read and when to wait.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use super::super::answer::{self, AnswerHead, ClientBody};
use super::super::body::Relay;
use super::super::scratch::Scratch;
use super::super::telling::{self, Telling};
use super::{Broken, Crossing, Step, client_broke};
use crate::gateway::answer_fields::AnswerFields;
use crate::gateway::clock;
use crate::gateway::common::is_of_a_gateway;
use crate::gateway::governor::Failure;
use crate::gateway::proxy::decorate;
use crate::gateway::respond::DECISION_ID;
use crate::gateway::retry_budget::push_back;

impl Crossing<'_> {
    /// Reads heads from what has come, to the final one.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        read: usize,
    ) -> Step<()> {
        if self.unread.is_empty() {
            let from = self.heads(scratch.read(read))?;
            match from {
                Some(from) => return self.poll_first(cx, scratch, from, read),
                None => return Poll::Ready(Ok(())),
            }
        }
        let mut bytes = std::mem::take(&mut self.unread);
        bytes.extend_from_slice(scratch.read(read));
        match self.heads(&bytes)? {
            Some(from) => self.poll_body(cx, bytes.get(from..).unwrap_or_default()),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Writes the heads at the front of `bytes` for the client; where the body begins behind the
    /// final one, if that has come. What is left of an unfinished one is kept.
    fn heads(&mut self, bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut from = 0;
        loop {
            let rest = bytes.get(from..).unwrap_or_default();
            let mut slots = [const { MaybeUninit::uninit() }; answer::FIELDS_MAX];
            let head = answer::read(rest, &mut slots, self.errand.asked.is_head);
            let head = head.map_err(|_| Broken::Upstream(Failure::Garbage))?;
            let Some(head) = head else {
                self.unread.extend_from_slice(rest);
                return Ok(None);
            };
            from += head.len;
            if !head.is_interim() {
                self.final_head(&head)?;
                return Ok(Some(from));
            }
            let counted = self.errand.passage.one_more_interim();
            counted.map_err(|_| Broken::Upstream(Failure::Garbage))?;
            answer::write_interim(&head, &mut self.out);
            self.told.interim = true;
        }
    }

    fn final_head(&mut self, head: &AnswerHead<'_, '_>) -> Result<(), Broken> {
        let passage = &mut self.errand.passage;
        passage.upstream_status = head.status;
        if is_of_a_gateway(head.status) {
            self.common.judge(passage, true);
        }
        let at = clock::now();
        self.read_at = Some(at);
        let Some(exchange) = passage.exchange() else {
            return Err(Broken::Upstream(Failure::Internal));
        };
        let governor = &self.common.governor;
        governor.head_received(exchange, at, head.status);
        let retry_after = head.retry_after();
        if let Some(quiet) = push_back(head.status, retry_after.as_deref()) {
            governor.pushed_back(exchange, at, quiet);
        }
        let keeps = self.errand.asked.keeps;
        let client = telling::with(|Telling { ours, date, .. }| -> pingora::Result<_> {
            let id = exchange.decision_id();
            ours.insert(DECISION_ID, id.as_bytes())?;
            decorate(ours, exchange)?;
            let date = date.at(at.wall_us);
            Ok(answer::write(head, ours, date, keeps, &mut self.out))
        });
        let client = client.map_err(|_| Broken::Upstream(Failure::Garbage))?;
        self.upstream_keeps = head.keeps;
        self.body = Some((Relay::new(head.body), client));
        Ok(())
    }

    /// Gives the head, and what has come of the body with it.
    fn poll_first(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &mut Scratch,
        from: usize,
        read: usize,
    ) -> Step<()> {
        self.told.status = self.errand.passage.upstream_status;
        let Some((body, ClientBody::Length(_))) = &mut self.body else {
            return self.poll_body(cx, scratch.read(read).get(from..).unwrap_or_default());
        };
        let mut piece = scratch.read(read).get(from..).unwrap_or_default();
        let part = body.next(&mut piece);
        let part = part.map_err(|_| Broken::Upstream(Failure::Reset))?;
        let len = part.map_or(0, <[u8]>::len);
        self.upstream_keeps &= piece.is_empty();
        self.note_body(len);
        match scratch.joined(&self.out, from, from + len) {
            Some(joined) => {
                self.out.clear();
                self.poll_give_piece(cx, joined)
            }
            None => {
                let whole = scratch.read(from + len);
                self.out
                    .extend_from_slice(whole.get(from..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Passes on a piece of what follows the head.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>, piece: &[u8]) -> Step<()> {
        self.told.status = self.errand.passage.upstream_status;
        let Some((body, client)) = &mut self.body else {
            return Poll::Ready(Ok(()));
        };
        let before = body.bytes();
        if matches!(client, ClientBody::Length(_)) && self.out.is_empty() {
            let mut rest = piece;
            let part = body.next(&mut rest);
            let part = part.map_err(|_| Broken::Upstream(Failure::Reset))?;
            self.upstream_keeps &= rest.is_empty();
            let part = part.unwrap_or_default();
            self.note_body(part.len());
            return self.poll_give_piece(cx, part);
        }
        let behind = body.forward(piece, *client, &mut self.out);
        let taken = body.bytes() - before;
        self.note_body(usize::try_from(taken).unwrap_or(usize::MAX));
        let behind = behind.map_err(|_| Broken::Upstream(Failure::Reset))?;
        self.upstream_keeps &= behind.is_empty();
        Poll::Ready(Ok(()))
    }

    fn note_body(&mut self, bytes: usize) {
        self.told.body_bytes += bytes as u64;
        if Self::is_complete(&self.body) {
            let at = self.read_at.take().unwrap_or_else(clock::now);
            self.errand.passage.upstream_ended_at = Some(at);
        }
    }

    /// Gives a piece to a client that has taken all before it; what it does not take is held.
    fn poll_give_piece(&mut self, cx: &mut Context<'_>, piece: &[u8]) -> Step<()> {
        if piece.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let given = match Self::is_complete(&self.body) {
            true => self.conn.poll_give(cx, piece, !self.errand.asked.keeps),
            false => Pin::new(&mut *self.conn).poll_write(cx, piece),
        };
        match given {
            Poll::Ready(Ok(written)) => {
                let rest = piece.get(written..).unwrap_or_default();
                self.out.extend_from_slice(rest);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(client_broke(&error))),
            Poll::Pending => {
                self.out.extend_from_slice(piece);
                Poll::Ready(Ok(()))
            }
        }
    }
}
