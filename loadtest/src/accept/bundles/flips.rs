//! Bits of a signed bundle are flipped, and the verb is asked about each.
//!
//! The verb is the program that a user runs; the tests of the library flip every bit.

use super::super::{Context, Verdict};
use super::people::{self, ROOT};
use crate::site::Site;
use crate::upstream::Upstream;

pub(super) fn all_refused(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let folder = context.folder("flips");
    let contracts = "version: 1\ncontracts:\n  - {id: one, owner: me, endpoint: \"GET /one\"}\n";
    let site = Site::controlling(&folder, upstream.address(), contracts)?;
    people::found(&site)?;
    people::agree(&site, "whole.json", None)?;
    let whole = std::fs::read(folder.join("whole.json"))?;
    let step = context.pick(97, 1);
    let (mut asked, mut refused, mut coded, mut other) = (0_u32, 0_u32, 0_u32, Vec::new());
    for bit in (0..whole.len() * 8).step_by(step) {
        let mut bytes = whole.clone();
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        site.write_bytes("flipped.json", &bytes)?;
        let output = site.run(&["bundle", "verify", "flipped.json", "--root", ROOT])?;
        asked += 1;
        let code = output.status.code();
        refused += u32::from(code == Some(65));
        let told = String::from_utf8_lossy(&output.stderr);
        let names_code = |word: &str| {
            word.len() > 5 && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
        };
        coded += u32::from(
            told.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .any(names_code),
        );
        if code != Some(65) {
            other.push((bit, code));
        }
    }
    let figure = format!(
        "{asked} bits of {} flipped, {refused} refused with 65, {coded} with a code; others {:?}",
        whole.len() * 8,
        other.iter().take(5).collect::<Vec<_>>()
    );
    Ok(Verdict::new(
        asked > 50 && refused == asked && coded == asked,
        figure,
    ))
}
