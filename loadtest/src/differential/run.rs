//! A whole run: three phases, each with gateways of its own.
//!
//! Generated exchanges and probes run over several connections at once under rules by which no
//! state decides; exchanges in which limits and circuits decide run under the shipped policy.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;

use super::exchange::Exchange;
use super::generate::{self, SLOTS};
use super::meet::{Both, Fault, REPEATS, both, has_two_ways};
use super::probes;
use super::records::{self, Kept};
use super::report::Report;
use super::seen::{Differs, compare};
use super::side::{Rules, Side, Way};
use super::states;
use crate::site::get;

/// How long counts may take until they agree.
const NOTICED: Duration = Duration::from_secs(5);
/// How long until they are read again.
const AGAIN: Duration = Duration::from_millis(50);

/// What to compare.
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// Generated requests, at least
    #[arg(long, default_value_t = 2_000)]
    pub requests: u64,
    /// Seed of the requests
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Client connections at once
    #[arg(long, default_value_t = 8)]
    pub connections: usize,
    /// Every so manieth probe; 0 for none
    #[arg(long, default_value_t = 1)]
    pub probe_stride: usize,
    /// Only the exchange of this number, shown in full
    #[arg(long)]
    pub exchange: Option<u64>,
    /// Full proxy against full proxy, which must not differ
    #[arg(long)]
    pub same: bool,
    /// A deliberate fault, which must be found
    #[arg(long, value_enum)]
    pub fault: Option<Fault>,
    /// Folder for the gateways
    #[arg(long)]
    pub state: PathBuf,
}

impl Options {
    fn ways(&self) -> [Way; 2] {
        match self.same {
            true => [Way::Full, Way::Full],
            false => [Way::Lane, Way::Full],
        }
    }

    fn names(&self) -> [&'static str; 2] {
        match self.same {
            true => ["full", "full-again"],
            false => ["lane", "full"],
        }
    }
}

/// Runs all phases, and writes what was found into `found.txt` of the folder.
///
/// # Errors
/// When a gateway does not start, cannot be reached or does not end, or a ledger cannot be read.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    std::fs::create_dir_all(&options.state)?;
    let report = all(options)?;
    std::fs::write(options.state.join("found.txt"), report.whole())?;
    Ok(report)
}

fn all(options: &Options) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let generated = match options.exchange {
        Some(number) => one(options, number)?,
        None => drawn(options),
    };
    report.add(lasting(|| confirmed(options, "generated", &generated))?);
    if options.exchange.is_some() {
        return Ok(report);
    }
    if options.probe_stride > 0 {
        let exchanges = probes::exchanges(options.probe_stride)?;
        report.add(lasting(|| confirmed(options, "probes", &exchanges))?);
    }
    if options.fault.is_none() {
        report.add(lasting(|| in_turn(options))?);
    }
    Ok(report)
}

/// Exchanges until there are enough requests.
fn drawn(options: &Options) -> Vec<Exchange> {
    let mut requests = 0;
    let mut exchanges = Vec::new();
    while requests < options.requests {
        let exchange = generate::exchange(options.seed, exchanges.len() as u64);
        requests += exchange.requests as u64;
        exchanges.push(exchange);
    }
    exchanges
}

/// The exchange of a number, generated or a probe.
fn one(options: &Options, number: u64) -> anyhow::Result<Vec<Exchange>> {
    if number < probes::FIRST {
        return Ok(vec![generate::exchange(options.seed, number)]);
    }
    let mut all = probes::exchanges(options.probe_stride.max(1))?;
    all.extend(states::exchanges());
    all.retain(|exchange| exchange.number == number);
    anyhow::ensure!(!all.is_empty(), "no exchange {number}");
    Ok(all)
}

/// A phase, whole again with new gateways where anything differs. Some things depend on who was
/// faster: a server that closes a kept connection meets the next request or not, and a reset takes
/// bytes with it that nobody has read yet. What differs each time is a difference.
fn lasting(phase: impl Fn() -> anyhow::Result<Report>) -> anyhow::Result<Report> {
    let mut report = phase()?;
    for _ in 0..REPEATS {
        if report.is_same() {
            break;
        }
        report.keep_what_lasts(&phase()?);
    }
    Ok(report)
}

