//! The trust root: who may sign bundles for an audience, with which keys, and how many it takes.
//!
//! A root is the payload of a DSSE envelope in canonical JSON. Its successor has the next version
//! and is signed by the root principals of both. Valid by construction; whether it is signed, and
//! whether its time is over, are the verifier's questions.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use super::manifest::INTEGER_MAX;
use super::refusal::{RefusalCode, Refused};
use super::text::{digest_hex, is_name, key_id, public_base64, public_key};

/// The version of the form of roots.
pub const ROOT_FORMAT_VERSION: u64 = 1;

/// The most principals, groups and keys of a principal.
pub const COUNT_MAX: usize = 256;

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Their signature counts for a bundle.
    Approver,
    /// They may make bundles.
    Author,
    /// Their signature counts for the next root.
    Root,
    /// Their signature is the one from security that a loosening needs; it counts as an approver's.
    Security,
}

impl Role {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 4] = [Self::Approver, Self::Author, Self::Root, Self::Security];

    /// The name in roots.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Approver => "approver",
            Self::Author => "author",
            Self::Root => "root",
            Self::Security => "security",
        }
    }
}

/// How many signatures each class of change takes, its author not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thresholds {
    /// More authority for the gateway.
    pub authority: u64,
    /// Callers that met the old contracts may now be refused.
    pub breaking: u64,
    /// An emergency measure that only protects.
    pub breakglass: u64,
    /// The platform is less protected.
    pub loosen: u64,
    /// The next root.
    pub root: u64,
    /// None of these.
    pub tighten: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            authority: 3,
            breaking: 2,
            breakglass: 1,
            loosen: 2,
            root: 2,
            tighten: 1,
        }
    }
}

/// One person, or one program that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The name, which is unique.
    pub name: String,
    /// The keys; two signatures of one principal count once.
    pub keys: Vec<VerifyingKey>,
    /// What they may do.
    pub roles: BTreeSet<Role>,
}

/// A root, valid but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    parts: RootParts,
    digest: String,
}

