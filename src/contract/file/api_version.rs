//! The version in a path: `/api/v2/things` is part of version 2 of its contract.
//!
//! Whoever reads the path must not be misled about what is promised. Only the first segment of the
//! form `v` and a number counts. A contract without a version has 1.0.0; that nobody wrote it is
//! why this case is only a warning: files from before there were versions go on working.

use super::bounds::ENDPOINT_CHARS_MAX;
use crate::diagnostic::Code;
use crate::yaml::{Fields, Sheet, Value};

pub(super) fn report_api_version(sheet: &mut Sheet<'_>, fields: Fields<'_>, endpoint: &str) {
    let Some(path) = major_of_path(endpoint) else {
        return;
    };
    let Some(endpoint) = fields.get("endpoint") else {
        return;
    };
    match fields.get("version").map(|node| &node.value) {
        None if path != "1" => {
            let message = format!("the path says v{path}, and a contract without 'version' has 1");
            let remedy = format!("add 'version: {path}.0.0'");
            sheet.warning_with(endpoint.place, Code::ApiVersion, message, remedy);
        }
        Some(Value::Plain(version) | Value::Quoted(version)) => {
            let major = version.split('.').next().unwrap_or_default();
            let is_number = !major.is_empty() && major.bytes().all(|b| b.is_ascii_digit());
            // Anything else is no version, and told as such.
            if is_number && major != path {
                let shown: String = version.chars().take(40).collect();
                let message = format!("the path says v{path}, and the version is {shown}");
                sheet.error(endpoint.place, Code::ApiVersion, message);
            }
        }
        _ => {}
    }
}

/// The number of the first segment such as `v2` of the path of an endpoint.
#[must_use]
pub fn major_of_path(endpoint: &str) -> Option<&str> {
    let (_, path) = endpoint.split_once(' ')?;
    if path.len() > ENDPOINT_CHARS_MAX {
        return None;
    }
    let mut numbers = path.split('/').filter_map(|part| part.strip_prefix('v'));
    numbers.find(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::report_api_version;
    use crate::diagnostic::Severity;
    use crate::yaml::{Keys, Sheet, read};

    #[test]
    fn the_major_of_the_path_is_that_of_the_version() {
        // R021
        let check = |path: &str, version: &str, expected: Option<Severity>| {
            let text = format!("{{ endpoint: \"GET {path}\"{version} }}");
            let mut sheet = Sheet::new("a.yaml", &text);
            let root = read(&mut sheet).expect("YAML");
            let keys = Keys::plain("a contract", &["endpoint", "version"]);
            let fields = sheet.fields(&root, &keys).expect("a map");
            report_api_version(&mut sheet, fields, &format!("GET {path}"));
            let found: Vec<_> = sheet.into_findings();
            let found = found.iter().map(|d| (d.code.as_str(), d.severity));
            let expected = expected.map(|severity| ("C140", severity));
            assert!(found.eq(expected), "{text}");
        };
        check("/api/v2/x", ", version: 1.4.0", Some(Severity::Error));
        check("/api/v2/x", ", version: \"1.4.0\"", Some(Severity::Error));
        check("/api/v2/x", ", version: 2.0.0", None);
        check("/api/v2/x", ", version: 20.0.0", Some(Severity::Error));
        check("/v1/v2/x", ", version: 1.0.0", None);
        check("/api/v1/x", "", None);
        check("/api/v3/x", "", Some(Severity::Warning));
        for path in [
            "/api/x",
            "/api/v/x",
            "/api/v2x/x",
            "/api/{v2}",
            "/api/version2",
        ] {
            check(path, ", version: 3.0.0", None);
        }
        check("/api/v2/x", ", version: nonsense", None);
        check("/api/v2/x", ", version: [1]", None);
    }
}
