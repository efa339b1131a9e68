//! The takes: what only a request that goes to its own upstream asks for, in a fixed order.
//!
//! The rate of the address, of the client and of the contract, a turn where one of them says not
//! yet, a place in flight, a probe. Each answers for itself; what was taken stands in one list.
//! Whether the request is held or refused is decided once, at the end: a refusal undoes the whole
//! list, so a request that is refused has used up nothing. What a request was granted it gives
//! back when it ends.

use super::ending::lost_ns;
use super::{Holds, Site, effective_tier, mode_of, staging};
use crate::contract::{ContractIndex, Throttle};
use crate::observation::{
    Arrival, CircuitState, ClientSlot, GcraWord, Limit, Mode, Passage, Signals, Take, Turn,
};
use crate::policy::rules::Severity;
use crate::rulebook::{ClientLimits, Rulebook};
use crate::units::{Action, Tier};

const MICROS_PER_MINUTE: u64 = 60_000_000;
/// The address, the client, the contract.
const RATES: usize = 3;

/// What came of the takes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    pub(super) holds: Holds,
    /// How long until the limit that said no, or not yet, would not, nanoseconds.
    pub(super) wait_ns: u64,
    is_limited: bool,
}

impl Taken {
    /// Whether the decision must be made again: a limit said no, or not yet.
    pub(super) const fn is_limited(&self) -> bool {
        self.is_limited
    }
}

/// Reads how the client stands to its own limit, before anything is taken.
pub(super) fn peek(site: &Site<'_>, signals: &mut Signals) {
    let now_ns = site.arrival.at.monotonic_ns;
    let Some(limits) = site.rulebook.client_limits_of(site.index) else {
        return;
    };
    let slot = site.client_slot();
    signals.client_tat_ns = slot.peek(site.mode, &limits.own, now_ns);
    signals.client_refusals = slot.refusals(site.mode, minute(site));
    signals.client_over = limits.own.wait_ns(signals.client_tat_ns) > 0;
    if let Some(behind) = site.address_slot()
        && limits
            .address
            .wait_ns(behind.peek(site.mode, &limits.address, now_ns))
            > 0
    {
        // Whoever changes names is refused as the address, so it is the address that insists.
        let refusals = behind.refusals(site.mode, minute(site));
        signals.client_refusals = signals.client_refusals.max(refusals);
        signals.client_over = true;
    }
}

/// Asks the limits in their order. `severity` is that of the decision without them.
///
/// What is set apart meets the limits that it shares with others, and does not wait for them. The
/// client's own limit it does not meet: being over it is what clients are set apart for.
#[inline]
pub(super) fn ask(site: &Site<'_>, severity: Severity, signals: &mut Signals) -> Taken {
    match ask_plainly(site, signals) {
        Some(holds) => Taken {
            holds,
            ..Taken::default()
        },
        None => ask_in_order(site, severity, signals),
    }
}

/// The usual case in few steps: only the contract's own limits are to be asked, and both grant at
/// once. `None`, and nothing taken, where it is another: then all are asked in their order.
#[inline]
fn ask_plainly(site: &Site<'_>, signals: &mut Signals) -> Option<Holds> {
    let terms = site.terms?;
    let has_clients = site.rulebook.client_limits_of(site.index).is_some();
    if has_clients || signals.circuit != CircuitState::Closed {
        return None;
    }
    let now_ns = site.arrival.at.monotonic_ns;
    let rate = site.rulebook.limit_of(site.index);
    let rate = rate.map(|limit| (site.route.rate(site.mode), limit));
    let tat_ns = rate.map(|(word, limit)| (word.peek(limit, now_ns), limit));
    if tat_ns.is_some_and(|(tat_ns, limit)| limit.wait_ns(tat_ns) > 0) {
        return None;
    }
    // The place first: given back it leaves no trace, which a turn of the rate would.
    let mut holds = Holds::default();
    if let Some(max) = terms.max_in_flight {
        holds.place = site.route.take_in_flight(site.mode, max.get());
        if !holds.place {
            return None;
        }
    }
    if rate.is_some_and(|(word, limit)| !word.take(limit, now_ns)) {
        if holds.place {
            site.route.release_in_flight(site.mode);
        }
        return None;
    }
    if let Some((tat_ns, _)) = tat_ns {
        signals.contract_tat_ns = tat_ns;
    }
    signals.take = Take::Granted;
    Some(holds)
}

