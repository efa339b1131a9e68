//! Clients, time, and what was counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tidegate::contract::Method;
use tidegate::units::{Moment, Tier};

use crate::gateway::Gateway;
use crate::random::Random;
use crate::upstream::Upstream;

pub(crate) const SECOND_US: u64 = 1_000_000;
/// When the last bad time begins.
pub(crate) const TROUBLE_ENDS_US: u64 = 30 * SECOND_US;
/// From then on nobody may be refused for the route's sake: the last bad time is over for longer
/// than the longest window (60 s) and the hold of a band (10 s).
pub(crate) const CALM_FROM_US: u64 = TROUBLE_ENDS_US + 80 * SECOND_US;
const END_US: u64 = CALM_FROM_US + 10 * SECOND_US;

/// The places in flight of each contract.
pub(crate) const PLACES: u32 = 10;
pub(crate) const WORKERS: usize = 2;
const CLIENTS: u64 = 16;
const RETRIES_MAX: u8 = 2;

/// The instant on both clocks.
pub(crate) const fn moment(now_us: u64) -> Moment {
    Moment {
        monotonic_ns: 1_000_000_000_000 + now_us * 1_000,
        wall_us: 1_767_225_600_000_000 + now_us,
    }
}

/// What was counted in one world.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) decisions: u64,
    pub(crate) forwarded: u64,
    pub(crate) refused: u64,
    pub(crate) withheld: u64,
    pub(crate) offered: u64,
    pub(crate) acts_above_tier: u64,
    pub(crate) refused_in_the_calm: u64,
    pub(crate) most_in_flight: u32,
    pub(crate) left_in_flight: u32,
    pub(crate) left_overdue: u32,
    pub(crate) differences: Vec<String>,
    /// The hash of the last record: of all of them.
    pub(crate) head: String,
}

/// What happens at an instant; the order of the variants is the order at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Tick,
    Served { request: u64, status: u16 },
    GaveUp { request: u64 },
    Asks { client: u64, retries: u8 },
}

/// Who waits for a request.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    client: u64,
    retries: u8,
}

pub(crate) struct World {
    random: Random,
    gateway: Gateway,
    upstream: Upstream,
    agenda: BinaryHeap<Reverse<(u64, Happening)>>,
    waiting: Vec<Waiting>,
}

impl World {
    pub(crate) fn new(seed: u64, tier: Tier) -> Self {
        let mut random = Random::new(seed);
        let upstream = Upstream::new(&mut random);
        let mut agenda = BinaryHeap::from([Reverse((0, Happening::Tick))]);
        for client in 0..CLIENTS {
            let retries = 0;
            let asks = Happening::Asks { client, retries };
            agenda.push(Reverse((random.between(0, SECOND_US), asks)));
        }
        Self {
            random,
            gateway: Gateway::new(tier),
            upstream,
            agenda,
            waiting: Vec::new(),
        }
    }

    pub(crate) fn run(mut self) -> Report {
        while let Some(Reverse((now, happening))) = self.agenda.pop() {
            match happening {
                Happening::Tick => {
                    self.gateway.tick(now);
                    if now < END_US || !self.gateway.is_empty() {
                        self.at(now + SECOND_US / 10, Happening::Tick);
                    }
                }
                Happening::Asks { client, retries } => self.ask(client, retries, now),
                Happening::Served { request, status } => self.served(request, status, now),
                Happening::GaveUp { request } => {
                    if self.gateway.aborted(request, now) {
                        self.again(request, false, now);
                    }
                }
            }
        }
        self.gateway.report()
    }

    fn at(&mut self, when: u64, happening: Happening) {
        self.agenda.push(Reverse((when, happening)));
    }

    fn ask(&mut self, client: u64, retries: u8, now: u64) {
        if now >= END_US {
            return;
        }
        let request = self.waiting.len() as u64;
        self.waiting.push(Waiting { client, retries });
        let target = match self.random.between(0, 100) {
            0 => (Method::Get, "/nothing/here"),
            1 => (Method::Delete, "/api/1"),
            2 => (Method::Get, "/api/../1"),
            3..30 => (Method::Get, "/observed"),
            _ => (Method::Get, "/api/17"),
        };
        if !self.gateway.admit(request, target, client, retries, now) {
            return self.again(request, false, now);
        }
        if let Some((request, until, status)) = self.upstream.take(request, now, &mut self.random) {
            self.at(until, Happening::Served { request, status });
        }
        // Few clients have the patience to wait for a stalled upstream.
        let patience = self.random.between(SECOND_US, 8 * SECOND_US);
        self.at(now + patience, Happening::GaveUp { request });
    }

    fn served(&mut self, request: u64, status: u16, now: u64) {
        if let Some((next, until, status)) = self.upstream.release(now, &mut self.random) {
            let request = next;
            self.at(until, Happening::Served { request, status });
        }
        if self.gateway.answered(request, now, status) {
            self.again(request, status == 200, now);
        }
    }

    /// A client thinks before it asks for something else, and retries what failed sooner.
    fn again(&mut self, request: u64, well: bool, now: u64) {
        let Waiting { client, retries } = self.waiting[request as usize];
        let (pause, retries) = if !well && retries < RETRIES_MAX {
            (self.random.between(10_000, 60_000), retries + 1)
        } else {
            (self.random.between(100_000, 400_000), 0)
        };
        self.at(now + pause, Happening::Asks { client, retries });
    }
}
