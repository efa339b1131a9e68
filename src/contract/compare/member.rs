//! The closed list of what can differ between two contracts.

macro_rules! members {
    ($($name:ident $key:literal $doc:literal;)*) => {
        /// A part of a contract; the order is that of reports.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Member { $(#[doc = $doc] $name),* }

        impl Member {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in reports: the key of a contract file, with the map it stands in.
            #[must_use]
            pub const fn key(self) -> &'static str {
                match self { $(Self::$name => $key),* }
            }
        }
    };
}

members! {
    Contract "contract" "The contract as a whole.";
    Method "allowed_methods" "One allowed method.";
    Template "endpoint" "The path template.";
    EndpointMethod "endpoint.method" "The method that names the endpoint.";
    Upstream "upstream" "Where requests go.";
    MaxLatency "max_latency_ms" "The promised time.";
    Timeout "timeout_ms" "The longest wait for the next bytes.";
    ErrorBudget "error_budget" "The share of requests that may fail.";
    CircuitThreshold "circuit_threshold" "The share of failures that opens the circuit.";
    RateLimit "rate_limit_rpm" "Requests per minute over all clients.";
    Burst "burst" "Requests of that limit at once.";
    ClientKey "per_client.key" "Who is one client.";
    ClientRateLimit "per_client.rate_limit_rpm" "Requests per minute of each client.";
    ClientBurst "per_client.burst" "Requests of that limit at once.";
    Consumer "consumers" "One caller that may call.";
    MaxInFlight "max_in_flight" "Requests in flight at once.";
    BodyBytesMax "body_bytes_max" "Bytes of a request body.";
    Upgrade "upgrade" "Protocols that a connection may change to.";
    Stream "stream" "Whether latency ends at the response head.";
    Tier "tier" "The most that may be done about its requests.";
    Stage "stage" "Upon whom it is enforced.";
    Quarantine "quarantine.mode" "What becomes of requests that are set apart.";
    DivertUpstream "quarantine.upstream" "Where diverted requests go.";
    Throttle "throttle.mode" "What becomes of requests over a rate limit.";
    WaitMax "throttle.wait_max_ms" "The longest wait for a turn.";
    HeldMax "throttle.held_max" "Requests that wait at once.";
    Drop "drop.mode" "How dropped requests hear of it.";
    Ledger "ledger" "Whether records come before answers.";
    EncodedSlash "allow_encoded_slash" "Whether `%2F` may stand inside a segment.";
    MergeSlashes "merge_slashes" "Whether `//` is matched as `/`.";
    Owner "owner" "Who answers for it.";
    BackupOwner "backup_owner" "Who answers for it when the owner cannot.";
    Service "service" "The service that it is part of.";
    Version "version" "Which version of itself it is.";
    Status "lifecycle.status" "Where in its life it is.";
    DeprecatedOn "lifecycle.deprecated_on" "Since when it is deprecated.";
    SunsetOn "lifecycle.sunset_on" "From when on it may be removed.";
    Successor "lifecycle.successor" "The contract that replaces it.";
    Stability "lifecycle.stability" "How much notice callers get.";
    MigrationGuide "lifecycle.migration_guide" "Where callers read how to move.";
}

impl Member {
    /// Whether it only tells people something: a gateway that does not know it treats every
    /// request alike.
    #[must_use]
    pub const fn is_descriptive(self) -> bool {
        matches!(
            self,
            Self::Owner
                | Self::BackupOwner
                | Self::Service
                | Self::Version
                | Self::DeprecatedOn
                | Self::SunsetOn
                | Self::Successor
                | Self::Stability
                | Self::MigrationGuide
        )
    }
}
