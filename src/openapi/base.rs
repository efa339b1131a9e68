//! `servers`: the path that all paths of a description stand below.

use serde_json::Value;

/// The most servers that are looked at.
const SERVERS_MAX: usize = 100;
const URL_CHARS_MAX: usize = 2_048;

/// The path of the first server, without a slash at its end, and whether others have another one.
///
/// # Errors
/// Why it cannot be used, as a sentence without its end.
pub(super) fn base_path(servers: &Value) -> Result<(String, bool), String> {
    let Some(servers) = servers.as_array() else {
        return Err("'servers' is not a list".to_owned());
    };
    let mut paths = servers.iter().take(SERVERS_MAX).map(path_of);
    // A description without servers stands at the root.
    let first = paths.next().unwrap_or_else(|| Ok(String::new()))?;
    let differ = paths.any(|path| path.is_ok_and(|path| path != first));
    Ok((first, differ))
}

fn path_of(server: &Value) -> Result<String, String> {
    let Some(url) = server.get("url").and_then(Value::as_str) else {
        return Err("a server has no 'url' that is a text".to_owned());
    };
    if url.len() > URL_CHARS_MAX {
        return Err(format!(
            "the 'url' of a server has more than {URL_CHARS_MAX} characters"
        ));
    }
    let url = filled(url, server.get("variables"))?;
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""),
        None => &url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    if !path.is_empty() && !path.starts_with('/') {
        let shown: String = url.chars().take(80).collect();
        return Err(format!(
            "the 'url' '{shown}' is relative to where the description was found"
        ));
    }
    Ok(path.to_owned())
}

/// A URL with the defaults of its variables.
fn filled(url: &str, variables: Option<&Value>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        filled += before;
        let Some((name, after)) = after.split_once('}') else {
            return Err("the 'url' of a server has a brace without its other half".to_owned());
        };
        let variable = variables.and_then(|all| all.get(name)?.get("default"));
        let default = match variable {
            Some(Value::String(default)) => default.clone(),
            Some(Value::Number(default)) => default.to_string(),
            _ => {
                let shown: String = name.chars().take(80).collect();
                return Err(format!("the variable '{shown}' of a server has no default"));
            }
        };
        filled += &default;
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::base_path;

    #[test]
    fn the_path_of_the_first_server_is_the_base() {
        let check = |urls: &[&str], expected: &str, differ: bool| {
            let servers: Vec<_> = urls.iter().map(|url| json!({ "url": url })).collect();
            let found = base_path(&json!(servers));
            assert_eq!(found, Ok((expected.to_owned(), differ)), "{urls:?}");
        };
        check(&[], "", false);
        check(&["/"], "", false);
        check(&["https://example.org"], "", false);
        check(&["https://example.org/api/v1/"], "/api/v1", false);
        check(&["//example.org/api"], "//example.org/api", false);
        check(&["/api", "https://example.org/api"], "/api", false);
        check(&["/api", "/other"], "/api", true);
        check(&["/api?x=1#y"], "/api", false);
    }

    #[test]
    fn variables_have_defaults() {
        let server = |default| {
            json!([{ "url": "https://{host}/api/{version}",
                "variables": { "host": {"default": "a"}, "version": default } }])
        };
        let v2 = Ok(("/api/v2".to_owned(), false));
        assert_eq!(base_path(&server(json!({"default": "v2"}))), v2);
        let check = |servers, part: &str| {
            let fault = base_path(&servers).expect_err("an error");
            assert!(fault.contains(part), "{fault}");
        };
        check(server(json!({})), "'version'");
        check(json!([{ "url": "/{a" }]), "brace");
        check(json!([{ "url": 7 }]), "'url'");
        check(json!([{ "url": "api" }]), "relative");
        check(json!({ "url": "/" }), "not a list");
        check(json!([{ "url": "/".repeat(5_000) }]), "2048");
    }
}
