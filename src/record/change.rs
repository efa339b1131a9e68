//! What is written down when the rules in force change, or somebody pulls a lever: the ledger's
//! kinds `bundle` and `governance`.
//!
//! A decision names the rulebook it was made under; these records say when and why that became
//! another one, so an auditor needs no log beside the ledger.

use crate::ledger::{BootId, EntryBuilder, RootMark};

/// A longer text of an error is cut: a record stays readable.
const ERROR_BYTES_MAX: usize = 512;

/// An attempt to put other contracts and rules in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleChange {
    /// The boot that tried.
    pub boot: BootId,
    /// The bundle that it was about; `None` for plain files, and where nothing of it could be read.
    pub bundle: Option<BundleMembers>,
    /// Why a bundle or a root was refused: the code.
    pub code: Option<&'static str>,
    /// The content digest in force after it, 64 hex digits.
    pub policy_hash: String,
    /// The version that the policy in force gives itself.
    pub policy_version: String,
    /// Where they came from: `reload` for files.
    pub source: &'static str,
    /// What asked for it: a signal, the admin listener, a change of the files.
    pub trigger: &'static str,
    /// The tier in force after it.
    pub tier: &'static str,
    /// How it ended.
    pub result: BundleResult,
    /// When, microseconds since 1970.
    pub ts_us: u64,
}

/// What a record tells of a bundle. Of one that was refused these are its own words, true or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BundleMembers {
    /// The bundle digest, 64 hex digits.
    pub digest: String,
    /// The epoch and the serial within it, where they could be read.
    pub place: Option<(u64, u64)>,
    /// The principals whose signatures counted; empty for one that was refused.
    pub signers: Vec<String>,
    /// The classes of the change; empty for one that was refused, or verified again.
    pub classes: Vec<&'static str>,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleResult {
    /// The new ones are in force; the digest is that of those before.
    Activated(String),
    /// The ones before stay; the text says what was wrong with the new ones.
    Rejected(String),
}

impl BundleChange {
    /// Pushes the members of the record.
    pub fn push(&self, entry: &mut EntryBuilder<'_>) {
        let bundle = self.bundle.as_ref();
        entry.text("boot", &self.boot.to_string());
        if let Some(bundle) = bundle {
            entry.text("bundle_digest", &bundle.digest);
        }
        if let Some(bundle) = bundle.filter(|bundle| !bundle.classes.is_empty()) {
            entry.names("classes", bundle.classes.iter().copied());
        }
        if let Some(code) = self.code {
            entry.text("code", code);
        }
        let place = bundle.and_then(|bundle| bundle.place);
        if let Some((epoch, _)) = place {
            entry.uint("epoch", epoch);
        }
        if let BundleResult::Rejected(error) = &self.result {
            entry.text("error", cut(error));
        }
        entry.text("kind", "bundle");
        entry.text("policy_hash", &self.policy_hash);
        entry.text("policy_version", &self.policy_version);
        if let BundleResult::Activated(before) = &self.result {
            entry.text("previous_policy_hash", before);
        }
        let result = match self.result {
            BundleResult::Activated(_) => "activated",
            BundleResult::Rejected(_) => "rejected",
        };
        entry.text("result", result);
        if let Some((_, serial)) = place {
            entry.uint("serial", serial);
        }
        if let Some(bundle) = bundle.filter(|bundle| !bundle.signers.is_empty()) {
            entry.names("signers", bundle.signers.iter().map(String::as_str));
        }
        entry.text("source", self.source);
        entry.text("tier", self.tier);
        entry.text("trigger", self.trigger);
        entry.uint("ts_us", self.ts_us);
    }
}

