//! The closed list of rules. A code is never given to another rule.

macro_rules! codes {
    ($($name:ident $code:literal $title:literal, $remedy:literal;)*) => {
        /// A rule about files.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $name),* }

        impl Code {
            /// All rules, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable code, such as `C009`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The rule in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// What usually helps.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy),* }
            }
        }
    };
}

codes! {
    // The file as such.
    Unreadable "C001" "a file cannot be read", "check the path and its permissions";
    TooLarge "C002" "a file is too large", "split it; a file holds at most 1 MiB";
    NotUtf8 "C003" "a file is not UTF-8", "save it as UTF-8";
    Syntax "C004" "a file is not YAML", "mend the syntax at this place";
    Empty "C005" "a file is empty", "begin with 'version: 1'";
    SeveralDocuments "C006" "a file holds several documents", "keep one document; remove the other '---'";
    NotPlainYaml "C007" "anchors, aliases, tags and merge keys are not read", "write the value out";
    DuplicateKey "C008" "a key stands twice", "keep one of the two";
    UnknownKey "C009" "a key is unknown", "remove it or correct its spelling";
    LaterKey "C010" "a key is not supported by this version", "remove it until a version supports it";
    MissingKey "C011" "a key is missing", "add it";
    WrongType "C012" "a value has the wrong type", "write a value of the type named";
    OutOfRange "C013" "a number is out of range", "choose a number in the range named";
    NotAChoice "C014" "a value is not one of its choices", "choose one of those named";
    Version "C015" "a format version is not supported", "write 'version: 1'";
    TooDeep "C016" "a file is nested too deeply", "follow the structure of the format";
    Decimal "C017" "a decimal cannot be kept exactly", "write fewer digits after the point";
    TooMany "C018" "there are too many of something", "split the installation";
    Text "C019" "a text is not allowed", "use plain printable text of the length named";
    IgnoredFile "C020" "a file in the contracts folder is not read", "rename it to end in '.yaml', or move it";

    // Contracts.
    ContractId "C101" "a contract id is not valid", "use 1 to 64 of a-z, 0-9, '_', '.', '-'";
    SameId "C102" "two contracts have one id", "give each contract its own id";
    Endpoint "C103" "an endpoint is not 'METHOD /path'", "write it as in 'GET /api/v1/things/{id}'";
    Template "C104" "a path template is not valid", "write a canonical path; parameters are whole segments";
    MethodName "C105" "a method is not one that a contract can have", "use GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS or TRACE";
    CatchAll "C106" "a catch-all needs consent", "add 'allow_catch_all: true' if every path below it is meant";
    SameRoute "C107" "two contracts claim one method of one path", "remove the method from one of them, or merge them";
    UnknownUpstream "C108" "an upstream is not configured", "name one of the upstreams of the configuration";
    ComputedKey "C109" "a computed value stands in a file", "remove it: the gateway computes it from the content";
    NoUpstream "C110" "a contract has no upstream", "add 'upstream', or 'default_upstream' to the configuration";
    Backtracking "C111" "the templates force long searches", "replace literals beside parameters by one or the other";
    BurstWithoutLimit "C112" "a burst has no rate limit", "add 'rate_limit_rpm' or remove 'burst'";
    EncodedSlash "C113" "a template holds an encoded slash", "add 'allow_encoded_slash: true' or remove '%2F'";
    NoOwner "C114" "a contract has no owner", "add 'owner' so that someone can be asked";
    TimeoutBelowLatency "C115" "the deadline is below the promised latency", "raise 'timeout_ms' or lower 'max_latency_ms'";
    NoContracts "C116" "there is no contract", "add a file with contracts; until then all traffic is unknown";
    ClientKey "C117" "a client key is not valid", "write 'peer', or 'header:' and a field that names the client";
    ClientAboveAll "C118" "a client may send more than all together", "lower 'per_client.rate_limit_rpm' or raise 'rate_limit_rpm'";
    DelayWithoutLimit "C119" "a delay has no rate limit", "add 'rate_limit_rpm' or 'per_client', or remove 'throttle'";
    DivertUpstream "C120" "diverted requests have no upstream", "add 'upstream' to 'quarantine', the name of an upstream";
    ModeKey "C121" "a key belongs to another mode", "remove the key, or write the mode that it belongs to";
    OutOfReach "C122" "a number can never be reached", "lower it, or raise what ends before it";
    CircuitWithinBudget "C123" "the circuit opens within the error budget", "raise 'circuit_threshold' above 'error_budget', or lower the budget";
    DivertToOwn "C124" "diverted requests are not set apart", "name another upstream, or write 'quarantine: shadow'";

    // The policy.
    Bands "C201" "the bands do not rise", "order them: low < medium < high < critical";
    Stage "C202" "a stage is not valid", "write 'enforced', 'shadow' or 'canary 25%'";
    TierActions "C203" "a tier may not have this action", "keep log, report and propose for observe_only; policy_update for autonomous";
    ActionTooMild "C204" "an action is milder than its weight", "lower the weight below the band, or write the action of the band";
    CircuitTimes "C205" "the times of a circuit do not rise", "lower 'open_ms' or raise 'open_ms_max'";
    RetryFields "C206" "the fields that declare retries are not valid", "name at most 8 request fields, each once";
    UnknownLimit "C207" "a limit of unknown paths has no effect", "remove it, or write 'action: allow' with a weight below 'bands.medium'";

    // The configuration.
    Address "C301" "an address is not valid", "write it as 'host:port'";
    AdminExposed "C302" "the admin listener is not on loopback", "bind it to 127.0.0.1 or [::1]; it has no authentication";
    TierUnavailable "C303" "a tier is not available", "use observe_only or control: autonomous needs a signed envelope";
    NoUpstreams "C304" "there is no upstream", "add one below 'upstreams'";
    DefaultUpstream "C305" "unmatched traffic has no upstream", "add 'default_upstream': with several upstreams it must be said";
    Network "C306" "a network is not valid", "write it as '10.0.0.0/8' or one address";
    SameAddress "C307" "two listeners share an address", "give each listener its own port, or its own address; 0.0.0.0 and [::] stand for all";
    UpstreamName "C308" "an upstream name is not valid", "use 1 to 64 of a-z, 0-9, '_', '.', '-'";
    TierAboveProcess "C309" "a tier above that of the process has no effect", "lower it, or raise the tier of the process";
    LedgerKey "C310" "a key cannot be used", "give it to its owner alone (chmod 600); the ledger's is made with 'tidegate ledger keygen'";
    BundleRoot "C311" "a root of bundles cannot be used", "name the file that 'tidegate root init' made and its principals signed";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn codes_are_unique_rising_and_explained() {
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{codes:?}");
        for code in Code::ALL {
            assert!(!code.title().is_empty() && !code.remedy().is_empty());
        }
    }
}
