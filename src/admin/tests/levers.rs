//! Levers that do what a test expects and change nothing.

use crate::admin::{
    Activation, Attempt, Finding, KillSwitchState, Later, Levers, Lowering, NO_BUNDLE, Standing,
    Trigger,
};
use crate::bundle::refusal::{RefusalCode, Refused};
use crate::telemetry::Reload;
use crate::units::Tier;

/// A reload that is refused, a tier that may only become OBSERVE_ONLY.
pub(super) fn levers() -> Levers {
    fn now<T: std::fmt::Debug>(value: T) -> Later<T> {
        let (answer, later) = tokio::sync::oneshot::channel();
        answer.send(value).expect("the other end is here");
        later
    }
    let refused = || Activation {
        result: Reload::Refused,
        trigger: Trigger::Admin,
        at_us: 7_000,
        serial: 3,
        digest: "d".to_owned(),
        tier: Tier::Control,
        findings: vec![Finding {
            severity: "error",
            code: "C004",
            file: "a.yaml".to_owned(),
            line: 2,
            column: 1,
            message: "no".to_owned(),
            remedy: "mend".to_owned(),
        }],
        needs_restart: vec!["threads"],
    };
    Levers {
        reload: Box::new(move || now(refused())),
        lower: Box::new(|tier, _| {
            now(match tier {
                Tier::ObserveOnly => Lowering::Lowered(tier),
                Tier::Control => Lowering::NotLower(Tier::ObserveOnly),
                Tier::Autonomous => Lowering::NotKept(tier, "full".to_owned()),
            })
        }),
        standing: Box::new(move || Standing {
            active_since_us: 5_000,
            last_reload: Some(refused()),
            kill_switch: KillSwitchState {
                ceiling: Some(Tier::Control),
                trouble: None,
            },
            bundle: None,
        }),
        apply: Box::new(|submission| {
            let code = match submission.unverified {
                None => RefusalCode::TooLarge,
                Some(_) if submission.if_match == NO_BUNDLE => RefusalCode::UnknownKey,
                Some(_) => RefusalCode::StateChanged,
            };
            now(Attempt {
                result: Reload::Refused,
                trigger: Trigger::Admin,
                at_us: 9_000,
                digest: None,
                place: Some((1, 2)),
                refused: Some(Refused::new(code, "no", "mend")),
            })
        }),
    }
}
