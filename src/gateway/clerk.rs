//! The governor of a worker: finds the worker's desk and lets it work.
//!
//! The desk lives in the worker's thread from the first call on; until then it waits here. So the
//! hooks need no lock, and a desk can never be used by two threads.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::clock;
use super::desk::Desk;
use super::governor::{Completion, Course, DecisionId, Exchange, Governor, HeadFacts, RefusedHead};
use super::respond::Answer;
use crate::observation::OpenToken;
use crate::units::Moment;

thread_local! {
    static DESK: RefCell<Option<Desk>> = const { RefCell::new(None) };
}

/// The governor of one worker.
pub struct Clerk {
    waiting: Mutex<Option<Desk>>,
}

impl Clerk {
    /// A governor that works at `desk`.
    #[must_use]
    pub fn new(desk: Desk) -> Self {
        Self {
            waiting: Mutex::new(Some(desk)),
        }
    }

    /// Works at the desk of this thread; `None` on a thread that has none.
    fn at_desk<R>(&self, work: impl FnOnce(&mut Desk) -> R) -> Option<R> {
        DESK.with(|cell| {
            let mut place = cell.try_borrow_mut().ok()?;
            if place.is_none() {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                *place = waiting.take();
            }
            place.as_mut().map(work)
        })
    }
}

/// An id that names no decision: the worker was being torn down.
const NO_DECISION: DecisionId = DecisionId::new([b'0'; 22]);

impl Governor for Clerk {
    fn admit(&self, facts: &HeadFacts<'_>) -> Exchange {
        self.at_desk(|desk| desk.admit(facts)).unwrap_or_else(|| {
            Exchange::new(Course::Answer(Answer::internal()), NO_DECISION, u64::MAX)
        })
    }

    fn turn_came(&self, exchange: &Exchange, at: Moment) {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.turn_came(token, at));
    }

    fn may_retry(&self, exchange: &Exchange, at: Moment) -> bool {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.may_retry(token, at)) == Some(true)
    }

    fn pushed_back(&self, exchange: &Exchange, at: Moment, quiet: Duration) {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.pushed_back(token, at, quiet));
    }

    fn body_read(&self, exchange: &Exchange, at: Moment) {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.body_read(token, at));
    }

    fn head_received(&self, exchange: &Exchange, at: Moment, status: u16) {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.head_received(token, at, status));
    }

    fn complete(&self, exchange: Exchange, completion: Completion) {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.complete(token, &completion));
    }

    fn abandon(&self, exchange: Exchange) {
        let token = OpenToken::of(exchange.ticket());
        self.at_desk(|desk| desk.abandon(token, clock::now()));
    }

    fn refused_in_parsing(&self, refused: &RefusedHead) -> DecisionId {
        self.at_desk(|desk| desk.refused_in_parsing(refused))
            .unwrap_or(NO_DECISION)
    }

    fn tick(&self, now: Moment) {
        self.at_desk(|desk| desk.tick(now));
    }
}
