//! Whether a bundle holds here and now: root, engine, audience, place, parent, clock, validity.

use super::{Mark, Surroundings};
use crate::bundle::manifest::{Manifest, version};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::bundle::root::Root;

fn refused(code: RefusalCode, detail: String, remedy: &str) -> Result<(), Refused> {
    Err(Refused::new(code, detail, remedy))
}

/// An expired root activates nothing new.
pub(super) fn root_holds(root: &Root, now_us: u64) -> Result<(), Refused> {
    let end = root.parts().expires_at_us;
    if now_us < end {
        return Ok(());
    }
    let detail = format!("the root ended at {end} us, and it is {now_us} us");
    let remedy = "rotate the root: tidegate root rotate";
    refused(RefusalCode::RootExpired, detail, remedy)
}

/// Whether this program is not too old.
pub(super) fn engine_runs(manifest: &Manifest, engine: &str) -> Result<(), Refused> {
    let least = &manifest.engine_min;
    if version(engine).is_some_and(|engine| version(least).is_some_and(|least| least <= engine)) {
        return Ok(());
    }
    let detail = format!("it takes version {least} of the program, and this is {engine}");
    let remedy = "update the gateway first";
    refused(RefusalCode::FormatUnsupported, detail, remedy)
}

/// Audience and epoch are those of the root. An epoch above it would burn places that only a root
/// may give out; one below it is a matter of [`is_above`].
pub(super) fn is_for(manifest: &Manifest, root: &Root) -> Result<(), Refused> {
    is_of_audience(manifest, root)?;
    let (epoch, ours) = (manifest.epoch, root.parts().epoch);
    if epoch <= ours {
        return Ok(());
    }
    let detail = format!("it is of epoch {epoch}, and the root of epoch {ours}");
    let remedy = "hand over the root that it was built for first";
    refused(RefusalCode::AudienceMismatch, detail, remedy)
}

/// Whether the audience is that of the root.
pub(super) fn is_of_audience(manifest: &Manifest, root: &Root) -> Result<(), Refused> {
    let (audience, ours) = (&manifest.audience, &root.parts().audience);
    if audience == ours {
        return Ok(());
    }
    let detail = format!("it is for '{audience}', and this is '{ours}'");
    let remedy = "build it for the audience of this gateway's root";
    refused(RefusalCode::AudienceMismatch, detail, remedy)
}

/// Whether its place is above all that were ever activated.
pub(super) fn is_above(
    manifest: &Manifest,
    digest: &str,
    root: &Root,
    mark: Option<Mark<'_>>,
) -> Result<(), Refused> {
    let (place, epoch) = (manifest.position(), root.parts().epoch);
    let remedy = "build it again with a higher serial; an old content comes back as a new bundle";
    if place.epoch < epoch {
        let detail = format!("it is of {place}, and the root of epoch {epoch}");
        return refused(RefusalCode::RollbackRejected, detail, remedy);
    }
    match mark {
        Some(mark) if place <= mark.position => below(manifest, digest, mark),
        _ => Ok(()),
    }
}

/// Whether it is the bundle at the mark, byte for byte.
pub(super) fn is_at(
    manifest: &Manifest,
    digest: &str,
    mark: Option<Mark<'_>>,
) -> Result<(), Refused> {
    let place = manifest.position();
    match mark {
        Some(mark) if mark.position == place && mark.digest == digest => Ok(()),
        Some(mark) if place <= mark.position => below(manifest, digest, mark),
        _ => {
            let detail = format!("it is of {place}, which was not activated here");
            let remedy = "hand it over as a candidate";
            refused(RefusalCode::StateChanged, detail, remedy)
        }
    }
}

/// Says how a place is not above the mark.
fn below(manifest: &Manifest, digest: &str, mark: Mark<'_>) -> Result<(), Refused> {
    let (place, highest) = (manifest.position(), mark.position);
    let remedy = "build it again with a higher serial; an old content comes back as a new bundle";
    if place == highest && digest != mark.digest {
        let detail = format!("{place} is taken by bundle {}", mark.digest);
        return refused(RefusalCode::SerialReused, detail, remedy);
    }
    let detail = format!("it is of {place}, and {highest} was activated already");
    refused(RefusalCode::RollbackRejected, detail, remedy)
}

/// Whether it replaces the bundle in force. Where that one was lost, the mark still names it; one
/// without a parent is taken there too, for it is judged as a first one.
pub(super) fn follows(manifest: &Manifest, around: &Surroundings<'_>) -> Result<(), Refused> {
    let parent = manifest.parent.as_deref();
    let remedy = "build it again with --parent naming the bundle in force, and sign that";
    let told = |parent: Option<&str>| match parent {
        Some(parent) => format!("bundle {parent}"),
        None => "no bundle".to_owned(),
    };
    let Some(before) = around.in_force else {
        let lost = around.mark.map(|mark| mark.digest);
        if parent.is_none() || parent == lost {
            return Ok(());
        }
        let detail = format!("it follows {}, and none is in force", told(parent));
        return refused(RefusalCode::ParentUnknown, detail, remedy);
    };
    if parent != Some(before.digest) {
        let (follows, is) = (told(parent), before.digest);
        let detail = format!("it follows {follows}, and bundle {is} is in force");
        return refused(RefusalCode::ParentUnknown, detail, remedy);
    }
    if manifest.name != before.name {
        let detail = format!(
            "its name is '{}', its parent's '{}'",
            manifest.name, before.name
        );
        return refused(RefusalCode::ParentUnknown, detail, remedy);
    }
    Ok(())
}

/// A clock that was set back would make what has ended valid again.
pub(super) fn clock_is_right(around: &Surroundings<'_>) -> Result<(), Refused> {
    let (now, newest) = (around.now_us, around.newest_record_us);
    if now >= newest {
        return Ok(());
    }
    let detail = format!("the clock says {now} us, and the ledger has a record of {newest} us");
    let remedy = "set the clock of this machine right";
    refused(RefusalCode::ClockBehindLedger, detail, remedy)
}

/// Whether its time has come and is not over. [`Manifest::fault`] holds the beginning to be no earlier
/// than when it was made: so nothing that was made in the future of this gateway's clock is valid,
/// and no emergency measure holds for more than its 4 hours from now.
pub(super) fn is_valid_now(manifest: &Manifest, now_us: u64) -> Result<(), Refused> {
    let (from, until) = (manifest.not_before_us, end_us(manifest));
    if now_us < from {
        let detail = format!("it holds from {from} us, and it is {now_us} us");
        let remedy = "wait, or build it again";
        return refused(RefusalCode::NotYetValid, detail, remedy);
    }
    if now_us >= until {
        let detail = format!("it ended at {until} us, and it is {now_us} us");
        let remedy = "build it again and have it signed again";
        return refused(RefusalCode::Expired, detail, remedy);
    }
    Ok(())
}

/// From when it may not be activated any more; an emergency measure ends earlier.
fn end_us(manifest: &Manifest) -> u64 {
    let glass = manifest.breakglass.as_ref();
    glass.map_or(manifest.expires_at_us, |glass| {
        glass.until_us.min(manifest.expires_at_us)
    })
}
