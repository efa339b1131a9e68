//! The operations of a description, and what keeps some of them from becoming contracts.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::base::base_path;
use super::document::parse;
use super::naming::{Ids, shape, with_plain_parameters};
use super::reference::{below, resolve};
use super::stub::Stub;
use crate::contract::Template;
use crate::contract::file::bounds::ENDPOINT_CHARS_MAX;
use crate::diagnostic::{Code, Diagnostic, Place, Severity};

/// The most operations of a description.
const OPERATIONS_MAX: usize = 10_000;
/// The most findings that are told.
const FINDINGS_MAX: usize = 1_000;

/// The methods of a path item, in the order of the specification.
pub(super) const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];
/// What else stands in a path item, and says nothing about operations.
const BESIDE: [&str; 5] = ["summary", "description", "servers", "parameters", "$ref"];

/// What came of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// A contract for each operation that can have one.
    pub stubs: Vec<Stub>,
    /// What could not be taken (errors), and what was changed or left out (warnings).
    pub findings: Vec<Diagnostic>,
}

/// Contracts for the operations of a description; `file` is its name in findings.
#[must_use]
pub fn import(file: &str, bytes: &[u8]) -> Import {
    let mut reader = Reader {
        file,
        ids: Ids::default(),
        routes: HashMap::new(),
        import: Import {
            stubs: Vec::new(),
            findings: Vec::new(),
        },
        unshown: 0,
    };
    match parse(bytes) {
        Ok(document) => reader.read(&document),
        Err(fault) => reader.refuse("#", Code::OpenApi, &fault),
    }
    if reader.unshown > 0 {
        let message = format!("{} more findings are not shown", reader.unshown);
        let finding = reader.finding("#", Code::OpenApiOperation, Severity::Error, &message);
        reader.import.findings.push(finding);
    }
    reader.import
}

struct Reader<'f> {
    file: &'f str,
    ids: Ids,
    /// Method and shape of a path, and the place of the operation that has them.
    routes: HashMap<String, String>,
    import: Import,
    unshown: usize,
}

