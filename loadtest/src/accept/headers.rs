//! What a client is told about governance: an id always, the rest only when it is switched on.

use super::wire::curl;
use super::{Context, Verdict};
use crate::generate;
use crate::site::{PATIENCE, Setup, Site};
use crate::upstream::Upstream;

const EXPOSED: [&str; 3] = ["tidegate-contract:", "tidegate-decision:", "tidegate-risk:"];

// R009
pub(super) fn exposed_on_request(context: &Context) -> anyhow::Result<Verdict> {
    let upstream = Upstream::start()?;
    let contracts = generate::contracts(1000, generate::SEED);
    let Some(contract) = contracts.iter().find(|c| c.methods.first() == Some(&"GET")) else {
        anyhow::bail!("no generated contract has GET");
    };
    let mut shown = Vec::new();
    for expose_headers in [false, true] {
        let setup = Setup {
            expose_headers,
            ..Setup::observing(upstream.address())
        };
        let site = Site::prepare(&context.folder("headers"), &setup)?;
        let mut gateway = site.start()?;
        let answer = curl(site.listen, &contract.path(7), &[])?;
        gateway.stop(PATIENCE)?;
        let mine = |line: &String| {
            EXPOSED
                .iter()
                .any(|name| line.to_ascii_lowercase().starts_with(name))
        };
        shown.push(answer.head.into_iter().filter(mine).collect::<Vec<_>>());
    }
    let names_contract = shown[1].iter().any(|line| line.ends_with(&contract.id));
    let pass = shown[0].is_empty() && shown[1].len() == EXPOSED.len() && names_contract;
    Ok(Verdict::new(
        pass,
        format!("off: {:?}; on: {:?}", shown[0], shown[1]),
    ))
}
