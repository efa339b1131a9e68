//! The canonical form of self-tests: there and back, and nothing but itself.

use proptest::prelude::*;

use super::{
    BurnShares, Claimed, Course, Expectation, LimitState, LoadState, SelfTest, SelfTests,
    TailState, TestRequest, TestState,
};
use crate::contract::ContractId;
use crate::observation::{CircuitState, LedgerStanding, RetryKind, Share};
use crate::policy::canonical::{ReadError, read_content, write, write_with};
use crate::policy::charter::Charter;
use crate::policy::rules::{Rules, Severity};
use crate::units::{Action, ActionSet, Band, BasisPoints, Millis, Reason, ReasonSet, Tier};

fn share() -> impl Strategy<Value = Option<Share>> {
    let share = (1..=1_000_000_000_u32)
        .prop_flat_map(|whole| (0..=whole).prop_map(move |part| Share { part, whole }));
    proptest::option::of(share)
}

fn limit() -> impl Strategy<Value = Option<LimitState>> {
    let wait = (1..=60_000_u32).prop_map(|wait| LimitState::FreeIn(Millis::new(wait)));
    proptest::option::of(prop_oneof![Just(LimitState::Spent), wait])
}

fn one<T: Clone + std::fmt::Debug + 'static>(all: &[T]) -> impl Strategy<Value = T> {
    proptest::sample::select(all.to_vec())
}

prop_compose! {
    fn state()(
        words in (
            one(&Tier::ALL),
            one(&super::state::CIRCUITS),
            one(&Band::ALL),
            one(&super::state::RETRIES),
            one(&super::state::LEDGERS),
        ),
        shares in (share(), share(), share()),
        burn in (share(), share(), share(), share(), share()),
        counts in (any::<bool>(), 0..1_000_u32, 0..100_u32, 0..100_u32, 0..=5_000_u64),
        tail in proptest::option::of((0..u32::MAX, 1..u32::MAX)),
        load in proptest::option::of((0..1_000_000_000_u32, 0..1_000_000_000_u32, 0..=1_000_000_u32)),
        mix in (0..=10_000_u16, 0..=10_000_u16),
        limits in (limit(), limit()),
        draw in proptest::option::of(0..10_000_u16),
    ) -> TestState {
        let (tier, circuit, band, retry, ledger) = words;
        let waits = |limit| matches!(limit, Some(LimitState::FreeIn(_)));
        let is_closed = circuit == CircuitState::Closed;
        let (retries, high) = (mix.0, mix.1.min(10_000 - mix.0));
        TestState {
            tier,
            circuit,
            probes_spent: counts.0 && circuit == CircuitState::HalfOpen,
            slow_start: BasisPoints::saturating(if is_closed { counts.4 } else { 0 }),
            band,
            failed: shares.0,
            slow: shares.1,
            retries: shares.2,
            in_flight: counts.1,
            waiting: if waits(limits.0) || waits(limits.1) { counts.2 } else { 0 },
            latency: tail.map(|(p95_us, baseline_us)| TailState { p95_us, baseline_us }),
            traffic: load.map(|(offered, usual, spread)| LoadState { offered, usual, spread }),
            burn: BurnShares { m5: burn.0, m30: burn.1, h1: burn.2, h6: burn.3, d3: burn.4 },
            class_mix_bp: [retries, 10_000 - retries - high, high],
            client_limit: limits.0,
            client_refusals: limits.0.map_or(0, |_| counts.3),
            rate_limit: limits.1,
            retry,
            ledger,
            draw_bp: draw,
        }
    }
}

prop_compose! {
    fn expectation()(
        decision in one(&Severity::ALL),
        contract in proptest::option::of(prop_oneof![
            Just(Claimed::Unmatched),
            "[a-z0-9.-]{1,64}".prop_map(|id| Claimed::By(ContractId::new(&id).unwrap())),
        ]),
        reasons in proptest::sample::subsequence(Reason::ALL.to_vec(), 0..=15),
        reasons_only in any::<bool>(),
        deciding in proptest::option::of(one(&Reason::ALL)),
        actions in (
            proptest::sample::subsequence(Action::ALL.to_vec(), 0..=8),
            proptest::sample::subsequence(Action::ALL.to_vec(), 0..=8),
        ),
        course in proptest::option::of(one(&Course::ALL)),
        status in proptest::option::of(prop_oneof![Just(0_u16), 400..600_u16]),
        tier in proptest::option::of(one(&Tier::ALL)),
        band in proptest::option::of(one(&Band::ALL)),
    ) -> Expectation {
        let is_refused = course.is_none_or(|course| course == Course::Refuse);
        Expectation {
            decision,
            contract,
            reasons: reasons.into_iter().fold(ReasonSet::EMPTY, ReasonSet::with),
            reasons_only,
            deciding,
            taken: ActionSet::of(&actions.0),
            withheld: ActionSet::of(&actions.1),
            course,
            status: status.filter(|_| is_refused),
            tier,
            band,
        }
    }
}

