//! The engine alone.

use super::{Place, Prepared};
use crate::process::beside;
use crate::site::free;

pub(super) fn prepare(place: &Place<'_>) -> anyhow::Result<Prepared> {
    let address = free()?;
    let (bind, upstream) = (address.to_string(), place.upstream.to_string());
    let args = ["--bind", &bind, "--upstream", &upstream, "--threads", "1"];
    Ok(Prepared::peer(
        beside("bare-pingora")?,
        args.map(Into::into).to_vec(),
        place.folder.join("bare-pingora.log"),
        address,
    ))
}
