//! What of `tidegate.yaml` a running process cannot take over.

use crate::config::Settings;

/// The keys under which the files say something else than what runs, by name.
///
/// Every setting stands here by name, so that a new one has to be thought about.
pub(super) fn needed(running: &Settings, wanted: &Settings) -> Vec<&'static str> {
    let Settings {
        // Comes into force with the contracts.
        tier: _,
        environment,
        instances,
        watch,
        threads,
        listeners,
        upstreams,
        default_upstream,
        trusted_proxies,
        caller_header,
        ledger,
        bundle,
        admin,
        state_dir,
        series_max,
        expose_headers,
        fast_lane,
        timeouts,
        limits,
    } = wanted;
    let table = [
        ("admin", *admin != running.admin),
        ("bundle", *bundle != running.bundle),
        ("caller_header", *caller_header != running.caller_header),
        (
            "default_upstream",
            *default_upstream != running.default_upstream,
        ),
        ("environment", *environment != running.environment),
        ("expose_headers", *expose_headers != running.expose_headers),
        ("fast_lane", *fast_lane != running.fast_lane),
        ("instances", *instances != running.instances),
        ("ledger", *ledger != running.ledger),
        ("limits", *limits != running.limits),
        ("listeners", *listeners != running.listeners),
        ("metrics", *series_max != running.series_max),
        ("state_dir", *state_dir != running.state_dir),
        ("threads", *threads != running.threads),
        ("timeouts", *timeouts != running.timeouts),
        (
            "trusted_proxies",
            *trusted_proxies != running.trusted_proxies,
        ),
        ("upstreams", *upstreams != running.upstreams),
        ("watch", *watch != running.watch),
    ];
    let differing = table.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}
