//! Finds what a record says beside its judgement and what cannot be so.
//!
//! Members follow from each other, from the inputs, from the rulebook and from the contract. What
//! happened afterwards (status, latency) and who asked when follow from nothing: a record alone
//! cannot prove them. Nearly every record is as it should be, so a true one costs no allocation
//! but that of a case.

use crate::contract::{Contract, Method, Terms, Throttle};
use crate::decision::{numbered_hash, shed_hash};
use crate::enforcement::Measure;
use crate::ledger::{as_text, as_uint};
use crate::observation::{
    CircuitState, LedgerStanding, RetryKind, Signals, Standing, Take, UNMATCHED,
};
use crate::pipeline::{Judgement, Way, asks_limits, contract_ceiling, judge, way_of};
use crate::policy::rules::{Rules, Severity};
use crate::record::{DecisionId, DecisionLine, Difference, case_id};
use crate::risk::canary_hash_needed;
use crate::units::Tier;

/// Every member that contradicts the rest of its record, its rules or its contract, apart from the
/// judged ones. `contract` is that of the record's `contract_id`.
#[must_use]
pub fn contradictions(
    line: &DecisionLine<'_>,
    judged: &Judgement,
    rules: &Rules,
    contract: Option<&Contract>,
) -> Vec<Difference> {
    let mut check = Check {
        line,
        judged,
        rules,
        contract,
        found: Vec::new(),
    };
    check.names();
    check.pairing();
    check.shape();
    check.alias();
    check.case();
    check.hash();
    check.limits();
    check.course();
    check.ending();
    check.found
}

struct Check<'c, 'a> {
    line: &'c DecisionLine<'a>,
    judged: &'c Judgement,
    rules: &'c Rules,
    contract: Option<&'c Contract>,
    found: Vec<Difference>,
}