#[inline(never)]
fn ask_in_order(site: &Site<'_>, severity: Severity, signals: &mut Signals) -> Taken {
    let is_apart = severity != Severity::Allow;
    let mut asking = Asking {
        site,
        now_ns: site.arrival.at.monotonic_ns,
        patience_ns: if is_apart { 0 } else { patience_ns(site) },
        clients: site
            .rulebook
            .client_limits_of(site.index)
            .filter(|_| !is_apart),
        first: Take::NotAsked,
        wait_ns: 0,
        rates: [None; RATES],
        holds: Holds::default(),
    };
    let refused = asking.all(signals).err();
    asking.conclude(refused, signals)
}

/// How long a request over a rate may wait for its turn; 0 where it may not.
///
/// A wait is a way to throttle: nobody waits where the policy does not let this tier throttle.
fn patience_ns(site: &Site<'_>) -> u64 {
    match site.terms.map(|terms| terms.throttle) {
        Some(Throttle::Delay { wait_max, .. })
            if site.mode == Mode::Real && site.allows(Action::Throttle) =>
        {
            wait_max.as_nanos()
        }
        _ => 0,
    }
}

/// Takes a turn of the client and of the contract for a request that may reach the contract under
/// another spelling, in the mode of the contract's own requests: no spelling gets round a limit,
/// also where requests are only observed. It is asked for nothing, so it never waits.
///
/// Nor is it a weapon: who could take no turn with the path itself takes none with another spelling
/// of it, and who is over the limit of a client uses up the contract's no further.
#[cold]
pub(super) fn charge(
    rulebook: &Rulebook,
    contract: ContractIndex,
    around: Tier,
    arrival: &Arrival,
) {
    let (index, now_ns) = (contract.get(), arrival.at.monotonic_ns);
    let route = rulebook.route(index);
    let Some(contract) = rulebook.contract_of(index) else {
        return;
    };
    let terms = Some(contract.terms());
    let has_method = contract.methods().contains(arrival.method);
    let refuses_caller = rulebook.rules().consumer_not_declared != Severity::Allow;
    let is_excluded = arrival.undeclared && refuses_caller;
    if staging::is_retired(terms) || is_excluded || !has_method {
        return;
    }
    let tier = effective_tier(around, terms, arrival.ledger);
    let mode = mode_of(staging::lowered(tier, terms, arrival.client, route));
    if let Some(limits) = rulebook.client_limits_of(index) {
        // It has no name: fields are read for the contract's own requests alone. So where those go
        // by names, it takes from what all names of its address share.
        let address = arrival.client;
        let (client, limit, overflow) = match contract.client_header() {
            Some(_) => (
                address.behind_names(),
                &limits.address,
                route.address_overflow(),
            ),
            None => (address, &limits.own, route.client_overflow()),
        };
        let clients = rulebook.board().clients();
        let slot = clients.slot(client, route.salt(), overflow, now_ns);
        if matches!(slot.rate(mode).turn(limit, now_ns, 0), Turn::Not(_)) {
            return;
        }
        slot.keep(mode, limit, now_ns);
    }
    if let Some(limit) = rulebook.limit_of(index) {
        // Where it is used up there is nothing left to charge.
        let _ = route.rate(mode).turn(limit, now_ns, 0);
    }
}

fn minute(site: &Site<'_>) -> u64 {
    site.arrival.at.wall_us / MICROS_PER_MINUTE
}

struct Asking<'a> {
    site: &'a Site<'a>,
    now_ns: u64,
    patience_ns: u64,
    /// The limits of single clients, where they are asked.
    clients: Option<&'a ClientLimits>,
    /// The first limit that makes the request wait, and the longest wait of all.
    first: Take,
    wait_ns: u64,
    /// What was taken: of rates, and besides.
    rates: [Option<(&'a GcraWord, &'a Limit)>; RATES],
    holds: Holds,
}

impl<'a> Asking<'a> {
    /// `Err` is the first limit that refuses.
    fn all(&mut self, signals: &mut Signals) -> Result<(), Take> {
        self.client()?;
        self.contract(signals)?;
        self.turn()?;
        self.place()?;
        self.probe(signals.circuit)
    }

    /// The address first: else a client that makes up names has a slot of its own for each of them.
    fn client(&mut self) -> Result<(), Take> {
        let site = self.site;
        let Some(limits) = self.clients else {
            return Ok(());
        };
        if let Some(behind) = site.address_slot() {
            self.client_rate(0, behind, &limits.address)?;
        }
        self.client_rate(1, site.client_slot(), &limits.own)
    }

