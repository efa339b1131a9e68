//! A circuit breaker in one word: closed, open, half open, with its back-off and its probes.
//!
//! Every change is one compare-and-swap, so two workers can never let one probe too many pass.
//! The word says how often the circuit opened (its epoch); what was admitted in an older epoch
//! says nothing about the present one. What opens a circuit is decided elsewhere.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher24;

use crate::observation::CircuitState;
use crate::units::Millis;

/// Probes that a half-open circuit lets pass.
pub const PROBES: u64 = 5;
/// Probes that must succeed to close it.
const SUCCESSES_TO_CLOSE: u64 = 4;
/// Probes that must fail to open it again.
const FAILURES_TO_OPEN: u64 = 2;
/// After so long without opening, the next time counts as the first.
const FORGIVEN_AFTER_CS: u64 = 6_000;
/// A row of broken exchanges counts only within this time.
const STREAK_CS: u64 = 1_000;

const NANOS_PER_CS: u64 = 10_000_000;
const BACKOFF_STEPS_MAX: u64 = 15;
const EPOCH_MASK: u64 = 0xffff;

/// How long a circuit is open: doubled each time, from the first to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The first time.
    pub first: Millis,
    /// At most.
    pub longest: Millis,
}

/// What a circuit reads at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CircuitReading {
    /// Its state.
    pub state: CircuitState,
    /// Times it opened, modulo 2^16.
    pub epoch: u32,
    /// How long it has been closed, where it has been open before.
    pub closed_for_ns: Option<u64>,
    /// How long until it lets a probe pass; 0 where it is not open.
    pub wait_ns: u64,
    /// Probes that a half-open circuit has let pass, and how they ended.
    pub probes: Probes,
}

/// The probes of a half-open circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Probes {
    /// Let pass.
    pub issued: u8,
    /// Ended well.
    pub succeeded: u8,
    /// Ended badly, or never.
    pub failed: u8,
}

/// What came of asking a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It is closed.
    Free,
    /// It is half open, and this request is a probe: its end must be told.
    Probe,
    /// It is open, or has no probe left.
    Refused,
}

/// The state of a circuit.
#[derive(Debug)]
pub struct Circuit {
    word: AtomicU64,
    streak: AtomicU64,
    salt: u64,
}