impl Reader<'_> {
    fn finding(&self, at: &str, code: Code, severity: Severity, message: &str) -> Diagnostic {
        Diagnostic {
            file: self.file.into(),
            place: Place::default(),
            code,
            severity,
            message: format!("{at}: {message}"),
            remedy: code.remedy().to_owned(),
            excerpt: None,
        }
    }

    fn report(&mut self, at: &str, code: Code, severity: Severity, message: &str) {
        if self.import.findings.len() >= FINDINGS_MAX {
            self.unshown += 1;
            return;
        }
        let finding = self.finding(at, code, severity, message);
        self.import.findings.push(finding);
    }

    fn refuse(&mut self, at: &str, code: Code, message: &str) {
        self.report(at, code, Severity::Error, message);
    }

    fn note(&mut self, at: &str, code: Code, message: &str) {
        self.report(at, code, Severity::Warning, message);
    }

    fn read(&mut self, document: &Value) {
        let version = match document.get("openapi") {
            Some(Value::String(version)) => version.as_str(),
            _ if document.get("swagger").is_some() => {
                return self.refuse("#/swagger", Code::OpenApi, "this is Swagger 2.0");
            }
            _ => return self.refuse("#", Code::OpenApi, "there is no text 'openapi'"),
        };
        if !["3.0.", "3.1."]
            .iter()
            .any(|known| version.starts_with(known))
        {
            let shown: String = version.chars().take(20).collect();
            let message = format!("the version is '{shown}'");
            return self.refuse("#/openapi", Code::OpenApi, &message);
        }
        if document.get("webhooks").is_some() {
            let message = "webhooks are requests that the service sends, not ones that it gets";
            self.note("#/webhooks", Code::OpenApiLeftOut, message);
        }
        let base = self.base(document, "#", &Base::default());
        match document.get("paths") {
            Some(Value::Object(paths)) => self.read_paths(document, paths, &base),
            // In 3.1 a description may consist of webhooks or components alone.
            None => self.note("#", Code::OpenApiLeftOut, "there are no 'paths'"),
            Some(_) => self.refuse("#/paths", Code::OpenApi, "'paths' is not a map"),
        }
    }

    /// The base path that `servers` of a place give, or that of the place above.
    fn base(&mut self, of: &Value, at: &str, above: &Base) -> Base {
        let Some(servers) = of.get("servers") else {
            return above.clone();
        };
        let at = below(at, "servers");
        match base_path(servers) {
            Ok((path, differ)) => {
                if differ {
                    let message = format!("the servers have several paths; '{path}' is taken");
                    self.note(&at, Code::OpenApiLeftOut, &message);
                }
                Base(Ok(path))
            }
            Err(fault) => Base(Err(format!("{at}: {fault}"))),
        }
    }

    fn read_paths(&mut self, document: &Value, paths: &Map<String, Value>, base: &Base) {
        for (path, item) in paths.iter().filter(|(path, _)| !path.starts_with("x-")) {
            let at = below("#/paths", path);
            match resolve(document, item) {
                Ok(Value::Object(entries)) => {
                    let base = self.base(item, &at, base);
                    self.read_item(document, path, entries, &at, &base);
                }
                Ok(_) => self.refuse(&at, Code::OpenApiOperation, "this is not a map"),
                Err(fault) => self.refuse(&at, Code::OpenApiReference, &fault),
            }
        }
    }

    fn read_item(
        &mut self,
        document: &Value,
        path: &str,
        entries: &Map<String, Value>,
        at: &str,
        base: &Base,
    ) {
        for key in entries.keys() {
            let is_known = METHODS.contains(&key.as_str()) || BESIDE.contains(&key.as_str());
            if !is_known && !key.starts_with("x-") {
                let message = "this is no method of OpenAPI 3.0 or 3.1";
                self.refuse(&below(at, key), Code::OpenApiOperation, message);
            }
        }
        for method in METHODS {
            let Some(operation) = entries.get(method) else {
                continue;
            };
            let at = below(at, method);
            match resolve(document, operation) {
                Ok(Value::Object(_)) => self.read_operation(path, method, operation, &at, base),
                Ok(_) => self.refuse(&at, Code::OpenApiOperation, "this is not a map"),
                Err(fault) => self.refuse(&at, Code::OpenApiReference, &fault),
            }
        }
    }

    fn read_operation(&mut self, path: &str, method: &str, of: &Value, at: &str, base: &Base) {
        let base = match self.base(of, at, base) {
            Base(Ok(base)) => base,
            Base(Err(fault)) => return self.refuse(at, Code::OpenApiServers, &fault),
        };
        if self.import.stubs.len() >= OPERATIONS_MAX {
            let message = format!("there are more than {OPERATIONS_MAX} operations");
            return self.refuse(at, Code::OpenApiOperation, &message);
        }
        if !path.starts_with('/') {
            let message = "the path does not begin with '/'";
            return self.refuse(at, Code::OpenApiOperation, message);
        }
        let full = with_plain_parameters(&format!("{base}{path}"));
        let method = method.to_ascii_uppercase();
        let endpoint = format!("{method} {full}");
        let template = match Template::parse(&full) {
            Ok(template) if endpoint.chars().count() <= ENDPOINT_CHARS_MAX => template,
            Ok(_) => {
                let message = format!("the path has more than {ENDPOINT_CHARS_MAX} characters");
                return self.refuse(at, Code::OpenApiOperation, &message);
            }
            Err(fault) => return self.refuse(at, Code::OpenApiOperation, &fault.to_string()),
        };
        let route = format!("{method} {}", shape(&full));
        if let Some(first) = self.routes.insert(route, at.to_owned()) {
            let message = format!("it is the same method of the same path as {first}");
            return self.refuse(at, Code::OpenApiOperation, &message);
        }
        let Some(id) = self.id(of, &method, &full, at) else {
            return;
        };
        self.import.stubs.push(Stub {
            id,
            endpoint,
            has_encoded_slash: template.has_encoded_slash(),
        });
    }

    fn id(&mut self, of: &Value, method: &str, path: &str, at: &str) -> Option<String> {
        let told = match of.get("operationId") {
            None => None,
            Some(Value::String(text)) => Some(text.as_str()),
            Some(_) => {
                let message = "'operationId' is not a text; the id is made of method and path";
                self.note(at, Code::OpenApiName, message);
                None
            }
        };
        let made = format!("{method} {path}").to_ascii_lowercase();
        let id = told.and_then(|text| self.ids.take(text));
        if let (Some(text), Some((id, true))) = (told, &id) {
            let shown: String = text.chars().take(80).collect();
            let message = format!("the name of '{shown}' was taken; the id is '{id}'");
            self.note(at, Code::OpenApiName, &message);
        }
        let id = id.or_else(|| self.ids.take(&made));
        let id = id.map(|(id, _)| id);
        if id.is_none() {
            let message = "no id can be made of it: it has no letter or digit of ASCII";
            self.refuse(at, Code::OpenApiOperation, message);
        }
        id
    }
}

/// The path that operations stand below, or why there is none.
#[derive(Debug, Clone)]
struct Base(Result<String, String>);

impl Default for Base {
    fn default() -> Self {
        Self(Ok(String::new()))
    }
}