/// A phase under steady rules. Where records alone differ, the exchanges are run again with new
/// gateways: what does not differ each time is unsteady.
fn confirmed(options: &Options, name: &str, all: &[Exchange]) -> anyhow::Result<Report> {
    let (mut report, mut suspects) = phase(options, name, Rules::Steady, all)?;
    for _ in 0..REPEATS {
        if suspects.is_empty() {
            break;
        }
        let again: Vec<Exchange> = all
            .iter()
            .filter(|one| suspects.iter().any(|s| s.numbers.contains(&one.number)))
            .cloned()
            .collect();
        let (_, still) = phase(options, "again", Rules::Steady, &again)?;
        // Keys and addresses are the same in each run, so a client has one name.
        let (same, gone): (Vec<Suspect>, Vec<Suspect>) = suspects
            .into_iter()
            .partition(|suspect| still.iter().any(|other| other.client == suspect.client));
        report
            .unsteady
            .extend(gone.into_iter().map(|suspect| suspect.told));
        suspects = same;
    }
    report
        .differences
        .extend(suspects.into_iter().map(|suspect| suspect.told));
    Ok(report)
}

/// Records that differ, and the exchanges that they may be of.
struct Suspect {
    /// How the records name their client.
    client: String,
    numbers: BTreeSet<u64>,
    told: String,
}

/// The phase in which state decides: no exchange of it can be repeated alone.
fn in_turn(options: &Options) -> anyhow::Result<Report> {
    let (mut report, suspects) = phase(options, "states", Rules::Shipped, &states::exchanges())?;
    report
        .differences
        .extend(suspects.into_iter().map(|suspect| suspect.told));
    Ok(report)
}

/// What the threads of a phase share.
struct Phase<'a> {
    options: &'a Options,
    sides: &'a [Side; 2],
    repeats: u8,
    found: Mutex<Found>,
}

/// What they have found.
#[derive(Default)]
struct Found {
    report: Report,
    /// Exchanges by decision id, of each side.
    ids: [BTreeMap<String, u64>; 2],
    /// Exchanges of which it is known already that they differ, or do so at times.
    odd: BTreeSet<u64>,
    /// What differed when many ran at once.
    differing: Vec<(Exchange, Both)>,
}

fn phase(
    options: &Options,
    name: &str,
    rules: Rules,
    exchanges: &[Exchange],
) -> anyhow::Result<(Report, Vec<Suspect>)> {
    let folder = options.state.join(name);
    let mut sides = start(options, &folder, rules)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let two_ways = [
        runtime.block_on(has_two_ways(&sides[0]))?,
        runtime.block_on(has_two_ways(&sides[1]))?,
    ];
    let phase = Phase {
        options,
        sides: &sides,
        repeats: if rules == Rules::Steady { REPEATS } else { 0 },
        found: Mutex::default(),
    };
    let threads = options.connections.clamp(1, SLOTS);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let phase = &phase;
                scope.spawn(move || phase.thread(thread, threads, exchanges))
            })
            .collect();
        for thread in running {
            let ended = thread.join();
            ended.map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        anyhow::Ok(())
    })?;
    let differing = std::mem::take(&mut phase.found().differing);
    for (exchange, first) in &differing {
        runtime.block_on(phase.again(exchange, first))?;
    }
    let mut found = phase
        .found
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let counts = counts(&sides)?;
    for side in &mut sides {
        side.stop()?;
    }
    found.report.names = options.names().join(" / ");
    found.report.two_ways = two_ways;
    let kept = [records::read(&sides[0])?, records::read(&sides[1])?];
    let suspects = compare_records(options, &mut found, &kept, exchanges);
    // What an exchange does that differs moves counts too; it is told anyway.
    let odd = |one: &&Exchange| {
        found.odd.contains(&one.number) || suspects.iter().any(|s| s.numbers.contains(&one.number))
    };
    let odd = exchanges.iter().filter(odd);
    let chance: usize = odd.map(|one| one.requests * usize::from(1 + REPEATS)).sum();
    found.report.counts = records::differing(&counts[0], &counts[1], |series, larger| {
        // Some of them at a time: who counts none of many does not count.
        let by_closing = met_by_closing(series, exchanges).min(1 + larger / 2);
        chance as u64 + by_closing
    });
    Ok((found.report, suspects))
}

fn start(options: &Options, folder: &Path, rules: Rules) -> anyhow::Result<[Side; 2]> {
    let (ways, names) = (options.ways(), options.names());
    Ok([
        Side::start(folder, names[0], ways[0], rules)?,
        Side::start(folder, names[1], ways[1], rules)?,
    ])
}

