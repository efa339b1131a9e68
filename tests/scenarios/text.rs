//! The format of a scenario: sections that begin with `--- name`, tables with `|`.

use tidegate::simulate::TrafficLine;

/// A scenario as its file says.
pub(crate) struct Scenario {
    pub(crate) tier: String,
    pub(crate) contracts: String,
    pub(crate) policy: String,
    /// Decisions are counted per so many milliseconds; `None` = per run of equal ones.
    pub(crate) group_ms: Option<u64>,
    pub(crate) traffic: Vec<TrafficLine>,
    pub(crate) expected: String,
}

const DECISIONS: &str = "--- decisions";

pub(crate) fn read(text: &str) -> Result<Scenario, String> {
    let section = |name: &str| {
        let head = format!("--- {name}");
        let mut lines = text.lines().skip_while(move |line| *line != head);
        let present = lines.next().is_some();
        let body: String = lines
            .take_while(|line| !line.starts_with("--- "))
            .map(|line| format!("{line}\n"))
            .collect();
        present.then_some(body)
    };
    let group = section("group by")
        .map(|group| millis(group.trim()))
        .transpose()?;
    Ok(Scenario {
        tier: section("tier").ok_or("has no tier")?.trim().to_owned(),
        contracts: section("contracts").ok_or("has no contracts")?,
        policy: section("policy").unwrap_or_default(),
        group_ms: group,
        traffic: traffic(&section("traffic").ok_or("has no traffic")?)?,
        expected: section("decisions").ok_or("has no decisions")?,
    })
}

/// The same file with other decisions.
pub(crate) fn with_decisions(text: &str, found: &str) -> String {
    let head = text.split(DECISIONS).next().unwrap_or_default();
    format!("{head}{DECISIONS}\n{found}")
}

/// Rows `at | request | client | answer | note`; the first line is the head of the table. A note is
/// `retry N`, `by CALLER`, or a field such as `x-api-key: a`.
fn traffic(table: &str) -> Result<Vec<TrafficLine>, String> {
    let mut lines = Vec::new();
    for row in table.lines().skip(1).filter(|row| !row.trim().is_empty()) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let wrong = |what: &str| format!("row '{row}': {what}");
        let [at, request, client, answer, note @ ..] = cells.as_slice() else {
            return Err(wrong("has fewer than four cells"));
        };
        let (method, url) = request.split_once(' ').ok_or_else(|| wrong("request"))?;
        let (status, latency) = answer.split_once(" in ").ok_or_else(|| wrong("answer"))?;
        let status = if status == "unreachable" {
            0
        } else {
            status.parse().map_err(|_| wrong("status"))?
        };
        let retry = note.first().and_then(|note| note.strip_prefix("retry "));
        let caller = note.first().and_then(|note| note.strip_prefix("by "));
        for (number, at_ms) in times(at)?.into_iter().enumerate() {
            lines.push(TrafficLine {
                at_ms,
                method: method.to_owned(),
                url: url.to_owned(),
                client: one_of(client, number),
                caller: caller.map(str::to_owned),
                headers: retry
                    .map(|count| ("x-retry-count".to_owned(), count.to_owned()))
                    .or_else(|| {
                        let (name, value) = note.first()?.split_once(": ")?;
                        Some((name.to_owned(), one_of(value, number)))
                    })
                    .into_iter()
                    .collect(),
                status,
                latency_ms: u32::try_from(millis(latency)?).map_err(|_| wrong("latency"))?,
            });
        }
    }
    lines.sort_by_key(|line| line.at_ms);
    Ok(lines)
}

/// `5s`, or `0s..60s every 100ms` (the end is not included).
fn times(text: &str) -> Result<Vec<u64>, String> {
    let Some((span, step)) = text.split_once(" every ") else {
        return Ok(vec![millis(text)?]);
    };
    let (from, to) = span
        .split_once("..")
        .ok_or("a span is 'from..to every step'")?;
    let step = usize::try_from(millis(step)?).map_err(|error| error.to_string())?;
    Ok((millis(from)?..millis(to)?).step_by(step).collect())
}

/// `5ms`, `1.5s` or `2m`.
fn millis(text: &str) -> Result<u64, String> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1.0),
        (None, Some(number)) => (number, 1_000.0),
        _ => (text.strip_suffix('m').unwrap_or(text), 60_000.0),
    };
    let number: f64 = number.parse().map_err(|_| format!("'{text}' is no time"))?;
    Ok((number * unit).round() as u64)
}

/// `client-1..client-9` takes turns.
fn one_of(text: &str, number: usize) -> String {
    let Some((first, last)) = text.split_once("..") else {
        return text.to_owned();
    };
    let digits = |name: &str| {
        name.rsplit('-')
            .next()
            .and_then(|digits| digits.parse().ok())
    };
    let (first_number, last_number) = (digits(first).unwrap_or(1), digits(last).unwrap_or(1));
    let stem = first.rsplit_once('-').map_or(first, |(stem, _)| stem);
    let clients: usize = last_number - first_number + 1;
    format!("{stem}-{}", first_number + number % clients)
}