impl<'a> Check<'_, 'a> {
    fn standing(&self) -> Standing {
        self.line.signals.standing
    }

    fn is_paired(&self) -> bool {
        matches!(
            self.standing(),
            Standing::Contracted | Standing::MethodNotAllowed
        )
    }

    fn is_forwarded(&self) -> bool {
        self.way() != Way::Refuse
    }

    fn way(&self) -> Way {
        // A head that could not be read goes nowhere, whatever the tier allows.
        if self.standing() == Standing::Malformed {
            return Way::Refuse;
        }
        let terms = self
            .contract
            .filter(|_| self.is_paired())
            .map(Contract::terms);
        way_of(&self.judged.permit, terms, &self.line.signals)
    }

    fn name(&self) -> &str {
        self.line.contract_id.unwrap_or(UNMATCHED)
    }

    fn text(&self, member: &str) -> Option<&'a str> {
        as_text(self.line.member(member))
    }

    fn uint(&self, member: &str) -> Option<u64> {
        as_uint(self.line.member(member))
    }

    fn expect(&mut self, member: &str, holds: bool, wanted: &str) {
        if !holds {
            let recorded = self.line.member(member);
            self.found.push(Difference {
                member: member.to_owned(),
                recorded: String::from_utf8_lossy(recorded).into_owned(),
                recomputed: wanted.to_owned(),
            });
        }
    }

    /// `None` = the member must be missing.
    fn expect_text(&mut self, member: &str, wanted: Option<&str>) {
        match wanted {
            Some(text) if !is_text(self.line.member(member), text) => {
                self.expect(member, false, &quoted(text));
            }
            Some(_) => {}
            None => self.expect(member, self.line.member(member).is_empty(), ""),
        }
    }

    fn expect_uint(&mut self, member: &str, wanted: u64) {
        if self.uint(member) != Some(wanted) {
            self.expect(member, false, &wanted.to_string());
        }
    }

    /// The inputs hold many numbers, so a difference names the place.
    fn expect_input(&mut self, place: usize, recorded: u64, holds: bool, wanted: &str) {
        if !holds {
            self.found.push(Difference {
                member: format!("inputs[{place}]"),
                recorded: recorded.to_string(),
                recomputed: wanted.to_owned(),
            });
        }
    }

    fn names(&mut self) {
        if let Some((key, raw)) = self.line.unknown {
            self.found.push(Difference {
                member: String::from_utf8_lossy(key).into_owned(),
                recorded: String::from_utf8_lossy(raw).into_owned(),
                recomputed: String::new(),
            });
        }
        self.expect_text("policy_version", Some(&self.rules.version));
        self.expect("instance", self.text("instance").is_some(), "a text");
        let id = DecisionId::from_text(self.line.decision_id);
        let (worker, n) = (self.uint("worker"), self.uint("n"));
        let named = id.is_some_and(|id| worker == Some(id.worker.into()) && n == Some(id.n));
        self.expect("decision_id", named, "boot, worker and n of this record");
        let trace = self.line.member("trace_id");
        let is_trace = trace.is_empty() || as_text(trace).is_some_and(is_trace_id);
        self.expect("trace_id", is_trace, "32 hex digits, not all 0");
        let count = self.uint("retry_count").filter(|count| *count <= 255);
        let declared = self.line.signals.retry == RetryKind::Declared;
        let agrees = count.is_some_and(|count| (count > 0) == declared);
        self.expect("retry_count", agrees, "what inputs[16] says");
    }

    /// The contract has the path, and the method where the standing says so.
    fn pairing(&mut self) {
        let contract = self.contract.filter(|_| self.is_paired());
        if self.is_paired() && contract.is_none() {
            self.expect("contract_id", false, "the contract that inputs[0] says");
        }
        if contract.is_some() || !self.is_paired() {
            self.expect_text(
                "contract_id",
                contract.map(|contract| contract.id().as_str()),
            );
        }
        self.expect_text("endpoint_key", contract.map(Contract::endpoint_key));
        let token = self.text("method");
        let contracted = self.standing() == Standing::Contracted;
        let (holds, wanted) = match (contract, token) {
            (Some(contract), Some(token)) => {
                let allowed = contract.methods().contains(Method::from_token(token));
                let wanted = if contracted {
                    "a method of the contract"
                } else {
                    "a method that the contract has not"
                };
                (allowed == contracted, wanted)
            }
            (None, Some(token)) if self.standing() == Standing::Malformed => {
                (token.is_empty(), "\"\"")
            }
            (_, token) => (token.is_some(), "a text"),
        };
        self.expect("method", holds, wanted);
        let Signals { ledger, tier, .. } = self.line.signals;
        if ledger == LedgerStanding::ObserveOnly && tier != Tier::ObserveOnly {
            self.expect("tier", false, "OBSERVE_ONLY, because of inputs[45]");
        }
        let client = self.line.client;
        // Nothing is below observing, and a canary costs a hash.
        let contract = contract.filter(|_| tier > Tier::ObserveOnly);
        let most = contract
            .map(|contract| contract_ceiling(contract.terms(), client, contract.id().as_str()));
        if let Some(most) = most.filter(|most| tier > *most) {
            let wanted = format!("at most {}, the contract's", quoted(most.name()));
            self.expect("tier", false, &wanted);
        }
    }

    /// A contract has no alias of another one, and who names one says how the path was read.
    fn alias(&mut self) {
        let folds = self.line.signals.alias;
        let may_have = matches!(self.standing(), Standing::Unknown | Standing::Ambiguous);
        let holds = folds == 0 || may_have;
        self.expect_input(
            46,
            folds.into(),
            holds,
            "0, because the path has a contract",
        );
        let alias_of = self.line.member("alias_of");
        let is_named = as_text(alias_of).is_some_and(|id| !id.is_empty());
        let (holds, wanted) = match folds {
            0 => (alias_of.is_empty(), ""),
            _ => (is_named, "the contract that inputs[46] speaks of"),
        };
        self.expect("alias_of", holds, wanted);
    }

    fn shape(&mut self) {
        let shape = self.line.member("unmatched_shape");
        match self.standing() {
            Standing::Unknown | Standing::Ambiguous => {
                let is_path = as_text(shape).is_some_and(|shape| shape.starts_with('/'));
                self.expect("unmatched_shape", shape.is_empty() || is_path, "a path");
            }
            _ => self.expect("unmatched_shape", shape.is_empty(), ""),
        }
    }

    fn case(&mut self) {
        let decision = &self.judged.decision;
        if decision.severity() != Severity::Quarantine {
            return self.expect_text("case_id", None);
        }
        let (client, wall_us) = (self.line.client, self.line.wall_us);
        let case = case_id(client, self.name(), decision.deciding().code(), wall_us);
        self.expect_text("case_id", Some(&case));
    }

    /// Whoever chooses the hash chooses who is shed.
    fn hash(&mut self) {
        let recorded = self.line.signals.shed_hash;
        let distress = self.judged.assessment.distress();
        let needed = self.standing() != Standing::Malformed
            && (canary_hash_needed(self.rules)
                || self.line.signals.slow_start_bp > 0
                || distress >= self.rules.bands.medium());
        let number = self.line.signals.draw_number;
        if needed || recorded != 0 || number != 0 {
            let hash = match number {
                0 => shed_hash(self.line.client, self.line.wall_us, self.name()),
                _ => numbered_hash(self.line.client, number, self.name()),
            };
            let wanted = hash.to_string();
            self.expect_input(5, recorded.into(), recorded == hash, &wanted);
        }
    }

    /// Limits are asked about what goes to its own upstream as far as nothing else speaks against
    /// it, and only those that there are can refuse.
    fn limits(&mut self) {
        let Signals { take, .. } = self.line.signals;
        let terms = self.contract.filter(|_| self.is_paired());
        let terms = terms.map(Contract::terms);
        let unknown = self.standing() == Standing::Unknown;
        let before = match take {
            Take::NotAsked | Take::Granted => *self.judged,
            _ => judge(self.rules, terms, &unasked(&self.line.signals)),
        };
        let asked = (terms.is_some() || unknown)
            && asks_limits(&before, terms, &unasked(&self.line.signals));
        let is_apart = before.decision.severity() != Severity::Allow;
        let has = |limit: fn(&Terms) -> bool| asked && terms.is_some_and(limit);
        let holds = match take {
            Take::NotAsked => !asked,
            Take::Granted => asked,
            Take::ClientRate => !is_apart && has(|terms| terms.client_rate_limit.is_some()),
            Take::ContractRate => asked && unknown || has(|terms| terms.rate_limit.is_some()),
            Take::Concurrency => has(|terms| terms.max_in_flight.is_some()),
            Take::Probe => has(|_| true) && self.line.signals.circuit == CircuitState::HalfOpen,
        };
        let wanted = if asked {
            "what a limit of the contract said"
        } else {
            "0, because no limit is asked"
        };
        self.expect_input(3, take as u64, holds, wanted);
        self.hold(terms, take);
    }

    /// Only a request over a rate waits for its turn, only where the tier may throttle it and it is
    /// not set apart, and only as long as its contract lets it.
    fn hold(&mut self, terms: Option<&Terms>, take: Take) {
        let hold_ns = self.line.signals.hold_ns;
        let longest = match terms.map(|terms| terms.throttle) {
            Some(Throttle::Delay { wait_max, .. }) => wait_max.as_nanos(),
            _ => 0,
        };
        let rate = matches!(take, Take::ClientRate | Take::ContractRate);
        let throttles = self.judged.permit.measure() == Measure::Throttle;
        let holds = hold_ns == 0 || rate && throttles && hold_ns <= longest;
        self.expect_input(44, hold_ns, holds, "at most what the contract lets it wait");
    }

    fn course(&mut self) {
        let upstream = self.line.member("upstream");
        let named = match self.way() {
            Way::Refuse => return self.expect("upstream", upstream.is_empty(), ""),
            Way::Divert => self.contract.and_then(Contract::divert_upstream),
            Way::Forward | Way::Shadow => self.contract.and_then(Contract::upstream),
        };
        if named.is_some() {
            self.expect_text("upstream", named);
        } else {
            let is_name = as_text(upstream).is_some_and(|name| !name.is_empty());
            self.expect("upstream", is_name, "where it was forwarded to");
        }
    }

    /// The end that the record tells is one that such a request can have.
    fn ending(&mut self) {
        let outcome = self.text("outcome").unwrap_or_default();
        let (status, answered) = (self.uint("status"), self.uint("upstream_status"));
        let (holds, wanted) = match (self.standing(), self.is_forwarded()) {
            (Standing::Malformed, _) => (outcome == "refused", "\"refused\""),
            (_, true) => (matches!(outcome, "done" | "open"), "\"done\" or \"open\""),
            // A client that leaves before it was answered ends the request without a status.
            (_, false) => (
                matches!(outcome, "refused" | "open") || outcome == "done" && status == Some(0),
                "\"refused\" or \"open\"",
            ),
        };
        self.expect("outcome", holds, wanted);
        let phase = match (self.standing(), outcome) {
            (Standing::Malformed, _) => 1,
            (_, "done") => 6,
            _ => 5,
        };
        self.expect_uint("phase", phase);
        let is_open = outcome == "open";
        self.expect_number("status", 999, is_open);
        self.expect_number("upstream_status", 999, is_open || !self.is_forwarded());
        self.expect_number("latency_us", u64::MAX, is_open || outcome == "refused");
        let errors = self.uint("error_count");
        if is_open || !self.is_forwarded() {
            self.expect_uint("error_count", 0);
        } else if answered.is_some_and(|status| status >= 500) {
            self.expect_uint("error_count", 1);
        } else {
            self.expect(
                "error_count",
                errors.is_some_and(|count| count <= 1),
                "0 or 1",
            );
        }
    }

    fn expect_number(&mut self, member: &str, most: u64, is_zero: bool) {
        if is_zero {
            return self.expect_uint(member, 0);
        }
        let holds = self.uint(member).is_some_and(|number| number <= most);
        self.expect(member, holds, "a number in its range");
    }
}

