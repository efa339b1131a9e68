//! Judges every decision a second time: from its inputs, and now and then from its record.

use tidegate::contract::Contract;
use tidegate::ledger::{Chain, Record};
use tidegate::observation::Signals;
use tidegate::pipeline::judge;
use tidegate::record::{Comparison, DecisionEvent, DecisionLine, Event};

use crate::era::Era;

pub(crate) struct Judge {
    /// Every how many decisions one goes through the ledger's format; it is slow.
    records_every: u64,
    chain: Chain,
    comparison: Comparison,
}

impl Judge {
    pub(crate) fn new(records_every: u64) -> Self {
        Self {
            records_every,
            chain: Chain::genesis(),
            comparison: Comparison::default(),
        }
    }

    /// The hash of the last record: of all of them.
    pub(crate) fn head(&self) -> String {
        String::from_utf8_lossy(self.chain.head()).into_owned()
    }

    /// What does not follow.
    pub(crate) fn check(
        &mut self,
        era: &mut Era,
        worker: usize,
        event: DecisionEvent,
    ) -> Vec<String> {
        let inputs = event.signals.to_inputs();
        let used = inputs.iter().rposition(|input| *input != 0);
        let read = Signals::from_inputs(&inputs[..used.map_or(0, |last| last + 1)]).unwrap();
        let contract = era.rulebook.contract_of(event.route as usize);
        let judged = judge(era.rulebook.rules(), contract.map(Contract::terms), &read);
        let mut differences = Vec::new();
        if judged != event.judgement {
            let difference = format!("{read:?}: {judged:?}, decided {:?}", event.judgement);
            differences.push(difference);
        }
        if event.n.is_multiple_of(self.records_every) {
            self.check_record(era, worker, event, &mut differences);
        }
        differences
    }

    fn check_record(
        &mut self,
        era: &mut Era,
        worker: usize,
        event: DecisionEvent,
        differences: &mut Vec<String>,
    ) {
        let (mut line, mut scratch) = (Vec::new(), Vec::new());
        let encoder = &mut era.encoder;
        self.chain.append(&mut line, |entry| {
            encoder.encode(entry, 1, worker as u8, &Event::Decision(event));
        });
        let record = Record::check(line.trim_ascii_end(), &mut scratch).unwrap();
        let read = DecisionLine::read(&record).unwrap();
        let judged = era.rule_set.judge(&read).unwrap();
        for difference in self.comparison.differences(&read, &judged) {
            differences.push(format!("record {}: {difference:?}", record.seq));
        }
    }
}
