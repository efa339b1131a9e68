//! What is kept of single clients: a table of fixed size, whoever comes.
//!
//! A slot belongs to a client of a contract for as long as it carries information. Once its time
//! has passed every word in it reads as if it were new, so another client takes it over without
//! clearing anything. Where all slots of a group are busy the client shares the overflow slot of its
//! contract, and a count says so. Two threads may disagree for one request about whose slot it is; that charges
//! one request to the wrong client, and nothing else.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::observation::retry::RetryTable;
use crate::observation::{ClientKey, GcraWord, Limit, Mode};

/// Slots of the table.
pub const CLIENT_SLOTS: usize = 1 << 16;
/// Slots that are looked through for one client.
const GROUP: usize = 8;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// How long a count of offered requests or retries is one period.
const PERIOD_NS: u64 = 10 * NANOS_PER_SECOND;

/// The state of one client of one contract.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ClientSlot {
    owner: AtomicU64,
    /// Until when it carries information, on the monotonic clock.
    until_ns: AtomicU64,
    tat: [GcraWord; 2],
    /// Period and count in one word each: a count of a period that has passed is 0.
    refusals: [AtomicU64; 2],
    offered: AtomicU64,
    retries: AtomicU64,
}

/// All that is kept of clients.
#[derive(Debug, Default)]
pub struct Clients {
    table: OnceLock<Box<[ClientSlot]>>,
    overflowed: AtomicU64,
    retries: RetryTable,
}

impl Clients {
    /// The slot of a client of the contract with this salt, or else the contract's overflow slot.
    ///
    /// The slot is the client's only once something keeps it.
    #[must_use]
    pub fn slot<'s>(
        &'s self,
        client: ClientKey,
        salt: u64,
        overflow: &'s ClientSlot,
        now_ns: u64,
    ) -> &'s ClientSlot {
        // Made at first use: a gateway without limits per client needs no table.
        let table = self.table.get_or_init(|| slots(CLIENT_SLOTS));
        let owner = mix(client.0, salt).max(1);
        let first = (owner as usize % (CLIENT_SLOTS / GROUP)) * GROUP;
        let group = table.get(first..first + GROUP).unwrap_or_default();
        if let Some(own) = group
            .iter()
            .find(|slot| slot.owner.load(Ordering::Relaxed) == owner)
        {
            return own;
        }
        group
            .iter()
            .find(|slot| slot.claim(owner, now_ns))
            .unwrap_or_else(|| {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
                overflow
            })
    }

    /// Clients that found no slot of their own, counted per request.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// The requests that failed a moment ago.
    #[must_use]
    #[inline]
    pub const fn retries(&self) -> &RetryTable {
        &self.retries
    }
}

fn slots(count: usize) -> Box<[ClientSlot]> {
    (0..count).map(|_| ClientSlot::default()).collect()
}

/// One word of two; the client's is a keyed hash already, so this needs to be no better.
const fn mix(client: u64, salt: u64) -> u64 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
    let wide = (client ^ salt) as u128 * ODD;
    (wide >> 64) as u64 ^ wide as u64
}

impl ClientSlot {
    /// The client's own limit: TAT minus now, nanoseconds.
    #[must_use]
    pub fn peek(&self, mode: Mode, limit: &Limit, now_ns: u64) -> i64 {
        self.rate(mode).peek(limit, now_ns)
    }

    /// The word of the client's own limit. Who takes from it says so with [`ClientSlot::keep`].
    #[must_use]
    #[inline]
    pub const fn rate(&self, mode: Mode) -> &GcraWord {
        mode.of(&self.tat)
    }

    /// Stays the client's for as long as its limit tells it from a new one.
    pub fn keep(&self, mode: Mode, limit: &Limit, now_ns: u64) {
        self.keep_until(now_ns.saturating_add_signed(self.peek(mode, limit, now_ns)));
    }

    /// The client's refusals in this wall-clock minute.
    #[must_use]
    pub fn refusals(&self, mode: Mode, minute: u64) -> u32 {
        count_in(self.refused(mode), minute)
    }

    /// Counts one more refusal in this wall-clock minute.
    pub fn note_refusal(&self, mode: Mode, minute: u64, now_ns: u64) {
        bump_in(self.refused(mode), minute);
        self.keep_until(now_ns + 60 * NANOS_PER_SECOND);
    }

    /// Counts one more request and returns how many it has sent in this period of 10 s.
    pub fn note_offered(&self, now_ns: u64) -> u32 {
        self.keep_until(now_ns + PERIOD_NS);
        bump_in(&self.offered, now_ns / PERIOD_NS)
    }

    /// Counts one more retry, unless this client has already given a tenth of those `counted`.
    pub fn note_retry(&self, counted: u32, now_ns: u64) -> bool {
        let period = now_ns / PERIOD_NS;
        let own = count_in(&self.retries, period);
        if own > 0 && u64::from(own) * 10 >= u64::from(counted) {
            return false;
        }
        bump_in(&self.retries, period);
        self.keep_until(now_ns + PERIOD_NS);
        true
    }

