//! From score to decision: floors, the abuse band, the distress share, then the limits.

use crate::decision::{Reason, ReasonSet, shed_share};
use crate::observation::{CircuitState, Signals, Standing, Take};
use crate::policy::rules::{Rules, Severity};
use crate::risk::Assessment;
use crate::units::{Action, ActionSet, Band, BasisPoints, Factor};

/// What a request deserves, and why. Knows nothing of tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    severity: Severity,
    reasons: ReasonSet,
    deciding: Reason,
    recommended: ActionSet,
}

impl Decision {
    /// The decision where nothing is wrong; bands begin above 0, so it is the same for all rules.
    pub(crate) const UNREMARKABLE: Self = Self {
        severity: Severity::Allow,
        reasons: ReasonSet::EMPTY.with(Reason::LowRiskScore),
        deciding: Reason::LowRiskScore,
        recommended: ActionSet::EMPTY.with(Action::Log),
    };

    /// The same decision where the request needs a record and the ledger keeps none: whatever else
    /// is held against it, it must not be forwarded.
    #[must_use]
    pub(crate) fn without_ledger(self) -> Self {
        let mut verdict = Verdict {
            severity: self.severity,
            reasons: self.reasons,
            deciding: self.deciding,
        };
        verdict.add(Severity::Drop, Reason::LedgerUnavailable);
        let recommended = if self.severity == Severity::Drop {
            self.recommended
        } else {
            ActionSet::of(&[Action::Log, Action::Drop])
        };
        Self {
            severity: verdict.severity,
            reasons: verdict.reasons,
            deciding: verdict.deciding,
            recommended,
        }
    }

    /// How severe it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// All reasons.
    #[must_use]
    pub const fn reasons(&self) -> ReasonSet {
        self.reasons
    }

    /// The one reason that decided.
    #[must_use]
    pub const fn deciding(&self) -> Reason {
        self.deciding
    }

    /// What should be done.
    #[must_use]
    pub const fn recommended(&self) -> ActionSet {
        self.recommended
    }
}

/// Collects verdicts: the most severe wins, the first of equals decides, all reasons stay.
struct Verdict {
    severity: Severity,
    reasons: ReasonSet,
    deciding: Reason,
}

impl Verdict {
    fn add(&mut self, severity: Severity, reason: Reason) {
        self.reasons = self.reasons.with(reason);
        if severity > self.severity {
            self.severity = severity;
            self.deciding = reason;
        }
    }
}

/// The decision about one request.
///
/// Called twice around the limits: first with [`Take::NotAsked`] to learn whether they are asked
/// at all (only an ALLOW asks them), then with what came of it. The score never changes between.
#[must_use]
#[inline]
pub fn decide(rules: &Rules, assessment: &Assessment, signals: &Signals) -> Decision {
    if nothing_is_wrong(assessment, signals) {
        return Decision::UNREMARKABLE;
    }
    decide_in_full(rules, assessment, signals)
}

/// Nearly every request: no factor counts, nothing is held against its route, no limit refused.
#[inline]
fn nothing_is_wrong(assessment: &Assessment, signals: &Signals) -> bool {
    signals.standing == Standing::Contracted
        && signals.circuit != CircuitState::Open
        && signals.route_band == Band::Low
        && signals.slow_start_bp == 0
        && matches!(signals.take, Take::NotAsked | Take::Granted)
        && !signals.undeclared
        && assessment.risk() == BasisPoints::ZERO
        && assessment.reading(Factor::RetryStorm) == BasisPoints::ZERO
}

