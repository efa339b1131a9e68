//! Looks after the groups: checks that are due, ejections that are over, certificates that changed.
//!
//! One thread with a runtime of its own, so that neither a slow check nor a slow disk is ever on
//! the way of a request. It ends with the upstreams.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::Upstreams;
use super::check::Checker;
use crate::gateway::clock;

/// How often it looks.
const ROUND: Duration = Duration::from_millis(100);
/// Files are looked at in one of so many rounds.
const ROUNDS_PER_LOOK: u64 = 10;

/// Starts the thread.
pub(super) fn start(upstreams: &Arc<Upstreams>) {
    let upstreams = Arc::downgrade(upstreams);
    let spawned = std::thread::Builder::new()
        .name("upstreams".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(keep_while_used(&upstreams)),
                Err(error) => tracing::error!(event = "upstreams_not_kept", %error),
            }
        });
    if let Err(error) = spawned {
        tracing::error!(event = "upstreams_not_kept", %error);
    }
}

async fn keep_while_used(upstreams: &Weak<Upstreams>) {
    let mut checker = None;
    for round in 0_u64.. {
        let Some(upstreams) = upstreams.upgrade() else {
            return;
        };
        let now_ns = clock::now().monotonic_ns;
        for (number, group) in upstreams.groups.iter().enumerate() {
            group.pass(now_ns);
            if let Some(check) = &group.health {
                let checker = checker.get_or_insert_with(Checker::new);
                for address in group.due(check.interval.as_nanos(), now_ns) {
                    checker.check(&upstreams, number, address, check);
                }
            }
            if let Some(tls) = group.tls().filter(|_| round % ROUNDS_PER_LOOK == 0) {
                tls.refresh(&group.name);
            }
        }
        drop(upstreams);
        tokio::time::sleep(ROUND).await;
    }
}
