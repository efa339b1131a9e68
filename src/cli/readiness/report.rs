//! What was gathered, as data and as text.

use serde_json::{Value, json};

use crate::replay::{Cause, Count, Distinct, Effect, KEPT, Readiness, RouteReadiness, Verdict};

/// How many notes are shown; all findings are counted.
const SHOWN_MAX: usize = 20;

/// What was gathered, and the first findings.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) readiness: Readiness,
    pub(super) lost: u64,
    pub(super) unreadable: u64,
    notes: Vec<String>,
}

impl Gathered {
    pub(super) fn note(&mut self, note: String) {
        if self.notes.len() < SHOWN_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn unreadable(&mut self, note: String) {
        self.unreadable += 1;
        self.note(note);
    }

    fn requests(&self) -> u64 {
        self.readiness.routes.values().map(|r| r.requests).sum()
    }

    /// The report for machines.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let (from_us, to_us) = self.readiness.span_us.unzip();
        let routes = self.readiness.routes.iter();
        let contracts: Vec<Value> = routes
            .map(|(name, route)| route_json(name, route))
            .collect();
        serde_json::to_string(&json!({
            "from_us": from_us,
            "to_us": to_us,
            "requests": self.requests(),
            "malformed": self.readiness.malformed,
            "lost": self.lost,
            "unreadable": self.unreadable,
            "contracts": contracts,
            "notes": self.notes,
        }))
    }

    /// The report for a person.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for note in &self.notes {
            text += note;
            text.push('\n');
        }
        for (name, route) in &self.readiness.routes {
            text += &route_text(name, route);
        }
        let count = |verdict: Verdict| {
            let routes = self.readiness.routes.values();
            routes.filter(|route| route.verdict() == verdict).count()
        };
        let (ready, look) = (count(Verdict::Ready), count(Verdict::Look));
        text += &format!(
            "{} requests in {}: {ready} ready, {look} to look at, {} not ready\n",
            self.requests(),
            length(self.readiness.span_us),
            count(Verdict::NotReady)
        );
        text += "a contract without requests is not listed: nothing is known of it\n";
        let estimated = |route: &RouteReadiness| !route.clients.is_exact();
        if self.readiness.routes.values().any(estimated) {
            text += &format!("more than {KEPT} clients are an estimate, 6 % more or less\n");
        }
        if self.readiness.malformed > 0 {
            text += &format!(
                "{} heads could not be read and were refused, as in every tier\n",
                self.readiness.malformed
            );
        }
        if self.lost > 0 {
            text += &format!(
                "{} decisions have no record, and are not counted\n",
                self.lost
            );
        }
        if self.unreadable > 0 {
            text += &format!(
                "{} records could not be used: the figures say less than they seem to\n",
                self.unreadable
            );
        }
        text
    }
}

fn route_json(name: &str, route: &RouteReadiness) -> Value {
    let causes = route.causes.iter();
    let causes: Vec<Value> = causes
        .map(|(cause, count)| {
            json!({
                "decision": cause.severity.name(),
                "effect": cause.effect.name(),
                "reason": cause.reason.code(),
                "requests": count.requests,
                "share_ppm": share_ppm(count.requests, route.requests),
                "enforced": count.enforced,
            })
        })
        .collect();
    json!({
        "contract": name,
        "verdict": route.verdict().name(),
        "requests": route.requests,
        "observed": route.requests - route.enforced,
        "enforced": route.enforced,
        "turned_away": route.turned_away(),
        "share_ppm": share_ppm(route.turned_away(), route.requests),
        "clients": count_of(&route.clients, route.requests),
        "clients_exact": route.clients.is_exact(),
        "clients_affected": count_of(&route.clients_affected, route.turned_away()),
        "clients_affected_exact": route.clients_affected.is_exact(),
        "causes": causes,
    })
}

fn route_text(name: &str, route: &RouteReadiness) -> String {
    let turned_away = route.turned_away();
    let verdict = match route.verdict() {
        Verdict::Ready => "ready: nobody would be turned away".to_owned(),
        Verdict::Look => format!("look: {}", those(turned_away, route)),
        Verdict::NotReady => format!("not ready: {}", those(turned_away, route)),
    };
    let mut text = format!(
        "{name}  {verdict}\n    {} requests of {}: {} observed, {} under a tier that acts\n",
        route.requests,
        clients(&route.clients, route.requests),
        route.requests - route.enforced,
        route.enforced
    );
    for (cause, count) in &route.causes {
        text += &cause_text(cause, *count, route.requests);
    }
    text
}

fn those(turned_away: u64, route: &RouteReadiness) -> String {
    format!(
        "{turned_away} requests ({}) of {} would be turned away",
        percent(turned_away, route.requests),
        clients(&route.clients_affected, turned_away)
    )
}

fn cause_text(cause: &Cause, count: Count, requests: u64) -> String {
    let enforced = match count.enforced {
        0 => String::new(),
        enforced => format!(", {enforced} of them done already"),
    };
    let reason = match cause.effect {
        Effect::TimedOut => "longer than the contract's timeout_ms",
        _ => cause.reason.code(),
    };
    format!(
        "    {:>9}  {:>8}  {} {}: {reason}{enforced}\n",
        count.requests,
        percent(count.requests, requests),
        cause.severity.name(),
        cause.effect.name(),
    )
}

/// How many clients, which cannot be more than their requests.
fn count_of(clients: &Distinct, requests: u64) -> u64 {
    clients.count().min(requests)
}

fn clients(clients: &Distinct, requests: u64) -> String {
    let about = if clients.is_exact() { "" } else { "about " };
    format!("{about}{} clients", count_of(clients, requests))
}

fn share_ppm(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 1_000_000 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Thousandths of a percent are enough to tell 0.1 % from less.
fn percent(part: u64, whole: u64) -> String {
    match share_ppm(part, whole) / 10 {
        0 if part > 0 => "<0.001 %".to_owned(),
        thousandths => format!("{}.{:03} %", thousandths / 1_000, thousandths % 1_000),
    }
}

/// From the first to the last request, in its two largest units.
fn length(span_us: Option<(u64, u64)>) -> String {
    let seconds = span_us.map_or(0, |(from, to)| (to - from) / 1_000_000);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let minutes = seconds / 60 % 60;
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::{clients, length, percent};
    use crate::replay::{Distinct, KEPT};

    #[test]
    fn many_clients_are_about_so_many_and_no_more_than_requests() {
        let counted = |several: u64| {
            let mut clients = Distinct::default();
            (0..several).for_each(|number| clients.add(number << 44));
            clients
        };
        let few = KEPT as u64;
        assert_eq!(clients(&counted(few), 1_000), "256 clients");
        // The keys lie at 2^44 from each other, so they look like 2^20.
        assert_eq!(clients(&counted(1_000), u64::MAX), "about 1048576 clients");
        assert_eq!(clients(&counted(1_000), 1_000), "about 1000 clients");
    }

    #[test]
    fn shares_and_times_are_told_briefly() {
        let check = |part, whole, expected| assert_eq!(percent(part, whole), expected);
        check(0, 0, "0.000 %");
        check(1, 1, "100.000 %");
        check(1, 1_000, "0.100 %");
        check(1, 10_000_000, "<0.001 %");
        check(u64::MAX, u64::MAX, "100.000 %");
        for (seconds, expected) in [
            (0, "0 s"),
            (61, "1 min 1 s"),
            (7_260, "2 h 1 min"),
            (604_800, "7 d 0 h"),
        ] {
            assert_eq!(length(Some((5, 5 + seconds * 1_000_000))), expected);
        }
    }
}