/// The same before a limit was asked.
fn unasked(signals: &Signals) -> Signals {
    Signals {
        take: Take::NotAsked,
        hold_ns: 0,
        ..*signals
    }
}

fn is_trace_id(text: &str) -> bool {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 32 && text.bytes().all(lower) && text.bytes().any(|digit| digit != b'0')
}

/// Whether a raw value is that text, as the format spells it.
fn is_text(raw: &[u8], text: &str) -> bool {
    let inner = raw
        .strip_prefix(b"\"")
        .and_then(|raw| raw.strip_suffix(b"\""));
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        return inner == Some(text.as_bytes());
    }
    quoted(text).as_bytes() == raw
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' => quoted.push_str("\\\""),
            b'\\' => quoted.push_str("\\\\x5c"),
            0x20..0x7f => quoted.push(char::from(byte)),
            byte => quoted.push_str(&format!("\\\\x{byte:02x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{is_text, is_trace_id, quoted};
    use crate::ledger::{Chain, Record};

    #[test]
    fn texts_are_spelled_as_the_ledger_spells_them() {
        for text in ["", "plain", "a \"b\"", "a\\b", "\u{e9}\n\u{7f}", "~ "] {
            let (mut line, mut buffer) = (Vec::new(), Vec::new());
            Chain::genesis().append(&mut line, |entry| {
                entry.text("kind", "decision");
                entry.text("method", text);
            });
            let record = Record::check(line.trim_ascii_end(), &mut buffer).expect("a valid line");
            let raw = record.member("method").expect("the member");
            assert_eq!(quoted(text).as_bytes(), raw, "{text:?}");
            assert!(is_text(raw, text) && !is_text(raw, "other") && !is_text(b"", text));
        }
    }

    #[test]
    fn a_trace_id_has_one_spelling() {
        let good = "0af7651916cd43dd8448eb211c80319c";
        assert!(is_trace_id(good));
        for bad in [&good[1..], &good.to_uppercase(), &"0".repeat(32), ""] {
            assert!(!is_trace_id(bad), "{bad}");
        }
    }
}
