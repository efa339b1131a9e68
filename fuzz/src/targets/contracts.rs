//! Contract files: any text gives contracts or findings, and contracts survive the canonical form.

use tidegate::contract::file::{Surroundings, read_contracts};
use tidegate::contract::{Catalogue, Contract};
use tidegate::diagnostic::{Format, render};
use tidegate::policy::{canonical, rules::Rules};
use tidegate::yaml::{self, Sheet};

/// More findings of one file say nothing that a person reads.
const FINDINGS_MAX: usize = 200;

/// The laws of one file.
pub fn run(bytes: &[u8]) {
    // Files that are not UTF-8 are refused before they are text.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut sheet = Sheet::new("fuzzed.yaml", text);
    let Some(root) = yaml::read(&mut sheet) else {
        assert!(sheet.has_errors(), "no tree, and no word about it");
        return explained(sheet);
    };
    let around = Surroundings {
        upstreams: &["main"],
        has_default_upstream: true,
        default_upstream: Some("main"),
        is_known: true,
        ..Surroundings::default()
    };
    let drafts = read_contracts(&mut sheet, &root, around);
    let all = drafts.len();
    let contracts: Vec<Contract> = drafts.into_iter().filter_map(|d| d.contract).collect();
    assert!(
        contracts.len() == all || sheet.has_errors(),
        "a contract was left out in silence"
    );
    explained(sheet);
    kept_by_the_canonical_form(contracts);
}

/// Findings can be shown, and do not flood whoever reads them.
fn explained(sheet: Sheet<'_>) {
    let findings = sheet.into_findings();
    assert!(
        findings.len() <= FINDINGS_MAX,
        "{} findings",
        findings.len()
    );
    if let Some(first) = findings.get(..1) {
        let shown = render(first, Format::Pretty);
        assert!(
            shown.len() < 64 * 1024,
            "a finding of {} bytes",
            shown.len()
        );
    }
}

/// What was read is written and read again: the same contracts, the same digest.
fn kept_by_the_canonical_form(contracts: Vec<Contract>) {
    if contracts.is_empty() {
        return;
    }
    let Ok(catalogue) = Catalogue::build(contracts.clone()) else {
        return;
    };
    let rules = Rules::default();
    let written = canonical::write(catalogue.contracts(), &rules).expect("contracts are written");
    let (read, _) = canonical::read(written.bytes()).expect("what was written is read");
    let again = canonical::write(&read, &rules).expect("contracts are written again");
    assert_eq!(again.digest(), written.digest());
    assert_eq!(read.len(), contracts.len());
}
