//! Principals, groups and thresholds on a command line, and whether they can sign at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::bundle::envelope::{Envelope, ROOT_TYPE};
use crate::bundle::public_key;
use crate::bundle::root::{Principal, Role, Root, RootParts, Thresholds};
use crate::cli::period::period_us;
use crate::cli::signing::{Key, Usage, add, create, keys, names, row, span};

/// All roles, as they are called on a command line.
const ROLES: [(&str, Role); 4] = [
    ("approver", Role::Approver),
    ("author", Role::Author),
    ("root", Role::Root),
    ("security", Role::Security),
];

/// What `init` and `rotate` have in common.
#[derive(Debug, Args)]
pub(super) struct People {
    /// Who signs: a name, a public key in base64, and roles of approver, author, root, security;
    /// all of them where none is named. The same name again is a further key.
    #[arg(long = "principal", value_name = "NAME=PUBLIC[:ROLE+ROLE]", value_parser = principal)]
    pub(super) principals: Vec<Principal>,
    /// Who owns contracts: the name in 'owner', and names of principals.
    #[arg(long = "group", value_name = "GROUP=NAME,NAME", value_parser = group)]
    pub(super) groups: Vec<(String, BTreeSet<String>)>,
    /// How many it takes: authority, breaking, breakglass, loosen, root or tighten, and a number.
    #[arg(long = "threshold", value_name = "CLASS=N", value_parser = threshold)]
    pub(super) thresholds: Vec<(String, u64)>,
    /// How long the root holds, from now.
    #[arg(long, value_name = "PERIOD", default_value = "365d", value_parser = period_us)]
    pub(super) expires: u64,
    /// The new root; a file that is there is never written over.
    #[arg(short, long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Sign it at once with this private key; several sign one after the other.
    #[arg(long, value_name = "FILE")]
    pub(super) key: Vec<PathBuf>,
}

fn principal(text: &str) -> Result<Principal, String> {
    let form = "give NAME=PUBLIC or NAME=PUBLIC:ROLE+ROLE";
    let (name, rest) = text.split_once('=').ok_or(form)?;
    let (public, roles) = rest.split_once(':').unwrap_or((rest, ""));
    let key = public_key(public).ok_or_else(|| {
        format!("'{public}' is no public key; take what tidegate bundle keygen printed")
    })?;
    let role = |word: &str| {
        let found = ROLES.iter().find(|(name, _)| *name == word);
        found.map(|(_, role)| *role).ok_or_else(|| {
            let known: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
            format!("'{word}' is no role; the roles are {}", known.join(", "))
        })
    };
    let roles = if roles.is_empty() {
        ROLES.iter().map(|(_, role)| *role).collect()
    } else {
        roles.split('+').map(role).collect::<Result<_, _>>()?
    };
    Ok(Principal {
        name: name.to_owned(),
        keys: vec![key],
        roles,
    })
}

fn group(text: &str) -> Result<(String, BTreeSet<String>), String> {
    let (name, members) = text.split_once('=').ok_or("give GROUP=NAME,NAME")?;
    Ok((
        name.to_owned(),
        members.split(',').map(str::to_owned).collect(),
    ))
}

fn threshold(text: &str) -> Result<(String, u64), String> {
    let form = "give CLASS=N, such as loosen=2";
    let (class, count) = text.split_once('=').ok_or(form)?;
    let count = count.parse().map_err(|_| form)?;
    place(&mut Thresholds::default(), class)
        .map(|_| (class.to_owned(), count))
        .ok_or_else(|| {
            format!("'{class}' is none of authority, breaking, breakglass, loosen, root, tighten")
        })
}

fn place<'t>(of: &'t mut Thresholds, class: &str) -> Option<&'t mut u64> {
    Some(match class {
        "authority" => &mut of.authority,
        "breaking" => &mut of.breaking,
        "breakglass" => &mut of.breakglass,
        "loosen" => &mut of.loosen,
        "root" => &mut of.root,
        "tighten" => &mut of.tighten,
        _ => return None,
    })
}

impl People {
    /// The principals of the command line: one for each name, with all of its keys and roles.
    pub(super) fn merged(&self) -> Vec<Principal> {
        let mut merged: BTreeMap<&str, Principal> = BTreeMap::new();
        for principal in &self.principals {
            match merged.get_mut(principal.name.as_str()) {
                Some(known) => {
                    known.keys.extend_from_slice(&principal.keys);
                    known.roles.extend(&principal.roles);
                }
                None => {
                    merged.insert(&principal.name, principal.clone());
                }
            }
        }
        merged.into_values().collect()
    }

    /// The thresholds of the command line over others, which give way where so many people are not
    /// there.
    fn thresholds(&self, others: Thresholds, principals: &[Principal]) -> Result<Thresholds> {
        let most = most(principals);
        let roots = principals.iter().filter(|p| p.roles.contains(&Role::Root));
        let mut of = Thresholds {
            root: others.root.min(roots.count() as u64).max(1),
            authority: others.authority.min(most).max(1),
            breaking: others.breaking.min(most).max(1),
            breakglass: others.breakglass.min(most).max(1),
            loosen: others.loosen.min(most).max(1),
            tighten: others.tighten.min(most).max(1),
        };
        for (class, count) in &self.thresholds {
            if class != "root" && *count > most {
                let told = format!(
                    "--threshold {class}={count}: besides an author only {most} could sign; \
                     name more principals with the role approver or security"
                );
                return Err(Usage(told).into());
            }
            if let Some(place) = place(&mut of, class) {
                *place = *count;
            }
        }
        Ok(of)
    }

