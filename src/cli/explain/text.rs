//! A decision as text for a person: what was asked, what was read, what follows.

use super::evidence;
use super::find::Outcome;
use super::words::{band_name, family_name, names, percent, take_text};
use crate::contract::{self, Contract, Folds};
use crate::ledger::Record;
use crate::observation::Signals;
use crate::pipeline::Judgement;
use crate::policy::rules::{Band, Rules, Stage};
use crate::risk::TABLE;
use crate::units::BasisPoints;

/// Everything there is to tell about one decision.
pub(super) struct Account<'a> {
    pub(super) rules: &'a Rules,
    pub(super) contract: Option<&'a Contract>,
    pub(super) signals: &'a Signals,
    pub(super) judged: &'a Judgement,
    /// The contract that a looser reading of the path would reach.
    pub(super) alias_of: Option<&'a str>,
    pub(super) policy_hash: &'a str,
    pub(super) ending: Ending<'a>,
}

/// Where the request came from and how it ended.
pub(super) enum Ending<'a> {
    /// As its record says.
    Recorded {
        record: &'a Record<'a>,
        outcome: Option<&'a Outcome>,
    },
    /// It never was: a question about a quiet gateway.
    Quiet {
        method: &'a str,
        target: &'a str,
        answer: Option<u16>,
        upstream: &'a str,
    },
}

impl Account<'_> {
    /// The whole explanation.
    pub(super) fn tell(&self) -> String {
        [
            self.request(),
            self.factors(),
            self.score(),
            self.decision(),
            self.permit(),
            format!("outcome    {}\n", self.outcome()),
        ]
        .concat()
    }

    fn request(&self) -> String {
        let mut standing = evidence::of_standing(self.signals.standing).to_owned();
        if let Some(id) = self.alias_of {
            let folded = Folds::from_bits(self.signals.alias).in_words();
            standing += &format!("; folded ({folded}) it is that of {id}");
        }
        let contract = self.contract.map_or("none".to_owned(), |contract| {
            let owner = contract.owner().unwrap_or("nobody named");
            let id = contract.id().as_str();
            format!("{id} ({}), owner {owner}", contract.endpoint_key())
        });
        let hash = self.policy_hash.get(..12).unwrap_or_default();
        let (name, version) = (&self.rules.name, &self.rules.version);
        format!(
            "request    {}\ncontract   {contract}\npairing    {standing}\npolicy     {name} {version}, {hash}\n\n",
            self.asked()
        )
    }

    fn asked(&self) -> String {
        match &self.ending {
            Ending::Quiet { method, target, .. } => {
                format!("{method} {target} on a gateway without other traffic")
            }
            Ending::Recorded { record, .. } => {
                let text = |key| {
                    let raw = record.member(key).unwrap_or_default();
                    String::from_utf8_lossy(raw).trim_matches('"').to_owned()
                };
                let shape = text("unmatched_shape");
                let path = if shape.is_empty() {
                    text("endpoint_key")
                } else {
                    format!("a path like {shape}")
                };
                let id = text("decision_id");
                let (method, client, at) = (text("method"), text("client"), text("ts_us"));
                format!("{method}, {path}\n           decision {id}, client {client}, ts_us {at}")
            }
        }
    }

    fn factors(&self) -> String {
        let mut text = format!(
            "{:<19} {:<7} {:>8}  {:>8}  {:>11}  what was seen\n",
            "factor", "family", "reading", "weight", "contributes"
        );
        let assessment = &self.judged.assessment;
        for line in &TABLE {
            let factor = line.factor;
            let unread = assessment.insufficient().contains(factor);
            let (reading, contributes) = if unread {
                ("unknown".to_owned(), String::new())
            } else {
                let counted = assessment.contribution(factor);
                (percent(assessment.reading(factor)), percent(counted))
            };
            let weight = match self.rules.stages.of(factor) {
                Stage::Enforced => percent(self.rules.weights.of(factor)),
                Stage::Canary(_) => "canary".to_owned(),
                Stage::Shadow => "shadow".to_owned(),
            };
            let seen = if unread && !self.signals.known.contains(factor) {
                "too little is known yet, or nothing is kept for it".to_owned()
            } else {
                evidence::of(factor, self.signals, self.contract)
            };
            text += &format!(
                "{:<19} {:<7} {reading:>8}  {weight:>8}  {contributes:>11}  {seen}\n",
                factor.name(),
                family_name(line.family)
            );
        }
        text
    }

    fn score(&self) -> String {
        let assessment = &self.judged.assessment;
        let band = self.rules.bands.band(assessment.risk());
        let mut text = format!(
            "\nrisk       {} = the larger of distress {} (the route) and abuse {} (this request)\n\
             band       {}\n",
            percent(assessment.risk()),
            percent(assessment.distress()),
            percent(assessment.abuse()),
            self.band_text(band),
        );
        let held = self.signals.route_band;
        if held > band {
            text += &format!(
                "           the route is still held in band {}\n",
                band_name(held)
            );
        }
        text
    }

    fn band_text(&self, band: Band) -> String {
        let bands = &self.rules.bands;
        let (from, to) = match band {
            Band::Low => (BasisPoints::ZERO, bands.low()),
            Band::Watch => (bands.low(), bands.medium()),
            Band::Medium => (bands.medium(), bands.high()),
            Band::High => (bands.high(), bands.critical()),
            Band::Critical => (bands.critical(), BasisPoints::FULL),
        };
        format!(
            "{}, from {} to {}",
            band_name(band),
            percent(from),
            percent(to)
        )
    }

    fn decision(&self) -> String {
        let decision = &self.judged.decision;
        let mut text = format!(
            "decision   {} because of {}\n",
            decision.severity().name(),
            decision.deciding().code()
        );
        let is_address = evidence::is_address_over(self.signals, self.contract);
        if let Some(take) = take_text(self.signals.take, is_address) {
            text += &format!("limits     {take}\n");
        }
        for (place, reason) in decision.reasons().iter().enumerate() {
            let head = if place == 0 { "reasons" } else { "" };
            text += &format!(
                "{head:<10} {}: {}; governed by {}\n",
                reason.code(),
                reason.meaning(),
                reason.governed_by()
            );
        }
        text
    }

    fn permit(&self) -> String {
        let permit = &self.judged.permit;
        let stage = self.contract.map(|contract| contract.terms().stage);
        let stage = match stage {
            None | Some(contract::Stage::Enforced) => String::new(),
            Some(stage) => format!(", of a contract in stage {}", stage.name()),
        };
        format!(
            "tier       {}{stage}\n  recommended {}\n  allowed     {}\n  taken       {}\n  withheld    {}\n",
            permit.tier().name(),
            names(permit.recommended()),
            names(permit.allowed()),
            names(permit.taken()),
            names(permit.withheld()),
        )
    }

    fn outcome(&self) -> String {
        match &self.ending {
            Ending::Quiet {
                answer: Some(status),
                ..
            } if *status > 0 => format!("would be refused with {status}"),
            Ending::Quiet {
                answer: Some(_), ..
            } => "would be refused by closing its connection".into(),
            Ending::Quiet { upstream, .. } => format!("would be forwarded to {upstream}"),
            Ending::Recorded { record, outcome } => {
                let waited = waited(record, *outcome, self.signals.hold_ns);
                waited + &recorded_outcome(record, *outcome)
            }
        }
    }
}