impl Circuit {
    /// A closed circuit that never opened. The name decides its jitter.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(name.as_bytes());
        Self {
            word: AtomicU64::new(0),
            streak: AtomicU64::new(0),
            salt: hasher.finish(),
        }
    }

    /// What it reads now.
    #[must_use]
    #[inline]
    pub fn read(&self, now_ns: u64) -> CircuitReading {
        match self.word.load(Ordering::Relaxed) {
            0 => CircuitReading::default(),
            word => Word::unpack(word).reading(now_ns),
        }
    }

    /// Whether it was never open: then it reads the same at every instant until it opens.
    #[must_use]
    pub fn is_untried(&self) -> bool {
        self.word.load(Ordering::Relaxed) == 0
    }

    /// Asks to pass. Probes of which nothing was heard for `lost_ns` are lost, see [`Self::expire`].
    #[inline]
    pub fn ask(&self, now_ns: u64, lost_ns: u64) -> Passage {
        if self.word.load(Ordering::Relaxed) == 0 {
            return Passage::Free;
        }
        self.ask_word(now_ns, lost_ns)
    }

    fn ask_word(&self, now_ns: u64, lost_ns: u64) -> Passage {
        self.change(|word| {
            let mut word = word.without_lost(now_ns, lost_ns);
            let now = now_ns / NANOS_PER_CS;
            let passage = match word.state {
                CircuitState::Closed => Passage::Free,
                CircuitState::Open if now < word.at => Passage::Refused,
                CircuitState::HalfOpen if word.issued >= PROBES => Passage::Refused,
                CircuitState::Open => {
                    word = word.half_open();
                    Passage::Probe
                }
                CircuitState::HalfOpen => Passage::Probe,
            };
            if passage == Passage::Probe {
                word.issued += 1;
                word.at = now;
            }
            (word, passage)
        })
    }

    /// A closed circuit opens; false where it was not closed, or is of another epoch.
    pub fn trip(&self, epoch: u32, now_ns: u64, backoff: Backoff) -> bool {
        self.change(|word| {
            if word.state != CircuitState::Closed || word.epoch != u64::from(epoch) {
                return (word, false);
            }
            (self.opened(word, now_ns, backoff), true)
        })
    }

    /// A probe of this epoch ended. One that was given up before is not counted a second time.
    pub fn probe_ended(&self, epoch: u32, failed: bool, now_ns: u64, backoff: Backoff) {
        self.change(|mut word| {
            if word.state != CircuitState::HalfOpen
                || word.epoch != u64::from(epoch)
                || word.issued <= word.succeeded + word.failed
            {
                return (word, ());
            }
            if failed {
                word.failed = (word.failed + 1).min(FAILURES_TO_OPEN);
            } else {
                word.succeeded += 1;
            }
            if word.failed >= FAILURES_TO_OPEN {
                word = self.opened(word, now_ns, backoff);
            } else if word.succeeded >= SUCCESSES_TO_CLOSE {
                self.streak.store(0, Ordering::Relaxed);
                word = word.closed(now_ns / NANOS_PER_CS);
            }
            (word, ())
        });
    }

    /// A probe of this epoch ended without saying anything: another may take its place.
    pub fn probe_given_back(&self, epoch: u32) {
        self.change(|mut word| {
            let known = word.succeeded + word.failed;
            if word.state == CircuitState::HalfOpen
                && word.epoch == u64::from(epoch)
                && word.issued > known
            {
                word.issued -= 1;
            }
            (word, ())
        });
    }

    /// Lets other probes take the places of those of which nothing was heard for `lost_ns`.
    ///
    /// This is a backstop, so that a circuit never waits for ever. Whoever carries a probe knows
    /// when the upstream's time began, and calls it failed when that is over; one that is lost
    /// says nothing about the upstream, or a client could open the circuit with a slow body.
    pub fn expire(&self, now_ns: u64, lost_ns: u64) {
        if self.word.load(Ordering::Relaxed) != 0 {
            self.change(|word| (word.without_lost(now_ns, lost_ns), ()));
        }
    }

    /// An exchange of this epoch broke; true where it is the one that makes the row too long.
    pub fn note_broken(&self, epoch: u32, now_ns: u64, row_max: u32) -> bool {
        let reading = self.read(now_ns);
        if reading.state != CircuitState::Closed || reading.epoch != epoch {
            return false;
        }
        let now = now_ns / NANOS_PER_CS;
        let row = |streak: u64| match (streak >> 32, streak & 0xffff_ffff) {
            (since, count) if count > 0 && now.saturating_sub(since) <= STREAK_CS => {
                (since, count + 1)
            }
            _ => (now, 1),
        };
        let streak = self
            .streak
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |streak| {
                let (since, count) = row(streak);
                Some(since << 32 | count & 0xffff_ffff)
            });
        streak.is_ok_and(|before| row(before).1 >= u64::from(row_max))
    }

    /// An exchange went through: the row is broken.
    #[inline]
    pub fn note_whole(&self) {
        if self.streak.load(Ordering::Relaxed) != 0 {
            self.streak.store(0, Ordering::Relaxed);
        }
    }

    /// Broken exchanges in a row, as far as they count now.
    #[must_use]
    pub fn broken_in_a_row(&self, now_ns: u64) -> u32 {
        let streak = self.streak.load(Ordering::Relaxed);
        let is_old = (now_ns / NANOS_PER_CS).saturating_sub(streak >> 32) > STREAK_CS;
        if is_old { 0 } else { streak as u32 }
    }

    /// The word and the instant it was read at, for a snapshot: times in it are relative.
    #[must_use]
    pub fn saved(&self, now_ns: u64) -> SavedCircuit {
        let word = Word::unpack(self.word.load(Ordering::Relaxed));
        let now = now_ns / NANOS_PER_CS;
        SavedCircuit {
            state: word.state,
            epoch: word.epoch as u32,
            step: word.step as u32,
            at_cs: i64::try_from(word.at).unwrap_or(0) - i64::try_from(now).unwrap_or(0),
        }
    }

    /// Takes over a snapshot that is `age_ms` old. A half-open circuit starts its probes anew; one
    /// that closed before this clock began is as if it had never opened, or it would have closed
    /// only just now.
    pub fn restore(&self, saved: SavedCircuit, age_ms: u64, now_ns: u64) {
        let now = i64::try_from(now_ns / NANOS_PER_CS).unwrap_or(0);
        let age = i64::try_from(age_ms / 10).unwrap_or(i64::MAX);
        let at = now.saturating_add(saved.at_cs).saturating_sub(age);
        if saved.epoch == 0 || at < 0 && saved.state == CircuitState::Closed {
            return;
        }
        let state = match saved.state {
            CircuitState::HalfOpen => CircuitState::Open,
            state => state,
        };
        let word = Word {
            state,
            epoch: u64::from(saved.epoch) & EPOCH_MASK,
            step: u64::from(saved.step).min(BACKOFF_STEPS_MAX),
            at: u64::try_from(at).unwrap_or(0),
            ..Word::default()
        };
        self.word.store(word.pack(), Ordering::Relaxed);
    }

    fn change<T>(&self, next: impl Fn(Word) -> (Word, T)) -> T {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let (word, outcome) = next(Word::unpack(seen));
            let packed = word.pack();
            if packed == seen {
                return outcome;
            }
            match self.word.compare_exchange_weak(
                seen,
                packed,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return outcome,
                Err(now) => seen = now,
            }
        }
    }

    fn opened(&self, word: Word, now_ns: u64, backoff: Backoff) -> Word {
        let now = now_ns / NANOS_PER_CS;
        let forgiven = word.state == CircuitState::Closed
            && (word.epoch == 0 || now.saturating_sub(word.at) >= FORGIVEN_AFTER_CS);
        let step = if forgiven { 0 } else { word.step + 1 };
        let epoch = (word.epoch + 1) & EPOCH_MASK;
        let first = u64::from(backoff.first.get());
        let open_ms = (first << step.min(BACKOFF_STEPS_MAX)).min(u64::from(backoff.longest.get()));
        let jittered_ms = open_ms * (10_000 + self.jitter(epoch)) / 10_000;
        Word {
            state: CircuitState::Open,
            step: step.min(BACKOFF_STEPS_MAX),
            // Epoch 0 is a circuit that never opened, also after a wrap.
            epoch: epoch.max(1),
            at: now + jittered_ms.div_ceil(10),
            ..Word::default()
        }
    }

    /// 0 to 1000: so that circuits which opened together do not probe together.
    fn jitter(&self, epoch: u64) -> u64 {
        let mut hasher = SipHasher24::new();
        hasher.write_u64(self.salt);
        hasher.write_u64(epoch);
        hasher.finish() % 1_001
    }
}

