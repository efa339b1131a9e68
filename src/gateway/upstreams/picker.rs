//! The choices of one worker.
//!
//! Invariant: every counter here is this worker's alone, so no request writes memory that another
//! worker writes. In-flight counts are this worker's, too: each balances its own requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use pingora::upstreams::peer::HttpPeer;

use super::balance::next_random;
use super::table::Table;
use super::{Address, Upstreams};
use crate::config::Balance;

/// Whose turn it is on one worker.
pub(crate) struct Picker {
    upstreams: Arc<Upstreams>,
    flights: Arc<Flights>,
    turns: Box<[AtomicUsize]>,
    random: AtomicU64,
}

/// Requests in flight of one worker, per group and place.
#[derive(Debug)]
pub(super) struct Flights(Box<[Box<[AtomicU32]>]>);

impl Flights {
    /// So many places per group.
    pub(super) fn new(places: &[usize]) -> Self {
        let group = |places: &usize| (0..*places).map(|_| AtomicU32::new(0)).collect();
        Self(places.iter().map(group).collect())
    }

    fn at(&self, group: usize, place: usize) -> Option<&AtomicU32> {
        self.0.get(group)?.get(place)
    }

    /// Requests in flight at one place.
    pub(super) fn count(&self, group: usize, place: usize) -> u64 {
        let count = self.at(group, place);
        count.map_or(0, |count| u64::from(count.load(Ordering::Relaxed)))
    }
}

/// The server that a request was given; in flight there until this is dropped.
pub(crate) struct Target {
    group: usize,
    address: Address,
    flights: Arc<Flights>,
    is_judged: bool,
}

impl Target {
    /// Where it is.
    pub(crate) const fn socket(&self) -> SocketAddr {
        self.address.socket
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(count) = self.flights.at(self.group, self.address.place) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Picker {
    pub(super) fn new(upstreams: Arc<Upstreams>, worker: usize) -> Self {
        let groups = upstreams.groups.len();
        let flights = upstreams.flights.get(worker).map(Arc::clone);
        Self {
            flights: flights.unwrap_or_else(|| Arc::new(Flights::new(&[]))),
            upstreams,
            // Workers begin with different servers of a group.
            turns: (0..groups).map(|_| AtomicUsize::new(worker)).collect(),
            random: AtomicU64::new(0x9e37_79b9_7f4a_7c15 ^ (worker as u64 + 1)),
        }
    }

    /// The server of the next request of group `group`; another one than `avoid`, where there is
    /// one. `None` while the group has no address.
    pub(crate) fn pick(&self, group: usize, avoid: Option<SocketAddr>) -> Option<Target> {
        let of = self.upstreams.groups.get(group)?;
        let table = of.table.load();
        let at = match of.balance {
            Balance::RoundRobin => self.next_in_turn(group, &table, avoid),
            Balance::LeastRequest => self.less_busy(group, &table, avoid),
        };
        let address = *table.usable.get(at?)?;
        if let Some(count) = self.flights.at(group, address.place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Some(Target {
            group,
            address,
            flights: Arc::clone(&self.flights),
            is_judged: false,
        })
    }

    /// Whether a group is reached by HTTP/1 without TLS.
    pub(crate) fn is_plain(&self, group: usize) -> bool {
        let group = self.upstreams.groups.get(group);
        group.is_some_and(|group| group.peers().is_plain())
    }

    /// What Pingora needs to connect to it.
    pub(crate) fn peer(&self, target: &Target) -> Option<HttpPeer> {
        let group = self.upstreams.groups.get(target.group)?;
        Some(group.peer(target.address))
    }

    /// What the settings call it: host and port.
    pub(crate) fn authority(&self, target: &Target) -> Option<&str> {
        self.upstreams
            .authority(target.group, target.address.server)
    }

    /// The exchange with the server failed, or did not; only the first judgement counts.
    pub(crate) fn judge(&self, target: &mut Target, failed: bool, now_ns: impl Fn() -> u64) {
        if std::mem::replace(&mut target.is_judged, true) {
            return;
        }
        if let Some(group) = self.upstreams.groups.get(target.group) {
            group.judge(target.address, failed, now_ns);
        }
    }

    fn next_in_turn(
        &self,
        group: usize,
        table: &Table,
        avoid: Option<SocketAddr>,
    ) -> Option<usize> {
        let turn = self.turns.get(group)?;
        let next = || table.at(turn.fetch_add(1, Ordering::Relaxed));
        let first = if table.turns.len() > 1 {
            next()?
        } else {
            table.at(0)?
        };
        if avoid.is_none() {
            return Some(first);
        }
        let is_other = |at: &usize| table.usable.get(*at).map(|it| it.socket) != avoid;
        let others = std::iter::once(first).chain((1..table.turns.len()).filter_map(|_| next()));
        // Where there is no other one the same is tried again.
        Some(others.into_iter().find(is_other).unwrap_or(first))
    }

    /// Of two drawn by weight the one with less in flight for its weight; the first, if neither.
    fn less_busy(&self, group: usize, table: &Table, avoid: Option<SocketAddr>) -> Option<usize> {
        let round = table.turns.len();
        let random = next_random(self.random.load(Ordering::Relaxed));
        self.random.store(random, Ordering::Relaxed);
        let begin = (random >> 33) as usize;
        let second = (random & 0xffff_ffff) as usize;
        let is_other = |at: &usize| table.usable.get(*at).map(|it| it.socket) != avoid;
        let drawn = (0..round).filter_map(|step| table.at(begin.wrapping_add(step)));
        let first = drawn.clone().find(is_other).or_else(|| table.at(0))?;
        let others = (0..round).filter_map(|step| table.at(second.wrapping_add(step)));
        let Some(second) = others.into_iter().find(|at| *at != first && is_other(at)) else {
            return Some(first);
        };
        let load = |at: usize| {
            let place = table.usable.get(at).map_or(0, |address| address.place);
            self.flights.count(group, place)
        };
        let weight = |at: usize| u64::from(table.weights.get(at).copied().unwrap_or(1));
        let is_less = load(second) * weight(first) < load(first) * weight(second);
        Some(if is_less { second } else { first })
    }
}
