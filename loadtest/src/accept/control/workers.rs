//! What a second worker costs per request: shared words move between cores.

use std::net::SocketAddr;

use anyhow::Context as _;

use super::super::{Context, Verdict};
use crate::cpu_ratio::{paths_of, used_per_request};
use crate::process::Process;
use crate::site::{Nginx, Setup, Site};

const SPREAD_PERCENT_MAX: f64 = 10.0;
const ALONE_PERCENT_MAX: f64 = 25.0;
/// One contract for all of the traffic; its limits are wide but asked for each request.
const ALONE: &str = "version: 1\ncontracts:\n  - {id: alone_v1, owner: me, endpoint: \"GET /alone/{x}\", rate_limit_rpm: 1000000000, burst: 1000000000, max_in_flight: 1000000}\n";

struct Pair {
    // Held: the processes end with this value.
    gateways: Vec<(Site, Process)>,
    paths: Vec<String>,
}

fn pair(context: &Context, name: &str, upstream: SocketAddr, alone: bool) -> anyhow::Result<Pair> {
    let mut gateways = Vec::new();
    for threads in [1, 2] {
        let folder = context.folder(&format!("workers-{name}-{threads}"));
        let site = if alone {
            Site::controlling(&folder, upstream, ALONE)?
        } else {
            let setup = Setup {
                tier: "control",
                ..Setup::observing(upstream)
            };
            Site::prepare(&folder, &setup)?
        };
        site.amend("threads: 2", &format!("threads: {threads}"))?;
        let gateway = site.start()?;
        gateways.push((site, gateway));
    }
    let paths = if alone {
        (0..1000).map(|n| format!("/alone/{n}")).collect()
    } else {
        paths_of(1000)
    };
    Ok(Pair { gateways, paths })
}

/// How much more two workers use, in percent: the median of interleaved rounds, and all rounds.
fn more(context: &Context, pair: &Pair) -> anyhow::Result<(f64, Vec<f64>)> {
    let requests = context.pick(20_000, 100_000);
    let mut each = Vec::new();
    // The first round warms up and is not counted.
    for round in 0..=context.pick(1, 7) {
        let mut used = Vec::new();
        for (site, gateway) in &pair.gateways {
            let figure = used_per_request(
                site.listen,
                gateway.id(),
                &pair.paths,
                requests,
                site.folder(),
            )?;
            used.push(figure);
        }
        if let (true, [one, two]) = (round > 0, used.as_slice()) {
            each.push((two / one - 1.0) * 100.0);
        }
    }
    each.sort_by(f64::total_cmp);
    let median = *each.get(each.len() / 2).context("a round")?;
    Ok((median, each))
}

pub(super) fn ratio(context: &Context) -> anyhow::Result<Verdict> {
    let nginx = Nginx::start(&context.folder("workers-nginx"))?;
    let nginx = nginx.context("nginx is not installed; make tools")?;
    let (mut pass, mut figures) = (true, Vec::new());
    for (name, alone, most) in [
        ("spread", false, SPREAD_PERCENT_MAX),
        ("alone", true, ALONE_PERCENT_MAX),
    ] {
        let pair = pair(context, name, nginx.address, alone)?;
        let (median, each) = more(context, &pair)?;
        pass &= median <= most;
        let each: Vec<String> = each
            .iter()
            .map(|percent| format!("{percent:+.1}"))
            .collect();
        figures.push(format!(
            "{name}: {median:+.1} % (rounds {}), at most {most} %",
            each.join(" ")
        ));
    }
    Ok(Verdict::new(pass, figures.join("; ")))
}