fn decide_in_full(rules: &Rules, assessment: &Assessment, signals: &Signals) -> Decision {
    let band = band_of(rules, assessment, signals);
    let band_reason = match band {
        Band::Low | Band::Watch => Reason::LowRiskScore,
        Band::Medium => Reason::MediumRiskScore,
        Band::High => Reason::HighRiskScore,
        Band::Critical => Reason::CriticalRiskScore,
    };
    let mut verdict = Verdict {
        severity: Severity::Allow,
        reasons: match signals.standing {
            // Nothing was scored, so no band is a reason.
            Standing::Malformed => ReasonSet::EMPTY,
            _ => ReasonSet::EMPTY.with(band_reason),
        },
        deciding: band_reason,
    };
    floors(rules, signals, &mut verdict);
    abuse(rules, assessment, band_reason, &mut verdict);
    if is_shed(rules, assessment.distress(), signals) {
        let reason = if assessment.distress() >= rules.bands.medium() {
            band_reason
        } else {
            Reason::CircuitRecovering
        };
        verdict.add(Severity::Throttle, reason);
    }
    takes(signals, &mut verdict);
    Decision {
        severity: verdict.severity,
        reasons: verdict.reasons,
        deciding: verdict.deciding,
        recommended: recommend(&verdict, band),
    }
}

/// The band that people are told: of the score, or the one the ticker still holds for the route.
#[must_use]
pub fn band_of(rules: &Rules, assessment: &Assessment, signals: &Signals) -> Band {
    let band = rules.bands.band(assessment.risk());
    match signals.standing {
        Standing::Contracted | Standing::MethodNotAllowed => band.max(signals.route_band),
        Standing::Unknown | Standing::Ambiguous | Standing::Malformed => band,
    }
}

fn floors(rules: &Rules, signals: &Signals, verdict: &mut Verdict) {
    if signals.circuit == CircuitState::Open {
        verdict.add(Severity::Drop, Reason::CircuitOpen);
    }
    // Before the standing: whoever asks about the case wants to know of the contract behind it.
    if signals.alias != 0 {
        verdict.add(Severity::Quarantine, Reason::ContractAlias);
    }
    if signals.undeclared {
        verdict.add(rules.consumer_not_declared, Reason::ConsumerNotDeclared);
    }
    match signals.standing {
        Standing::Contracted => {}
        Standing::MethodNotAllowed => {
            verdict.add(rules.method_disallowed, Reason::ContractMethodDisallowed);
        }
        Standing::Unknown => verdict.add(rules.unknown_endpoint.action, Reason::NoContractMatch),
        Standing::Ambiguous => verdict.add(Severity::Drop, Reason::AmbiguousTarget),
        Standing::Malformed => verdict.add(Severity::Drop, Reason::MalformedRequest),
    }
}

/// Abuse speaks about this request and applies to it directly.
fn abuse(rules: &Rules, assessment: &Assessment, reason: Reason, verdict: &mut Verdict) {
    if assessment.reading(Factor::RetryStorm) > BasisPoints::ZERO {
        verdict.add(Severity::Allow, Reason::RetryStormDetected);
    }
    match rules.bands.band(assessment.abuse()) {
        Band::Low | Band::Watch => {}
        Band::Medium => verdict.add(Severity::Throttle, reason),
        Band::High => verdict.add(Severity::Quarantine, reason),
        Band::Critical => verdict.add(Severity::Drop, reason),
    }
}

/// Distress speaks about the route: it sheds a share, and never sets anybody apart.
fn is_shed(rules: &Rules, distress: BasisPoints, signals: &Signals) -> bool {
    let reduced = distress >= rules.bands.medium() || signals.slow_start_bp > 0;
    reduced && signals.shed_hash < shed_share(&rules.bands, distress, signals).get()
}

fn takes(signals: &Signals, verdict: &mut Verdict) {
    match signals.take {
        Take::NotAsked | Take::Granted => {}
        Take::ClientRate | Take::ContractRate => {
            verdict.add(Severity::Throttle, Reason::RateLimitExceeded);
        }
        Take::Concurrency => verdict.add(Severity::Throttle, Reason::ConcurrencyExceeded),
        Take::Probe => verdict.add(Severity::Drop, Reason::CircuitOpen),
    }
}