/// A circuit in a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedCircuit {
    /// Its state.
    pub state: CircuitState,
    /// Times it opened.
    pub epoch: u32,
    /// How often the time was doubled.
    pub step: u32,
    /// Its instant (open until, closed since, last probe) minus the snapshot's, centiseconds.
    pub at_cs: i64,
}

/// The word taken apart. `at` is, in centiseconds of the monotonic clock: open until; closed
/// since; last probe let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Word {
    state: CircuitState,
    issued: u64,
    succeeded: u64,
    failed: u64,
    step: u64,
    epoch: u64,
    at: u64,
}

impl Word {
    const fn unpack(word: u64) -> Self {
        Self {
            state: match word & 3 {
                1 => CircuitState::Open,
                2 => CircuitState::HalfOpen,
                _ => CircuitState::Closed,
            },
            issued: word >> 2 & 7,
            succeeded: word >> 5 & 7,
            failed: word >> 8 & 3,
            step: word >> 10 & 15,
            epoch: word >> 14 & EPOCH_MASK,
            at: word >> 30,
        }
    }

    const fn pack(self) -> u64 {
        self.state as u64
            | self.issued << 2
            | self.succeeded << 5
            | self.failed << 8
            | self.step << 10
            | self.epoch << 14
            | self.at << 30
    }

    /// Without the probes that run, where the last one was let pass too long ago.
    fn without_lost(mut self, now_ns: u64, lost_ns: u64) -> Self {
        let age_cs = (now_ns / NANOS_PER_CS).saturating_sub(self.at);
        if self.state == CircuitState::HalfOpen && age_cs > lost_ns.div_ceil(NANOS_PER_CS) {
            self.issued = self.issued.min(self.succeeded + self.failed);
        }
        self
    }

    const fn half_open(self) -> Self {
        Self {
            state: CircuitState::HalfOpen,
            issued: 0,
            succeeded: 0,
            failed: 0,
            ..self
        }
    }

    const fn closed(self, now_cs: u64) -> Self {
        Self {
            state: CircuitState::Closed,
            issued: 0,
            succeeded: 0,
            failed: 0,
            at: now_cs,
            ..self
        }
    }