/// What a root says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootParts {
    /// From 1, each the next.
    pub version: u64,
    /// The gateways it is for.
    pub audience: String,
    /// Bundles of an earlier epoch are refused.
    pub epoch: u64,
    /// In production no bundle takes fewer than two signatures, but for break-glass.
    pub is_production: bool,
    /// When it ends, microseconds since 1970.
    pub expires_at_us: u64,
    /// Who signs.
    pub principals: Vec<Principal>,
    /// The owners of contracts: names of principals by the name that contracts use.
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// How many it takes.
    pub thresholds: Thresholds,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootForm {
    audience: String,
    epoch: u64,
    expires_at_us: u64,
    format_version: u64,
    groups: BTreeMap<String, Vec<String>>,
    principals: Vec<PrincipalForm>,
    production: bool,
    thresholds: Thresholds,
    version: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalForm {
    keys: Vec<String>,
    name: String,
    roles: Vec<Role>,
}

impl Root {
    /// A root of these parts; principals are sorted by name, keys by their id.
    ///
    /// # Errors
    /// [`RefusalCode::PayloadMalformed`] with the rule that they break.
    pub fn new(mut parts: RootParts) -> Result<Self, Refused> {
        parts.principals.sort_by(|one, two| one.name.cmp(&two.name));
        for principal in &mut parts.principals {
            principal.keys.sort_by_key(key_id);
        }
        if let Some(rule) = fault(&parts) {
            return Err(malformed(rule));
        }
        let bytes = write(&parts)?;
        Ok(Self {
            digest: digest_hex(&bytes),
            parts,
        })
    }

    /// Reads the payload of a root.
    ///
    /// # Errors
    /// [`RefusalCode::PayloadMalformed`], [`RefusalCode::FormatUnsupported`],
    /// [`RefusalCode::NotCanonical`].
    pub fn read(unverified: &[u8]) -> Result<Self, Refused> {
        let form: RootForm = serde_json::from_slice(unverified).map_err(malformed)?;
        if form.format_version != ROOT_FORMAT_VERSION {
            let version = form.format_version;
            let detail = format!("format_version {version}; supported: {ROOT_FORMAT_VERSION}");
            let remedy = "make it with a program of this gateway's version";
            return Err(Refused::new(RefusalCode::FormatUnsupported, detail, remedy));
        }
        let root = Self::new(RootParts::try_from(form)?)?;
        if root.to_payload()? != unverified {
            let detail = "the root is not in canonical form (RFC 8785)";
            let remedy = "make it with tidegate root init or rotate";
            return Err(Refused::new(RefusalCode::NotCanonical, detail, remedy));
        }
        Ok(root)
    }

    /// What it says.
    #[must_use]
    pub const fn parts(&self) -> &RootParts {
        &self.parts
    }

    /// SHA-256 of its payload, 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Its payload: canonical JSON.
    ///
    /// # Errors
    /// Only when serialisation itself fails.
    pub fn to_payload(&self) -> Result<Vec<u8>, Refused> {
        write(&self.parts)
    }

    /// The principal of that name.
    #[must_use]
    pub fn principal(&self, name: &str) -> Option<&Principal> {
        self.parts.principals.iter().find(|p| p.name == name)
    }

    /// Whose key it is, and the key.
    #[must_use]
    pub fn holder(&self, id: &str) -> Option<(&Principal, &VerifyingKey)> {
        self.parts.principals.iter().find_map(|principal| {
            let key = principal.keys.iter().find(|key| key_id(key) == id)?;
            Some((principal, key))
        })
    }

    /// The members of an owner's group; none where the root does not know it.
    pub fn group(&self, owner: &str) -> impl Iterator<Item = &str> {
        let members = self.parts.groups.get(owner);
        members.into_iter().flatten().map(String::as_str)
    }
}

/// The rule that the parts break, if any.
fn fault(parts: &RootParts) -> Option<String> {
    let Thresholds {
        authority,
        breaking,
        breakglass,
        loosen,
        root,
        tighten,
    } = parts.thresholds;
    let with = |roles: &[Role]| {
        let has = |p: &&Principal| roles.iter().any(|role| p.roles.contains(role));
        parts.principals.iter().filter(has).count() as u64
    };
    let roots = with(&[Role::Root]);
    let approvers = with(&[Role::Approver, Role::Security]);
    let in_range = |count: u64| (1..=INTEGER_MAX).contains(&count);
    let numbers = [parts.version, parts.epoch, parts.expires_at_us];
    if !numbers.into_iter().all(in_range) {
        return Some("version, epoch and expires_at_us are 1 to 2^53 - 1".to_owned());
    }
    if !is_name(&parts.audience) {
        return Some("audience is 1 to 64 of a-z, 0-9, '_', '.', '-'".to_owned());
    }
    if parts.principals.is_empty() || parts.principals.len() > COUNT_MAX {
        return Some(format!("a root has 1 to {COUNT_MAX} principals"));
    }
    if let Some(rule) = principals_fault(&parts.principals) {
        return Some(rule);
    }
    if let Some(rule) = groups_fault(parts) {
        return Some(rule);
    }
    if !(1..=roots).contains(&root) {
        return Some(format!(
            "thresholds.root is {root}, and {roots} principals have the role root"
        ));
    }
    let needs = [authority, breaking, breakglass, loosen, tighten];
    if needs.iter().any(|need| !(1..=approvers).contains(need)) {
        return Some(format!(
            "each threshold is 1 to the number of principals with the role approver or security, \
             which is {approvers}"
        ));
    }
    None
}

fn principals_fault(principals: &[Principal]) -> Option<String> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for principal in principals {
        let name = &principal.name;
        if !is_name(name) {
            return Some("a principal's name is 1 to 64 of a-z, 0-9, '_', '.', '-'".to_owned());
        }
        if !names.insert(name) {
            return Some(format!("principal '{name}' stands twice"));
        }
        if principal.keys.is_empty() || principal.keys.len() > COUNT_MAX {
            return Some(format!("principal '{name}' has 1 to {COUNT_MAX} keys"));
        }
        if principal.roles.is_empty() {
            return Some(format!("principal '{name}' has no role"));
        }
        if !principal.keys.iter().all(|key| keys.insert(key_id(key))) {
            return Some(format!(
                "a key of '{name}' stands twice: one key, one principal"
            ));
        }
    }
    None
}

fn groups_fault(parts: &RootParts) -> Option<String> {
    let is_known = |name: &String| parts.principals.iter().any(|p| p.name == *name);
    if parts.groups.len() > COUNT_MAX {
        return Some(format!("a root has at most {COUNT_MAX} groups"));
    }
    parts.groups.iter().find_map(|(group, members)| {
        if !is_name(group) {
            return Some("a group's name is 1 to 64 of a-z, 0-9, '_', '.', '-'".to_owned());
        }
        if members.is_empty() {
            return Some(format!("group '{group}' has no member"));
        }
        let unknown = members.iter().find(|member| !is_known(member))?;
        Some(format!("'{unknown}' of group '{group}' is no principal"))
    })
}

