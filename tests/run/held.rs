//! A server that holds requests back until the test lets them go.

use std::sync::{Mutex, mpsc};

use crate::wire::{OK, Upstream};

/// Holds each request whose first line has `part`, which all have where it is empty, until it is
/// told or the sender is gone; answers everything else at once.
pub(crate) fn holding(part: &'static str) -> (Upstream, mpsc::Sender<()>) {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let upstream = Upstream::replying(move |request| {
        if request.line().contains(part) {
            _ = gate.lock().unwrap().recv();
        }
        OK.into()
    });
    (upstream, release)
}
