//! The results of self-tests as one JUnit test suite, which most build servers read.

use super::report::account;
use crate::selftest::{Outcome, Report};

/// The suite. It has no times: nothing here reads a clock.
pub(super) fn junit(report: &Report) -> String {
    let (tests, failures) = (report.outcomes().len(), report.failures().count());
    let cases: String = report.outcomes().iter().map(case).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{tests}\" failures=\"{failures}\">\n\
         <testsuite name=\"tidegate\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">\n\
         {cases}</testsuite>\n</testsuites>\n"
    )
}

fn case(outcome: &Outcome) -> String {
    let class = escaped(outcome.found.contract_name());
    let head = format!(
        "<testcase classname=\"{class}\" name=\"{}\"",
        escaped(&outcome.name)
    );
    if outcome.is_passed() {
        return format!("{head}/>\n");
    }
    let message = escaped(&outcome.summary());
    let account = escaped(&account(outcome));
    format!("{head}><failure message=\"{message}\">\n{account}</failure></testcase>\n")
}

/// Text as it may stand in an attribute or an element; control characters are in no name.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn markup_in_a_name_is_text() {
        let text = "a <b> & \"c\"";
        assert_eq!(escaped(text), "a &lt;b&gt; &amp; &quot;c&quot;");
    }
}
