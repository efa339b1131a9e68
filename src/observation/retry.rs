//! Retries that a client declares in a header.
//!
//! Anybody can send such a header, so it may only lower a request's standing, never raise it.

/// The fields that declare earlier attempts, lower case.
pub const RETRY_HEADERS: [&str; 3] = [ENVOY, "grpc-previous-rpc-attempts", "x-retry-count"];

const ENVOY: &str = "x-envoy-attempt-count";

/// The earlier attempts that one header field declares; `None` where it declares none.
#[must_use]
pub fn declared_retries(name: &str, value: &str) -> Option<u8> {
    let known = RETRY_HEADERS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))?;
    let count: u64 = value.trim().parse().ok()?;
    // Envoy counts attempts, the first one included; the others count what came before.
    let retries = if known == ENVOY {
        count.saturating_sub(1)
    } else {
        count
    };
    Some(u8::try_from(retries).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::declared_retries;

    #[test]
    fn only_numbers_in_known_fields_declare() {
        let table = [
            ("x-envoy-attempt-count", "1", Some(0)),
            ("X-Envoy-Attempt-Count", "3", Some(2)),
            ("x-retry-count", " 4 ", Some(4)),
            ("grpc-previous-rpc-attempts", "70000", Some(255)),
            ("x-retry-count", "-1", None),
            ("x-other", "4", None),
        ];
        for (name, value, want) in table {
            assert_eq!(declared_retries(name, value), want, "{name}: {value}");
        }
    }
}
