//! What all of this costs an ordinary request.

use super::super::{Context, Verdict};
use crate::instructions::{self, Options};

/// What a request took on its worker before the gateway spoke TLS and HTTP/2, framed answers and
/// kept rates: two counts gave 99,110 and 98,918.
const BEFORE: u64 = 99_000;
/// Of it, in percent.
const AT_MOST: u64 = 102;

pub(super) fn of_a_request(context: &Context) -> anyhow::Result<Verdict> {
    let options = Options {
        programs: Vec::new(),
        requests: context.pick(5_000, 20_000),
        dir: context.folder("cost"),
    };
    let counted = instructions::per_request(&options, None)?;
    let pass = counted * 100 <= BEFORE * AT_MOST;
    Ok(Verdict::new(
        pass,
        format!(
            "{counted} instructions of user space on the worker, {BEFORE} before: {:+.1} %",
            (counted as f64 / BEFORE as f64 - 1.0) * 100.0
        ),
    ))
}
