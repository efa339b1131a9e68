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
    IgnoredFile "C020" "a file in a folder of the configuration is not read", "rename it to end in '.yaml', or move it";

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
    ClientKey "C117" "a client key is not valid", "write 'peer', 'certificate', or 'header:' and a field that names the client";
    ClientAboveAll "C118" "a client may send more than all together", "lower 'per_client.rate_limit_rpm' or raise 'rate_limit_rpm'";
    DelayWithoutLimit "C119" "a delay has no rate limit", "add 'rate_limit_rpm' or 'per_client', or remove 'throttle'";
    DivertUpstream "C120" "diverted requests have no upstream", "add 'upstream' to 'quarantine', the name of an upstream";
    ModeKey "C121" "a key belongs to another mode", "remove the key, or write the mode that it belongs to";
    OutOfReach "C122" "a number can never be reached", "lower it, or raise what ends before it";
    CircuitWithinBudget "C123" "the circuit opens within the error budget", "raise 'circuit_threshold' above 'error_budget', or lower the budget";
    DivertToOwn "C124" "diverted requests are not set apart", "name another upstream, or write 'quarantine: shadow'";
    ContractVersion "C130" "a contract version is not MAJOR.MINOR.PATCH", "write three numbers, such as 1.0.0";
    NotADay "C131" "a date is not a day", "write it as 2026-01-31";
    LifecycleKeys "C132" "a lifecycle does not fit its status", "deprecated needs 'deprecated_on', sunset both dates; draft and active have none";
    ShortNotice "C133" "callers get too little notice", "name a later 'sunset_on': 180 days after 'deprecated_on', 90 with 'stability: beta'";
    Successor "C134" "a successor is not a contract", "name the id of another contract";
    ApiVersion "C140" "the version in a path is not that of its contract", "write a 'version' with the major of the path, or correct the path; where a breaking change of numbers keeps its path: exempt it until a day, or give it a new path";
    Secret "C141" "a file holds a secret", "remove it and replace it where it is used: whoever could read the file knows it";
    OwnerMissing "C142" "a contract has no owner and backup", "add 'owner' and 'backup_owner', here or in OWNERS.yaml";
    ForeignUpstream "C143" "an upstream belongs to another service", "use an upstream of the contract's own service, or correct 'services' in OWNERS.yaml";
    ServiceName "C144" "a service name is not valid", "use 1 to 64 of a-z, 0-9, '_', '.', '-'";
    OwnersClash "C145" "two entries of OWNERS.yaml disagree", "keep one of the two, or make them name different files";
    OwnersUnused "C146" "an entry of OWNERS.yaml names nothing", "remove it, or correct the name";
    ExemptionExpired "C148" "an exemption has expired", "mend what it exempts, or agree on a later day with its owner";
    ExemptionUnused "C149" "an exemption exempts nothing", "remove it: what it exempted is mended";
    Reference "C150" "a contract is not described where it says", "name a file from the contracts folder on, as in '../specs/shop.yaml#/paths/~1orders/get'";

    // The policy.
    Bands "C201" "the bands do not rise", "order them: low < medium < high < critical";
    Stage "C202" "a stage is not valid", "write 'enforced', 'shadow' or 'canary 25%'";
    TierActions "C203" "a tier may not have this action", "keep log, report and propose for observe_only; policy_update for autonomous";
    ActionTooMild "C204" "an action is milder than its weight", "lower the weight below the band, or write the action of the band";
    CircuitTimes "C205" "the times of a circuit do not rise", "lower 'open_ms' or raise 'open_ms_max'";
    RetryFields "C206" "the fields that declare retries are not valid", "name at most 8 request fields, each once";
    UnknownLimit "C207" "a limit of unknown paths has no effect", "remove it, or write 'action: allow' with a weight below 'bands.medium'";
    StageOverdue "C208" "a stage should be settled by now", "settle it: write 'enforced', or take back what it rolls out; or set a later 'remove_by'";

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
    CallerHeader "C312" "a field cannot name callers", "name a request field that your trusted proxies set";
    UnexpectedPolicy "C319" "the policy is not the one that is expected", "put the expected files in place, or expect another policy";
    Certificate "C320" "a certificate or its key cannot be used", "put a certificate and its key in place, both as PEM, that belong together and are valid today";
    ListenerKeys "C321" "keys of a listener do not go together", "remove one of them";
    UpstreamTls "C331" "the TLS of an upstream is not valid", "give 'server_name' a host name, and 'cert' and 'key' PEM files that belong together";
    UpstreamVerify "C332" "certificates of an upstream are not verified", "remove 'verify: false' and name the authority in 'ca', or say in which other environment this runs";

    UpstreamProtocol "C333" "the protocol of an upstream cannot be agreed on", "add 'tls', or write http1 or http2";
    UpstreamHealth "C334" "the health check of an upstream is not valid", "write 'path: /healthz', 'expect: 200..299' and a 'timeout_ms' of at most 'interval_ms'";

    // Self-tests.
    SameTest "C401" "two self-tests have one name", "give each self-test its own name";
    TestShare "C402" "a share of a self-test is not exact", "write '3 of 100', or a percentage of a number that it divides, as in '3% of 100'";
    TestLimit "C403" "the state of a limit is not valid", "write 'spent', or 'free in 300 ms' for one that lets the next request pass then";
    TestRequest "C404" "the request of a self-test is not valid", "write a method, a url that begins with '/', and headers by name";
    TestState "C405" "the state of a self-test cannot be", "remove one of the two, or correct the number";
    SelfTestFails "C406" "a self-test does not pass", "run 'tidegate test', which tells what differs; mend the files, or the self-test where the change is meant";

    // The charter.
    CharterMode "C501" "a compatibility mode does not fit the deployment", "with 'deployment: rolling', write 'compatibility_mode: backward' or 'forward'";

    // Descriptions of APIs that contracts are made from.
    OpenApi "C601" "a description is not OpenAPI 3.0 or 3.1", "give a description in OpenAPI 3.0 or 3.1, as YAML or JSON";
    OpenApiOperation "C602" "an operation cannot become a contract", "write its contract by hand, or correct the description";
    OpenApiReference "C603" "a reference of a description cannot be followed", "put everything into one file, without circles";
    OpenApiServers "C604" "a server has no usable path", "write 'servers' with an absolute path and defaults for all variables";
    OpenApiName "C605" "an operation got another name", "give each operation its own operationId, or change the id before the contract is in force";
    OpenApiLeftOut "C606" "a part of a description is left out", "write contracts for it by hand, if it is part of this API";
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
