//! The stages of one decision in their order, with what each gave to the next.

use super::text::{Account, Ending};
use super::words::{names, percent};
use crate::enforcement::Measure;

impl Account<'_> {
    /// The stages in their order, with what each gave to the next.
    pub(super) fn trace(&self) -> String {
        let (assessment, decision) = (&self.judged.assessment, &self.judged.decision);
        let permit = &self.judged.permit;
        let inputs = self.signals.to_inputs();
        let used = inputs.iter().rposition(|input| *input != 0);
        let inputs: Vec<String> = inputs
            .iter()
            .take(used.map_or(0, |last| last + 1))
            .map(ToString::to_string)
            .collect();
        let execution = match permit.measure() {
            Measure::Forward => "forwarded",
            Measure::Throttle if self.signals.hold_ns > 0 => "held until its turn, then forwarded",
            Measure::Throttle => "refused for now",
            Measure::Quarantine => "set apart",
            Measure::Drop => "refused",
        };
        let (stability, append) = match &self.ending {
            Ending::Quiet { .. } => ("nothing to count".to_owned(), "nothing".to_owned()),
            Ending::Recorded { record, .. } => {
                let reached = record.uint("phase") >= Some(6);
                let counted = if reached {
                    "outcome counted"
                } else {
                    "not reached"
                };
                (counted.to_owned(), format!("record {}", record.seq))
            }
        };
        format!(
            "\nstages\n\
             1 observation         inputs [{}]\n\
             2 contract pairing    {}\n\
             3 risk assessment     distress {}, abuse {}, risk {}\n\
             4 policy boundaries   {} recommended by {}, {} withheld\n\
             5 decision execution  {execution}\n\
             6 stability control   {stability}\n\
             7 ledger append       {append}\n",
            inputs.join(","),
            self.contract
                .map_or("none", |contract| contract.id().as_str()),
            percent(assessment.distress()),
            percent(assessment.abuse()),
            percent(assessment.risk()),
            names(permit.recommended()),
            decision.deciding().code(),
            names(permit.withheld()),
        )
    }
}
