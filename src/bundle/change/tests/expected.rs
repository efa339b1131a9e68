//! Self-tests: each member of their canonical form.

use super::{Content, Verdict};
use crate::bundle::change::Change;
use crate::policy::canonical;
use crate::policy::rules::Rules;
use crate::policy::self_tests::SelfTests;

pub(super) const NAME: &str = "said";

/// A self-test that says everything that can be said at once.
const ALL: &str = r#"{"expect":{"band":"medium","contract":"a","deciding":"RATE_LIMIT_EXCEEDED","decision":"DROP","reasons":["RATE_LIMIT_EXCEEDED"],"reasons_only":true,"status":429,"taken":["drop"],"tier":"control","way":"refuse","withheld":["throttle"]},"name":"said","request":{"headers":{"x-key":"k"},"method":"POST","trusted":true,"url":"/a/1"},"state":{"band":"high","burn":{"d3":{"of":9,"part":1},"h1":{"of":8,"part":1},"h6":{"of":7,"part":1},"m30":{"of":6,"part":1},"m5":{"of":5,"part":1}},"circuit":"half_open","class_mix_bp":[3000,6000,1000],"client_limit":{"free_in_ms":11},"client_refusals":2,"draw_bp":12,"failed":{"of":13,"part":1},"in_flight":14,"latency":{"baseline_us":15,"p95_us":16},"ledger":"unavailable","probes_spent":true,"rate_limit":{"free_in_ms":17},"retries":{"of":18,"part":1},"retry":"seen","slow":{"of":19,"part":1},"tier":"control","traffic":{"offered":20,"spread":21,"usual":22},"waiting":23}}"#;

/// Texts of the form above, and what stands there instead.
pub(super) type Edits = &'static [(&'static str, &'static str)];

/// What is written otherwise, each member once.
pub(super) const EDITS: &[Edits] = &[
    &[(r#","name":"said","#, r#","name":"told","#)],
    &[(r#""band":"medium","#, "")],
    &[(r#""contract":"a""#, r#""contract":"b""#)],
    &[(r#""deciding":"RATE_LIMIT_EXCEEDED","#, "")],
    &[(r#""decision":"DROP""#, r#""decision":"ALLOW""#)],
    &[(r#""reasons":["RATE_LIMIT_EXCEEDED"],"#, "")],
    &[(r#""reasons_only":true,"#, "")],
    &[(r#""status":429"#, r#""status":503"#)],
    &[(r#""taken":["drop"],"#, "")],
    &[(r#""tier":"control","way""#, r#""way""#)],
    &[(r#","way":"refuse""#, "")],
    &[(r#","withheld":["throttle"]"#, "")],
    &[(r#"{"x-key":"k"}"#, r#"{"x-key":"l"}"#)],
    &[(r#""method":"POST""#, r#""method":"GET""#)],
    &[(r#""trusted":true,"#, "")],
    &[(r#""url":"/a/1""#, r#""url":"/a/2""#)],
    &[(r#""band":"high","#, "")],
    &[(r#""d3":{"of":9,"part":1},"#, "")],
    &[(r#""h1":{"of":8,"part":1},"#, "")],
    &[(r#""h6":{"of":7,"part":1},"#, "")],
    &[(r#""m30":{"of":6,"part":1},"#, "")],
    &[(r#","m5":{"of":5,"part":1}"#, "")],
    &[
        (r#""circuit":"half_open","#, ""),
        (r#""probes_spent":true,"#, ""),
        (
            r#","tier":"control","traffic""#,
            r#","slow_start_bp":24,"tier":"control","traffic""#,
        ),
    ],
    &[(r#""class_mix_bp":[3000,6000,1000],"#, "")],
    &[(r#""free_in_ms":11"#, r#""free_in_ms":10"#)],
    &[(r#""client_refusals":2,"#, "")],
    &[(r#""draw_bp":12,"#, "")],
    &[(r#""failed":{"of":13,"part":1},"#, "")],
    &[(r#""in_flight":14,"#, "")],
    &[(r#""baseline_us":15"#, r#""baseline_us":14"#)],
    &[(r#""p95_us":16"#, r#""p95_us":15"#)],
    &[(r#""ledger":"unavailable","#, "")],
    &[(r#""probes_spent":true,"#, "")],
    &[(r#""free_in_ms":17"#, r#""free_in_ms":16"#)],
    &[(r#""retries":{"of":18,"part":1},"#, "")],
    &[(r#""retry":"seen","#, "")],
    &[(r#""slow":{"of":19,"part":1},"#, "")],
    &[(
        r#""tier":"control","traffic""#,
        r#""tier":"autonomous","traffic""#,
    )],
    &[(r#""offered":20"#, r#""offered":19"#)],
    &[(r#""spread":21"#, r#""spread":20"#)],
    &[(r#""usual":22"#, r#""usual":21"#)],
    &[(r#","waiting":23"#, "")],
];

/// The one self-test with these edits.
pub(super) fn self_tests(edits: Edits) -> SelfTests {
    let mut text = ALL.to_owned();
    for (from, to) in edits {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    let empty = canonical::write([], &Rules::default()).unwrap();
    let empty = std::str::from_utf8(empty.bytes()).unwrap();
    let whole = empty.replace(r#""self_tests":[]"#, &format!(r#""self_tests":[{text}]"#));
    canonical::read_content(whole.as_bytes())
        .expect(&text)
        .self_tests
}

/// Whether a change says of this member, such as `state.failed.of`, that it differs.
pub(super) fn is_told(changes: &[Change], member: &str) -> bool {
    if member == "name" {
        let [gone, come] = [NAME, "told"].map(|name| changes.iter().find(|c| c.what == name));
        return gone.is_some_and(|c| c.to.is_none()) && come.is_some_and(|c| c.from.is_none());
    }
    let top = format!("\"{}\":", member.split('.').next().unwrap());
    let told = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(&top));
    let of_test = |change: &&Change| change.subject == "self_tests" && change.what == NAME;
    changes
        .iter()
        .filter(of_test)
        .any(|change| told(&change.from) && told(&change.to))
}

// R105
#[test]
fn a_self_test_less_is_told_and_one_more_asks_for_nothing() {
    let with = Content::base();
    let without = Content {
        self_tests: SelfTests::default(),
        ..Content::base()
    };
    let check = |from: &Content, to: &Content, protection| {
        let found = from.classified(to).changes;
        let [change] = &*found else {
            panic!("{found:?}");
        };
        assert_eq!((&*change.subject, &*change.what), ("self_tests", NAME));
        assert_eq!(
            (change.consumer, change.protection),
            (Verdict::None, protection)
        );
        change.clone()
    };
    let gone = check(&with, &without, Verdict::Warn);
    assert!(gone.to.is_none() && gone.from.unwrap().contains("/a/1"));
    let added = check(&without, &with, Verdict::None);
    assert!(added.from.is_none() && added.to.unwrap().contains("/a/1"));
    let other = Content {
        self_tests: self_tests(&[(r#""url":"/a/1""#, r#""url":"/a/2""#)]),
        ..Content::base()
    };
    let changed = check(&with, &other, Verdict::Warn);
    // What stays as it was is not repeated.
    assert!(changed.from.unwrap().starts_with(r#"{"request":{"#));
}
