//! What of a supposed state could not matter: mostly why a failure surprises.

use super::Subject;
use super::situation::Situation;
use crate::contract::{Contract, Terms};
use crate::observation::Standing;
use crate::pipeline::reads_route;
use crate::policy::self_tests::{Claimed, TestState};

pub(super) fn notes(subject: Subject<'_>, situation: &Situation<'_>) -> Vec<String> {
    let (test, standing) = (situation.test, situation.signals.standing);
    let state = test.state();
    let mut notes = Vec::new();
    if let Some(Claimed::By(id)) = &test.expect().contract
        && subject.catalogue.find(id.as_str()).is_none()
    {
        notes.push(format!("there is no contract '{}'", id.as_str()));
    }
    match situation.contract {
        Some(contract) => limits(contract, state, &mut notes),
        None if state.client_limit.is_some() => {
            notes.push("'client_limit' has no effect: no contract has the path".to_owned());
        }
        None => {}
    }
    let terms = situation.contract.map(Contract::terms);
    if says_of_route(state) && !reads_route(subject.rules, terms, standing) {
        let why = match standing {
            Standing::MethodNotAllowed => "the contract has not this method",
            _ => "no contract has the path",
        };
        notes.push(format!("the state of the route has no effect: {why}"));
    }
    if situation.signals.tier < state.tier {
        let (tier, asked) = (situation.signals.tier.key(), state.tier.key());
        notes.push(format!("'{tier}' holds here and not '{asked}'"));
    }
    notes
}

fn limits(contract: &Contract, state: &TestState, notes: &mut Vec<String>) {
    type Row = (&'static str, bool, fn(&Terms) -> bool, &'static str);
    let rows: [Row; 3] = [
        (
            "client_limit",
            state.client_limit.is_some(),
            |terms| terms.client_rate_limit.is_some(),
            "per_client",
        ),
        (
            "rate_limit",
            state.rate_limit.is_some(),
            |terms| terms.rate_limit.is_some(),
            "rate_limit_rpm",
        ),
        (
            "in_flight",
            state.in_flight > 0,
            |terms| terms.max_in_flight.is_some(),
            "max_in_flight",
        ),
    ];
    for (key, is_said, has, needed) in rows {
        if is_said && !has(contract.terms()) {
            let id = contract.id().as_str();
            notes.push(format!(
                "'{key}' has no effect: contract '{id}' has no '{needed}'"
            ));
        }
    }
}

/// Whether it says anything that only a route has.
fn says_of_route(state: &TestState) -> bool {
    let of_others = TestState {
        tier: state.tier,
        rate_limit: state.rate_limit,
        waiting: state.waiting,
        client_limit: state.client_limit,
        client_refusals: state.client_refusals,
        retry: state.retry,
        ledger: state.ledger,
        draw_bp: state.draw_bp,
        ..TestState::default()
    };
    *state != of_others
}
