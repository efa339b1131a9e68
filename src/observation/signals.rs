//! The numbers one decision is made from, read once and never again.
//!
//! `Signals` is the whole argument list of the judgement besides the rulebook: whoever has the
//! record's `inputs` and the rulebook it names can compute the decision again, bit by bit.
//! The order of `inputs` is the order of `Signals::to_inputs`; it is part of the ledger format.

use crate::units::{Band, FACTOR_COUNT, FactorSet, Tier};

/// `part` of `whole`, both counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The counted ones.
    pub part: u32,
    /// All of them.
    pub whole: u32,
}

/// What the matcher said about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Standing {
    /// Path and method are in a contract.
    #[default]
    Contracted,
    /// The path is, the method is not.
    MethodNotAllowed,
    /// No contract has the path.
    Unknown,
    /// The path has no single meaning.
    Ambiguous,
    /// The head could not be read as a request at all.
    Malformed,
}

/// Whether the request is a retry, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum RetryKind {
    /// Not a retry, as far as known.
    #[default]
    First,
    /// A header says so.
    Declared,
    /// The same request failed shortly before.
    Seen,
}

/// The state of a route's circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum CircuitState {
    /// Requests pass.
    #[default]
    Closed,
    /// Requests are refused.
    Open,
    /// A few probes pass.
    HalfOpen,
}

impl CircuitState {
    /// The name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What came of asking the limits, in the order they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Take {
    /// Nobody asked: the request was refused before, or there is no contract.
    #[default]
    NotAsked,
    /// All granted.
    Granted,
    /// The client's own rate limit refused.
    ClientRate,
    /// The contract's rate limit refused.
    ContractRate,
    /// The contract's limit of requests in flight refused.
    Concurrency,
    /// No half-open probe was left.
    Probe,
}

/// Whether the ledger can keep the record of the decision, and what holds where it cannot. What a
/// contract says of its own (`ledger: required`) holds beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LedgerStanding {
    /// It can.
    #[default]
    Available,
    /// It cannot; requests go on as ever.
    Unavailable,
    /// It cannot; nothing is enforced.
    ObserveOnly,
    /// It cannot; nothing is forwarded.
    FailClosed,
}

/// One pair of burn windows: failures of completed in the short and in the long one. All 0 where
/// nothing failed in the long one, or too little of it was observed: both read 0 for any budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BurnPair {
    /// The short window.
    pub short: Share,
    /// The long window.
    pub long: Share,
}

/// Offered requests of the last closed minute against what is usual. All 0 where no more was
/// offered than usual: that reads 0 for any policy, and keeps the record short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Offered in the last closed minute.
    pub offered: u32,
    /// The usual number, times 1024.
    pub mean_1024: u64,
    /// The usual variance, times 1024.
    pub variance_1024: u64,
}

/// The tail of the last closed minute against the healthy baseline. All 0 where the tail is no
/// longer than the baseline: that reads 0 for any policy, and keeps the record short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Regression {
    /// p95 of the last closed minute, microseconds.
    pub p95_us: u32,
    /// The healthy baseline, microseconds.
    pub baseline_us: u32,
}

