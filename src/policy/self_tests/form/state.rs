//! The state of a self-test in canonical form.

use serde::{Deserialize, Serialize};

use super::parts::{BurnForm, LimitForm, LoadForm, ShareForm, TailForm};
use super::{is_default, named};
use crate::observation::{ALL_ORDINARY_BP, CircuitState, LedgerStanding, RetryKind};
use crate::policy::self_tests::state::{
    CIRCUITS, LEDGERS, LoadState, RETRIES, TailState, TestState, ledger_key, retry_key,
};
use crate::units::{Band, BasisPoints, Tier};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    band: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burn: Option<BurnForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class_mix_bp: Option<[u16; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_limit: Option<LimitForm>,
    #[serde(default, skip_serializing_if = "is_default")]
    client_refusals: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    draw_bp: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<ShareForm>,
    #[serde(default, skip_serializing_if = "is_default")]
    in_flight: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<TailForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    probes_spent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<LimitForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<ShareForm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<ShareForm>,
    #[serde(default, skip_serializing_if = "is_default")]
    slow_start_bp: u64,
    tier: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    traffic: Option<LoadForm>,
    #[serde(default, skip_serializing_if = "is_default")]
    waiting: u32,
}

/// The name of what is not the default.
fn unless<T: PartialEq>(value: T, default: T, name: fn(T) -> &'static str) -> Option<String> {
    (value != default).then(|| name(value).to_owned())
}

impl From<&TestState> for StateForm {
    fn from(state: &TestState) -> Self {
        let mix = state.class_mix_bp;
        Self {
            band: unless(state.band, Band::Low, Band::key),
            burn: (!state.burn.is_empty()).then(|| BurnForm::from(&state.burn)),
            circuit: unless(state.circuit, CircuitState::Closed, CircuitState::name),
            class_mix_bp: (mix != ALL_ORDINARY_BP).then_some(mix),
            client_limit: state.client_limit.map(Into::into),
            client_refusals: state.client_refusals,
            draw_bp: state.draw_bp,
            failed: state.failed.map(Into::into),
            in_flight: state.in_flight,
            latency: state.latency.map(|tail| TailForm {
                baseline_us: tail.baseline_us,
                p95_us: tail.p95_us,
            }),
            ledger: unless(state.ledger, LedgerStanding::Available, ledger_key),
            probes_spent: state.probes_spent,
            rate_limit: state.rate_limit.map(Into::into),
            retries: state.retries.map(Into::into),
            retry: unless(state.retry, RetryKind::First, retry_key),
            slow: state.slow.map(Into::into),
            slow_start_bp: state.slow_start.wide(),
            tier: state.tier.key().to_owned(),
            traffic: state.traffic.map(|load| LoadForm {
                offered: load.offered,
                spread: load.spread,
                usual: load.usual,
            }),
            waiting: state.waiting,
        }
    }
}

impl StateForm {
    /// The state, of which only the bounds are not checked yet.
    pub(super) fn read(self) -> Result<TestState, &'static str> {
        let or = |text: Option<String>, default: &str| text.unwrap_or_else(|| default.to_owned());
        let circuit = or(self.circuit, CircuitState::Closed.name());
        let ledger = or(self.ledger, ledger_key(LedgerStanding::Available));
        let retry = or(self.retry, retry_key(RetryKind::First));
        let band = or(self.band, Band::Low.key());
        Ok(TestState {
            tier: Tier::from_key(&self.tier).ok_or("the tier is unknown")?,
            circuit: named(&CIRCUITS, CircuitState::name, &circuit)
                .ok_or("the circuit is unknown")?,
            probes_spent: self.probes_spent,
            slow_start: BasisPoints::new(self.slow_start_bp).ok_or("'slow_start' is too much")?,
            band: named(&Band::ALL, Band::key, &band).ok_or("the band is unknown")?,
            failed: self.failed.map(Into::into),
            slow: self.slow.map(Into::into),
            retries: self.retries.map(Into::into),
            in_flight: self.in_flight,
            waiting: self.waiting,
            latency: self.latency.map(|tail| TailState {
                p95_us: tail.p95_us,
                baseline_us: tail.baseline_us,
            }),
            traffic: self.traffic.map(|load| LoadState {
                offered: load.offered,
                usual: load.usual,
                spread: load.spread,
            }),
            burn: self.burn.map(Into::into).unwrap_or_default(),
            class_mix_bp: self.class_mix_bp.unwrap_or(ALL_ORDINARY_BP),
            client_limit: self.client_limit.map(Into::into),
            client_refusals: self.client_refusals,
            rate_limit: self.rate_limit.map(Into::into),
            retry: named(&RETRIES, retry_key, &retry).ok_or("'retry' is unknown")?,
            ledger: named(&LEDGERS, ledger_key, &ledger).ok_or("'ledger' is unknown")?,
            draw_bp: self.draw_bp,
        })
    }
}