/// How many closings that no answer announced may or may not have met a request of the contract of a
/// series, which was asked again then: it depends on who was faster.
fn met_by_closing(series: &str, exchanges: &[Exchange]) -> u64 {
    let asked_again = [
        "tidegate_upstream_retries_total",
        "tidegate_upstream_unanswered_total",
    ];
    let Some((name, labels)) = series.split_once('{') else {
        return 0;
    };
    let slot_and_place = labels.split('"').nth(1).and_then(|id| id.split_once('_'));
    let (true, Some((slot, place))) = (asked_again.contains(&name), slot_and_place) else {
        return 0;
    };
    let path = format!("/{slot}/{place}");
    let asks = |one: &&Exchange| one.told().contains(&path);
    let closings = exchanges.iter().filter(asks).map(Exchange::closings);
    closings.sum::<usize>() as u64
}

/// The counts of both, as soon as they agree: that a client has left a moment ago is counted when
/// the gateway has noticed.
fn counts(sides: &[Side; 2]) -> anyhow::Result<[BTreeMap<String, String>; 2]> {
    let read = |side: &Side| anyhow::Ok(records::counts(&get(side.site.admin, "/metrics")?.1));
    let asked = Instant::now();
    loop {
        let both = [read(&sides[0])?, read(&sides[1])?];
        if both[0] == both[1] || asked.elapsed() > NOTICED {
            return Ok(both);
        }
        std::thread::sleep(AGAIN);
    }
}

impl Phase<'_> {
    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the slots of a thread, each in order.
    fn thread(&self, thread: usize, threads: usize, all: &[Exchange]) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        for exchange in all.iter().filter(|one| one.slot % threads == thread) {
            runtime.block_on(self.exchange(exchange))?;
        }
        Ok(())
    }

    async fn exchange(&self, exchange: &Exchange) -> anyhow::Result<()> {
        let first = both(self.sides, exchange, 0, self.options.fault).await?;
        if self.options.exchange.is_some() {
            self.show(exchange, &first);
        }
        if first.differs() {
            self.found().differing.push((exchange.clone(), first));
        } else {
            self.note(exchange, &first, &[]);
        }
        Ok(())
    }

    /// Runs once more what differed, one after the other, when nothing else runs.
    async fn again(&self, exchange: &Exchange, first: &Both) -> anyhow::Result<()> {
        let mut repeats = Vec::new();
        for repeat in 1..=self.repeats {
            let again = both(self.sides, exchange, repeat, self.options.fault).await?;
            let is_steady = again.differs();
            repeats.push(again);
            if !is_steady {
                break;
            }
        }
        self.note(exchange, first, &repeats);
        Ok(())
    }

    fn show(&self, exchange: &Exchange, run: &Both) {
        println!("{}", exchange.told());
        for (side, lines) in self.sides.iter().zip(&run.lines) {
            println!("{}:", side.name);
            for line in lines.client.iter().chain(&lines.upstream) {
                println!("  {line}");
            }
        }
    }

    fn note(&self, exchange: &Exchange, first: &Both, repeats: &[Both]) {
        // Who is met by an unannounced closing, and may ask again, depends on the connection at hand.
        let by_pool = |both: &Both| exchange.closes_unannounced() && both.reuses_differ();
        let is_steady =
            repeats.iter().all(|both| both.differs() && !by_pool(both)) && !by_pool(first);
        let mut found = self.found();
        let found = &mut *found;
        let report = &mut found.report;
        report.requests += exchange.requests as u64;
        report.exchanges += 1;
        *report.classes.entry(exchange.class.clone()).or_default() += 1;
        for (n, differs) in [first.client(), first.upstream()].iter().enumerate() {
            report.other_order[n] += u64::from(*differs == Differs::Order);
        }
        if first.client() == Differs::Order || first.upstream() == Differs::Order {
            report
                .order_example
                .get_or_insert_with(|| order(exchange, first));
        }
        for n in 0..2 {
            report.cut[n] += first.lines[n].cut as u64;
            for why in &first.lines[n].misused {
                *report.misused[n].entry(why).or_default() += 1;
                let what = format!("{why}, by {}", self.sides[n].name);
                let examples = report.misused_examples.entry(what);
                examples.or_insert_with(|| exchange.told() + &repeat(self.options, exchange));
            }
        }
        let told = || self.told(exchange, first);
        if first.differs() && is_steady {
            report.differences.push(told());
        } else if first.differs() {
            report.unsteady.push(told());
        }
        if first.differs() {
            found.odd.insert(exchange.number);
        }
        for run in std::iter::once(first).chain(repeats) {
            for n in 0..2 {
                let ids = run.lines[n].ids.iter().cloned();
                found.ids[n].extend(ids.map(|id| (id, exchange.number)));
            }
        }
    }

    fn told(&self, exchange: &Exchange, run: &Both) -> String {
        let names = [self.sides[0].name, self.sides[1].name];
        format!(
            "{}{}{}",
            exchange.told(),
            run.told(names),
            repeat(self.options, exchange)
        )
    }
}