/// All numbers of one judgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals {
    /// What the matcher said.
    pub standing: Standing,
    /// The lowest tier of process, listener and contract.
    pub tier: Tier,
    /// The factors whose state this gateway keeps and has seen enough of; the others read
    /// `insufficient`. (Latency, error rate and retry storm also carry their own sample counts.)
    pub known: FactorSet,
    /// What came of asking the limits.
    pub take: Take,
    /// 0 retries, 1 ordinary, 2 high priority.
    pub class: u8,
    /// Hash of client, minute and contract, 0..10000; 0 where nothing had to be shed.
    pub shed_hash: u16,
    /// The route's distress band, held by the ticker.
    pub route_band: Band,
    /// Slow or overdue of completed and overdue, 60 s.
    pub slow: Share,
    /// Failed of completed and overdue, 10 s.
    pub failed: Share,
    /// In flight before this request.
    pub in_flight: u32,
    /// Overdue now.
    pub overdue: u32,
    /// Shares per class of the requests of 10 s that shedding could meet, basis points.
    pub class_share_bp: [u16; 3],
    /// Whether and how the request is a retry.
    pub retry: RetryKind,
    /// Retries of offered, 10 s.
    pub retries: Share,
    /// Circuit of the route.
    pub circuit: CircuitState,
    /// Times the circuit opened.
    pub circuit_epoch: u32,
    /// The least share to shed while a circuit that closed a moment ago recovers, basis points.
    pub slow_start_bp: u16,
    /// Where the draw goes by the number of the request and not by the minute: that number.
    pub draw_number: u32,
    /// How long the request waits for its turn before it is sent, nanoseconds.
    pub hold_ns: u64,
    /// Tail against baseline.
    pub regression: Regression,
    /// Load against the usual.
    pub traffic: Traffic,
    /// Error budget windows, shortest first.
    pub burn: [BurnPair; 3],
    /// Whether the client is over its own limit now.
    pub client_over: bool,
    /// The client's refusals in this clock minute.
    pub client_refusals: u32,
    /// Theoretical arrival time of the client's limit minus now, nanoseconds.
    pub client_tat_ns: i64,
    /// Theoretical arrival time of the contract's limit minus now, nanoseconds.
    pub contract_tat_ns: i64,
    /// Whether the ledger can keep the record.
    pub ledger: LedgerStanding,
    /// How loosely the path has to be read to be a contract's, one bit for each fold; 0 = however
    /// it is read, it is the same.
    pub alias: u16,
    /// Whether the contract says who may call it, and the caller is none of them.
    pub undeclared: bool,
}

/// How many integers `inputs` has before trailing zeros are left out.
pub const INPUT_COUNT: usize = 48;

/// Why recorded inputs cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputsError {
    /// Longer than this format knows.
    #[error("inputs has more than {INPUT_COUNT} members")]
    TooMany,
    /// The last one is 0: the format leaves zeros at the end out, and knows one spelling only.
    #[error("inputs ends in a zero, which is to be left out")]
    TrailingZero,
    /// One of them cannot be what it stands for.
    #[error("inputs[{0}] is out of its range")]
    OutOfRange(usize),
}

impl Signals {
    /// The numbers in the order of the ledger format.
    #[must_use]
    pub fn to_inputs(&self) -> [i64; INPUT_COUNT] {
        let [b0, b1, b2] = self.burn;
        let [c0, c1, c2] = self.class_share_bp;
        [
            self.standing as i64,
            self.tier as i64,
            i64::from(self.known.bits()),
            self.take as i64,
            i64::from(self.class),
            i64::from(self.shed_hash),
            self.route_band as i64,
            i64::from(self.slow.part),
            i64::from(self.slow.whole),
            i64::from(self.failed.part),
            i64::from(self.failed.whole),
            i64::from(self.in_flight),
            i64::from(self.overdue),
            i64::from(c0),
            i64::from(c1),
            i64::from(c2),
            self.retry as i64,
            i64::from(self.retries.part),
            i64::from(self.retries.whole),
            self.circuit as i64,
            i64::from(self.circuit_epoch),
            self.contract_tat_ns,
            self.client_tat_ns,
            i64::from(self.client_over),
            i64::from(self.client_refusals),
            i64::from(self.regression.p95_us),
            i64::from(self.regression.baseline_us),
            i64::from(self.traffic.offered),
            signed(self.traffic.mean_1024),
            signed(self.traffic.variance_1024),
            i64::from(b0.short.part),
            i64::from(b0.short.whole),
            i64::from(b0.long.part),
            i64::from(b0.long.whole),
            i64::from(b1.short.part),
            i64::from(b1.short.whole),
            i64::from(b1.long.part),
            i64::from(b1.long.whole),
            i64::from(b2.short.part),
            i64::from(b2.short.whole),
            i64::from(b2.long.part),
            i64::from(b2.long.whole),
            i64::from(self.slow_start_bp),
            i64::from(self.draw_number),
            signed(self.hold_ns),
            self.ledger as i64,
            i64::from(self.alias),
            i64::from(self.undeclared),
        ]
    }

