//! The takes: what only a request that would be allowed asks for, in a fixed order.
//!
//! The client's rate, the contract's rate, a place in flight, a probe. The first refusal decides
//! and undoes the takes before it, so a request that is refused has used up nothing. What a
//! request was granted it gives back when it ends.

use super::{Holds, Site, backoff, stale_ns};
use crate::contract::{Terms, Throttle};
use crate::observation::{CircuitState, ClientSlot, Limit, Mode, Passage, Signals, Take};

const MICROS_PER_MINUTE: u64 = 60_000_000;

/// What came of the takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    pub(super) holds: Holds,
    hold_ns: u64,
    /// How long until the limit that refused would not, nanoseconds.
    pub(super) wait_ns: u64,
    refused: bool,
}

impl Taken {
    /// Whether the decision must be made again: a limit said no, or not yet.
    pub(super) const fn refused_by_any(&self) -> bool {
        self.refused
    }
}

/// Reads how the client stands to its own limit, before anything is taken.
pub(super) fn peek(site: &Site<'_>, signals: &mut Signals) {
    let now_ns = site.arrival.at.monotonic_ns;
    let minute = site.arrival.at.wall_us / MICROS_PER_MINUTE;
    let Some(limits) = site.rulebook.client_limits_of(site.index) else {
        return;
    };
    let slot = site.slot(site.arrival.client);
    signals.client_tat_ns = slot.peek(site.mode, &limits.own, now_ns);
    signals.client_refusals = slot.refusals(site.mode, minute);
    signals.client_over = limits.own.wait_ns(signals.client_tat_ns) > 0
        || site.arrival.address.is_some_and(|address| {
            let tat_ns = site.slot(address).peek(site.mode, &limits.address, now_ns);
            limits.address.wait_ns(tat_ns) > 0
        });
}

/// Asks the limits in their order.
pub(super) fn ask(site: &Site<'_>, signals: &mut Signals) -> Taken {
    let mut asking = Asking {
        site,
        now_ns: site.arrival.at.monotonic_ns,
        taken: Taken::default(),
        first: Take::NotAsked,
    };
    let take = asking.all(signals);
    let mut taken = asking.taken;
    signals.take = take;
    signals.hold_ns = taken.hold_ns;
    taken.refused = take != Take::Granted;
    if taken.refused && taken.hold_ns == 0 && taken.holds.held {
        site.route.release_held();
        taken.holds.held = false;
    }
    taken
}

/// How long a request over a rate may wait for its turn; 0 where it may not.
fn patience(site: &Site<'_>) -> u64 {
    match site.terms.map(|terms| terms.throttle) {
        Some(Throttle::Delay { wait_max, .. }) if site.mode == Mode::Real => wait_max.as_nanos(),
        _ => 0,
    }
}

struct Asking<'a> {
    site: &'a Site<'a>,
    now_ns: u64,
    taken: Taken,
    /// The first limit that made the request wait.
    first: Take,
}

