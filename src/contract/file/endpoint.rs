//! The endpoint of a contract and its methods.

use super::bounds::{ENDPOINT_CHARS_MAX, usable_method};
use crate::contract::{MethodSet, PathRules, Segment, Template};
use crate::diagnostic::Code;
use crate::yaml::{Node, Sheet};

/// The method of the endpoint, and its key: `GET /path`.
pub(super) fn read_endpoint(
    sheet: &mut Sheet<'_>,
    node: &Node,
    consents: Option<bool>,
    path_rules: Option<PathRules>,
) -> Option<(MethodSet, Box<str>)> {
    let text = sheet.text(node, "'endpoint'", ENDPOINT_CHARS_MAX)?;
    let Some((token, path)) = text.split_once(' ') else {
        let message = "'endpoint' is a method, one space and a path".to_owned();
        sheet.error(node.place, Code::Endpoint, message);
        return None;
    };
    let method = usable_method(token);
    if method.is_none() {
        sheet.error(node.place, Code::MethodName, not_a_method(token));
    }
    let template = match Template::parse(path) {
        Ok(template) => template,
        Err(fault) => {
            sheet.error(node.place, Code::Template, fault.to_string());
            return None;
        }
    };
    if let (Some(Segment::CatchAll(name)), Some(false)) = (template.segments().last(), consents) {
        let message = format!("'{{*{name}}}' takes every path below it");
        sheet.error(node.place, Code::CatchAll, message);
        return None;
    }
    if template.has_encoded_slash() && path_rules.is_some_and(|rules| !rules.allow_encoded_slash) {
        let message = "no request can match '%2F' in this template".to_owned();
        sheet.error(node.place, Code::EncodedSlash, message);
        return None;
    }
    consents
        .and(method)
        .map(|method| (MethodSet::EMPTY.with(method), text.into()))
}

fn not_a_method(token: &str) -> String {
    let short: String = token.chars().take(20).collect();
    format!("'{short}' is not a method that a contract can have; methods are upper case")
}

pub(super) fn read_methods(sheet: &mut Sheet<'_>, node: &Node) -> Option<MethodSet> {
    let items = sheet.list(node, "'allowed_methods'")?;
    let mut methods = Some(MethodSet::EMPTY);
    for item in items {
        let Some(token) = sheet.text(item, "a method", 64) else {
            methods = None;
            continue;
        };
        let method = usable_method(token);
        if method.is_none() {
            sheet.error(item.place, Code::MethodName, not_a_method(token));
        }
        methods = methods
            .zip(method)
            .map(|(methods, method)| methods.with(method));
    }
    if items.is_empty() {
        let message = "'allowed_methods' is empty, so nothing could ever match".to_owned();
        sheet.error(node.place, Code::MethodName, message);
        return None;
    }
    methods
}
