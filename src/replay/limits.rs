//! Asks the limits of a candidate with the state that a record holds.
//!
//! Invariants: an equal limit answers as it did; a wider one never refuses what the recorded one
//! granted. Deliberately not here: how a limit fills from one record to the next.

use std::num::NonZeroU32;

use crate::contract::Terms;
use crate::observation::{Limit, Signals, Take};
use crate::units::PerMinute;

/// What came of asking.
pub(super) struct Asked {
    pub(super) take: Take,
    /// The record does not hold the state of a limit.
    pub(super) is_assumed: bool,
    /// The state is that of another rate limit.
    pub(super) is_estimated: bool,
}

/// Asks the candidate's limits with the state that the record holds, in the order of the takes:
/// the client's rate, the contract's, the requests in flight, the probe. A state that the record
/// does not hold grants.
pub(super) fn ask(terms: &Terms, signals: &Signals, recorded: Option<&Terms>) -> Asked {
    let mut asked = Asked {
        take: Take::Granted,
        is_assumed: false,
        is_estimated: false,
    };
    for rate in [Rate::of_client(signals), Rate::of_contract(signals)] {
        let answer = rate.ask(terms, recorded);
        asked.is_estimated |= answer.is_estimated;
        asked.is_assumed |= answer.is_over.is_none();
        if answer.is_over == Some(true) {
            asked.take = rate.refusal;
            asked.is_assumed = false;
            return asked;
        }
    }
    let places = ask_places(terms, signals, recorded);
    asked.is_assumed |= places.is_none();
    asked.take = match places {
        Some(true) => Take::Concurrency,
        // A circuit is no limit of a file: one that had no probe left has none under any rules.
        _ if signals.take == Take::Probe => Take::Probe,
        _ => Take::Granted,
    };
    asked
}

/// A rate limit as the record tells of it.
struct Rate {
    refusal: Take,
    tat_ns: i64,
    /// `None` = an earlier limit refused, so this one was not asked.
    was_over: Option<bool>,
    of: fn(&Terms) -> Option<Size>,
}

struct Answer {
    /// `None` = the record does not hold the state.
    is_over: Option<bool>,
    is_estimated: bool,
}

impl Rate {
    fn of_client(signals: &Signals) -> Self {
        Self {
            refusal: Take::ClientRate,
            tat_ns: signals.client_tat_ns,
            was_over: match signals.take {
                Take::ClientRate => Some(true),
                Take::NotAsked => None,
                _ => Some(false),
            },
            of: Size::of_client_rate,
        }
    }

    fn of_contract(signals: &Signals) -> Self {
        Self {
            refusal: Take::ContractRate,
            tat_ns: signals.contract_tat_ns,
            was_over: match signals.take {
                Take::ContractRate => Some(true),
                Take::NotAsked | Take::ClientRate => None,
                _ => Some(false),
            },
            of: Size::of_rate,
        }
    }

    fn ask(&self, terms: &Terms, recorded: Option<&Terms>) -> Answer {
        let mut answer = Answer {
            is_over: Some(false),
            is_estimated: false,
        };
        let Some(has) = (self.of)(terms) else {
            return answer;
        };
        let had = recorded.and_then(self.of);
        // Where there was no limit to ask, its time stands as 0 in the record.
        let unknown = had.is_none() && self.tat_ns == 0;
        let Some(was_over) = self.was_over.filter(|_| !unknown) else {
            answer.is_over = None;
            return answer;
        };
        let is_over = has
            .limit()
            .is_some_and(|limit| limit.wait_ns(self.tat_ns) > 0);
        answer.is_estimated = had.is_some_and(|had| had != has);
        answer.is_over = Some(as_size_allows(is_over, was_over, had, Some(has)));
        answer
    }
}

/// `None` = the record does not hold the number.
fn ask_places(terms: &Terms, signals: &Signals, recorded: Option<&Terms>) -> Option<bool> {
    let Some(max) = terms.max_in_flight else {
        return Some(false);
    };
    let had = recorded.and_then(Size::of_places);
    // Requests in flight are counted only where the contract limits them.
    if signals.in_flight == 0 && had.is_none() {
        return None;
    }
    let is_full = signals.in_flight >= max.get();
    Some(match signals.take {
        Take::Concurrency => as_size_allows(is_full, true, had, Size::of_places(terms)),
        Take::Granted | Take::Probe => as_size_allows(is_full, false, had, Size::of_places(terms)),
        _ => is_full,
    })
}

/// How much a limit lets through: on average, and at once.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Size {
    average: u32,
    at_once: u32,
}

impl Size {
    fn of_rate(terms: &Terms) -> Option<Self> {
        Self::of(terms.rate_limit?, terms.burst)
    }

    fn of_client_rate(terms: &Terms) -> Option<Self> {
        Self::of(terms.client_rate_limit?, terms.client_burst)
    }

