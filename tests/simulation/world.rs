//! Virtual time: what happens next, and what it leads to.

use std::collections::BTreeMap;

use crate::gateway::{Ask, Gateway};
use crate::random::Random;
use crate::report::{Report, Seen};
use crate::scenario::{Arrivals, Crowd, Scenario};
use crate::upstream::{Job, Outcome, Service, Taken, Upstream};

#[derive(Debug, Clone, Copy)]
enum Happening {
    Tick,
    Steps(i64),
    Swaps(usize),
    /// The next request of a crowd begins; or, by chance, does not.
    Begins(usize),
    Attempt(usize),
    IsSent(u64),
    Served(usize, Service),
    TimedOut(u64),
    GaveUp(u64),
}

/// One request of a client, with all its attempts.
struct Errand {
    crowd: usize,
    client: u64,
    path: String,
    began_us: u64,
    attempts: u8,
    random: Random,
}

struct Attempt {
    errand: usize,
    waits: bool,
}

struct CrowdState {
    crowd: Crowd,
    random: Random,
    begun: usize,
}

pub(crate) struct World {
    scenario: Scenario,
    gateway: Option<Gateway>,
    upstreams: Vec<Upstream>,
    crowds: Vec<CrowdState>,
    agenda: BTreeMap<(u64, u64), Happening>,
    planned: u64,
    errands: Vec<Errand>,
    attempts: Vec<Attempt>,
    seen: Vec<Seen>,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let seed = scenario.seed;
        let upstreams = scenario.upstreams.iter().enumerate();
        let crowds = scenario.crowds.iter().enumerate();
        let mut world = Self {
            gateway: scenario.governed.then(|| Gateway::new(&scenario)),
            upstreams: upstreams
                .map(|(at, model)| {
                    Upstream::new(model.clone(), Random::of(seed, 1_000 + at as u64))
                })
                .collect(),
            crowds: crowds
                .map(|(at, crowd)| CrowdState {
                    crowd: crowd.clone(),
                    random: Random::of(seed, 2_000 + at as u64),
                    begun: 0,
                })
                .collect(),
            agenda: BTreeMap::new(),
            planned: 0,
            errands: Vec::new(),
            attempts: Vec::new(),
            seen: vec![Seen::default(); scenario.crowds.len()],
            scenario,
        };
        world.at(0, Happening::Tick);
        for (when, by) in world.scenario.steps.clone() {
            world.at(when, Happening::Steps(by));
        }
        for number in 0..world.scenario.swaps.len() {
            let when = world.scenario.swaps[number].0;
            world.at(when, Happening::Swaps(number));
        }
        for crowd in 0..world.crowds.len() {
            world.plan_next(crowd, 0);
        }
        world
    }

    pub(crate) fn run(mut self) -> Report {
        let mut now = 0;
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            now = at;
            self.happens(happening, now);
        }
        let mut report = self.gateway.map(|gateway| gateway.report(now));
        let report = report.get_or_insert_default();
        report.crowds = self.seen;
        std::mem::take(report)
    }

    fn happens(&mut self, happening: Happening, now: u64) {
        match happening {
            Happening::Tick => {
                let Some(gateway) = &mut self.gateway else {
                    return;
                };
                gateway.tick(now);
                if now < self.scenario.ends_us || !gateway.is_empty() {
                    self.at(now + self.scenario.tick_us, Happening::Tick);
                }
            }
            Happening::Steps(by_us) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.step(by_us);
                }
            }
            Happening::Swaps(number) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.swap(&self.scenario.swaps[number].1, now);
                }
            }
            Happening::Begins(crowd) => self.begin(crowd, now),
            Happening::Attempt(errand) => self.attempt(errand, now),
            Happening::IsSent(request) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.turn_came(request);
                }
                self.send(request, now);
            }
            Happening::Served(upstream, service) => self.served(upstream, service, now),
            Happening::TimedOut(request) => {
                if let Some(gateway) = self
                    .gateway
                    .as_mut()
                    .filter(|_| self.attempts[request as usize].waits)
                {
                    gateway.timed_out(request, now);
                    self.left(request, now);
                }
            }
            Happening::GaveUp(request) => {
                if self.attempts[request as usize].waits {
                    if let Some(gateway) = &mut self.gateway {
                        gateway.aborted(request, now);
                    }
                    self.left(request, now);
                }
            }
        }
    }

    fn at(&mut self, when: u64, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((when, self.planned), happening);
    }

    fn plan_next(&mut self, crowd: usize, now: u64) {
        let state = &mut self.crowds[crowd];
        let next = match &state.crowd.arrivals {
            Arrivals::At(instants) => instants.get(state.begun).copied(),
            Arrivals::Poisson(most, _) => {
                // A thousand seconds in microseconds, over the most of them.
                let gap = 1_000_000_000 * state.random.exponential_16() / most.max(&1);
                Some(now + (gap >> 16))
            }
        };
        state.begun += 1;
        if let Some(next) = next.filter(|next| *next < self.scenario.ends_us) {
            self.at(next, Happening::Begins(crowd));
        }
    }

    fn begin(&mut self, crowd: usize, now: u64) {
        self.plan_next(crowd, now);
        let state = &mut self.crowds[crowd];
        if let Arrivals::Poisson(most, rate) = &state.crowd.arrivals
            && state.random.between(0, *most) >= rate(now)
        {
            return;
        }
        let Crowd {
            first_client,
            clients,
            path,
            ..
        } = state.crowd;
        let number = self.errands.len();
        let own = if path.ends_with('/') {
            format!("{path}{number}")
        } else {
            path.to_owned()
        };
        let client = first_client + state.random.between(0, clients);
        self.errands.push(Errand {
            crowd,
            client,
            path: own,
            began_us: now,
            attempts: 0,
            random: Random::of(self.scenario.seed, 10_000 + number as u64),
        });
        self.seen[crowd].begun.note(now);
        self.attempt(number, now);
    }

    fn attempt(&mut self, number: usize, now: u64) {
        let errand = &mut self.errands[number];
        let crowd = &self.crowds[errand.crowd].crowd;
        let seen = &mut self.seen[errand.crowd];
        let before = errand.attempts;
        errand.attempts += 1;
        let (low, high) = crowd.patience_us;
        let patience_us = errand.random.between(low, high);
        seen.attempts.note(now);
        let request = self.attempts.len() as u64;
        self.attempts.push(Attempt {
            errand: number,
            waits: true,
        });
        let Some(gateway) = &mut self.gateway else {
            self.at(now + patience_us, Happening::GaveUp(request));
            return self.send(request, now);
        };
        let ask = Ask {
            client: errand.client,
            method: crowd.method,
            path: &errand.path,
            declared_retries: if crowd.declares { before } else { 0 },
        };
        let course = gateway.admit(request, &ask, now);
        if !course.forwarded {
            seen.refused.note(now);
            self.attempts[request as usize].waits = false;
            return self.again(number, course.retry_after_us, now);
        }
        self.at(now + patience_us, Happening::GaveUp(request));
        if let Some(timeout_us) = course.timeout_us {
            let at = now + course.hold_us + timeout_us;
            self.at(at, Happening::TimedOut(request));
        }
        if course.hold_us > 0 {
            self.at(now + course.hold_us, Happening::IsSent(request));
        } else {
            self.send(request, now);
        }
    }

    fn send(&mut self, request: u64, now: u64) {
        let attempt = &self.attempts[request as usize];
        if !attempt.waits {
            return;
        }
        let crowd = self.errands[attempt.errand].crowd;
        let upstream = self.crowds[crowd].crowd.upstream;
        match self.upstreams[upstream].take(Job { request, crowd }, now) {
            Taken::Started(service) => self.plan_end(upstream, service),
            Taken::Queued => {}
            Taken::Ended(outcome) => self.ended(request, outcome, now),
        }
    }

    fn plan_end(&mut self, upstream: usize, service: Service) {
        self.at(service.until_us, Happening::Served(upstream, service));
    }

    fn served(&mut self, upstream: usize, service: Service, now: u64) {
        if let Some(next) = self.upstreams[upstream].release(now) {
            self.plan_end(upstream, next);
        }
        self.ended(service.request, service.outcome, now);
    }

    /// The upstream is done; the client hears of it if it is still there.
    fn ended(&mut self, request: u64, outcome: Outcome, now: u64) {
        let attempt = &mut self.attempts[request as usize];
        if !std::mem::take(&mut attempt.waits) {
            return;
        }
        let number = attempt.errand;
        if let Some(gateway) = &mut self.gateway {
            gateway.answered(request, now, outcome);
        }
        if outcome != Outcome::WELL {
            return self.again(number, None, now);
        }
        let errand = &self.errands[number];
        let seen = &mut self.seen[errand.crowd];
        seen.well.note(now);
        seen.begun_well.note(errand.began_us);
    }

    /// Nobody waits for the upstream any more.
    fn left(&mut self, request: u64, now: u64) {
        let attempt = &mut self.attempts[request as usize];
        attempt.waits = false;
        let number = attempt.errand;
        let crowd = self.errands[number].crowd;
        let upstream = self.crowds[crowd].crowd.upstream;
        self.upstreams[upstream].left(request);
        self.again(number, None, now);
    }

    /// A client tries again, later and later, until it has had enough.
    fn again(&mut self, number: usize, retry_after_us: Option<u64>, now: u64) {
        let errand = &mut self.errands[number];
        let crowd = &self.crowds[errand.crowd].crowd;
        if errand.attempts > crowd.retries {
            return;
        }
        let longest = crowd.backoff_us << (errand.attempts - 1).min(16);
        let backoff_us = errand.random.between(longest / 2, longest + 1);
        let asked = retry_after_us.filter(|_| crowd.obeys_retry_after);
        let pause_us = backoff_us.max(asked.unwrap_or(0));
        self.at(now + pause_us, Happening::Attempt(number));
    }
}