    fn claim(&self, owner: u64, now_ns: u64) -> bool {
        let before = self.owner.load(Ordering::Relaxed);
        let free = before == 0 || self.until_ns.load(Ordering::Relaxed) <= now_ns;
        free && self
            .owner
            .compare_exchange(before, owner, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    fn keep_until(&self, until_ns: u64) {
        if self.until_ns.load(Ordering::Relaxed) < until_ns {
            self.until_ns.fetch_max(until_ns, Ordering::Relaxed);
        }
    }

    const fn refused(&self, mode: Mode) -> &AtomicU64 {
        mode.of(&self.refusals)
    }
}

fn count_in(word: &AtomicU64, period: u64) -> u32 {
    let word = word.load(Ordering::Relaxed);
    if word >> 32 == period & 0xffff_ffff {
        word as u32
    } else {
        0
    }
}

fn bump_in(word: &AtomicU64, period: u64) -> u32 {
    let period = period & 0xffff_ffff;
    let next = |word: u64| {
        let count = if word >> 32 == period { word as u32 } else { 0 };
        count.saturating_add(1)
    };
    let before = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
        Some(period << 32 | u64::from(next(word)))
    });
    before.map_or(0, next)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::{CLIENT_SLOTS, ClientSlot, Clients, GROUP};
    use crate::observation::{ClientKey, Limit, Mode};
    use crate::units::PerMinute;

    const SECOND: u64 = 1_000_000_000;

    fn limit(rpm: u32, burst: u32) -> Limit {
        let rate = PerMinute::new(rpm).expect("a rate above 0");
        Limit::new(rate, NonZeroU32::new(burst))
    }

    fn take(slot: &ClientSlot, limit: &Limit, now: u64) -> bool {
        let taken = slot.rate(Mode::Real).take(limit, now);
        if taken {
            slot.keep(Mode::Real, limit, now);
        }
        taken
    }

    #[test]
    fn a_slot_is_one_cache_line() {
        assert_eq!(size_of::<ClientSlot>(), 64);
    }

    #[test]
    fn each_client_has_its_own_limit_until_there_is_no_room() {
        let (clients, overflow) = (Clients::default(), ClientSlot::default());
        let limit = limit(60, 2);
        let now = 100 * SECOND;
        let passed = |client: u64, salt: u64, now: u64| {
            let slot = clients.slot(ClientKey(client), salt, &overflow, now);
            take(slot, &limit, now)
        };
        assert_eq!((0..5).filter(|_| passed(1, 7, now)).count(), 2);
        assert_eq!((0..5).filter(|_| passed(2, 7, now)).count(), 2);
        assert_eq!(
            (0..5).filter(|_| passed(1, 8, now)).count(),
            2,
            "a contract"
        );
        assert!(passed(1, 7, now + 2 * SECOND));
    }

    #[test]
    fn a_slot_whose_time_has_passed_is_anybodys() {
        // R194: bounded, whoever comes.
        let (clients, overflow) = (Clients::default(), ClientSlot::default());
        let limit = limit(60, 1);
        let mut now = 100 * SECOND;
        for client in 0..200_000_u64 {
            // A thousand new clients a second, each of which is over after one second.
            now += SECOND / 1_000;
            let slot = clients.slot(
                ClientKey(client.wrapping_mul(0x5851_f42d_4c95_7f2d)),
                3,
                &overflow,
                now,
            );
            assert!(take(slot, &limit, now), "client {client}");
        }
        assert_eq!(clients.overflowed(), 0);
    }

    #[test]
    fn more_active_clients_than_slots_share_one_limit() {
        let (clients, overflow) = (Clients::default(), ClientSlot::default());
        let limit = limit(1, 1);
        let now = 100 * SECOND;
        let many = 4 * CLIENT_SLOTS as u64;
        let passed = (0..many)
            .filter(|client| {
                let key = ClientKey(client.wrapping_mul(0x5851_f42d_4c95_7f2d));
                take(clients.slot(key, 3, &overflow, now), &limit, now)
            })
            .count();
        assert!(clients.overflowed() > 0);
        assert!(passed <= CLIENT_SLOTS + 1, "{passed} of {many}");
        assert!(passed > CLIENT_SLOTS - CLIENT_SLOTS / GROUP, "{passed}");
    }

    #[test]
    fn refusals_are_those_of_the_minute() {
        let slot = ClientSlot::default();
        slot.note_refusal(Mode::Real, 7, SECOND);
        slot.note_refusal(Mode::Real, 7, SECOND);
        assert_eq!(slot.refusals(Mode::Real, 7), 2);
        assert_eq!(slot.refusals(Mode::Real, 8), 0);
        assert_eq!(slot.refusals(Mode::Dry, 7), 0);
    }

    #[test]
    fn one_client_gives_at_most_a_tenth_of_the_retries() {
        // R044
        let slots: Vec<ClientSlot> = (0..20).map(|_| ClientSlot::default()).collect();
        let mut counted = 0;
        let alone = (0..100).filter(|_| {
            let counts = slots[0].note_retry(counted, SECOND);
            counted += u32::from(counts);
            counts
        });
        assert_eq!(alone.count(), 1, "one client alone is no storm");
        for _ in 0..10 {
            for slot in &slots {
                counted += u32::from(slot.note_retry(counted, SECOND));
            }
        }
        assert!(counted >= 40, "twenty clients are: {counted}");
    }
}