    #[allow(clippy::unnecessary_wraps, reason = "both callers give an Option")]
    fn of(rate: PerMinute, burst: Option<NonZeroU32>) -> Option<Self> {
        let at_once = burst.unwrap_or_else(|| Terms::default_burst(rate));
        Some(Self {
            average: rate.get(),
            at_once: at_once.get(),
        })
    }

    fn limit(self) -> Option<Limit> {
        let rate = PerMinute::new(self.average)?;
        Some(Limit::new(rate, NonZeroU32::new(self.at_once)))
    }

    fn of_places(terms: &Terms) -> Option<Self> {
        let average = terms.max_in_flight?.get();
        Some(Self {
            average,
            at_once: average,
        })
    }

    const fn is_at_least(self, other: Self) -> bool {
        self.average >= other.average && self.at_once >= other.at_once
    }
}

/// A wider limit refuses nothing that the narrower granted, and the other way round, whatever the
/// recorded state says: it was read a moment before the limit was asked, it may have been another
/// worker's turn between, and one limit's time is not another's. So an equal limit answers as it did.
fn as_size_allows(refuses: bool, refused: bool, had: Option<Size>, has: Option<Size>) -> bool {
    let (Some(had), Some(has)) = (had, has) else {
        return refuses;
    };
    if refused {
        refuses || had.is_at_least(has)
    } else {
        refuses && !has.is_at_least(had)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::ask;
    use crate::contract::Terms;
    use crate::observation::{Signals, Take};
    use crate::units::PerMinute;

    fn terms(rpm: u32, burst: u32, places: u32) -> Terms {
        Terms {
            rate_limit: PerMinute::new(rpm),
            burst: NonZeroU32::new(burst),
            max_in_flight: NonZeroU32::new(places),
            ..Terms::default()
        }
    }

    fn check(had: Option<&Terms>, has: &Terms, take: Take, state: (i64, u32), want: (Take, bool)) {
        let signals = Signals {
            take,
            contract_tat_ns: state.0,
            in_flight: state.1,
            ..Signals::default()
        };
        let asked = ask(has, &signals, had);
        assert_eq!(
            (asked.take, asked.is_assumed),
            want,
            "{had:?} {has:?} {take:?}"
        );
    }

    #[test]
    fn limits_are_asked_with_the_recorded_state() {
        use Take::{Concurrency, ContractRate, Granted, NotAsked};
        let second = 1_000_000_000;
        let (none, rate, places) = (terms(0, 0, 0), terms(60, 2, 0), terms(0, 0, 5));
        check(
            Some(&rate),
            &none,
            ContractRate,
            (second + 1, 0),
            (Granted, false),
        );
        check(Some(&places), &none, Concurrency, (0, 5), (Granted, false));
        // One second of tolerance is just enough, and a nanosecond more is not.
        check(None, &rate, Granted, (second, 0), (Granted, false));
        check(None, &rate, Granted, (second + 1, 0), (ContractRate, false));
        check(None, &rate, Granted, (-second, 0), (Granted, false));
        check(None, &places, Granted, (0, 4), (Granted, false));
        check(None, &places, Granted, (0, 5), (Concurrency, false));
        // The rate is asked first.
        let both = terms(60, 2, 5);
        check(None, &both, Granted, (second + 1, 9), (ContractRate, false));
        // What the record does not hold grants, and is told.
        check(None, &rate, Granted, (0, 0), (Granted, true));
        check(None, &rate, NotAsked, (0, 0), (Granted, true));
        check(Some(&rate), &rate, NotAsked, (0, 0), (Granted, true));
        check(Some(&rate), &rate, Granted, (0, 0), (Granted, false));
        check(None, &places, Granted, (0, 0), (Granted, true));
        check(Some(&places), &places, Granted, (0, 0), (Granted, false));
        check(None, &none, NotAsked, (0, 0), (Granted, false));
    }

    #[test]
    fn the_same_limit_answers_as_it_did_and_a_wider_one_never_refuses_more() {
        use Take::{Concurrency, ContractRate, Granted};
        let second = 1_000_000_000;
        // Another worker was between the look at the state and the limit.
        let both = terms(60, 2, 5);
        check(
            Some(&both),
            &both,
            Granted,
            (second + 9, 0),
            (Granted, false),
        );
        check(
            Some(&both),
            &both,
            ContractRate,
            (second - 9, 0),
            (ContractRate, false),
        );
        check(Some(&both), &both, Granted, (0, 6), (Granted, false));
        check(
            Some(&both),
            &both,
            Concurrency,
            (0, 4),
            (Concurrency, false),
        );
        // Twice the rate halves the tolerance of the same burst.
        check(
            Some(&both),
            &terms(120, 2, 5),
            Granted,
            (second, 0),
            (Granted, false),
        );
        check(
            Some(&both),
            &terms(30, 2, 5),
            ContractRate,
            (second + 9, 0),
            (ContractRate, false),
        );
    }
}