    /// The signals that a record's `inputs` hold; missing ones at the end are 0.
    ///
    /// # Errors
    /// [`InputsError`] where there are too many, the last is 0, or one is out of its range.
    pub fn from_inputs(inputs: &[i64]) -> Result<Self, InputsError> {
        if inputs.len() > INPUT_COUNT {
            return Err(InputsError::TooMany);
        }
        if inputs.last() == Some(&0) {
            return Err(InputsError::TrailingZero);
        }
        let mut read = Reader { inputs, at: 0 };
        let signals = Self {
            standing: read.one_of(&STANDINGS)?,
            tier: read.one_of(&Tier::ALL)?,
            known: FactorSet::from_bits(read.at_most(KNOWN_BITS_MAX)?),
            take: read.one_of(&TAKES)?,
            class: read.at_most(CLASS_MAX)?,
            shed_hash: read.at_most(SHED_HASH_MAX)?,
            route_band: read.one_of(&Band::ALL)?,
            slow: read.share()?,
            failed: read.share()?,
            in_flight: read.number()?,
            overdue: read.number()?,
            class_share_bp: [
                read.at_most(CLASS_SHARE_MAX_BP)?,
                read.at_most(CLASS_SHARE_MAX_BP)?,
                read.at_most(CLASS_SHARE_MAX_BP)?,
            ],
            retry: read.one_of(&[RetryKind::First, RetryKind::Declared, RetryKind::Seen])?,
            retries: read.share()?,
            circuit: read.one_of(&[
                CircuitState::Closed,
                CircuitState::Open,
                CircuitState::HalfOpen,
            ])?,
            circuit_epoch: read.number()?,
            contract_tat_ns: read.number()?,
            client_tat_ns: read.number()?,
            client_over: read.one_of(&[false, true])?,
            client_refusals: read.number()?,
            regression: Regression {
                p95_us: read.number()?,
                baseline_us: read.number()?,
            },
            traffic: Traffic {
                offered: read.number()?,
                mean_1024: read.number()?,
                variance_1024: read.number()?,
            },
            burn: [read.burn()?, read.burn()?, read.burn()?],
            slow_start_bp: read.at_most(SLOW_START_MAX_BP)?,
            draw_number: read.number()?,
            hold_ns: read.number()?,
            ledger: read.one_of(&LEDGER_STANDINGS)?,
            alias: read.at_most(ALIAS_BITS_MAX)?,
            undeclared: read.one_of(&[false, true])?,
        };
        Ok(signals)
    }
}

const KNOWN_BITS_MAX: u16 = (1 << FACTOR_COUNT) - 1;
/// All folds that there are; a test compares it with them.
const ALIAS_BITS_MAX: u16 = 1_023;
const CLASS_MAX: u8 = 2;
const SHED_HASH_MAX: u16 = 9_999;
const CLASS_SHARE_MAX_BP: u16 = 10_000;

/// Half of the requests are shed at the instant a circuit closes.
pub const SLOW_START_MAX_BP: u16 = 5_000;

const STANDINGS: [Standing; 5] = [
    Standing::Contracted,
    Standing::MethodNotAllowed,
    Standing::Unknown,
    Standing::Ambiguous,
    Standing::Malformed,
];

const LEDGER_STANDINGS: [LedgerStanding; 4] = [
    LedgerStanding::Available,
    LedgerStanding::Unavailable,
    LedgerStanding::ObserveOnly,
    LedgerStanding::FailClosed,
];

const TAKES: [Take; 6] = [
    Take::NotAsked,
    Take::Granted,
    Take::ClientRate,
    Take::ContractRate,
    Take::Concurrency,
    Take::Probe,
];

/// Integers in records stay below 2^53, so the conversion never loses anything real.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

struct Reader<'a> {
    inputs: &'a [i64],
    at: usize,
}

