//! The file of self-tests: YAML in, valid self-tests out.
//!
//! State and expectation are written in the words of operators and kept as exact integers. See
//! docs/self-tests.md.

mod expect;
mod reading;
pub mod shape;
mod state;

use super::{
    HeaderFields, METHOD_CHARS_MAX, NAME_CHARS_MAX, SelfTest, TestRequest, URL_CHARS_MAX,
    VALUE_CHARS_MAX, is_header, is_token,
};
use crate::contract::file::bounds::CALLER_CHARS_MAX;
use crate::diagnostic::{Code, Place};
use crate::yaml::{Fields, Keys, Node, Sheet};
use expect::read_expect;
use state::read_state;

const FILE_KEYS: Keys = Keys::plain("a file of self-tests", &["version", "tests"]);

const TEST_KEYS: Keys = Keys::plain("a self-test", &["name", "request", "state", "expect"]);

const REQUEST_KEYS: Keys = Keys::plain(
    "'request'",
    &["method", "url", "headers", "trusted", "caller"],
);

/// A self-test as it stands in a file; `test` is missing where it has a fault.
#[derive(Debug)]
pub struct Draft {
    /// The name, as far as it is one.
    pub name: Option<Box<str>>,
    /// Where the name stands.
    pub place: Place,
    /// The self-test.
    pub test: Option<SelfTest>,
}

/// The self-tests of one file, in its order; every fault is reported.
pub fn read_self_tests(sheet: &mut Sheet<'_>, root: &Node) -> Vec<Draft> {
    let Some(fields) = sheet.fields(root, &FILE_KEYS) else {
        return Vec::new();
    };
    sheet.format_version(fields);
    let tests = sheet.required(fields, "tests");
    let tests = tests.and_then(|node| sheet.list(node, "'tests'"));
    let tests = tests.unwrap_or_default().iter();
    tests.filter_map(|node| read_test(sheet, node)).collect()
}

fn read_test(sheet: &mut Sheet<'_>, node: &Node) -> Option<Draft> {
    let fields = sheet.fields(node, &TEST_KEYS)?;
    let named = sheet.required(fields, "name");
    let name = named.and_then(|node| sheet.text(node, "'name'", NAME_CHARS_MAX));
    let request = sheet.required(fields, "request");
    let request = request.and_then(|node| read_request(sheet, node));
    let state = match fields.get("state") {
        Some(node) => read_state(sheet, node),
        None => Some(Default::default()),
    };
    let expect = sheet.required(fields, "expect");
    let expect = expect.and_then(|node| read_expect(sheet, node));
    let parts = name.zip(request).zip(state).zip(expect);
    let test = parts.and_then(|(((name, request), state), expect)| {
        let made = SelfTest::new(name.into(), request, state, expect);
        // What one key says alone was looked at before: this is about several.
        made.map_err(|fault| {
            let place = fields
                .get("state")
                .map_or(fields.place(), |node| node.place);
            sheet.error(place, Code::TestState, fault.to_owned());
        })
        .ok()
    });
    Some(Draft {
        name: name.map(Into::into),
        place: named.map_or(fields.place(), |node| node.place),
        test,
    })
}

fn read_request(sheet: &mut Sheet<'_>, node: &Node) -> Option<TestRequest> {
    let fields = sheet.fields(node, &REQUEST_KEYS)?;
    let method = match fields.get("method") {
        Some(node) => read_method(sheet, node),
        None => Some("GET".into()),
    };
    let url = sheet.required(fields, "url");
    let url = url.and_then(|node| read_url(sheet, node));
    let headers = match fields.get("headers") {
        Some(node) => read_headers(sheet, node),
        None => Some(Box::default()),
    };
    let trusted = switch(sheet, fields, "trusted");
    let caller = match fields.get("caller") {
        Some(node) => sheet
            .text(node, "'caller'", CALLER_CHARS_MAX)
            .map(|name| Some(name.into())),
        None => Some(None),
    };
    Some(TestRequest {
        method: method?,
        url: url?,
        headers: headers?,
        trusted: trusted?,
        caller: caller?,
    })
}

fn switch(sheet: &mut Sheet<'_>, fields: Fields<'_>, key: &str) -> Option<bool> {
    match fields.get(key) {
        Some(node) => sheet.boolean(node, &format!("'{key}'")),
        None => Some(false),
    }
}

fn read_method(sheet: &mut Sheet<'_>, node: &Node) -> Option<Box<str>> {
    let method = sheet.text(node, "'method'", METHOD_CHARS_MAX)?;
    if !is_token(method, METHOD_CHARS_MAX) {
        let message = format!("'{method}' is no method");
        sheet.error(node.place, Code::TestRequest, message);
        return None;
    }
    Some(method.into())
}

fn read_url(sheet: &mut Sheet<'_>, node: &Node) -> Option<Box<str>> {
    let url = sheet.text(node, "'url'", URL_CHARS_MAX)?;
    if !url.starts_with('/') {
        let message = "'url' is path and query, and begins with '/'".to_owned();
        sheet.error(node.place, Code::TestRequest, message);
        return None;
    }
    Some(url.into())
}

/// Fields by lower-case name, sorted.
fn read_headers(sheet: &mut Sheet<'_>, node: &Node) -> Option<HeaderFields> {
    let entries = sheet.entries(node, "'headers'")?;
    let mut headers: Vec<(Box<str>, Box<str>)> = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let value = sheet.text(node, "the value of a header", VALUE_CHARS_MAX)?;
        let name = key.text.to_ascii_lowercase();
        if !is_header(&name, value) {
            let message = "this is no name of a header".to_owned();
            sheet.error(key.place, Code::TestRequest, message);
            return None;
        }
        if headers.iter().any(|(known, _)| **known == *name) {
            let message = format!("the header '{name}' stands twice");
            sheet.error(key.place, Code::DuplicateKey, message);
            return None;
        }
        headers.push((name.into(), value.into()));
    }
    if headers.len() > super::HEADERS_MAX {
        let message = format!("a request has at most {} headers", super::HEADERS_MAX);
        sheet.error(node.place, Code::TooMany, message);
        return None;
    }
    headers.sort();
    Some(headers.into())
}
