//! What becomes of requests that are not simply let through, in canonical form.
//!
//! Each is an object with its `mode`, and with the members of that mode alone: others are lost
//! here, and then the content does not read as it was written.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::contract::file::bounds::{HELD_MAX, WAIT_MILLIS_MAX};
use crate::contract::{Contract, Quarantine, Refusal, Throttle};
use crate::units::Millis;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum QuarantineForm {
    Reject,
    Divert { upstream: String },
    Shadow,
}

impl QuarantineForm {
    pub(super) fn of(contract: &Contract) -> Self {
        match contract.terms().quarantine {
            Quarantine::Reject => Self::Reject,
            Quarantine::Divert => Self::Divert {
                upstream: contract.divert_upstream().unwrap_or_default().to_owned(),
            },
            Quarantine::Shadow => Self::Shadow,
        }
    }

    pub(super) fn upstream(&self) -> Option<&str> {
        match self {
            Self::Divert { upstream } => Some(upstream),
            Self::Reject | Self::Shadow => None,
        }
    }

    pub(super) const fn terms(&self) -> Quarantine {
        match self {
            Self::Reject => Quarantine::Reject,
            Self::Divert { .. } => Quarantine::Divert,
            Self::Shadow => Quarantine::Shadow,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ThrottleForm {
    Reject,
    Delay { held_max: u32, wait_max_ms: u32 },
}

/// What is written: a tag would come first, and canonical members are sorted.
#[derive(Serialize)]
struct SortedThrottle {
    #[serde(skip_serializing_if = "Option::is_none")]
    held_max: Option<u32>,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_max_ms: Option<u32>,
}

impl Serialize for ThrottleForm {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (held_max, mode, wait_max_ms) = match *self {
            Self::Reject => (None, "reject", None),
            Self::Delay {
                held_max,
                wait_max_ms,
            } => (Some(held_max), "delay", Some(wait_max_ms)),
        };
        let sorted = SortedThrottle {
            held_max,
            mode,
            wait_max_ms,
        };
        sorted.serialize(to)
    }
}

impl From<Throttle> for ThrottleForm {
    fn from(throttle: Throttle) -> Self {
        match throttle {
            Throttle::Reject => Self::Reject,
            Throttle::Delay { wait_max, held_max } => Self::Delay {
                held_max: held_max.get(),
                wait_max_ms: wait_max.get(),
            },
        }
    }
}

impl ThrottleForm {
    /// `None` where a number is out of range.
    pub(super) fn terms(&self) -> Option<Throttle> {
        match *self {
            Self::Reject => Some(Throttle::Reject),
            Self::Delay {
                held_max,
                wait_max_ms,
            } => {
                let is_wait = (1..=WAIT_MILLIS_MAX).contains(&wait_max_ms);
                let held_max = NonZeroU32::new(held_max).filter(|held| held.get() <= HELD_MAX)?;
                is_wait.then_some(Throttle::Delay {
                    wait_max: Millis::new(wait_max_ms),
                    held_max,
                })
            }
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DropForm {
    mode: DropMode,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DropMode {
    Respond,
    Close,
}

impl From<Refusal> for DropForm {
    fn from(refusal: Refusal) -> Self {
        let mode = match refusal {
            Refusal::Respond => DropMode::Respond,
            Refusal::Close => DropMode::Close,
        };
        Self { mode }
    }
}

impl DropForm {
    pub(super) const fn terms(&self) -> Refusal {
        match self.mode {
            DropMode::Respond => Refusal::Respond,
            DropMode::Close => Refusal::Close,
        }
    }
}