fn request() -> impl Strategy<Value = TestRequest> {
    let headers = proptest::collection::btree_map("[a-z-]{1,20}", "[a-zA-Z0-9é \"]{1,20}", 0..=4);
    let parts = (
        "[A-Z]{1,8}",
        "/[a-z0-9/%?é\" ]{0,40}",
        headers,
        any::<bool>(),
    );
    parts.prop_map(|(method, url, headers, trusted)| TestRequest {
        caller: None,
        method: method.into(),
        url: url.into(),
        headers: headers
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        trusted,
    })
}

fn tests() -> impl Strategy<Value = SelfTests> {
    let test = (request(), state(), expectation());
    let named = proptest::collection::btree_map("[a-zé \"\\\\]{1,12}", test, 0..6);
    named.prop_map(|named| {
        let made = named.into_iter().map(|(name, (request, state, expect))| {
            SelfTest::new(name.into(), request, state, expect).expect("valid parts")
        });
        SelfTests::new(made.collect()).expect("names are unique")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn self_tests_read_back_from_their_canonical_bytes(tests in tests()) {
        let rules = Rules::default();
        let content = write_with([], &rules, &Charter::default(), &tests).unwrap();
        let again = read_content(content.bytes()).unwrap();
        prop_assert_eq!(&again.self_tests, &tests);
        let written = write_with([], &again.rules, &Charter::default(), &again.self_tests).unwrap();
        prop_assert_eq!(written, content);
    }
}

fn simple(name: &str) -> SelfTest {
    let request = TestRequest {
        method: "GET".into(),
        url: "/a".into(),
        ..TestRequest::default()
    };
    let expect = Expectation::of(Severity::Allow);
    SelfTest::new(name.into(), request, TestState::default(), expect).expect("valid parts")
}

#[test]
fn content_without_self_tests_is_what_it_was_before_there_were_any() {
    let rules = Rules::default();
    let without = write([], &rules).unwrap();
    assert_eq!(
        write_with([], &rules, &Charter::default(), &SelfTests::default()).unwrap(),
        without
    );
    let text = String::from_utf8(without.bytes().to_vec()).unwrap();
    assert!(text.ends_with(",\"self_tests\":[]}"), "{text}");
}

#[test]
fn the_order_of_files_is_no_part_of_the_content() {
    let [one, two] = [["a", "b"], ["b", "a"]].map(|names| {
        let tests = SelfTests::new(names.map(simple).to_vec()).unwrap();
        write_with([], &Rules::default(), &Charter::default(), &tests).unwrap()
    });
    assert_eq!(one, two);
    let text = String::from_utf8(one.bytes().to_vec()).unwrap();
    let form = concat!(
        r#"{"expect":{"decision":"ALLOW"},"name":"a","#,
        r#""request":{"method":"GET","url":"/a"},"state":{"tier":"control"}}"#
    );
    assert!(text.contains(form), "{text}");
}

/// What is exchanged, for what, and how the refusal begins.
const SPELLINGS: &[(&str, &str, &str)] = &[
    (
        r#""name":"b""#,
        r#""name":"a""#,
        "self_tests: there are too many, or",
    ),
    (
        r#""name":"a""#,
        r#""name":"c""#,
        "the content is not in canonical form",
    ),
    (r#""name":"a""#, r#""name":"""#, "self-test '': the name"),
    (r#""url":"/a""#, r#""url":"a""#, "self-test 'a': the url"),
    (
        r#""url":"/a""#,
        r#""body":1,"url":"/a""#,
        "the content has not the structure",
    ),
    (
        r#""tier":"control""#,
        r#""tier":"strict""#,
        "self-test 'a': the tier is unknown",
    ),
    (
        r#""tier":"control""#,
        r#""band":"low","tier":"control""#,
        "the content is not in",
    ),
    (
        r#""tier":"control""#,
        r#""in_flight":0,"tier":"control""#,
        "the content is not in",
    ),
    (
        r#""tier":"control""#,
        r#""draw_bp":10000,"tier":"control""#,
        "self-test 'a': 'draw'",
    ),
    (
        r#""tier":"control""#,
        r#""burn":{},"tier":"control""#,
        "the content is not in",
    ),
    (
        r#""decision":"ALLOW""#,
        r#""decision":"allow""#,
        "self-test 'a': 'decision'",
    ),
    (
        r#""decision":"ALLOW""#,
        r#""decision":"ALLOW","status":200"#,
        "self-test 'a': 'status'",
    ),
    (
        r#""decision":"ALLOW""#,
        r#""decision":"ALLOW","reasons":["LOW_RISK_SCORE","CIRCUIT_OPEN"]"#,
        "the content is not in",
    ),
];

#[test]
fn every_other_spelling_is_refused() {
    let tests = SelfTests::new(vec![simple("a"), simple("b")]).unwrap();
    let content = write_with([], &Rules::default(), &Charter::default(), &tests).unwrap();
    let text = String::from_utf8(content.bytes().to_vec()).unwrap();
    for (from, to, expected) in SPELLINGS {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        let error: ReadError = read_content(changed.as_bytes()).expect_err(to);
        assert!(error.to_string().starts_with(expected), "{to}: {error}");
    }
}

#[test]
fn what_is_at_rest_has_one_spelling() {
    let rest = TestState::default();
    assert_eq!(rest.fault(), None);
    assert_eq!(rest.ledger, LedgerStanding::Available);
    assert_eq!(rest.retry, RetryKind::First);
}
