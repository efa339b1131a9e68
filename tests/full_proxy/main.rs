//! The tests of `tests/gateway` once more, with the fast lane switched off: what holds on the lane holds
//! on the full proxy. The name of this crate is what switches it off (`harness::settings`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "../gateway/answers.rs"]
mod answers;
#[path = "../gateway/apart.rs"]
mod apart;
#[path = "../support/backend.rs"]
mod backend;
#[path = "../gateway/bodies.rs"]
mod bodies;
#[path = "../gateway/connections.rs"]
mod connections;
#[path = "../gateway/failures.rs"]
mod failures;
#[path = "../gateway/forwarding.rs"]
mod forwarding;
#[path = "../gateway/governed.rs"]
mod governed;
#[path = "../gateway/harness.rs"]
mod harness;
#[path = "../gateway/http2.rs"]
mod http2;
#[path = "../gateway/lane_mixed.rs"]
mod lane_mixed;
#[path = "../gateway/pace.rs"]
mod pace;
#[path = "../gateway/permits.rs"]
mod permits;
#[path = "../gateway/probing.rs"]
mod probing;
#[path = "../gateway/proxied.rs"]
mod proxied;
#[path = "../gateway/refusals.rs"]
mod refusals;
#[path = "../gateway/retries.rs"]
mod retries;
#[path = "../gateway/script.rs"]
mod script;
#[path = "../gateway/secure.rs"]
mod secure;
#[path = "../gateway/stopping.rs"]
mod stopping;
#[path = "../gateway/tls.rs"]
mod tls;
#[path = "../gateway/tunnels.rs"]
mod tunnels;
#[path = "../gateway/upstream_tls.rs"]
mod upstream_tls;
#[path = "../gateway/upstreams.rs"]
mod upstreams;
#[path = "../gateway/waiting.rs"]
mod waiting;
#[path = "../support/wire.rs"]
mod wire;
