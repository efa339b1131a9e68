//! The score: the worst of each family, combined across families, kept with its reasons.

use crate::contract::Terms;
use crate::observation::{Signals, Standing};
use crate::policy::rules::{PerFactor, Rules, Stage};
use crate::risk::factors::FactorLine;
use crate::risk::{Family, Reading, Subject, TABLE};
use crate::units::{BasisPoints, Factor, FactorSet};

/// How risky a request is, with everything that made it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assessment {
    distress: BasisPoints,
    abuse: BasisPoints,
    readings: PerFactor<BasisPoints>,
    contributions: PerFactor<BasisPoints>,
    insufficient: FactorSet,
}

impl Assessment {
    /// Every factor reads 0.
    pub(crate) const CALM: Self = Self {
        distress: BasisPoints::ZERO,
        abuse: BasisPoints::ZERO,
        readings: PerFactor::all(BasisPoints::ZERO),
        contributions: PerFactor::all(BasisPoints::ZERO),
        insufficient: FactorSet::EMPTY,
    };

    /// The route's part of the score.
    #[must_use]
    pub const fn distress(&self) -> BasisPoints {
        self.distress
    }

    /// The request's part of the score.
    #[must_use]
    pub const fn abuse(&self) -> BasisPoints {
        self.abuse
    }

    /// The score: the larger of the two.
    #[must_use]
    pub fn risk(&self) -> BasisPoints {
        self.distress.max(self.abuse)
    }

    /// What a factor read; 0 where it is insufficient.
    #[must_use]
    pub const fn reading(&self, factor: Factor) -> BasisPoints {
        self.readings.of(factor)
    }

    /// Weight times reading: the risk that the factor reaches alone.
    #[must_use]
    pub const fn contribution(&self, factor: Factor) -> BasisPoints {
        self.contributions.of(factor)
    }

    /// The factors that could not be read.
    #[must_use]
    pub const fn insufficient(&self) -> FactorSet {
        self.insufficient
    }
}

/// Scores a request: for each family the worst contribution, then noisy-OR over the families.
///
/// A malformed head has no route and no conduct yet; all of its factors read 0.
#[must_use]
pub fn assess(rules: &Rules, terms: Option<&Terms>, signals: &Signals) -> Assessment {
    let mut assessment = Assessment::CALM;
    assessment.rise(rules, terms, signals);
    assessment
}

impl Assessment {
    /// The same in the place of one at which every factor reads 0: mostly none reads more, and
    /// then there is hardly anything to write, and a call would cost a fifth of all that it does.
    #[inline(always)]
    pub(crate) fn rise(&mut self, rules: &Rules, terms: Option<&Terms>, signals: &Signals) {
        if signals.standing == Standing::Malformed {
            return;
        }
        let glance = Glance::of(terms, signals);
        // What is not known is insufficient, whatever stands in the signals.
        let known = signals.known.bits();
        self.insufficient =
            FactorSet::from_bits(glance.insufficient | signals.known.complement().bits());
        let raised = FactorSet::from_bits(glance.raised & known);
        if !raised.is_empty() {
            self.rise_by((rules, terms, signals), raised);
        }
    }

    /// The score where some factors read more than 0: few requests, so they are read once more.
    #[cold]
    #[inline(never)]
    fn rise_by(
        &mut self,
        (rules, terms, signals): (&Rules, Option<&Terms>, &Signals),
        raised: FactorSet,
    ) {
        let mut worst = [BasisPoints::ZERO; 7];
        for line in TABLE.iter().filter(|line| raised.contains(line.factor)) {
            let value = line.read(signals, terms).value();
            let counted = effective_weight(rules, line.factor, signals).times(value);
            self.readings.set(line.factor, value);
            self.contributions.set(line.factor, counted);
            if let Some(family) = worst.get_mut(line.family as usize) {
                *family = counted.max(*family);
            }
        }
        self.distress = noisy_or(&worst, Subject::Route);
        self.abuse = noisy_or(&worst, Subject::Request);
    }
}

/// Which factors read anything, one bit each: mostly none does.
struct Glance {
    /// Above 0.
    raised: u16,
    /// Too little was seen.
    insufficient: u16,
}

impl Glance {
    #[inline(always)]
    fn of(terms: Option<&Terms>, signals: &Signals) -> Self {
        let mut glance = Self {
            raised: 0,
            insufficient: 0,
        };
        let mut read = |line: &FactorLine| glance.note(line.factor, line.read(signals, terms));
        // Written out and not a loop: each line is known here, so each reading is inlined.
        let [a, b, c, d, e, f, g, h, i, j, k] = &TABLE;
        read(a);
        read(b);
        read(c);
        read(d);
        read(e);
        read(f);
        read(g);
        read(h);
        read(i);
        read(j);
        read(k);
        glance
    }