/// Something that a person or a program did to the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GovernanceAct {
    /// What was done: `tier_lower`.
    pub action: &'static str,
    /// Who did it, as far as that is known: `admin` for the admin listener.
    pub actor: String,
    /// The boot.
    pub boot: BootId,
    /// Why, in the actor's words; may be empty.
    pub reason: String,
    /// What came of it.
    pub result: String,
    /// The root that holds from here on, where that is what was done.
    pub root: Option<RootMark>,
    /// When, microseconds since 1970.
    pub ts_us: u64,
}

impl GovernanceAct {
    /// Pushes the members of the record.
    pub fn push(&self, entry: &mut EntryBuilder<'_>) {
        entry.text("action", self.action);
        entry.text("actor", cut(&self.actor));
        entry.text("boot", &self.boot.to_string());
        entry.text("kind", "governance");
        entry.text("reason", cut(&self.reason));
        entry.text("result", cut(&self.result));
        if let Some(root) = &self.root {
            entry.text("root_digest", &root.digest);
            entry.uint("root_version", root.version);
        }
        entry.uint("ts_us", self.ts_us);
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(ERROR_BYTES_MAX))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Chain, Record};

    fn line(push: impl FnOnce(&mut EntryBuilder<'_>)) -> String {
        let mut out = Vec::new();
        Chain::genesis().append(&mut out, push);
        let mut scratch = Vec::new();
        let record = Record::check(out.trim_ascii_end(), &mut scratch).unwrap();
        String::from_utf8(record.entry().to_vec()).unwrap()
    }

    #[test]
    fn a_change_tells_what_was_and_what_is_in_force() {
        let mut change = BundleChange {
            boot: BootId::from_u32(1),
            bundle: None,
            code: None,
            policy_hash: "b".repeat(64),
            policy_version: "7".to_owned(),
            source: "reload",
            trigger: "signal",
            tier: "CONTROL",
            result: BundleResult::Activated("a".repeat(64)),
            ts_us: 5,
        };
        let activated = line(|entry| change.push(entry));
        for part in [
            r#""kind":"bundle""#,
            r#""result":"activated""#,
            &format!(r#""previous_policy_hash":"{}""#, "a".repeat(64)),
        ] {
            assert!(activated.contains(part), "{part} in {activated}");
        }
        change.result = BundleResult::Rejected("x".repeat(1_000));
        change.code = Some("ROLLBACK_REJECTED");
        change.bundle = Some(BundleMembers {
            digest: "c".repeat(64),
            place: Some((1, 7)),
            signers: vec!["alice".to_owned(), "bob".to_owned()],
            classes: vec!["LOOSEN"],
        });
        let rejected = line(|entry| change.push(entry));
        for part in [
            r#""code":"ROLLBACK_REJECTED""#,
            r#""classes":["LOOSEN"]"#,
            r#""epoch":1"#,
            r#""serial":7"#,
            r#""signers":["alice","bob"]"#,
            &format!(r#""bundle_digest":"{}""#, "c".repeat(64)),
        ] {
            assert!(rejected.contains(part), "{part} in {rejected}");
            assert!(!activated.contains(part), "{part} in {activated}");
        }
        let error = format!(r#""error":"{}""#, "x".repeat(ERROR_BYTES_MAX));
        assert!(rejected.contains(&error), "{rejected}");
        assert!(!rejected.contains("previous"), "{rejected}");
    }

    #[test]
    fn an_act_tells_who_did_what() {
        let act = GovernanceAct {
            action: "tier_lower",
            actor: "admin".to_owned(),
            boot: BootId::from_u32(1),
            reason: String::new(),
            result: "OBSERVE_ONLY".to_owned(),
            root: None,
            ts_us: 5,
        };
        let told = line(|entry| act.push(entry));
        let zeros = "0".repeat(64);
        let wanted = format!(
            r#"{{"action":"tier_lower","actor":"admin","boot":"00000001","kind":"governance","prev":"{zeros}","reason":"","result":"OBSERVE_ONLY","seq":0,"ts_us":5,"v":1}}"#
        );
        assert_eq!(told, wanted);
    }
}
