//! What is gone and let through, whose contract changes hands, and what nobody knows.

use super::*;

fn verdicts(found: &[Change], what: &str) -> Option<(Verdict, Verdict)> {
    let found = found.iter().find(|change| change.what == what)?;
    Some((found.consumer, found.protection))
}

#[test]
fn what_is_gone_and_let_through_is_a_loosening() {
    let check = |edit: Edit<Rules>, route: Verdict, method: Verdict| {
        let mut base = Content::base();
        edit(&mut base.rules);
        let gone = Content {
            contracts: vec![successor()],
            ..base.clone()
        };
        let found = base.classified(&gone);
        let expected = Some((Verdict::Breaking, route));
        assert_eq!(verdicts(&found.changes, "endpoint"), expected);
        assert_eq!(
            breakglass_fault(&found.changes).is_some(),
            route > Verdict::None
        );
        let mut fewer = parts();
        fewer.methods = MethodSet::EMPTY.with(Method::Get);
        let fewer = Content {
            contracts: vec![Contract::new(fewer), successor()],
            ..base.clone()
        };
        let found = base.classified(&fewer);
        let expected = Some((Verdict::Breaking, method));
        assert_eq!(verdicts(&found.changes, "allowed_methods"), expected);
        assert_eq!(
            found.classes.contains(&Class::Loosen),
            method > Verdict::None
        );
    };
    use Verdict::{Breaking, None};
    check(|_| (), None, None);
    // The band of the score refuses what the action would let through.
    check(|r| r.unknown_endpoint.action = Severity::Allow, None, None);
    check(
        |r| r.weights.set(Factor::UnknownEndpoint, bp(0)),
        None,
        None,
    );
    let open: Edit<Rules> = |r| {
        r.unknown_endpoint.action = Severity::Allow;
        r.weights.set(Factor::UnknownEndpoint, bp(0));
    };
    check(open, Breaking, None);
    let shadow: Edit<Rules> = |r| {
        r.unknown_endpoint.action = Severity::Allow;
        r.stages.set(Factor::UnknownEndpoint, Stage::Shadow);
    };
    check(shadow, Breaking, None);
    let methods: Edit<Rules> = |r| {
        r.method_disallowed = Severity::Allow;
        r.stages
            .set(Factor::MethodDisallowed, Stage::Canary(bp(5_000)));
    };
    check(methods, None, Breaking);
}

#[test]
fn a_route_whose_end_has_come_is_let_through_as_well() {
    let mut base = Content::of(ContractParts {
        lifecycle: life(|l| l.status = Status::Sunset),
        ..parts()
    });
    let mut gone = Content {
        contracts: vec![successor()],
        ..base.clone()
    };
    for rules in [&mut base.rules, &mut gone.rules] {
        rules.unknown_endpoint.action = Severity::Allow;
        rules.weights.set(Factor::UnknownEndpoint, bp(0));
    }
    let late = classify(Some(base.side()), gone.side(), day("2028-01-01"));
    let expected = Some((Verdict::None, Verdict::Breaking));
    assert_eq!(verdicts(&late.changes, "endpoint"), expected);
}

#[test]
fn whoever_gives_a_contract_away_has_to_agree() {
    let owned = |owner: Option<&str>| {
        Content::of(ContractParts {
            owner: owner.map(Into::into),
            backup_owner: None,
            ..parts()
        })
    };
    let check = |from: Option<&str>, to: Option<&str>, consumer: Verdict| {
        let found = owned(from).classified(&owned(to)).changes;
        let [change] = &*found else {
            panic!("{found:?}")
        };
        assert_eq!(change.owner.as_deref(), from);
        assert_eq!(
            (change.consumer, change.protection),
            (consumer, Verdict::Warn)
        );
    };
    check(Some("x"), Some("y"), Verdict::Breaking);
    check(Some("x"), None, Verdict::Breaking);
    check(None, Some("y"), Verdict::None);
}

#[test]
fn a_change_from_something_unknown_is_any_change() {
    let base = Content::base();
    let found = classify_unknown(None, base.side());
    let classes = [Class::Breaking, Class::Loosen, Class::Authority];
    assert_eq!(found.classes, classes.into());
    let owners = |found: &Classified| -> Vec<Option<String>> {
        let changes = found.changes.iter();
        changes.map(|change| change.owner.clone()).collect()
    };
    assert_eq!(owners(&found), [None, Some("team".to_owned())]);
    let other = Content::of(ContractParts {
        owner: Some("other".into()),
        ..parts()
    });
    let found = classify_unknown(Some(other.side()), base.side());
    let all = [None, Some("other".to_owned()), Some("team".to_owned())];
    assert_eq!(owners(&found), all);
    let empty = Content {
        contracts: Vec::new(),
        ..base
    };
    assert_eq!(owners(&classify_unknown(None, empty.side())), [None]);
}
