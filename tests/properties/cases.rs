//! Any signals, rules and terms from the number of a case: fast, for millions of them.
//!
//! A number always gives the same case, so a failure needs no more than its number.

use std::num::NonZeroU32;

use tidegate::contract::Terms;
use tidegate::observation::{
    BurnPair, CircuitState, Regression, RetryKind, SLOW_START_MAX_BP, Share, Signals, Standing,
    Take, Traffic,
};
use tidegate::policy::rules::{Band, Bands, PerFactor, Rules, Severity, Stage, UnknownEndpoint};
use tidegate::units::{
    BasisPoints, FACTOR_COUNT, FactorSet, Millis, PartsPerMillion, PerMinute, Tier,
};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Cases(u64);

impl Cases {
    pub(crate) const fn new(case: u64) -> Self {
        Self(case.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// 0 to below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn below_u32(&mut self, end: u32) -> u32 {
        self.below(u64::from(end)) as u32
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// Small as often as large: most rules begin and end among small numbers.
    fn sized(&mut self, end: u64) -> u64 {
        let bits = self.below(u64::from(end.ilog2()) + 1);
        self.below((2 << bits).min(end))
    }

    fn share(&mut self) -> Share {
        let whole = match self.below(2) {
            // On both sides of every minimum sample.
            0 => self.below_u32(160),
            _ => self.sized(3_000_000_000) as u32,
        };
        // Few, many, or any of them.
        let most = match self.below(3) {
            0 => whole / 8,
            _ => whole,
        };
        Share {
            part: self.below(u64::from(most) + 1) as u32,
            whole,
        }
    }

    fn burn(&mut self) -> BurnPair {
        BurnPair {
            short: self.share(),
            long: self.share(),
        }
    }

    fn class_mix(&mut self) -> [u16; 3] {
        let first = self.below(10_001);
        let second = self.below(10_001 - first);
        [first, second, 10_000 - first - second].map(|share| share as u16)
    }

    fn traffic(&mut self) -> Traffic {
        let mean = self.sized(1_000_000);
        // Mostly some spreads around the mean, where the reading is neither 0 nor full.
        let spread = (mean + 1).isqrt() + 1;
        Traffic {
            offered: (mean + self.below(16 * spread)) as u32,
            mean_1024: mean * 1_024 + self.below(1_024),
            variance_1024: self.below(4 * spread * spread * 1_024),
        }
    }

    /// Any signals that the observation could give.
    pub(crate) fn signals(&mut self) -> Signals {
        let all_known = self.below(2) == 0;
        let known = self.below(1 << FACTOR_COUNT) as u16;
        let baseline_us = self.sized(9_000_000) as u32;
        let close = u64::from(baseline_us) * 4 + 2;
        Signals {
            standing: self.one_of(&[
                Standing::Contracted,
                Standing::Contracted,
                Standing::Contracted,
                Standing::MethodNotAllowed,
                Standing::Unknown,
                Standing::Ambiguous,
                Standing::Malformed,
            ]),
            tier: self.one_of(&Tier::ALL),
            known: FactorSet::from_bits(if all_known { u16::MAX } else { known }),
            take: self.one_of(&[
                Take::NotAsked,
                Take::Granted,
                Take::ClientRate,
                Take::ContractRate,
                Take::Concurrency,
                Take::Probe,
            ]),
            class: self.below(3) as u8,
            class_share_bp: self.class_mix(),
            shed_hash: self.below(10_000) as u16,
            route_band: self.one_of(&Band::ALL),
            slow: self.share(),
            failed: self.share(),
            retries: self.share(),
            in_flight: self.below_u32(200),
            overdue: self.below_u32(200),
            retry: self.one_of(&[RetryKind::First, RetryKind::Declared, RetryKind::Seen]),
            circuit: self.one_of(&[
                CircuitState::Closed,
                CircuitState::Closed,
                CircuitState::Open,
                CircuitState::HalfOpen,
            ]),
            circuit_epoch: self.below_u32(9),
            slow_start_bp: match self.below(3) {
                0 => self.below(u64::from(SLOW_START_MAX_BP) + 1) as u16,
                _ => 0,
            },
            regression: Regression {
                p95_us: self.below(close) as u32,
                baseline_us,
            },
            traffic: self.traffic(),
            burn: [self.burn(), self.burn(), self.burn()],
            client_over: self.below(2) == 0,
            client_refusals: self.sized(5_000) as u32,
            client_tat_ns: self.below(2_000_000_000_000) as i64 - 1_000_000_000_000,
            contract_tat_ns: self.below(2_000_000_000_000) as i64 - 1_000_000_000_000,
            ..Signals::default()
        }
    }

    fn basis_points(&mut self) -> BasisPoints {
        BasisPoints::saturating(match self.below(3) {
            0 => 10_000 * self.below(2),
            _ => self.below(10_001),
        })
    }

    fn bands(&mut self) -> Bands {
        loop {
            let mut bounds = [(); 4].map(|()| BasisPoints::saturating(1 + self.below(10_000)));
            bounds.sort();
            let [low, medium, high, critical] = bounds;
            if let Some(bands) = Bands::new(low, medium, high, critical) {
                return bands;
            }
        }
    }

    fn stage(&mut self) -> Stage {
        match self.below(6) {
            0 => Stage::Shadow,
            1 => Stage::Canary(BasisPoints::saturating(1 + self.below(9_999))),
            _ => Stage::Enforced,
        }
    }

    /// Any rules; every other time the default ones, for those are what most will run.
    pub(crate) fn rules(&mut self) -> Rules {
        if self.below(2) == 0 {
            return Rules::default();
        }
        let mut rules = Rules {
            bands: self.bands(),
            unknown_endpoint: UnknownEndpoint {
                action: self.one_of(&Severity::ALL),
                ..UnknownEndpoint::default()
            },
            method_disallowed: self.one_of(&Severity::ALL),
            weights: PerFactor::all(BasisPoints::ZERO),
            ..Rules::default()
        };
        for factor in tidegate::units::Factor::ALL {
            rules.weights.set(factor, self.basis_points());
            rules.stages.set(factor, self.stage());
        }
        rules
    }

    pub(crate) fn terms(&mut self) -> Option<Terms> {
        if self.below(4) == 0 {
            return None;
        }
        let client_rate = self.sized(5_000) as u32;
        let places = self.below_u32(150);
        Some(Terms {
            max_latency: Millis::new(1 + self.sized(60_000) as u32),
            error_budget: PartsPerMillion::saturating(self.sized(1_000_000)),
            circuit_threshold: BasisPoints::saturating(1 + self.below(10_000)),
            client_rate_limit: PerMinute::new(client_rate),
            max_in_flight: NonZeroU32::new(places),
            ..Terms::default()
        })
    }
}