impl Asking<'_> {
    fn all(&mut self, signals: &mut Signals) -> Take {
        let site = self.site;
        let Some(terms) = site.terms else {
            return self.unknown(signals);
        };
        if let Some(refused) = self.client() {
            return refused;
        }
        if let Some(refused) = self.contract(signals) {
            self.give_back_client();
            return refused;
        }
        if let Some(max) = terms.max_in_flight
            && !site.route.take_in_flight(site.mode, max.get())
        {
            self.give_back_rates();
            self.taken.hold_ns = 0;
            return Take::Concurrency;
        }
        self.taken.holds.place = terms.max_in_flight.is_some();
        if signals.circuit != CircuitState::Closed && !self.probe(terms) {
            if std::mem::take(&mut self.taken.holds.place) {
                site.route.release_in_flight(site.mode);
            }
            self.give_back_rates();
            self.taken.hold_ns = 0;
            return Take::Probe;
        }
        match self.first {
            Take::NotAsked => Take::Granted,
            waits => waits,
        }
    }

    /// Unknown paths that are let through share a limit of their own.
    fn unknown(&mut self, signals: &mut Signals) -> Take {
        let site = self.site;
        let word = site.route.rate(site.mode);
        let limit = site.rulebook.unknown_limit();
        signals.contract_tat_ns = word.peek(limit, self.now_ns);
        if word.take(limit, self.now_ns) {
            return Take::Granted;
        }
        self.taken.wait_ns = limit.wait_ns(signals.contract_tat_ns);
        Take::ContractRate
    }

    /// `Some` where the client's own limit refuses.
    fn client(&mut self) -> Option<Take> {
        let site = self.site;
        let limits = site.rulebook.client_limits_of(site.index)?;
        let (client, address) = (site.arrival.client, site.arrival.address);
        let slot = site.slot(client);
        let now_ns = self.now_ns;
        if !self.passes(Take::ClientRate, |patience| {
            rate(slot, site.mode, &limits.own, now_ns, patience)
        }) {
            self.refuse_client(slot);
            return Some(Take::ClientRate);
        }
        let behind = address.map(|address| site.slot(address))?;
        if !self.passes(Take::ClientRate, |patience| {
            rate(behind, site.mode, &limits.address, now_ns, patience)
        }) {
            slot.give_back(site.mode, &limits.own);
            self.refuse_client(slot);
            return Some(Take::ClientRate);
        }
        None
    }

    fn refuse_client(&self, slot: &ClientSlot) {
        let minute = self.site.arrival.at.wall_us / MICROS_PER_MINUTE;
        slot.note_refusal(self.site.mode, minute, self.now_ns);
    }

    /// `Some` where the contract's limit refuses.
    fn contract(&mut self, signals: &mut Signals) -> Option<Take> {
        let site = self.site;
        let limit = site.rulebook.limit_of(site.index)?;
        let word = site.route.rate(site.mode);
        signals.contract_tat_ns = word.peek(limit, self.now_ns);
        let now_ns = self.now_ns;
        let passes = self.passes(Take::ContractRate, |patience| {
            if word.take(limit, now_ns) {
                return Ok(0);
            }
            let reserved = (patience > 0).then(|| word.reserve(limit, now_ns, patience));
            reserved
                .flatten()
                .ok_or_else(|| limit.wait_ns(word.peek(limit, now_ns)))
        });
        (!passes).then_some(Take::ContractRate)
    }

    /// Notes how long a limit makes the request wait; false where it refuses.
    fn passes(&mut self, who: Take, ask: impl Fn(u64) -> Result<u64, u64>) -> bool {
        match ask(0) {
            Ok(_) => return true,
            Err(wait_ns) => self.taken.wait_ns = wait_ns,
        }
        let patience = patience(self.site);
        if patience == 0 || !self.may_be_held() {
            return false;
        }
        let Ok(hold_ns) = ask(patience) else {
            return false;
        };
        self.taken.hold_ns = self.taken.hold_ns.max(hold_ns);
        if self.first == Take::NotAsked {
            self.first = who;
        }
        true
    }

    /// Whether one more request may wait.
    fn may_be_held(&mut self) -> bool {
        if self.taken.holds.held {
            return true;
        }
        let throttle = self.site.terms.map(|terms| terms.throttle);
        if let Some(Throttle::Delay { held_max, .. }) = throttle {
            self.taken.holds.held = self.site.route.take_held(held_max.get());
        }
        self.taken.holds.held
    }

    fn probe(&mut self, terms: &Terms) -> bool {
        let site = self.site;
        let backoff = backoff(site.rulebook.rules());
        let circuit = site.route.circuit(site.mode);
        match circuit.ask(self.now_ns, stale_ns(terms), backoff) {
            Passage::Free => true,
            Passage::Probe => {
                self.taken.holds.probe = true;
                true
            }
            Passage::Refused => {
                self.taken.wait_ns = circuit.read(self.now_ns).wait_ns;
                false
            }
        }
    }

    fn give_back_client(&self) {
        let site = self.site;
        if let Some(limits) = site.rulebook.client_limits_of(site.index) {
            let own = site.slot(site.arrival.client);
            own.give_back(site.mode, &limits.own);
            if let Some(address) = site.arrival.address {
                site.slot(address).give_back(site.mode, &limits.address);
            }
        }
    }

    fn give_back_rates(&self) {
        let site = self.site;
        if let Some(limit) = site.rulebook.limit_of(site.index) {
            site.route.rate(site.mode).give_back(limit);
        }
        self.give_back_client();
    }
}

/// Takes at once or within `patience`; else says how long it would be.
fn rate(
    slot: &ClientSlot,
    mode: Mode,
    limit: &Limit,
    now_ns: u64,
    patience: u64,
) -> Result<u64, u64> {
    if slot.take(mode, limit, now_ns) {
        return Ok(0);
    }
    let reserved = (patience > 0).then(|| slot.reserve(mode, limit, now_ns, patience));
    reserved
        .flatten()
        .ok_or_else(|| limit.wait_ns(slot.peek(mode, limit, now_ns)))
}