impl Reader<'_> {
    fn number<T: TryFrom<i64>>(&mut self) -> Result<T, InputsError> {
        let at = self.at;
        self.at += 1;
        let value = self.inputs.get(at).copied().unwrap_or(0);
        T::try_from(value).map_err(|_| InputsError::OutOfRange(at))
    }

    fn at_most<T: TryFrom<i64> + PartialOrd>(&mut self, most: T) -> Result<T, InputsError> {
        let at = self.at;
        let number = self.number()?;
        if number > most {
            return Err(InputsError::OutOfRange(at));
        }
        Ok(number)
    }

    fn one_of<T: Copy>(&mut self, values: &[T]) -> Result<T, InputsError> {
        let at = self.at;
        let number: usize = self.number()?;
        values
            .get(number)
            .copied()
            .ok_or(InputsError::OutOfRange(at))
    }

    fn share(&mut self) -> Result<Share, InputsError> {
        Ok(Share {
            part: self.number()?,
            whole: self.number()?,
        })
    }

    fn burn(&mut self) -> Result<BurnPair, InputsError> {
        Ok(BurnPair {
            short: self.share()?,
            long: self.share()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BurnPair, CircuitState, InputsError, LedgerStanding, Regression, RetryKind, Share, Signals,
        Standing, Take, Traffic,
    };
    use crate::units::{Band, FactorSet, Tier};

    /// Every field has a number of its own, so that no two places can be mixed up unseen.
    fn distinct() -> Signals {
        let share = |part, whole| Share { part, whole };
        let burn = |first| BurnPair {
            short: share(first, first + 1),
            long: share(first + 2, first + 3),
        };
        Signals {
            standing: Standing::Malformed,
            tier: Tier::Autonomous,
            known: FactorSet::from_bits(1_027),
            take: Take::Probe,
            class: 1,
            shed_hash: 9_999,
            route_band: Band::High,
            slow: share(101, 102),
            failed: share(103, 104),
            in_flight: 105,
            overdue: 106,
            class_share_bp: [107, 108, 109],
            retry: RetryKind::Seen,
            retries: share(110, 111),
            circuit: CircuitState::HalfOpen,
            circuit_epoch: 112,
            contract_tat_ns: -113,
            client_tat_ns: 114,
            client_over: true,
            client_refusals: 115,
            regression: Regression {
                p95_us: 116,
                baseline_us: 117,
            },
            traffic: Traffic {
                offered: 118,
                mean_1024: 119,
                variance_1024: 120,
            },
            burn: [burn(121), burn(125), burn(129)],
            slow_start_bp: 133,
            draw_number: 134,
            hold_ns: 135,
            ledger: LedgerStanding::FailClosed,
            alias: 136,
            undeclared: true,
        }
    }

    #[test]
    fn inputs_hold_every_signal() {
        // R047: the order of docs/decision-record.md.
        let inputs = [
            4, 2, 1_027, 5, 1, 9_999, 3, 101, 102, 103, 104, 105, 106, 107, 108, 109, 2, 110, 111,
            2, 112, -113, 114, 1, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
            128, 129, 130, 131, 132, 133, 134, 135, 3, 136, 1,
        ];
        assert_eq!(distinct().to_inputs(), inputs);
        assert_eq!(Signals::from_inputs(&inputs), Ok(distinct()));
    }

    #[test]
    fn missing_inputs_are_zero_and_wrong_ones_are_named() {
        assert_eq!(Signals::from_inputs(&[]), Ok(Signals::default()));
        assert_eq!(Signals::from_inputs(&[0; 49]), Err(InputsError::TooMany));
        assert_eq!(
            Signals::from_inputs(&[1, 0]),
            Err(InputsError::TrailingZero)
        );
        // A place, the most that may stand there, and one more.
        let table = [
            (46, 1_023, 1_024),
            (0, 4, 5),
            (1, 2, 3),
            (2, 2_047, 2_048),
            (3, 5, 6),
            (4, 2, 3),
            (5, 9_999, 10_000),
            (6, 4, 5),
            (7, i64::from(u32::MAX), i64::from(u32::MAX) + 1),
            (11, 1, -1),
            (13, 10_000, 10_001),
            (14, 10_000, 10_001),
            (15, 10_000, 10_001),
            (16, 2, 3),
            (19, 2, 3),
            (23, 1, 2),
            (28, 1, -1),
            (45, 3, 4),
        ];
        for (place, most, more) in table {
            let mut inputs = distinct().to_inputs();
            inputs[place] = most;
            assert!(Signals::from_inputs(&inputs).is_ok(), "{most} at {place}");
            inputs[place] = more;
            let want = Err(InputsError::OutOfRange(place));
            assert_eq!(Signals::from_inputs(&inputs), want, "{more} at {place}");
        }
    }
}
