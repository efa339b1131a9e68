//! A bundle that was changed, and one that is older than what is in force, while requests come: both
//! are refused, what is in force stays, and the ledger tells of it.

use std::time::{Duration, Instant};

use super::Rows;
use super::place::Place;
use crate::accept::Context;
use crate::accept::bundles::people;
use crate::site::{PATIENCE, lines};

/// Within this the gateway has looked at its folder, as it does every few moments. It stands against one
/// that never does, not against one on a machine that stands still.
const NOTICED: Duration = Duration::from_secs(20);

pub(super) fn rows(context: &Context, rows: &mut Rows) {
    let told = told(context);
    let names = ["bundle tampered", "bundle rolled back"];
    match told {
        Ok(figures) => names
            .iter()
            .zip(figures)
            .for_each(|(name, figure)| rows.note(name, Ok(figure))),
        Err(error) => {
            let error = format!("{error:#}");
            for name in names {
                rows.note(name, Err(anyhow::anyhow!("{error}")));
            }
        }
    }
}

fn told(context: &Context) -> anyhow::Result<[String; 2]> {
    let mut place = Place::new(&context.folder("faults-bundle"))?;
    let site = &place.site;
    people::found(site)?;
    people::run_on_bundles(site)?;
    people::agree(site, "one.json", None)?;
    people::agree(site, "two.json", Some("one.json"))?;
    let put = |place: &Place, name: &str| {
        people::put(
            &place.site.folder().join(name),
            &people::candidate(&place.site),
        )
    };
    put(&place, "one.json")?;
    let gateway = place.start(&[])?;
    put(&place, "two.json")?;
    let second = people::digest(&place.site, "two.json")?;
    let mut figures = Vec::new();
    until(&mut place, |active, _| active == second)?;
    let whole = std::fs::read(place.site.folder().join("two.json"))?;
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    place.site.write_bytes("tampered.json", &bytes)?;
    for name in ["tampered.json", "one.json"] {
        put(&place, name)?;
        let code = until(&mut place, |active, last| {
            active == second
                && last["result"] == "refused"
                && !last["code"].is_null()
                && (name != "one.json" || last["code"] == "ROLLBACK_REJECTED")
        })?;
        let served = place.served_for(Duration::from_millis(300))?;
        figures.push(format!("{code}; {served} requests served meanwhile"));
    }
    let closed = place.close(gateway)?;
    let mut refused = 0;
    lines(&place.site.ledger(), |line| {
        refused += u32::from(line["kind"] == "bundle" && line["result"] == "rejected");
    })?;
    anyhow::ensure!(refused >= 2, "{refused} refusals in the ledger");
    // The older one lies there still: a start must not take it either.
    let mut gateway = place.start(&[])?;
    let active = place.site.told("/v1/status")?["bundle"]["active"]["digest"].clone();
    anyhow::ensure!(
        active == second.as_str(),
        "after a restart {active} is in force"
    );
    gateway.stop(PATIENCE)?;
    let [tampered, older] = <[String; 2]>::try_from(figures).unwrap_or_default();
    Ok([
        tampered,
        format!("{older}; refused after a restart as well; {closed}"),
    ])
}

/// Waits for a state of the bundles; gives the code of the last refusal.
fn until(
    place: &mut Place,
    wanted: impl Fn(&str, &serde_json::Value) -> bool,
) -> anyhow::Result<String> {
    let began = Instant::now();
    loop {
        let status = place.site.told("/v1/status")?;
        let bundle = &status["bundle"];
        let active = bundle["active"]["digest"].as_str().unwrap_or_default();
        if wanted(active, &bundle["last_attempt"]) {
            let code = &bundle["last_attempt"]["code"];
            return Ok(code.as_str().unwrap_or("in force").to_owned());
        }
        anyhow::ensure!(began.elapsed() < NOTICED, "the bundles are {bundle}");
        place.served_for(Duration::from_millis(50))?;
    }
}