fn order(exchange: &Exchange, run: &Both) -> String {
    let mut text = exchange.told();
    for lines in &run.lines {
        text += &format!(
            "  {}\n",
            [lines.client.join("\n  "), lines.upstream.join("\n  ")].join("\n  ")
        );
    }
    text
}

/// How to run one exchange again.
fn repeat(options: &Options, exchange: &Exchange) -> String {
    let stride = match exchange.number < probes::FIRST {
        true => String::new(),
        false => format!(" --probe-stride {}", options.probe_stride),
    };
    format!(
        "  repeat: loadtest differential --seed {} --exchange {}{stride} --state DIR\n",
        options.seed, exchange.number
    )
}

/// Compares what both ledgers have of each client, which is one run of one exchange.
fn compare_records(
    options: &Options,
    found: &mut Found,
    kept: &[Kept; 2],
    exchanges: &[Exchange],
) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    let mut numbers: BTreeMap<&str, u64> = BTreeMap::new();
    for (kept, ids) in kept.iter().zip(&found.ids) {
        for (id, number) in ids {
            if let Some(client) = kept.clients.get(id) {
                numbers.insert(client, *number);
            }
        }
    }
    let clients: BTreeSet<&String> = kept.iter().flat_map(|kept| kept.groups.keys()).collect();
    let none = Vec::new();
    for client in clients {
        let number = numbers.get(client.as_str());
        if number.is_some_and(|number| found.odd.contains(number)) {
            continue;
        }
        let of = |n: usize| kept[n].groups.get(client).unwrap_or(&none);
        let Differs::Otherwise(one, other) = compare(of(0), of(1)) else {
            continue;
        };
        let exchange = number.and_then(|n| exchanges.iter().find(|one| one.number == *n));
        // First what is the same in each run.
        let mut text = format!("client {client}\n");
        if let Some(exchange) = exchange {
            text += &(exchange.told() + &repeat(options, exchange));
        }
        let mut suspected: BTreeSet<u64> = number.copied().into_iter().collect();
        if suspected.is_empty() {
            let records = [one.concat(), other.concat()].concat();
            suspected = nameless(found, exchanges, &records);
            let first: Vec<&u64> = suspected.iter().take(20).collect();
            text += &format!("  the client was told no decision id; one of {first:?}\n");
        }
        for (name, lines) in options.names().iter().zip([one, other]) {
            for line in lines {
                text += &format!("  recorded by {name} alone: {line}\n");
            }
        }
        suspects.push(Suspect {
            client: client.clone(),
            numbers: suspected,
            told: text,
        });
    }
    found.report.records = [kept[0].records, kept[1].records];
    for kind in ["loss", "rollup"] {
        for (name, kept) in options.names().iter().zip(kept) {
            if let Some(count) = kept.kinds.get(kind) {
                let text = format!("{name} has records of kind {kind}\n  {count} of them");
                found.report.differences.push(text);
            }
        }
    }
    suspects
}

/// Exchanges whose clients were told no decision id; of one slot where the records name a contract.
fn nameless(found: &Found, exchanges: &[Exchange], records: &str) -> BTreeSet<u64> {
    let of_slot = |one: &&Exchange| {
        let contract = format!("contract_id=\"w{}_", one.slot);
        !records.contains("contract_id=") || records.contains(&contract)
    };
    let named: BTreeSet<u64> = found
        .ids
        .iter()
        .flat_map(|ids| ids.values().copied())
        .collect();
    let numbers = exchanges.iter().filter(of_slot).map(|one| one.number);
    numbers.filter(|number| !named.contains(number)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::exchange::{Answer, End, Step};
    use super::*;

    #[test]
    fn only_what_an_unannounced_closing_moves_may_differ_and_only_where_one_was() {
        let closing = |end| Exchange {
            steps: vec![Step::Send(b"GET /w7/small/1 HTTP/1.1\r\n\r\n".to_vec())],
            fallback: Some(vec![
                Answer {
                    end,
                    ..Answer::default()
                };
                2
            ]),
            ..Exchange::default()
        };
        let chance = |end, series: &str| met_by_closing(series, &[closing(end)]);
        let retries = |of: &str| format!("tidegate_upstream_retries_total{{contract=\"{of}\"}}");
        assert_eq!(chance(End::Close, &retries("w7_small")), 2);
        assert_eq!(chance(End::Keep, &retries("w7_small")), 0);
        assert_eq!(chance(End::Close, &retries("w6_small")), 0);
        let requests = "tidegate_requests_total{contract=\"w7_small\"}";
        assert_eq!(chance(End::Close, requests), 0);
    }
}