fn write(parts: &RootParts) -> Result<Vec<u8>, Refused> {
    let principal = |principal: &Principal| PrincipalForm {
        keys: principal.keys.iter().map(public_base64).collect(),
        name: principal.name.clone(),
        roles: principal.roles.iter().copied().collect(),
    };
    let group = |(name, members): (&String, &BTreeSet<String>)| {
        (name.clone(), members.iter().cloned().collect())
    };
    let form = RootForm {
        audience: parts.audience.clone(),
        epoch: parts.epoch,
        expires_at_us: parts.expires_at_us,
        format_version: ROOT_FORMAT_VERSION,
        groups: parts.groups.iter().map(group).collect(),
        principals: parts.principals.iter().map(principal).collect(),
        production: parts.is_production,
        thresholds: parts.thresholds,
        version: parts.version,
    };
    serde_json_canonicalizer::to_vec(&form).map_err(malformed)
}

impl TryFrom<RootForm> for RootParts {
    type Error = Refused;

    fn try_from(form: RootForm) -> Result<Self, Refused> {
        let principal = |form: PrincipalForm| {
            let keys = form.keys.iter().map(|key| public_key(key));
            Some(Principal {
                keys: keys.collect::<Option<_>>()?,
                roles: form.roles.into_iter().collect(),
                name: form.name,
            })
        };
        let principals = form.principals.into_iter().map(principal);
        let principals = principals.collect::<Option<Vec<_>>>();
        let groups = form.groups.into_iter();
        Ok(Self {
            version: form.version,
            audience: form.audience,
            epoch: form.epoch,
            is_production: form.production,
            expires_at_us: form.expires_at_us,
            principals: principals
                .ok_or_else(|| malformed("a key is 32 bytes of Ed25519 in base64, and not weak"))?,
            groups: groups
                .map(|(name, members)| (name, members.into_iter().collect()))
                .collect(),
            thresholds: form.thresholds,
        })
    }
}

fn malformed(reason: impl std::fmt::Display) -> Refused {
    let remedy = "make it with tidegate root init or rotate";
    Refused::new(RefusalCode::PayloadMalformed, reason.to_string(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn principal(name: &str, seed: u8, roles: &[Role]) -> Principal {
        Principal {
            name: name.to_owned(),
            keys: vec![SigningKey::from_bytes(&[seed; 32]).verifying_key()],
            roles: roles.iter().copied().collect(),
        }
    }

    fn parts() -> RootParts {
        let all = [Role::Author, Role::Approver, Role::Root];
        RootParts {
            version: 1,
            audience: "edge-eu".to_owned(),
            epoch: 1,
            is_production: true,
            expires_at_us: 9,
            principals: vec![
                principal("carol", 3, &[Role::Security, Role::Root]),
                principal("alice", 1, &all),
                principal("bob", 2, &all),
            ],
            groups: BTreeMap::from([("api".to_owned(), BTreeSet::from(["bob".to_owned()]))]),
            thresholds: Thresholds::default(),
        }
    }

    #[test]
    fn a_root_reads_back_whatever_the_order_of_its_principals() {
        let root = Root::new(parts()).unwrap();
        let payload = root.to_payload().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload, serde_json_canonicalizer::to_vec(&value).unwrap());
        assert_eq!(Root::read(&payload).unwrap(), root);
        let mut other = parts();
        other.principals.reverse();
        assert_eq!(Root::new(other).unwrap().digest(), root.digest());
        assert_eq!(root.group("api").collect::<Vec<_>>(), ["bob"]);
        assert_eq!(root.group("none").count(), 0);
    }

    #[test]
    fn what_cannot_be_met_or_told_apart_is_refused() {
        let check = |change: fn(&mut RootParts), told: &str| {
            let mut parts = parts();
            change(&mut parts);
            let refused = Root::new(parts).unwrap_err();
            assert_eq!(refused.code, RefusalCode::PayloadMalformed);
            assert!(refused.detail.contains(told), "{refused}");
        };
        check(|parts| parts.version = 0, "version");
        check(|parts| parts.thresholds.root = 4, "role root");
        check(|parts| parts.thresholds.root = 0, "role root");
        check(|parts| parts.thresholds.loosen = 4, "each threshold");
        check(|parts| parts.thresholds.tighten = 0, "each threshold");
        check(|parts| parts.audience = "Edge".to_owned(), "audience");
        check(|parts| parts.principals.clear(), "principals");
        check(
            |parts| parts.principals[1].keys = parts.principals[0].keys.clone(),
            "one key, one principal",
        );
        check(|parts| parts.principals[1].name = "bob".to_owned(), "twice");
        check(|parts| parts.principals[1].roles.clear(), "no role");
        check(
            |parts| {
                parts
                    .groups
                    .insert("x".to_owned(), BTreeSet::from(["eve".to_owned()]));
            },
            "no principal",
        );
    }
}