/// An open circuit is kept open by refusing: both actions are asked for, and `drop` is what refuses.
fn recommend(verdict: &Verdict, band: Band) -> ActionSet {
    let log = ActionSet::EMPTY.with(Action::Log);
    match (verdict.severity, band) {
        (Severity::Drop, _) if verdict.deciding == Reason::CircuitOpen => {
            log.with(Action::CircuitOpen)
        }
        (Severity::Allow, Band::Low) => log,
        (Severity::Allow, _) => log.with(Action::Report),
        (Severity::Throttle, _) => log.with(Action::Throttle),
        (Severity::Quarantine, _) => log.with(Action::Quarantine),
        (Severity::Drop, _) => log.with(Action::Drop),
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, decide};
    use crate::decision::Reason;
    use crate::observation::{CircuitState, RetryKind, Share, Signals, Standing, Take};
    use crate::policy::rules::{Rules, Severity};
    use crate::risk::assess;
    use crate::units::{Action, ActionSet, Band, FACTOR_COUNT, FactorSet};

    fn judge(signals: Signals) -> Decision {
        let signals = Signals {
            known: FactorSet::from_bits((1 << FACTOR_COUNT) - 1),
            class: 1,
            class_share_bp: [0, 10_000, 0],
            ..signals
        };
        let rules = Rules::default();
        decide(&rules, &assess(&rules, None, &signals), &signals)
    }

    fn check(signals: Signals, severity: Severity, deciding: Reason, reasons: &[Reason]) {
        let decision = judge(signals);
        assert_eq!(decision.severity(), severity, "{signals:?}");
        assert_eq!(decision.deciding(), deciding, "{signals:?}");
        assert_eq!(
            decision.reasons().iter().collect::<Vec<_>>(),
            reasons,
            "{signals:?}"
        );
    }

    #[test]
    fn the_short_way_decides_as_the_long_one() {
        let rules = Rules::default();
        let mut short = 0;
        for bits in 0..1_u32 << 10 {
            let is = |bit: u32| bits >> bit & 1 == 1;
            let signals = Signals {
                known: FactorSet::ALL,
                standing: if is(0) {
                    Standing::Unknown
                } else {
                    Standing::Contracted
                },
                circuit: match (is(1), is(2)) {
                    (true, _) => CircuitState::Open,
                    (_, true) => CircuitState::HalfOpen,
                    _ => CircuitState::Closed,
                },
                route_band: if is(3) { Band::Watch } else { Band::Low },
                slow_start_bp: if is(4) { 2_500 } else { 0 },
                take: match (is(5), is(6)) {
                    (true, _) => Take::ContractRate,
                    (_, true) => Take::Granted,
                    _ => Take::NotAsked,
                },
                slow: Share {
                    part: if is(7) { 60 } else { 0 },
                    whole: 100,
                },
                retry: if is(8) {
                    RetryKind::Seen
                } else {
                    RetryKind::First
                },
                retries: Share {
                    part: if is(9) { 90 } else { 0 },
                    whole: 100,
                },
                ..Signals::default()
            };
            let assessment = assess(&rules, None, &signals);
            short += u32::from(super::nothing_is_wrong(&assessment, &signals));
            assert_eq!(
                decide(&rules, &assessment, &signals),
                super::decide_in_full(&rules, &assessment, &signals),
                "{signals:?}"
            );
        }
        assert!(short > 0);
    }

    #[test]
    fn calm_is_allowed() {
        // R049
        check(
            Signals::default(),
            Severity::Allow,
            Reason::LowRiskScore,
            &[Reason::LowRiskScore],
        );
    }

    #[test]
    fn standing_decides_before_the_score() {
        // R042, R043, R046
        use Reason::*;
        let table: [(Standing, Severity, Reason, &[Reason]); 4] = [
            (
                Standing::Unknown,
                Severity::Quarantine,
                NoContractMatch,
                &[HighRiskScore, NoContractMatch],
            ),
            (
                Standing::MethodNotAllowed,
                Severity::Drop,
                ContractMethodDisallowed,
                &[ContractMethodDisallowed, CriticalRiskScore],
            ),
            (
                Standing::Ambiguous,
                Severity::Drop,
                AmbiguousTarget,
                &[AmbiguousTarget, HighRiskScore],
            ),
            (
                Standing::Malformed,
                Severity::Drop,
                MalformedRequest,
                &[MalformedRequest],
            ),
        ];
        for (standing, severity, deciding, reasons) in table {
            let signals = Signals {
                standing,
                ..Signals::default()
            };
            check(signals, severity, deciding, reasons);
        }
    }

    #[test]
    fn distress_sheds_a_share_and_sets_nobody_apart() {
        let failed = Share {
            part: 100,
            whole: 100,
        }; // distress 0.8: share ramp(8000, 4000, 9000) = 0.8
        for (shed_hash, severity) in [
            (0, Severity::Throttle),
            (7_999, Severity::Throttle),
            (8_000, Severity::Allow),
            (9_999, Severity::Allow),
        ] {
            let signals = Signals {
                failed,
                shed_hash,
                ..Signals::default()
            };
            check(
                signals,
                severity,
                Reason::HighRiskScore,
                &[Reason::HighRiskScore],
            );
        }
    }

    #[test]
    fn an_open_circuit_drops() {
        // R039
        let signals = Signals {
            circuit: CircuitState::Open,
            shed_hash: 9_999,
            ..Signals::default()
        };
        let reasons = [Reason::CircuitOpen, Reason::CriticalRiskScore];
        check(signals, Severity::Drop, Reason::CircuitOpen, &reasons);
        let actions = [Action::Log, Action::CircuitOpen];
        assert_eq!(judge(signals).recommended(), ActionSet::of(&actions));
    }

    #[test]
    fn limits_refuse_what_the_score_allowed() {
        let table = [
            (Take::Granted, Severity::Allow, Reason::LowRiskScore),
            (
                Take::ContractRate,
                Severity::Throttle,
                Reason::RateLimitExceeded,
            ),
            (
                Take::ClientRate,
                Severity::Throttle,
                Reason::RateLimitExceeded,
            ),
            (
                Take::Concurrency,
                Severity::Throttle,
                Reason::ConcurrencyExceeded,
            ),
            (Take::Probe, Severity::Drop, Reason::CircuitOpen),
        ];
        for (take, severity, deciding) in table {
            let decision = judge(Signals {
                take,
                ..Signals::default()
            });
            let opens = decision.recommended().contains(Action::CircuitOpen);
            assert_eq!(opens, deciding == Reason::CircuitOpen, "{take:?}");
            assert_eq!(
                (decision.severity(), decision.deciding()),
                (severity, deciding)
            );
        }
    }

    #[test]
    fn without_a_ledger_a_request_that_needs_one_is_dropped() {
        // R090
        let calm = judge(Signals::default()).without_ledger();
        let told: Vec<Reason> = calm.reasons().iter().collect();
        assert_eq!(told, [Reason::LedgerUnavailable, Reason::LowRiskScore]);
        assert_eq!(
            (calm.severity(), calm.deciding()),
            (Severity::Drop, Reason::LedgerUnavailable)
        );
        assert_eq!(
            calm.recommended(),
            ActionSet::of(&[Action::Log, Action::Drop])
        );
        // What was to be dropped anyway is dropped for its own reason.
        let open = judge(Signals {
            circuit: CircuitState::Open,
            ..Signals::default()
        });
        let both = open.without_ledger();
        assert_eq!(both.deciding(), Reason::CircuitOpen);
        assert_eq!(both.recommended(), open.recommended());
        assert!(both.reasons().contains(Reason::LedgerUnavailable));
    }

    #[test]
    fn a_held_band_is_told_but_refuses_nobody() {
        let signals = Signals {
            route_band: Band::High,
            ..Signals::default()
        };
        check(
            signals,
            Severity::Allow,
            Reason::HighRiskScore,
            &[Reason::HighRiskScore],
        );
    }
}