    #[inline(always)]
    fn note(&mut self, factor: Factor, reading: Reading) {
        match reading {
            Reading::Known(BasisPoints::ZERO) => {}
            Reading::Known(_) => set(&mut self.raised, factor),
            Reading::Insufficient => set(&mut self.insufficient, factor),
        }
    }
}

/// Out of line, so that a factor that reads 0 costs no more than to see that.
#[cold]
#[inline(never)]
const fn set(bits: &mut u16, factor: Factor) {
    *bits |= 1 << factor as u16;
}

/// The chance that at least one of independent causes holds: 1 - product of (1 - value).
fn noisy_or(worst: &[BasisPoints; 7], subject: Subject) -> BasisPoints {
    let families: &[Family] = match subject {
        Subject::Route => &Family::DISTRESS,
        Subject::Request => &Family::ABUSE,
    };
    families
        .iter()
        .filter_map(|&family| worst.get(family as usize))
        // Nothing in a family is the usual case, and multiplies by one.
        .filter(|&&value| value > BasisPoints::ZERO)
        .fold(BasisPoints::FULL, |rest, value| {
            rest.times(value.complement())
        })
        .complement()
}

const fn effective_weight(rules: &Rules, factor: Factor, signals: &Signals) -> BasisPoints {
    match rules.stages.of(factor) {
        Stage::Enforced => rules.weights.of(factor),
        Stage::Canary(share) if signals.shed_hash < share.get() => rules.weights.of(factor),
        Stage::Canary(_) | Stage::Shadow => BasisPoints::ZERO,
    }
}

/// Whether the shed hash is an argument of the score, because some factor is on canary.
#[must_use]
pub fn canary_hash_needed(rules: &Rules) -> bool {
    Factor::ALL
        .into_iter()
        .any(|factor| matches!(rules.stages.of(factor), Stage::Canary(_)))
}

#[cfg(test)]
mod tests {
    use super::assess;
    use crate::observation::{CircuitState, Share, Signals, Standing};
    use crate::policy::rules::{Rules, Stage};
    use crate::units::{BasisPoints, FACTOR_COUNT, Factor, FactorSet};

    fn known() -> FactorSet {
        FactorSet::from_bits((1 << FACTOR_COUNT) - 1)
    }

    fn sick() -> Signals {
        Signals {
            known: known(),
            slow: Share {
                part: 50,
                whole: 100,
            },
            failed: Share {
                part: 100,
                whole: 100,
            },
            ..Signals::default()
        }
    }

    #[test]
    fn families_combine_and_subjects_stay_apart() {
        // Latency 0.5 in D1 and error rate 0.8 in D2: 1 - 0.5 * 0.2 = 0.9.
        let assessment = assess(&Rules::default(), None, &sick());
        assert_eq!(assessment.distress().get(), 9_000);
        assert_eq!(assessment.abuse().get(), 0);
        assert_eq!(assessment.risk().get(), 9_000);
        assert_eq!(assessment.contribution(Factor::Latency).get(), 5_000);
        assert_eq!(assessment.contribution(Factor::ErrorRate).get(), 8_000);
    }

    #[test]
    fn correlated_factors_are_not_added() {
        let signals = Signals {
            circuit: CircuitState::Open,
            ..sick()
        };
        let both = assess(&Rules::default(), None, &signals);
        assert_eq!(
            both.distress().get(),
            10_000,
            "the circuit alone is the worst of its family"
        );
        let unknown = Signals {
            known: known(),
            standing: Standing::Unknown,
            ..Signals::default()
        };
        assert_eq!(
            assess(&Rules::default(), None, &unknown).abuse().get(),
            7_000
        );
    }

    #[test]
    fn a_shadow_factor_is_read_and_counts_nothing() {
        let mut rules = Rules::default();
        rules.stages = rules.stages.with(Factor::ErrorRate, Stage::Shadow);
        let assessment = assess(&rules, None, &sick());
        assert_eq!(assessment.reading(Factor::ErrorRate).get(), 10_000);
        assert_eq!(assessment.contribution(Factor::ErrorRate).get(), 0);
        assert_eq!(assessment.distress().get(), 5_000);
    }

    #[test]
    fn a_canary_factor_counts_for_its_share_of_hashes() {
        let mut rules = Rules::default();
        let share = Stage::Canary(BasisPoints::saturating(2_500));
        rules.stages = rules.stages.with(Factor::ErrorRate, share);
        for (shed_hash, want) in [(0, 9_000), (2_499, 9_000), (2_500, 5_000), (9_999, 5_000)] {
            let signals = Signals {
                shed_hash,
                ..sick()
            };
            assert_eq!(
                assess(&rules, None, &signals).distress().get(),
                want,
                "{shed_hash}"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_insufficient_and_changes_nothing() {
        let blind = Signals {
            known: FactorSet::EMPTY,
            ..sick()
        };
        let assessment = assess(&Rules::default(), None, &blind);
        assert_eq!(assessment.risk().get(), 0);
        assert_eq!(assessment.insufficient(), known());
    }
}