/// Of a request that was held back until its turn. Where nothing was sent to anybody it may have
/// left before.
fn waited(record: &Record<'_>, outcome: Option<&Outcome>, hold_ns: u64) -> String {
    if hold_ns == 0 {
        return String::new();
    }
    let is_sent = outcome.map_or_else(
        || record.uint("status") > Some(0),
        |outcome| outcome.status > 0,
    );
    let waits = if is_sent { "waited" } else { "was to wait" };
    format!(
        "{waits} {} ms for its turn, then ",
        hold_ns.div_ceil(1_000_000)
    )
}

fn recorded_outcome(record: &Record<'_>, outcome: Option<&Outcome>) -> String {
    let number = |key| record.uint(key).unwrap_or(0);
    match (record.text("outcome"), outcome) {
        (Some("open"), None) => "still running when it was written, and no end is recorded".into(),
        (Some("open"), Some(outcome)) => {
            let error = outcome.upstream_error.as_deref();
            format!(
                "ended later with {} (upstream {}{}) after {} us",
                outcome.status,
                outcome.upstream_status,
                error.map_or(String::new(), |error| format!(", {error}")),
                outcome.latency_us
            )
        }
        (Some("refused"), _) => format!("refused with {}", number("status")),
        _ => format!(
            "forwarded to {}, answered {} (upstream {}) after {} us",
            record.text("upstream").unwrap_or("an upstream"),
            number("status"),
            number("upstream_status"),
            number("latency_us")
        ),
    }
}