    fn client_rate(
        &mut self,
        number: usize,
        slot: &'a ClientSlot,
        limit: &'a Limit,
    ) -> Result<(), Take> {
        let site = self.site;
        let asked = self.rate(number, Take::ClientRate, slot.rate(site.mode), limit);
        if asked.is_err() {
            slot.note_refusal(site.mode, minute(site), self.now_ns);
        }
        asked
    }

    /// Unknown paths that are let through share a limit of their own.
    fn contract(&mut self, signals: &mut Signals) -> Result<(), Take> {
        let site = self.site;
        let limit = match site.terms {
            Some(_) => site.rulebook.limit_of(site.index),
            None => Some(site.rulebook.unknown_limit()),
        };
        let Some(limit) = limit else {
            return Ok(());
        };
        let word = site.route.rate(site.mode);
        signals.contract_tat_ns = word.peek(limit, self.now_ns);
        self.rate(2, Take::ContractRate, word, limit)
    }

    fn rate(
        &mut self,
        number: usize,
        who: Take,
        word: &'a GcraWord,
        limit: &'a Limit,
    ) -> Result<(), Take> {
        match word.turn(limit, self.now_ns, self.patience_ns) {
            Turn::Now => {}
            Turn::After(wait_ns) => {
                self.wait_ns = self.wait_ns.max(wait_ns);
                if self.first == Take::NotAsked {
                    self.first = who;
                }
            }
            Turn::Not(wait_ns) => {
                self.wait_ns = self.wait_ns.max(wait_ns);
                return Err(who);
            }
        }
        if let Some(taken) = self.rates.get_mut(number) {
            *taken = Some((word, limit));
        }
        Ok(())
    }

    /// Where a rate says not yet: one more request may wait, or it is refused by that rate.
    fn turn(&mut self) -> Result<(), Take> {
        if self.first == Take::NotAsked {
            return Ok(());
        }
        if let Some(Throttle::Delay { held_max, .. }) = self.site.terms.map(|terms| terms.throttle)
        {
            self.holds.held = self.site.route.take_held(held_max.get());
        }
        self.holds.held.then_some(()).ok_or(self.first)
    }

    fn place(&mut self) -> Result<(), Take> {
        let Some(max) = self.site.terms.and_then(|terms| terms.max_in_flight) else {
            return Ok(());
        };
        self.holds.place = self.site.route.take_in_flight(self.site.mode, max.get());
        self.holds.place.then_some(()).ok_or(Take::Concurrency)
    }

    fn probe(&mut self, state: CircuitState) -> Result<(), Take> {
        let site = self.site;
        let Some(terms) = site.terms.filter(|_| state != CircuitState::Closed) else {
            return Ok(());
        };
        let circuit = site.route.circuit(site.mode);
        match circuit.ask(self.now_ns, lost_ns(terms)) {
            Passage::Free => {}
            Passage::Probe => self.holds.probe = true,
            Passage::Refused => {
                self.wait_ns = self.wait_ns.max(circuit.read(self.now_ns).wait_ns);
                return Err(Take::Probe);
            }
        }
        Ok(())
    }

    /// Held, refused or neither: the one place where that is said.
    fn conclude(mut self, refused: Option<Take>, signals: &mut Signals) -> Taken {
        if refused.is_some() {
            self.undo();
        } else {
            self.keep_slots();
        }
        signals.take = match (refused, self.first) {
            (Some(take), _) => take,
            (None, Take::NotAsked) => Take::Granted,
            (None, waits) => waits,
        };
        signals.hold_ns = if refused.is_some() { 0 } else { self.wait_ns };
        Taken {
            holds: self.holds,
            wait_ns: self.wait_ns,
            is_limited: signals.take != Take::Granted,
        }
    }

    /// The probe is the last to be asked, so nothing that is refused holds one.
    fn undo(&mut self) {
        for (word, limit) in self.rates.iter().flatten() {
            word.give_back(limit);
        }
        let holds = std::mem::take(&mut self.holds);
        if holds.place {
            self.site.route.release_in_flight(self.site.mode);
        }
        if holds.held {
            self.site.route.release_held();
        }
    }

    /// Only a request that passes keeps the slots of its client: names that are made up faster than
    /// their address or their contract allows must not fill the table.
    fn keep_slots(&self) {
        let site = self.site;
        let Some(limits) = self.clients else {
            return;
        };
        if let Some(behind) = site.address_slot() {
            behind.keep(site.mode, &limits.address, self.now_ns);
        }
        site.client_slot().keep(site.mode, &limits.own, self.now_ns);
    }
}
