//! The table: attack, and the rule that it breaks.

pub(crate) mod files;
mod heads;
mod lines;
mod removals;

use tidegate::ledger::{KnownHead, LedgerKey, TrustedKey, Verdict, VerifyOptions};

use super::site::{Site, put_all};
use super::{check, check_with, damage};
use files::Files;

const SELF_HASH: &str = "hash is SHA-256";
const CHAIN: &str = "prev is the hash of the line before";
const NUMBERS: &str = "numbered without gaps";
pub(crate) const HEAD_ROOT: &str = "the root of a signed head is that of the records";
const RECORD_ROOT: &str = "the root of a checkpoint is that of the records";
const CUT: &str = "no fewer records than were signed";
const IN_FORCE: &str = "signed by the key in force";
const LISTED: &str = "signed by a key of log.vkey";
const STUBS: &str = "stubs stand only where";
const MISSING: &str = "a segment is missing only where";
const PRUNE: &str = "a prune names a segment as it is";
const TREE: &str = "the hashes of a tree file are those";

/// Two segments, two boots, three heads, and a few of every account.
pub(crate) fn ordinary() -> Site {
    let mut site = Site::new(1, 1);
    site.decisions(5);
    site.checkpoint();
    site.rollup(3);
    site.loss(2);
    site.decisions(3);
    site.checkpoint();
    site.rotate();
    site.decisions(4);
    site.forget();
    site.close();
    site.open(true);
    site.decisions(4);
    site.checkpoint();
    site.decisions(2);
    site
}

fn options_with_key(seed: u8, origin: &str) -> VerifyOptions {
    let vkey = LedgerKey::from_seed([seed; 32])
        .verifier(origin)
        .unwrap()
        .to_text();
    VerifyOptions {
        keys: TrustedKey::parse(&vkey).unwrap(),
        ..VerifyOptions::default()
    }
}

pub(crate) fn options_with_head(note: &str) -> VerifyOptions {
    VerifyOptions {
        head: Some(KnownHead::parse(note.as_bytes()).unwrap()),
        ..VerifyOptions::default()
    }
}

/// One attack: how the files are changed, how the check is asked, the rule that must be named.
struct Attack {
    name: &'static str,
    files: Files,
    options: VerifyOptions,
    /// `None`: nothing inside the files can show it.
    rule: Option<&'static str>,
}

#[derive(Default)]
struct Attacks(Vec<Attack>);

impl Attacks {
    fn on(&mut self, name: &'static str, rule: &'static str, files: Files) {
        self.with(name, Some(rule), files, VerifyOptions::default());
    }

    fn with(
        &mut self,
        name: &'static str,
        rule: Option<&'static str>,
        files: Files,
        options: VerifyOptions,
    ) {
        self.0.push(Attack {
            name,
            files,
            options,
            rule,
        });
    }
}

fn all() -> Vec<Attack> {
    let mut attacks = Attacks::default();
    lines::lines_attacked(&mut attacks);
    lines::files_attacked(&mut attacks);
    heads::heads_attacked(&mut attacks);
    removals::removals_attacked(&mut attacks);
    attacks.0
}

// R084, R085, R102
#[test]
fn every_attack_is_found_by_its_rule() {
    let site = ordinary();
    let report = check(site.write().path());
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!(report.not_checked, [""; 0], "{report:?}");
    assert_eq!((report.checkpoints, report.heads), (3, 3));
    assert_eq!(
        (report.rolled_up, report.lost, report.unaccounted),
        (3, 3, 1)
    );
    let (mut right, mut wrong) = (0, Vec::new());
    let attacks = all();
    for attack in &attacks {
        let dir = tempfile::tempdir().unwrap();
        put_all(dir.path(), &attack.files);
        let report = check_with(dir.path(), &attack.options);
        let found = damage(&report).map(|damage| damage.rule.clone());
        let fits = match (&found, attack.rule) {
            (Some(found), Some(rule)) => found.contains(rule),
            (found, rule) => found.is_none() && rule.is_none(),
        };
        println!(
            "{:<60} {}",
            attack.name,
            found.as_deref().unwrap_or("not seen from inside")
        );
        if fits {
            right += 1;
        } else {
            wrong.push(format!(
                "{}: expected {:?}, found {:?}",
                attack.name,
                attack.rule,
                damage(&report)
            ));
        }
    }
    println!("detected {right} / expected {}", attacks.len());
    assert_eq!(wrong, [""; 0], "{right} of {}", attacks.len());
}

// R085
#[test]
fn a_head_kept_elsewhere_is_all_that_shows_a_cut_tail() {
    let site = ordinary();
    let dir = site.write();
    for note in &site.notes {
        let report = check_with(dir.path(), &options_with_head(note));
        assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    }
    let pair = format!("{}:{}", site.next_seq() - 1, site.head());
    assert_eq!(
        check_with(dir.path(), &options_with_head(&pair)).verdict,
        Verdict::Intact
    );
    let wrong = format!("{}:{}", site.next_seq() - 2, site.head());
    let report = check_with(dir.path(), &options_with_head(&wrong));
    assert!(
        damage(&report).unwrap().rule.contains("kept elsewhere"),
        "{report:?}"
    );
}

// R102
#[test]
fn a_key_can_be_given_in_every_form() {
    let site = ordinary();
    let dir = site.write();
    let report = check_with(dir.path(), &options_with_key(1, &site.origin));
    assert_eq!(report.verdict, Verdict::Intact, "{report:?}");
    assert_eq!(report.heads, 3);
    assert!(TrustedKey::parse("nonsense").is_err());
    assert!(TrustedKey::parse("\n").is_err());
}
