//! Which signatures a change takes, and which of them are there.
//!
//! Decided by the classes that the gateway computed, never by the author's word. The author does
//! not count, a principal counts once, and in production it is never fewer than two, but for
//! break-glass. An owner whose group the root does not name has nobody who could agree to a break,
//! so such a change is refused until the next root names the group: taking anybody's signature
//! instead would let a misspelt owner undo the rule.

use std::collections::BTreeSet;
use std::fmt;

use super::signatures::Signed;
use crate::bundle::change::{Class, Classified, Verdict, breakglass_fault};
use crate::bundle::payload::Claims;
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::root::{Principal, Role, Root};

/// In production no change takes fewer, but for break-glass.
const PRODUCTION_FLOOR: u64 = 2;

/// The signatures that a bundle takes besides its author's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// How many principals with the role approver or security.
    pub approvers: u64,
    /// Whether one of them has the role security.
    pub security: bool,
    /// The groups of which one each has to be among them.
    pub owners: BTreeSet<String>,
}

/// The signatures that are still missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Missing {
    /// The author, who has to sign as well and does not count.
    pub author: Option<String>,
    /// How many principals more; at least 1, but for where the author alone is missing.
    pub approvers: u64,
    /// Whether one of them has to have the role security.
    pub security: bool,
    /// The groups of which one each has to be among them, with those who could sign for them; with
    /// nobody where the root does not know the group.
    pub owners: Vec<(String, Vec<String>)>,
    /// The names of those whose signature would bring it further, the author aside; sorted.
    pub candidates: Vec<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(author) = &self.author {
            write!(out, "the author, {author}")?;
            if self.approvers == 0 {
                return Ok(());
            }
            out.write_str(", and ")?;
        }
        let plural = if self.approvers == 1 { "" } else { "s" };
        write!(out, "{} more approver{plural}", self.approvers)?;
        if self.security {
            out.write_str(", one with the role security")?;
        }
        for (group, members) in &self.owners {
            write!(out, ", one of the group '{group}' ")?;
            if members.is_empty() {
                out.write_str("(in which the root has nobody who could)")?;
            } else {
                write!(out, "({})", members.join(", "))?;
            }
        }
        if self.candidates.is_empty() {
            return out.write_str("; nobody of the root could");
        }
        write!(out, "; could come from {}", self.candidates.join(", "))
    }
}

/// What these classes take under this root.
#[must_use]
pub fn needs(root: &Root, classified: &Classified, is_production: bool) -> Needs {
    let of = root.parts().thresholds;
    let classes = &classified.classes;
    let count = |class: &Class| match class {
        Class::Tighten => of.tighten,
        Class::Breaking => of.breaking,
        Class::Loosen => of.loosen,
        Class::Authority => of.authority,
        Class::Breakglass => of.breakglass,
    };
    let most = classes.iter().map(count).max().unwrap_or(of.tighten);
    let is_emergency = classes.contains(&Class::Breakglass);
    let breaks = classified.changes.iter();
    let breaks = breaks.filter(|change| !is_emergency && change.consumer == Verdict::Breaking);
    Needs {
        approvers: floored(root, most, is_production, is_emergency),
        security: classes.contains(&Class::Loosen),
        owners: breaks.filter_map(|change| change.owner.clone()).collect(),
    }
}

/// What is missing of what a bundle takes; `None` where nothing is.
#[must_use]
pub fn missing(
    root: &Root,
    needs: &Needs,
    author: &str,
    signers: &BTreeSet<String>,
) -> Option<Missing> {
    let approvers = approvers(root, author, signers);
    let lacks = |name: &&String| {
        !root
            .group(name)
            .any(|m| approvers.iter().any(|p| p.name == m))
    };
    let could = |group: &String| {
        let members = root.group(group).filter(|name| {
            let member = root.principal(name);
            *name != author && member.is_some_and(counts)
        });
        (group.clone(), members.map(str::to_owned).collect())
    };
    let security = needs.security && !approvers.iter().any(|p| p.roles.contains(&Role::Security));
    let owners: Vec<(String, Vec<String>)> = needs.owners.iter().filter(lacks).map(could).collect();
    let short = needs.approvers.saturating_sub(approvers.len() as u64);
    let helps = |p: &&Principal| {
        let owns = owners.iter().any(|(_, members)| members.contains(&p.name));
        let is_new = p.name != author && counts(p) && !signers.contains(&p.name);
        is_new && (short > 0 || owns || security && p.roles.contains(&Role::Security))
    };
    let candidates = root.parts().principals.iter().filter(helps);
    let candidates = candidates.map(|p| p.name.clone()).collect();
    let is_short = short > 0 || security || !owners.is_empty();
    let has_author = signers.contains(author);
    (is_short || !has_author).then(|| Missing {
        author: (!has_author).then(|| author.to_owned()),
        approvers: short.max(u64::from(is_short)),
        security,
        owners,
        candidates,
    })
}

