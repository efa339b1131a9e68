//! Circuits that are not closed, or have been open, of all contracts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::admin::state::AdminState;
use crate::observation::{CircuitReading, CircuitState, Mode};
use crate::pipeline;
use crate::rulebook::Rulebook;

const NANOS_PER_MILLI: u64 = 1_000_000;

pub(super) async fn circuits(State(state): State<Arc<AdminState>>) -> Json<Value> {
    let rulebook = state.parts.registry.active().load_full();
    let now_ns = state.ticked().monotonic_ns;
    let mut counts = [0_u32; 3];
    let mut never_opened = 0_u32;
    let mut rows = Vec::new();
    for route in 0..rulebook.catalogue().contracts().len() {
        let at_rest = pipeline::mode_at_rest(&rulebook, route);
        for mode in [Mode::Dry, Mode::Real] {
            let reading = rulebook.route(route).circuit(mode).read(now_ns);
            let is_pristine = reading == CircuitReading::default();
            if mode == at_rest {
                if let Some(count) = counts.get_mut(reading.state as usize) {
                    *count += 1;
                }
                never_opened += u32::from(is_pristine);
            }
            if !is_pristine {
                rows.push(row(&rulebook, route, mode, mode == at_rest, now_ns));
            }
        }
    }
    let [closed, open, half_open] = counts;
    Json(json!({
        "summary": {
            "contracts": rulebook.catalogue().contracts().len(),
            "closed": closed,
            "open": open,
            "half_open": half_open,
            "never_opened": never_opened,
        },
        "circuits": rows,
    }))
}

fn row(rulebook: &Rulebook, route: usize, mode: Mode, in_use: bool, now_ns: u64) -> Value {
    let state = rulebook.route(route);
    let circuit = state.circuit(mode);
    let reading = circuit.read(now_ns);
    let probing = reading.state == CircuitState::HalfOpen;
    let millis = |nanos: u64| nanos.div_ceil(NANOS_PER_MILLI);
    json!({
        "contract": state.name(),
        "mode": match mode {
            Mode::Dry => "dry",
            Mode::Real => "real",
        },
        "in_use": in_use,
        "state": reading.state.name(),
        "epoch": reading.epoch,
        "wait_ms": millis(reading.wait_ns),
        "closed_for_ms": reading.closed_for_ns.map(millis),
        "probes": probing.then(|| json!({
            "issued": reading.probes.issued,
            "succeeded": reading.probes.succeeded,
            "failed": reading.probes.failed,
        })),
        "broken_in_a_row": circuit.broken_in_a_row(now_ns),
    })
}
