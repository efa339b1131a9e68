//! The one way from bytes to a bundle that may come into force.
//!
//! [`verify`] makes the checks of docs/bundle-format.md in the order of its table, each with one
//! code, and nothing else makes a [`VerifiedBundle`]. Pure: time, mark and bundle in force are
//! handed in, and what is refused has changed nothing. The last two steps of the table, kept on
//! disk and recorded, belong to whoever activates.

pub mod approval;
mod fitting;
mod root_chain;
mod self_tests;
mod signatures;
mod standing;
#[cfg(test)]
mod tests;
mod verified;

use super::change::{Classified, Side, classify, classify_unknown};
use super::envelope::{BUNDLE_TYPE, Envelope};
use super::manifest::{Manifest, Position};
use super::payload::{Payload, ReadContent, Unread, claims};
#[cfg(doc)]
use super::refusal::RefusalCode;
use super::refusal::Refused;
use super::root::Role;
use super::text::digest_hex;
use crate::units::Date;
use approval::Predecessor;
use fitting::Fitted;
use signatures::Signed;

pub use fitting::Place;
pub use root_chain::{VerifiedRoot, verify_root};
pub use self_tests::Engine;
pub use verified::VerifiedBundle;

/// What a bundle is compared with: this gateway, now.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Who may sign.
    pub root: &'a VerifiedRoot,
    /// The time, microseconds since 1970.
    pub now_us: u64,
    /// The time of the newest record of the ledger, microseconds since 1970; 0 where there is none.
    pub newest_record_us: u64,
    /// The bundle in force, if any.
    pub in_force: Option<InForce<'a>>,
    /// The highest place that was ever activated, if any.
    pub mark: Option<Mark<'a>>,
    /// Where the contracts have to fit in.
    pub place: Place<'a>,
    /// Whether this gateway says that it runs in production; the root may say so as well.
    pub is_production: bool,
    /// What runs it.
    pub engine: Engine<'a>,
}

/// The high-water mark: what was activated last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark<'a> {
    /// Its place.
    pub position: Position,
    /// Its bundle digest, 64 hex digits.
    pub digest: &'a str,
}

/// What a successor has to know of the bundle in force.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    /// Its bundle digest.
    pub digest: &'a str,
    /// The name of its line.
    pub name: &'a str,
    /// What a successor is compared with.
    pub side: Side<'a>,
    /// Whether it is an emergency measure.
    pub is_measure: bool,
    /// What was in force before the measure, which fewer have signed: a successor is compared with
    /// that as well. `None` where there is no measure, or where nobody knows.
    pub before_measure: Option<Side<'a>>,
}

impl<'a> From<&'a VerifiedBundle> for InForce<'a> {
    fn from(bundle: &'a VerifiedBundle) -> Self {
        Self {
            digest: bundle.digest(),
            name: &bundle.manifest().name,
            side: bundle.side(),
            is_measure: bundle.manifest().breakglass.is_some(),
            before_measure: None,
        }
    }
}

impl<'a> From<&'a Payload> for InForce<'a> {
    fn from(payload: &'a Payload) -> Self {
        Self {
            digest: payload.digest(),
            name: &payload.manifest().name,
            side: Side {
                contracts: payload.contracts(),
                rules: payload.rules(),
                charter: payload.charter(),
                self_tests: payload.self_tests(),
                tier_max: payload.manifest().tier_max,
                content_digest: *payload.content().digest(),
            },
            is_measure: payload.manifest().breakglass.is_some(),
            before_measure: None,
        }
    }
}

/// Verifies a candidate: all that has to hold before it is kept, recorded and put in force.
///
/// # Errors
/// The first check that fails, in the order of docs/bundle-format.md.
pub fn verify(unverified: &[u8], around: &Surroundings<'_>) -> Result<VerifiedBundle, Refused> {
    let root = around.root.root();
    let (fitted, signed) = examine(unverified, around, standing::follows, &mut |found| found)?;
    let classified = classes_of(&fitted, around)?;
    let needs = approval::needs(root, &classified, around.is_production);
    approval::are_given(root, &needs, &fitted.manifest.author, signed.names())?;
    self_tests::pass(&fitted, &around.engine)?;
    Ok(VerifiedBundle::new(
        fitted,
        signed,
        Some(classified),
        unverified,
    ))
}

