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
    const CALM: Self = Self {
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
    let mut score = Score {
        readings: PerFactor::all(BasisPoints::ZERO),
        contributions: PerFactor::all(BasisPoints::ZERO),
        worst: [BasisPoints::ZERO; 7],
        is_raised: false,
    };
    let mut insufficient = FactorSet::EMPTY;
    if signals.standing != Standing::Malformed {
        insufficient = signals.known.complement();
        let mut read = Reader {
            rules,
            terms,
            signals,
            score: &mut score,
            insufficient: &mut insufficient,
        };
        // Written out and not a loop: each line is known here, so each reading is inlined.
        let [a, b, c, d, e, f, g, h, i, j, k] = &TABLE;
        read.line(a);
        read.line(b);
        read.line(c);
        read.line(d);
        read.line(e);
        read.line(f);
        read.line(g);
        read.line(h);
        read.line(i);
        read.line(j);
        read.line(k);
    }
    if !score.is_raised {
        return Assessment {
            insufficient,
            ..Assessment::CALM
        };
    }
    Assessment {
        distress: noisy_or(&score.worst, Subject::Route),
        abuse: noisy_or(&score.worst, Subject::Request),
        readings: score.readings,
        contributions: score.contributions,
        insufficient,
    }
}

/// What has been read so far.
struct Score {
    readings: PerFactor<BasisPoints>,
    contributions: PerFactor<BasisPoints>,
    /// Per family.
    worst: [BasisPoints; 7],
    /// Whether a factor read more than 0.
    is_raised: bool,
}

struct Reader<'a> {
    rules: &'a Rules,
    terms: Option<&'a Terms>,
    signals: &'a Signals,
    score: &'a mut Score,
    insufficient: &'a mut FactorSet,
}

impl Reader<'_> {
    #[inline(always)]
    fn line(&mut self, line: &FactorLine) {
        if !self.signals.known.contains(line.factor) {
            return;
        }
        match line.read(self.signals, self.terms) {
            Reading::Known(BasisPoints::ZERO) => {}
            Reading::Known(value) => self.score.note(line, value, self.rules, self.signals),
            Reading::Insufficient => *self.insufficient = self.insufficient.with(line.factor),
        }
    }
}

impl Score {
    /// Most factors of most requests read 0, so this is kept out of the loop.
    #[cold]
    #[inline(never)]
    fn note(&mut self, line: &FactorLine, value: BasisPoints, rules: &Rules, signals: &Signals) {
        self.is_raised = true;
        let counted = effective_weight(rules, line.factor, signals).times(value);
        self.readings.set(line.factor, value);
        self.contributions.set(line.factor, counted);
        if let Some(family) = self.worst.get_mut(line.family as usize) {
            *family = counted.max(*family);
        }
    }
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
