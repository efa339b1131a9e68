//! An upstream with a few servers and a queue, that has good and bad times.

use std::collections::VecDeque;

use crate::random::Random;
use crate::world::{SECOND_US, TROUBLE_ENDS_US};

const SERVERS: usize = 12;

/// What the upstream is like for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Slow,
    Failing,
    Stalled,
}

pub(crate) struct Upstream {
    /// When each mood begins, in order.
    moods: Vec<(u64, Mood)>,
    busy: usize,
    queue: VecDeque<u64>,
}

/// A request that is being served: which, until when, with what status (0 = reset).
pub(crate) type Service = (u64, u64, u16);

impl Upstream {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut moods = vec![(0, Mood::Well)];
        let mut at = 5 * SECOND_US;
        while at < TROUBLE_ENDS_US {
            let mood = [Mood::Slow, Mood::Failing, Mood::Stalled, Mood::Well]
                [random.between(0, 4) as usize];
            moods.push((at, mood));
            at += random.between(2, 9) * SECOND_US;
        }
        // Every world has a failing time, so that there is something to refuse.
        moods.push((TROUBLE_ENDS_US, Mood::Failing));
        moods.push((TROUBLE_ENDS_US + 4 * SECOND_US, Mood::Well));
        Self {
            moods,
            busy: 0,
            queue: VecDeque::new(),
        }
    }

    /// Takes a request; the service begins at once where a server is free.
    pub(crate) fn take(&mut self, request: u64, now: u64, random: &mut Random) -> Option<Service> {
        if self.busy == SERVERS {
            self.queue.push_back(request);
            return None;
        }
        self.busy += 1;
        Some(self.serve(request, now, random))
    }

    /// A server has become free; the longest waiting request is next.
    pub(crate) fn release(&mut self, now: u64, random: &mut Random) -> Option<Service> {
        let Some(next) = self.queue.pop_front() else {
            self.busy -= 1;
            return None;
        };
        Some(self.serve(next, now, random))
    }

    fn serve(&self, request: u64, now: u64, random: &mut Random) -> Service {
        let place = self
            .moods
            .iter()
            .rposition(|(from, _)| *from <= now)
            .unwrap_or(0);
        let next_mood = self
            .moods
            .get(place + 1)
            .map_or(u64::MAX, |(from, _)| *from);
        let quick = random.between(2_000, 15_000);
        let failure = if random.chance(20) { 0 } else { 503 };
        match self.moods[place].1 {
            Mood::Well => (
                request,
                now + quick,
                if random.chance(1) { 500 } else { 200 },
            ),
            Mood::Slow => (request, now + 12 * quick, 200),
            Mood::Failing => (request, now + quick, failure),
            Mood::Stalled => (request, next_mood + quick, 200),
        }
    }
}