/// The same checks for people who look at a bundle: signatures that are still missing are told with
/// all that they are missing for, and without a bundle in force its parent is not asked for. Where
/// what an emergency measure replaced is not at hand, no classes are told: there could be more. What
/// comes of it is no [`VerifiedBundle`].
///
/// # Errors
/// As [`verify`], but for [`RefusalCode::AuthorMissing`] of an author who may, for
/// [`RefusalCode::ThresholdNotMet`] and [`RefusalCode::ApprovalsMissing`].
pub fn inspect(unverified: &[u8], around: &Surroundings<'_>) -> Result<Inspection, Refused> {
    let root = around.root.root();
    let follows = match around.in_force {
        Some(_) => standing::follows,
        None => |_: &Manifest, _: &Surroundings<'_>| Ok(()),
    };
    let mut unsigned = None;
    let found = examine(unverified, around, follows, &mut |found| {
        unsigned = unsigned.take().or(found.err());
        Ok(())
    });
    // What is wrong besides is refused for that: no signature would mend it.
    let (fitted, signed) = found?;
    let author = &fitted.manifest.author;
    let may = root.principal(author);
    if !may.is_some_and(|principal| principal.roles.contains(&Role::Author)) {
        signed.is_by_author(root, author)?;
    }
    let is_comparable = match around.in_force {
        None => fitted.manifest.parent.is_none(),
        Some(before) => {
            let is_emergency = fitted.manifest.breakglass.is_some();
            is_emergency || !before.is_measure || before.before_measure.is_some()
        }
    };
    let classified = is_comparable.then(|| classes_of(&fitted, around));
    let classified = classified.transpose()?;
    let missing = classified.as_ref().and_then(|classified| {
        let needs = approval::needs(root, classified, around.is_production);
        approval::missing(root, &needs, author, signed.names())
    });
    self_tests::pass(&fitted, &around.engine)?;
    Ok(Inspection {
        refused: unsigned.or(missing.as_ref().map(approval::refused)),
        classified,
        missing,
        signers: signed.into_names(),
    })
}

/// What [`inspect`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What it changes; `None` where the bundle that it follows was not at hand.
    pub classified: Option<Classified>,
    /// What a gateway says of signatures that are not there.
    pub refused: Option<Refused>,
    /// The signatures that the change still takes; `None` also where the change is not known.
    pub missing: Option<approval::Missing>,
    /// The names of the principals who signed, sorted.
    pub signers: Box<[String]>,
}