    fn reading(self, now_ns: u64) -> CircuitReading {
        let now = now_ns / NANOS_PER_CS;
        let waits = self.state == CircuitState::Open && now < self.at;
        let state = match self.state {
            CircuitState::Open if !waits => CircuitState::HalfOpen,
            state => state,
        };
        let closed = state == CircuitState::Closed && self.epoch > 0;
        CircuitReading {
            state,
            epoch: self.epoch as u32,
            closed_for_ns: closed.then(|| now_ns.saturating_sub(self.at * NANOS_PER_CS)),
            wait_ns: if waits {
                (self.at * NANOS_PER_CS).saturating_sub(now_ns)
            } else {
                0
            },
            probes: Probes {
                issued: self.issued as u8,
                succeeded: self.succeeded as u8,
                failed: self.failed as u8,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Circuit, NANOS_PER_CS, Passage, Word};
    use crate::observation::CircuitState;
    use crate::units::Millis;

    const SECOND: u64 = 1_000_000_000;
    const LOST: u64 = 2 * SECOND;
    const BACKOFF: Backoff = Backoff {
        first: Millis::new(1_000),
        longest: Millis::new(60_000),
    };

    fn opened_at(now: u64) -> Circuit {
        let circuit = Circuit::new("orders");
        assert!(circuit.trip(0, now, BACKOFF));
        circuit
    }

    fn ask(circuit: &Circuit, now: u64) -> Passage {
        circuit.ask(now, LOST)
    }

    /// Lets time pass until the circuit is half open, and returns that instant.
    fn half_open(circuit: &Circuit, now: u64) -> u64 {
        let reading = circuit.read(now);
        assert_eq!(reading.state, CircuitState::Open);
        now + reading.wait_ns
    }

    #[test]
    fn at_most_five_probes_pass_and_four_successes_close() {
        // R039, R074, R076
        let start = 100 * SECOND;
        let circuit = opened_at(start);
        assert_eq!(ask(&circuit, start + SECOND / 2), Passage::Refused);
        let now = half_open(&circuit, start);
        for _ in 0..5 {
            assert_eq!(ask(&circuit, now), Passage::Probe);
        }
        assert_eq!(ask(&circuit, now), Passage::Refused, "a sixth probe");
        for _ in 0..3 {
            circuit.probe_ended(1, false, now, BACKOFF);
        }
        assert_eq!(circuit.read(now).state, CircuitState::HalfOpen);
        circuit.probe_ended(1, false, now, BACKOFF);
        let reading = circuit.read(now + SECOND);
        assert_eq!(reading.state, CircuitState::Closed);
        assert_eq!(reading.epoch, 1);
        let closed_for = reading.closed_for_ns.expect("it was open before");
        assert!(closed_for.abs_diff(SECOND) < NANOS_PER_CS);
        assert_eq!(ask(&circuit, now + SECOND), Passage::Free);
    }

    #[test]
    fn failing_probes_open_it_again_for_longer_up_to_the_longest() {
        // R076
        let mut now = 100 * SECOND;
        let circuit = opened_at(now);
        let mut expected_ms = 1_000;
        for epoch in 1..12 {
            let wait_ms = circuit.read(now).wait_ns / 1_000_000;
            let longest = expected_ms * 11 / 10 + 10;
            assert!(
                (expected_ms - 10..=longest).contains(&wait_ms),
                "epoch {epoch}: {wait_ms} ms, {expected_ms} and up to a tenth expected"
            );
            now = half_open(&circuit, now);
            assert_eq!(ask(&circuit, now), Passage::Probe);
            assert_eq!(ask(&circuit, now), Passage::Probe);
            circuit.probe_ended(epoch, true, now, BACKOFF);
            assert_eq!(
                circuit.read(now).state,
                CircuitState::HalfOpen,
                "one failure"
            );
            circuit.probe_ended(epoch, true, now, BACKOFF);
            assert_eq!(circuit.read(now).state, CircuitState::Open);
            expected_ms = (expected_ms * 2).min(60_000);
        }
    }

    #[test]
    fn a_minute_of_peace_forgives() {
        for (peace, expected_ms) in [(59, 2_000), (61, 1_000)] {
            let start = 100 * SECOND;
            let circuit = opened_at(start);
            let now = half_open(&circuit, start);
            for _ in 0..4 {
                assert_eq!(ask(&circuit, now), Passage::Probe);
                circuit.probe_ended(1, false, now, BACKOFF);
            }
            let later = now + peace * SECOND;
            assert!(circuit.trip(1, later, BACKOFF));
            let wait_ms = circuit.read(later).wait_ns / 1_000_000;
            assert!(
                (expected_ms - 10..=expected_ms * 11 / 10 + 10).contains(&wait_ms),
                "after {peace} s: {wait_ms} ms"
            );
        }
    }

    #[test]
    fn lost_probes_say_nothing_and_make_room_for_others() {
        let start = 100 * SECOND;
        let circuit = opened_at(start);
        let now = half_open(&circuit, start);
        for _ in 0..5 {
            assert_eq!(ask(&circuit, now), Passage::Probe);
        }
        circuit.probe_ended(1, true, now, BACKOFF);
        circuit.expire(now + LOST, LOST);
        assert_eq!(ask(&circuit, now + LOST), Passage::Refused, "not yet lost");
        let late = now + LOST + 2 * NANOS_PER_CS;
        for _ in 0..4 {
            assert_eq!(ask(&circuit, late), Passage::Probe);
        }
        assert_eq!(ask(&circuit, late), Passage::Refused, "the failure is kept");
        circuit.probe_ended(1, true, late, BACKOFF);
        assert_eq!(circuit.read(late).epoch, 2, "the second failure opens it");
        circuit.probe_ended(1, false, late, BACKOFF);
        assert_eq!(
            circuit.read(late).state,
            CircuitState::Open,
            "another epoch"
        );
    }

    #[test]
    fn a_probe_given_back_is_given_again() {
        let start = 100 * SECOND;
        let circuit = opened_at(start);
        let now = half_open(&circuit, start);
        for _ in 0..20 {
            assert_eq!(ask(&circuit, now), Passage::Probe);
            circuit.probe_given_back(1);
        }
        circuit.probe_given_back(1);
        let issued = (0..10).filter(|_| ask(&circuit, now) == Passage::Probe);
        assert_eq!(issued.count(), 5);
    }

    #[test]
    fn only_a_row_of_broken_exchanges_counts() {
        let circuit = Circuit::new("orders");
        let at = |second: u64| (100 + second) * SECOND;
        for second in 0..4 {
            assert!(!circuit.note_broken(0, at(second), 5));
        }
        circuit.note_whole();
        for second in 4..8 {
            assert!(!circuit.note_broken(0, at(second), 5), "the row began anew");
        }
        assert!(!circuit.note_broken(1, at(8), 5), "another epoch");
        assert!(circuit.note_broken(0, at(8), 5));
        let slow = Circuit::new("orders");
        let broken = (0..50).filter(|step| slow.note_broken(0, at(step * 3), 5));
        assert_eq!(broken.count(), 0, "never five in ten seconds");
    }

    #[test]
    fn a_snapshot_keeps_what_is_left_of_the_wait() {
        let circuit = opened_at(100 * SECOND);
        let saved = circuit.saved(100 * SECOND);
        let restored = Circuit::new("orders");
        restored.restore(saved, 400, 7 * SECOND);
        let (before, after) = (circuit.read(100 * SECOND), restored.read(7 * SECOND));
        assert_eq!((after.state, after.epoch), (before.state, before.epoch));
        assert_eq!(after.wait_ns, before.wait_ns - 400_000_000);
    }

    #[test]
    fn a_restart_does_not_make_a_circuit_close_anew() {
        // Closed for 50 s or an hour; the new clock is at 5 s or at an hour and 5 s.
        let table = [
            (50, 3_605, Some(50), 2_000),
            (100, 3_605, Some(100), 1_000),
            (3_600, 3_605, Some(3_600), 1_000),
            (7_200, 3_605, None, 1_000),
            (50, 5, None, 1_000),
        ];
        for (peace, clock, closed_for, next_ms) in table {
            let circuit = opened_at(100 * SECOND);
            let now = half_open(&circuit, 100 * SECOND);
            for _ in 0..4 {
                assert_eq!(ask(&circuit, now), Passage::Probe);
                circuit.probe_ended(1, false, now, BACKOFF);
            }
            let restored = Circuit::new("orders");
            let clock = clock * SECOND;
            restored.restore(circuit.saved(now + peace * SECOND), 0, clock);
            let reading = restored.read(clock);
            let found = reading.closed_for_ns.map(|ns| (ns + SECOND / 2) / SECOND);
            assert_eq!(found, closed_for, "{peace} s of peace");
            assert!(restored.trip(reading.epoch, clock, BACKOFF));
            let wait_ms = restored.read(clock).wait_ns / 1_000_000;
            assert!(
                (next_ms - 10..=next_ms * 11 / 10 + 10).contains(&wait_ms),
                "{peace} s of peace: {wait_ms} ms"
            );
        }
    }

    #[test]
    fn a_word_keeps_all_its_parts() {
        let word = Word {
            state: CircuitState::HalfOpen,
            issued: 5,
            succeeded: 4,
            failed: 2,
            step: 15,
            epoch: 0xffff,
            at: (1 << 34) - 1,
        };
        assert_eq!(Word::unpack(word.pack()), word);
    }
}
