//! Who is one client of a contract, as files and reports write it.

/// Stands where the name of a field does, for contracts that go by the certificate of the client. No
/// request can have such a field: a name holds no colon.
pub const BY_CERTIFICATE: &str = ":certificate";

/// The key of `per_client`: `peer`, `certificate`, or `header:` and the name of the field.
#[must_use]
pub fn client_key_text(header: Option<&str>) -> String {
    match header {
        None => "peer".to_owned(),
        Some(BY_CERTIFICATE) => "certificate".to_owned(),
        Some(name) => format!("header:{name}"),
    }
}