/// Whether nothing is missing.
pub(super) fn are_given(
    root: &Root,
    needs: &Needs,
    author: &str,
    signers: &BTreeSet<String>,
) -> Result<(), Refused> {
    match missing(root, needs, author, signers) {
        None => Ok(()),
        Some(missing) => Err(refused(&missing)),
    }
}

/// What the gateway says where these are missing.
pub(super) fn refused(missing: &Missing) -> Refused {
    let nobody = missing.owners.iter().any(|(_, members)| members.is_empty());
    let remedy = if nobody {
        "name the owner's group in the next root: tidegate root rotate"
    } else {
        "sign it with tidegate bundle sign, and hand it over again"
    };
    let detail = format!("it takes {missing}");
    Refused::new(RefusalCode::ApprovalsMissing, detail, remedy)
}

/// Before a payload is read: fewer than any class takes can never be enough.
pub(super) fn least(
    root: &Root,
    signed: &Signed,
    claims: &Claims,
    is_production: bool,
) -> Result<(), Refused> {
    let of = root.parts().thresholds;
    let usual = of.tighten.min(of.breaking).min(of.loosen).min(of.authority);
    let least = if claims.is_breakglass {
        of.breakglass
    } else {
        usual
    };
    let needs = floored(root, least, is_production, claims.is_breakglass);
    let has = approvers(root, &claims.author, signed.names()).len() as u64;
    if has >= needs {
        return Ok(());
    }
    let detail = format!("{has} of at least {needs} principals besides the author signed");
    let remedy = "sign it with tidegate bundle sign";
    Err(Refused::new(RefusalCode::ThresholdNotMet, detail, remedy))
}

/// What a bundle follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor {
    /// Nothing: nothing could come back after it.
    None,
    /// A bundle that stays until the next one.
    Bundle,
    /// An emergency measure.
    Measure,
}

/// The classes that count: what claims to be an emergency measure is of that class alone, where it
/// does no more than one may.
///
/// # Errors
/// [`RefusalCode::BreakglassTooWide`].
pub fn classes(
    is_emergency: bool,
    found: Classified,
    before: Predecessor,
) -> Result<Classified, Refused> {
    if !is_emergency {
        return Ok(found);
    }
    let fault = match before {
        Predecessor::None => {
            Some("there is no bundle in force that could come back after it".to_owned())
        }
        // One after the other would hold for as long as somebody signs, and drift anywhere.
        Predecessor::Measure => Some("an emergency measure is in force already".to_owned()),
        Predecessor::Bundle => breakglass_fault(&found.changes),
    };
    if let Some(detail) = fault {
        let remedy = "lower the tier, or make one route stricter; all else takes its signatures";
        return Err(Refused::new(RefusalCode::BreakglassTooWide, detail, remedy));
    }
    Ok(Classified {
        changes: found.changes,
        classes: BTreeSet::from([Class::Breakglass]),
    })
}

fn floored(root: &Root, count: u64, is_production: bool, is_emergency: bool) -> u64 {
    if (is_production || root.parts().is_production) && !is_emergency {
        count.max(PRODUCTION_FLOOR)
    } else {
        count
    }
}

/// The principals whose signatures count, the author excluded.
fn approvers<'r>(root: &'r Root, author: &str, signers: &BTreeSet<String>) -> Vec<&'r Principal> {
    let principals = root.parts().principals.iter();
    principals
        .filter(|p| p.name != author && signers.contains(&p.name) && counts(p))
        .collect()
}

fn counts(principal: &Principal) -> bool {
    let roles = &principal.roles;
    roles.contains(&Role::Approver) || roles.contains(&Role::Security)
}
