//! An upstream with a few servers and a queue, that has good and bad times.
//!
//! It goes on with the work of clients that have left, unless its model says otherwise: that is
//! what makes an overload outlive its cause.

use std::collections::VecDeque;

use tidegate::observation::UpstreamError;

use crate::random::Random;

/// How the upstream ends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answer(u16),
    Broken(UpstreamError),
}

impl Outcome {
    pub(crate) const WELL: Self = Self::Answer(200);
}

/// What the upstream is like for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mood {
    Well,
    /// So many times slower.
    Slow(u64),
    /// So many of a hundred end like this; of all crowds or of one.
    Failing(u64, Outcome, Option<usize>),
    /// Work that begins now ends when this is over.
    Stalled,
    /// Nobody gets a connection.
    Refusing,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) servers: usize,
    pub(crate) service_us: (u64, u64),
    pub(crate) queue_max: usize,
    /// What one gets where the queue is full.
    pub(crate) push_back: Outcome,
    pub(crate) works_for_the_gone: bool,
    /// When each mood begins, in order; before the first it is well.
    pub(crate) moods: Vec<(u64, Mood)>,
}

impl Default for Model {
    /// A hundred requests a second.
    fn default() -> Self {
        Self {
            servers: 10,
            service_us: (50_000, 150_000),
            queue_max: usize::MAX,
            push_back: Outcome::Answer(503),
            works_for_the_gone: true,
            moods: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) request: u64,
    pub(crate) crowd: usize,
}

/// A request that is being served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Service {
    pub(crate) request: u64,
    pub(crate) until_us: u64,
    pub(crate) outcome: Outcome,
}

pub(crate) enum Taken {
    Started(Service),
    Queued,
    Ended(Outcome),
}

pub(crate) struct Upstream {
    model: Model,
    random: Random,
    busy: usize,
    queue: VecDeque<Job>,
}

impl Upstream {
    pub(crate) const fn new(model: Model, random: Random) -> Self {
        Self {
            model,
            random,
            busy: 0,
            queue: VecDeque::new(),
        }
    }

    /// Takes a request; the service begins at once where a server is free.
    pub(crate) fn take(&mut self, job: Job, now: u64) -> Taken {
        if matches!(self.mood(now).0, Mood::Refusing) {
            return Taken::Ended(Outcome::Broken(UpstreamError::Connect));
        }
        if self.busy < self.model.servers {
            self.busy += 1;
            return Taken::Started(self.serve(job, now));
        }
        if self.queue.len() >= self.model.queue_max {
            return Taken::Ended(self.model.push_back);
        }
        self.queue.push_back(job);
        Taken::Queued
    }

    /// A server has become free; the longest waiting request is next.
    pub(crate) fn release(&mut self, now: u64) -> Option<Service> {
        let Some(next) = self.queue.pop_front() else {
            self.busy -= 1;
            return None;
        };
        Some(self.serve(next, now))
    }

    /// Nobody waits for the request any more.
    pub(crate) fn left(&mut self, request: u64) {
        if !self.model.works_for_the_gone {
            self.queue.retain(|job| job.request != request);
        }
    }

    /// The mood, and when the next one begins.
    fn mood(&self, now: u64) -> (Mood, u64) {
        let moods = &self.model.moods;
        let begun = moods.partition_point(|(from, _)| *from <= now);
        let next = moods.get(begun).map_or(u64::MAX, |(from, _)| *from);
        match begun.checked_sub(1) {
            Some(last) => (moods[last].1, next),
            None => (Mood::Well, next),
        }
    }

    fn serve(&mut self, job: Job, now: u64) -> Service {
        let (mood, next_mood) = self.mood(now);
        let (low, high) = self.model.service_us;
        let quick = self.random.between(low, high);
        let unlucky = self.random.between(0, 100);
        let (until_us, outcome) = match mood {
            Mood::Failing(percent, outcome, whom)
                if unlucky < percent && whom.is_none_or(|crowd| crowd == job.crowd) =>
            {
                (now + quick, outcome)
            }
            Mood::Well | Mood::Failing(..) | Mood::Refusing => (now + quick, Outcome::WELL),
            Mood::Slow(times) => (now + times * quick, Outcome::WELL),
            Mood::Stalled => (next_mood + quick, Outcome::WELL),
        };
        Service {
            request: job.request,
            until_us,
            outcome,
        }
    }
}