/// All steps before the classes; `signs` is asked about every signature that is missing.
fn examine(
    unverified: &[u8],
    around: &Surroundings<'_>,
    follows: impl Fn(&Manifest, &Surroundings<'_>) -> Result<(), Refused>,
    signs: &mut dyn FnMut(Result<(), Refused>) -> Result<(), Refused>,
) -> Result<(Fitted, Signed), Refused> {
    let root = around.root.root();
    let envelope = Envelope::parse(unverified, BUNDLE_TYPE)?;
    let signed = Signed::check(&envelope, &[root])?;
    let bytes = envelope.unverified_payload();
    standing::root_holds(root, around.now_us)?;
    // One reading gives all; where it gives nothing, who signed is told before what is wrong.
    let unread = Unread::parse(bytes);
    let claims = match &unread {
        Ok(unread) => Some(unread.claims()),
        Err(_) => claims(bytes),
    };
    if let Some(claims) = &claims {
        signs(signed.is_by_author(root, &claims.author))?;
        signs(approval::least(root, &signed, claims, around.is_production))?;
    }
    let unread = unread?;
    let (manifest, content) = form_of(&unread, around.engine.version)?;
    standing::is_for(&manifest, root)?;
    let digest = digest_hex(bytes);
    standing::is_above(&manifest, &digest, root, around.mark)?;
    follows(&manifest, around)?;
    standing::clock_is_right(around)?;
    standing::is_valid_now(&manifest, around.now_us)?;
    let fitted = fitting::fit(content.with(manifest, digest)?, &around.place)?;
    Ok((fitted, signed))
}

/// The classes of the change from what is in force, as of this gateway's day: one that the bundle
/// names could be any, and with it the end of a route. While an emergency measure is in force, also
/// those of the change from the bundle before it: else the measure would be a way around signatures.
fn classes_of(fitted: &Fitted, around: &Surroundings<'_>) -> Result<Classified, Refused> {
    let (after, today) = (fitted.side(), Date::of_unix_us(around.now_us));
    let since = |before: Option<Side<'_>>| classify(before, after, today);
    let is_emergency = fitted.manifest.breakglass.is_some();
    let found = match (around.in_force, around.mark) {
        (None, None) => since(None),
        // Something was in force here, and is lost.
        (None, Some(_)) => classify_unknown(None, after),
        // What few have signed for a short time is nothing to build on.
        (Some(before), _) if before.is_measure && !is_emergency => match before.before_measure {
            Some(earlier) => since(Some(before.side)).and(since(Some(earlier))),
            None => classify_unknown(Some(before.side), after),
        },
        (Some(before), _) => since(Some(before.side)),
    };
    let before = match around.in_force {
        None => Predecessor::None,
        Some(before) if before.is_measure => Predecessor::Measure,
        Some(_) => Predecessor::Bundle,
    };
    approval::classes(is_emergency, found, before)
}

/// Verifies once more, for a start, the bundle that was in force: the one at the high-water mark,
/// byte for byte.
///
/// The mark has to be what a record of the ledger names, and nothing else: a file beside the bundle
/// could name any, and with it a bundle that one approver alone signed. What was asked when it was
/// activated is not asked again: parent, clock, the beginning of its validity, and the classes of its
/// change, for what it was compared with is no longer in force, and the root may ask for more by now.
/// That is safe because its activation was recorded: these bytes were in force here once, and an older
/// or a newer bundle is none of them. An end of validity, of the bundle or of the root, is reported
/// ([`VerifiedBundle::is_expired`]) and refuses nothing: no policy would be worse than an old one.
/// A signature of a key that the root has dropped meanwhile does not count; the author's, and as many
/// others as the least class takes, have to remain.
///
/// # Errors
/// The first check that fails. [`RefusalCode::RollbackRejected`], [`RefusalCode::SerialReused`] for
/// what is below the mark or beside it, [`RefusalCode::StateChanged`] for what is above: that is a
/// candidate, for [`verify`].
pub fn verify_again(
    unverified: &[u8],
    around: &Surroundings<'_>,
) -> Result<VerifiedBundle, Refused> {
    let root = around.root.root();
    let envelope = Envelope::parse(unverified, BUNDLE_TYPE)?;
    let signed = Signed::check_known(&envelope, root)?;
    let bytes = envelope.unverified_payload();
    let unread = Unread::parse(bytes)?;
    let claims = unread.claims();
    signed.is_by_author(root, &claims.author)?;
    approval::least(root, &signed, &claims, around.is_production)?;
    let (manifest, content) = form_of(&unread, around.engine.version)?;
    standing::is_of_audience(&manifest, root)?;
    let digest = digest_hex(bytes);
    standing::is_at(&manifest, &digest, around.mark)?;
    let fitted = fitting::fit(content.with(manifest, digest)?, &around.place)?;
    self_tests::pass(&fitted, &around.engine)?;
    Ok(VerifiedBundle::new(fitted, signed, None, unverified))
}

/// Reads a bundle without asking who signed it: for people who look at it, never for a gateway.
///
/// # Errors
/// What is wrong with its form.
pub fn read_unverified(unverified: &[u8]) -> Result<Payload, Refused> {
    Payload::read(Envelope::parse(unverified, BUNDLE_TYPE)?.unverified_payload())
}

/// The steps about form: canonical, then format and engine.
fn form_of(unread: &Unread<'_>, engine: &str) -> Result<(Manifest, ReadContent), Refused> {
    let manifest = unread.manifest()?;
    let content = unread.content()?;
    unread.is_of_this_format()?;
    standing::engine_runs(&manifest, engine)?;
    Ok((manifest, content))
}