    /// Signs a root, writes it, and tells what it is. Its thresholds give way to those of the
    /// command line. The people of `previous` sign as well.
    pub(super) fn write(
        &self,
        mut parts: RootParts,
        previous: Option<&Root>,
        now_us: u64,
    ) -> Result<String> {
        // What the parts say stands on the command line. Names, keys and groups come first: who
        // can sign at all depends on them, and the numbers depend on that.
        let others = std::mem::replace(&mut parts.thresholds, ONE_OF_EACH);
        is_root(&parts)?;
        can_sign(&parts)?;
        parts.thresholds = self.thresholds(others, &parts.principals)?;
        let root = is_root(&parts)?;
        let mut envelope = Envelope::unsigned(ROOT_TYPE, root.to_payload()?);
        let keys = keys(&self.key)?;
        if let Some(key) = unknown(&keys, &root, previous) {
            return Err(Usage(key.unknown("sign with a key of the root")).into());
        }
        for key in &keys {
            add(&mut envelope, key)?;
        }
        create(&self.out, &envelope.to_bytes())?;
        Ok(about(&root, &envelope, now_us))
    }
}

/// What every root can ask for whose people are in order.
const ONE_OF_EACH: Thresholds = Thresholds {
    authority: 1,
    breaking: 1,
    breakglass: 1,
    loosen: 1,
    root: 1,
    tighten: 1,
};

fn is_root(parts: &RootParts) -> Result<Root> {
    Ok(Root::new(parts.clone()).map_err(|refused| Usage(refused.detail))?)
}

/// How many could sign for the author who leaves the fewest.
fn most(principals: &[Principal]) -> u64 {
    let counts =
        |p: &&Principal| p.roles.contains(&Role::Approver) || p.roles.contains(&Role::Security);
    let besides = |author: &Principal| {
        let others = principals.iter().filter(counts);
        others.filter(|p| p.name != author.name).count() as u64
    };
    let authors = principals
        .iter()
        .filter(|p| p.roles.contains(&Role::Author));
    authors.map(besides).min().unwrap_or(0)
}

/// Whether bundles under such a root could ever come into force.
fn can_sign(parts: &RootParts) -> Result<()> {
    let most = most(&parts.principals);
    let needs = if parts.is_production { 2 } else { 1 };
    let has = |role: Role| parts.principals.iter().any(|p| p.roles.contains(&role));
    let told = if !has(Role::Author) {
        "nobody has the role author".to_owned()
    } else if most < needs {
        let why = if parts.is_production {
            "in production two besides the author have to sign (or say --production false)"
        } else {
            "one besides the author has to sign"
        };
        format!("{why}, and only {most} could; name more principals")
    } else if !has(Role::Security) {
        "nobody has the role security, which every loosening needs".to_owned()
    } else {
        return Ok(());
    };
    Err(Usage(told).into())
}

/// What a root says, in a few lines.
pub(super) fn about(root: &Root, envelope: &Envelope, now_us: u64) -> String {
    let parts = root.parts();
    let of = parts.thresholds;
    let mut text = format!(
        "root      {}\n\
         place     version {}, epoch {}, for '{}'{}\n",
        root.digest(),
        parts.version,
        parts.epoch,
        parts.audience,
        if parts.is_production {
            ", production"
        } else {
            ""
        },
    );
    for principal in &parts.principals {
        let roles = ROLES
            .iter()
            .filter(|(_, role)| principal.roles.contains(role));
        let roles: Vec<&str> = roles.map(|(name, _)| *name).collect();
        let keys = principal.keys.len();
        let keys = if keys == 1 {
            String::new()
        } else {
            format!(" ({keys} keys)")
        };
        text += &format!("principal {}{keys}: {}\n", principal.name, roles.join(", "));
    }
    for (group, members) in &parts.groups {
        let members: Vec<&String> = members.iter().collect();
        text += &format!("group     {group}: {}\n", row(&members));
    }
    let ids = envelope.signatures().iter();
    let ids: Vec<String> = ids.map(|signature| signature.key_id.clone()).collect();
    text += &format!(
        "takes     tighten {}, breaking {}, loosen {}, authority {}, breakglass {}, root {}\n\
         ends      {}\n\
         signed    by {}\n",
        of.tighten,
        of.breaking,
        of.loosen,
        of.authority,
        of.breakglass,
        of.root,
        span(now_us, parts.expires_at_us),
        row(&names(Some(root), &ids)),
    );
    text
}

/// The first of these keys that neither root knows: it would spoil the file.
pub(super) fn unknown<'k>(
    keys: &'k [Key],
    root: &Root,
    previous: Option<&Root>,
) -> Option<&'k Key> {
    let knows = |root: &Root, key: &Key| root.holder(&key.id).is_some();
    keys.iter()
        .find(|key| !knows(root, key) && !previous.is_some_and(|previous| knows(previous, key)))
}
