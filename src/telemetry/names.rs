//! All metrics by name: what they mean, what they are counted in, and how they are labelled.
//!
//! The same list stands in `docs/metrics.md`; rules and dashboards may use these names only. A
//! changed name is a breaking change.

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bound, with sum and count.
    Histogram,
}

impl Kind {
    /// The name in the text format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What one is one of.
    pub unit: &'static str,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $unit:literal, $help:literal;)+) => {
        $(#[doc = $help] pub const $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$($label),*],
            help: $help,
        };)+
        /// All metrics.
        pub const ALL: &[Metric] = &[$($id),+];
    };
}

metrics! {
    BUILD_INFO = Gauge "tidegate_build_info" ["version"] "1",
        "Always 1; the version of the program is its label.";
    START_TIME = Gauge "tidegate_start_time_seconds" [] "seconds since 1970",
        "When the gateway began to count.";
    REQUESTS = Counter "tidegate_requests_total" ["contract", "method", "status_class", "decision"] "requests",
        "Exchanges that ended, by what was sent to the client; status_class none means that nothing was.";
    DECISIONS = Counter "tidegate_decisions_total" ["contract", "decision", "reason", "tier"] "decisions",
        "Decisions made; reason is the one code that decided.";
    FORWARDED = Counter "tidegate_forwarded_total" ["contract"] "requests",
        "Decisions after which the request was sent on to an upstream.";
    ANSWERED = Counter "tidegate_answered_total" ["contract"] "requests",
        "Decisions after which the gateway answered by itself.";
    SUPPRESSED = Counter "tidegate_actions_suppressed_total" ["action", "tier"] "actions",
        "Actions that decisions asked for and the tier did not allow.";
    REFUSED = Counter "tidegate_refused_in_parsing_total" ["reason"] "requests",
        "Heads that were refused before they could be judged; they are no decisions. Of HTTP/2 also streams (`http2_stream`) and connections (`http2_connection`) that broke the protocol's rules.";
    RETRIES = Counter "tidegate_upstream_retries_total" ["contract"] "attempts",
        "Further attempts to reach an upstream after the first one of a request.";
    NEVER_SENT = Counter "tidegate_upstream_never_sent_total" ["contract"] "attempts",
        "Attempts whose request no upstream got, because no connection could be made, its client left before its turn, its body said that it is too long, or its head cannot be said to that upstream.";
    UNANSWERED = Counter "tidegate_upstream_unanswered_total" ["contract"] "attempts",
        "Attempts on a kept connection that closed before a byte came back; the upstream may have got the request or not.";
    PUSHBACKS = Counter "tidegate_upstream_pushback_total" ["contract"] "responses",
        "Answers by which an upstream asked for fewer requests: 429, or 503 with Retry-After.";
    UPSTREAM_SERVERS = Gauge "tidegate_upstream_servers" ["upstream", "state"] "servers",
        "Addresses of an upstream's servers: healthy ones get requests, ejected ones failed several times in a row, the checks of unhealthy ones fail.";
    UPSTREAM_PANIC = Gauge "tidegate_upstream_panic" ["upstream"] "1 or 0",
        "1 while no server of an upstream is healthy, so that all get requests.";
    UPSTREAM_EJECTIONS = Counter "tidegate_upstream_ejections_total" ["upstream"] "ejections",
        "How often a server was left out for a while because it failed several times in a row.";
    UPSTREAM_CHECKS_FAILED = Counter "tidegate_upstream_checks_failed_total" ["upstream"] "checks",
        "Health checks of servers that failed.";
    DECISION_DURATION = Histogram "tidegate_decision_duration_seconds" [] "seconds",
        "Time to make a decision, measured for one of 64 decisions.";
    REQUEST_DURATION = Histogram "http_server_request_duration_seconds" ["http_route", "http_request_method", "http_response_status_code"] "seconds",
        "Time from the complete head of a request to the end of its answer; status 0 means that none was sent.";
    UPSTREAM_DURATION = Histogram "tidegate_upstream_request_duration_seconds" ["contract"] "seconds",
        "Time of upstream exchanges that had an outcome, from forwarding to the end of the answer.";
    INFLIGHT = Gauge "tidegate_inflight_requests" ["contract"] "requests",
        "Requests that were sent on and have not ended.";
    HELD = Gauge "tidegate_held_requests" ["contract"] "requests",
        "Requests over a rate limit that wait for their turn; only contracts that let them wait.";
    RISK = Gauge "tidegate_risk_ratio" ["contract"] "ratio 0 to 1",
        "Distress of the contract's route at the last tick.";
    RISK_FACTOR = Gauge "tidegate_risk_factor_ratio" ["contract", "factor"] "ratio 0 to 1",
        "What a factor of the route reads now; a factor that is not known has no series.";
    DEPRECATED_REQUESTS = Counter "tidegate_deprecated_requests_total" ["contract", "client"] "requests",
        "Requests of deprecated contracts; client is the keyed hash that records have, of the first 16 of a contract that each worker sees, and _other for all further ones.";
    SUNSET = Gauge "tidegate_contract_sunset_timestamp_seconds" ["contract"] "seconds since 1970",
        "From when on a deprecated contract may be removed; absent where it names no day.";
    LATENCY_LIMIT = Gauge "tidegate_contract_latency_limit_seconds" ["contract"] "seconds",
        "The latency that the contract promises.";
    CONTRACT_STAGE = Gauge "tidegate_contract_stage" ["contract", "stage"] "1",
        "1 for how far the contract has been rolled out: shadow, canary, enforced or retired.";
    CIRCUIT_STATE = Gauge "tidegate_circuit_state" ["contract"] "state",
        "State of the contract's circuit at the last tick: 0 closed, 1 open, 2 half open; dry where the gateway only observes.";
    CIRCUIT_TRANSITIONS = Counter "tidegate_circuit_transitions_total" ["contract", "to"] "changes",
        "How often the contract's circuit became open, half_open and closed.";
    BUDGET_REMAINING = Gauge "tidegate_error_budget_remaining_ratio" ["contract"] "ratio, at most 1",
        "(allowed - actual) / allowed failures of the last three days; below 0 where more failed than may, absent while not even one may.";
    BURN_RATE = Gauge "tidegate_error_budget_burn_rate" ["contract", "window"] "times the allowed rate",
        "Share of failures over the error budget in a window of 5m, 30m, 1h, 6h or 3d; 1 spends just what is allowed.";
    COVERAGE = Gauge "tidegate_contract_coverage_ratio" [] "ratio 0 to 1",
        "Share of all decisions so far whose path was in a contract.";
    LEDGER_RECORDS = Counter "tidegate_ledger_records_total" [] "records",
        "Records chained so far, those of earlier starts included; the newest may still wait for the disk.";
    LEDGER_LOST = Counter "tidegate_ledger_lost_records_total" [] "records",
        "Records of this process that were lost before they were written.";
    LEDGER_QUEUE = Gauge "tidegate_ledger_queue_records" [] "records",
        "Records waiting for the ledger's writer.";
    LEDGER_LAG = Gauge "tidegate_ledger_durable_lag_seconds" [] "seconds",
        "Age of the oldest record that is not durable yet; 0 with none.";
    LEDGER_STATE = Gauge "tidegate_ledger_state" [] "state",
        "How much detail the ledger keeps: 0 every line, 1 admitted requests as counts, 2 events are lost and counted, 3 nothing becomes durable.";
    LEDGER_ROLLED_UP = Counter "tidegate_ledger_rolled_up_total" [] "decisions",
        "Decisions of this process that the ledger counted in rollup records in place of their lines.";
    LEDGER_OK = Gauge "tidegate_ledger_ok" [] "1 or 0",
        "1 while the ledger can be written and its closed segments are as they were written.";
    LEDGER_SIGNED = Gauge "tidegate_ledger_signed_records" [] "records",
        "Records that the newest signed head of this process covers; 0 before the first.";
    LEDGER_CHECKPOINT = Gauge "tidegate_ledger_checkpoint_timestamp_seconds" [] "seconds since 1970",
        "When the newest signed head of this process was kept; absent before the first.";
    LEDGER_DAMAGED = Gauge "tidegate_ledger_damaged_seq" [] "a record's number",
        "The first bad record that the start or the background verifier found; -1 while there is none.";
    LEDGER_CLOSED = Gauge "tidegate_ledger_closed_segments" [] "segments",
        "Segments of the ledger that are not written to any more.";
    LEDGER_VERIFIED = Gauge "tidegate_ledger_verified_segments" [] "segments",
        "Closed segments that this process has verified and found good.";
    LEDGER_DISK = Gauge "tidegate_ledger_disk_bytes" [] "bytes",
        "What the ledger's directory takes on the disk, space reserved ahead included.";
    LEDGER_DISK_BUDGET = Gauge "tidegate_ledger_disk_budget_bytes" [] "bytes",
        "What it may take (ledger.disk_mib_max); absent without a budget.";
    LEDGER_DISK_FREE = Gauge "tidegate_ledger_disk_free_bytes" [] "bytes",
        "What is left for it on its file system.";
    BUNDLE_INFO = Gauge "tidegate_bundle_info" ["digest", "serial"] "1",
        "Always 1; content digest of the rules in force, and the serial of their bundle. Without a bundle it counts swaps: a start has serial 0, each swap the next.";
    BUNDLE_SIGNED = Gauge "tidegate_bundle_signed" [] "1 or 0",
        "1 while a verified bundle is in force, 0 under plain files and while there is no bundle.";
    BUNDLE_EXPIRES = Gauge "tidegate_bundle_expires_timestamp_seconds" [] "seconds since 1970",
        "When the bundle in force ends; it stays in force beyond, with CONTROL at most. Absent without a bundle.";
    BUNDLE_ROOT_EXPIRES = Gauge "tidegate_bundle_root_expires_timestamp_seconds" [] "seconds since 1970",
        "When the root ends; from then on no bundle is put in force until the next root is here. Absent without a root.";
    BUNDLE_REFUSALS = Counter "tidegate_bundle_refusals_total" ["code"] "attempts",
        "Bundles and roots that were refused, by the code of the check that failed.";
    RELOAD_OK = Gauge "tidegate_config_last_reload_successful" [] "1 or 0",
        "1 when the newest attempt to load the configuration succeeded.";
    RELOAD_SUCCEEDED = Gauge "tidegate_config_last_reload_success_timestamp_seconds" [] "seconds since 1970",
        "When the configuration was last loaded with success.";
    ACTIVATIONS = Counter "tidegate_bundle_activations_total" ["result"] "attempts",
        "Attempts to put other rules in force: activated, unchanged, or refused because the files cannot be used.";
    TIER = Gauge "tidegate_tier" ["tier"] "1 or 0",
        "1 for the tier of the process, 0 for the others.";
    CLIENT_OVERFLOWS = Counter "tidegate_client_slots_overflow_total" [] "requests",
        "Requests whose client found no slot of its own in the table of clients and shared one.";
    CUTS = Counter "tidegate_cut_off_total" ["reason"] "requests",
        "Requests that were let through and did not run to their end, the upstream not to blame; `body_too_large_observed` ran on and would have been cut off.";
    TUNNELS = Counter "tidegate_tunnels_total" [] "tunnels",
        "Tunnels (WebSocket) that ended, however they did.";
    TUNNEL_BYTES = Counter "tidegate_tunnel_bytes_total" ["direction"] "bytes",
        "Bytes through tunnels that ended, received from clients and sent to them.";
    CONNECTIONS = Gauge "tidegate_connections" ["state"] "connections",
        "Open client connections: with a request in flight (active), a tunnel, waiting for the rest of a head (reading_head), or idle.";
    CONNECTIONS_ACCEPTED = Counter "tidegate_connections_accepted_total" [] "connections",
        "Client connections accepted, those closed at once included.";
    CONNECTIONS_CLOSED = Counter "tidegate_connections_closed_total" ["reason"] "connections",
        "Client connections that ended, by what had become of them.";
    CONNECTIONS_REFUSED = Counter "tidegate_connections_refused_total" ["limit"] "connections",
        "Connections closed at once because too many were open, in all or from one address, or because too many handshakes were under way.";
    EXHAUSTED = Counter "tidegate_descriptors_exhausted_total" [] "looks",
        "Looks, four in a second, at which the process could open no more descriptors: nobody is let in then.";
    STREAMS_REFUSED = Counter "tidegate_streams_refused_total" [] "streams",
        "Streams of HTTP/2 refused (`REFUSED_STREAM`) because, beside the first of each connection, they count against the limits of connections, and those were reached.";
    HANDSHAKES = Gauge "tidegate_handshakes" [] "handshakes",
        "Connections that have not come to HTTP yet: a PROXY header or TLS is under way.";
    TLS_HANDSHAKES = Counter "tidegate_tls_handshakes_total" ["result"] "handshakes",
        "Handshakes of TLS by their end: completed, failed, not_tls (most often plain HTTP), timeout, or gone where the client left first.";
    PROXY_REFUSED = Counter "tidegate_proxy_protocol_refused_total" ["reason"] "connections",
        "Connections closed for their PROXY header: untrusted (not from a trusted proxy), version_1, malformed, timeout, or gone where the peer left first.";
    CERTIFICATE_EXPIRES = Gauge "tidegate_tls_certificate_expires_timestamp_seconds" ["listener", "certificate"] "seconds since 1970",
        "When a certificate in force ends, by the address of its listener and its file.";
    CERTIFICATES_OK = Gauge "tidegate_tls_last_reload_successful" [] "1 or 0",
        "1 while the files of all listeners could be used when they were last read; at 0 an older certificate is in force. Absent without TLS.";
    CERTIFICATE_RELOADS = Counter "tidegate_tls_reloads_total" ["result"] "attempts",
        "Times that the certificates of a listener were read again: activated, unchanged, or refused because the files cannot be used.";
    THREAD_UP = Gauge "tidegate_thread_up" ["thread"] "1 or 0",
        "1 while a thread beside the workers lives: admin, ledger-writer, reloader, ticker.";
    SERIES = Gauge "tidegate_metrics_series" [] "series",
        "Series that the workers count, summed over workers.";
    SERIES_MAX = Gauge "tidegate_metrics_series_max" [] "series",
        "Series that the workers can count before further ones go to contract _other; a worker's share also bounds the contracts with gauges of their own.";
    SERIES_OVERFLOWED = Counter "tidegate_metrics_overflowed_total" ["result"] "additions",
        "Additions to series without room of their own: counted under _other, or lost.";
    LOG_SUPPRESSED = Counter "tidegate_log_lines_suppressed_total" [] "lines",
        "Lines of the operational log that were left out because their place in the program wrote too many.";
    CPU = Counter "process_cpu_seconds_total" [] "seconds",
        "CPU time of the process, user and system.";
    RESIDENT = Gauge "process_resident_memory_bytes" [] "bytes",
        "Resident memory of the process.";
    VIRTUAL = Gauge "process_virtual_memory_bytes" [] "bytes",
        "Virtual memory of the process.";
    OPEN_FDS = Gauge "process_open_fds" [] "descriptors",
        "Open file descriptors.";
    MAX_FDS = Gauge "process_max_fds" [] "descriptors",
        "Most file descriptors that the process may have open.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "seconds since 1970",
        "When the process was started.";
}

/// Every series name of a metric in the text format.
pub fn series_names(metric: &Metric) -> impl Iterator<Item = String> {
    let suffixes: &[&str] = match metric.kind {
        Kind::Histogram => &["_bucket", "_sum", "_count"],
        Kind::Counter | Kind::Gauge => &[""],
    };
    let name = metric.name;
    suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
}
