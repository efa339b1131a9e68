//! Route templates: `/api/v1/deployments/{id}`, `/files/{*rest}`.
//!
//! A template is a canonical path in which whole segments may be parameters. Partial segments
//! (`v{n}`) and regular expressions are deliberately absent: a literal is a literal, and a
//! lookup never depends on the order of the files.

use std::fmt;

use crate::contract::path::{SEGMENTS_MAX, canonicalise};

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly these bytes, canonical; empty only as the last one (`/a/`).
    Literal(Box<str>),
    /// `{name}`: one segment that is not empty.
    Parameter(Box<str>),
    /// `{*name}`: the rest of the path, not empty; only as the last one.
    CatchAll(Box<str>),
}

/// A parsed, valid template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Box<[Segment]>,
    has_encoded_slash: bool,
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateFault {
    /// It does not begin with `/`.
    NoLeadingSlash,
    /// It holds `?` or `#`.
    QueryOrFragment,
    /// `//` inside.
    EmptySegment,
    /// More than 64 segments.
    TooManySegments,
    /// A brace that is not around a whole segment.
    PartialParameter(Box<str>),
    /// A parameter name outside `[A-Za-z_][A-Za-z0-9_-]{0,63}`.
    BadName(Box<str>),
    /// One name twice.
    NameTwice(Box<str>),
    /// `{*name}` before the last segment.
    CatchAllNotLast(Box<str>),
    /// A literal that is not in its canonical spelling; holds that spelling.
    NotCanonical(Box<str>),
    /// A literal that has no canonical spelling; holds the reason.
    Ambiguous(&'static str),
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash => write!(f, "a template begins with '/'"),
            Self::QueryOrFragment => write!(f, "a template has no query and no fragment"),
            Self::EmptySegment => write!(f, "a template has no empty segment ('//')"),
            Self::TooManySegments => write!(f, "a template has at most {SEGMENTS_MAX} segments"),
            Self::PartialParameter(segment) => {
                write!(
                    f,
                    "'{segment}': a parameter is a whole segment, as in '/{{name}}/'"
                )
            }
            Self::BadName(name) => write!(f, "'{name}' is not a parameter name"),
            Self::NameTwice(name) => write!(f, "the parameter '{name}' stands twice"),
            Self::CatchAllNotLast(name) => write!(f, "'{{*{name}}}' must be the last segment"),
            Self::NotCanonical(canonical) => {
                write!(f, "a template is written canonically: '{canonical}'")
            }
            Self::Ambiguous(detail) => write!(f, "{detail}"),
        }
    }
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The first fault from the left.
    pub fn parse(text: &str) -> Result<Self, TemplateFault> {
        let rest = text
            .strip_prefix('/')
            .ok_or(TemplateFault::NoLeadingSlash)?;
        if text.contains(['?', '#']) {
            return Err(TemplateFault::QueryOrFragment);
        }
        let count = rest.split('/').count();
        if count > SEGMENTS_MAX {
            return Err(TemplateFault::TooManySegments);
        }
        let mut segments = Vec::with_capacity(count);
        for (position, part) in rest.split('/').enumerate() {
            let is_last = position + 1 == count;
            let segment = parse_segment(part, is_last)?;
            refuse_second_name(&segments, &segment)?;
            segments.push(segment);
        }
        Ok(Self {
            segments: segments.into(),
            has_encoded_slash: text.contains("%2F"),
        })
    }

    /// A template of segments that have been folded; for lookups of folded paths only.
    pub(super) fn of_folded(segments: Vec<Segment>) -> Self {
        Self {
            segments: segments.into(),
            has_encoded_slash: false,
        }
    }

    /// The segments, first to last; never empty.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it ends in `{*name}`.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        matches!(self.segments.last(), Some(Segment::CatchAll(_)))
    }

    /// Whether a literal holds `%2F`.
    #[must_use]
    pub const fn has_encoded_slash(&self) -> bool {
        self.has_encoded_slash
    }

    /// The parameters of a canonical path that this template matches; empty where it does not.
    #[must_use]
    pub fn parameters<'a>(&'a self, path: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut found = Vec::new();
        let mut rest = path.strip_prefix('/').unwrap_or(path);
        for segment in &self.segments {
            let (part, after) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(literal) if **literal != *part => return Vec::new(),
                Segment::Literal(_) => {}
                Segment::Parameter(name) => found.push((&**name, part)),
                Segment::CatchAll(name) => found.push((&**name, rest)),
            }
            rest = after;
        }
        found
    }
}

fn parse_segment(part: &str, is_last: bool) -> Result<Segment, TemplateFault> {
    if let Some(inner) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        let (name, is_catch_all) = match inner.strip_prefix('*') {
            Some(name) => (name, true),
            None => (inner, false),
        };
        if name.contains(['{', '}']) {
            return Err(TemplateFault::PartialParameter(part.into()));
        }
        if !is_name(name) {
            return Err(TemplateFault::BadName(name.into()));
        }
        return match (is_catch_all, is_last) {
            (true, true) => Ok(Segment::CatchAll(name.into())),
            (true, false) => Err(TemplateFault::CatchAllNotLast(name.into())),
            (false, _) => Ok(Segment::Parameter(name.into())),
        };
    }
    if part.contains(['{', '}']) {
        return Err(TemplateFault::PartialParameter(part.into()));
    }
    if part.is_empty() && !is_last {
        return Err(TemplateFault::EmptySegment);
    }
    let alone = format!("/{part}");
    let path =
        canonicalise(alone.as_bytes()).map_err(|fault| TemplateFault::Ambiguous(fault.detail()))?;
    if path.as_str() != alone {
        let canonical = path.as_str().trim_start_matches('/');
        return Err(TemplateFault::NotCanonical(canonical.into()));
    }
    Ok(Segment::Literal(part.into()))
}

fn refuse_second_name(before: &[Segment], segment: &Segment) -> Result<(), TemplateFault> {
    let name_of = |segment: &Segment| match segment {
        Segment::Parameter(name) | Segment::CatchAll(name) => Some(name.clone()),
        Segment::Literal(_) => None,
    };
    match name_of(segment) {
        Some(name) if before.iter().any(|s| name_of(s).as_ref() == Some(&name)) => {
            Err(TemplateFault::NameTwice(name))
        }
        _ => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.len() <= 64 && name.bytes().next().is_some_and(first) && name.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{Template, TemplateFault};

    #[test]
    fn templates_are_canonical_paths_with_whole_segment_parameters() {
        // R006
        for good in [
            "/",
            "/a",
            "/a/",
            "/a/{id}",
            "/a/{id}/b/{other-id}",
            "/files/{*rest}",
            "/a.b",
            "/a%20b",
            "/.well-known/x",
        ] {
            assert!(Template::parse(good).is_ok(), "{good}");
        }
        for (bad, message) in [
            ("", "begins with '/'"),
            ("a", "begins with '/'"),
            ("/a?b", "no query"),
            ("/a//b", "'//'"),
            ("/v{n}", "whole segment"),
            ("/{n}.png", "whole segment"),
            ("/{a}{b}", "whole segment"),
            ("/{", "whole segment"),
            ("/{}", "not a parameter name"),
            ("/{*}", "not a parameter name"),
            ("/{a b}", "not a parameter name"),
            ("/{a}/{a}", "stands twice"),
            ("/{*a}/b", "last segment"),
            ("/%61", "canonically: 'a'"),
            ("/a%3ab", "canonically: 'a%3Ab'"),
            ("/a/../b", "dot segment"),
            ("/é", "raw byte above"),
            ("/a b", "control character"),
        ] {
            let fault = Template::parse(bad).unwrap_err();
            assert!(fault.to_string().contains(message), "{bad}: {fault}");
        }
        let long = "/a".repeat(65);
        assert_eq!(Template::parse(&long), Err(TemplateFault::TooManySegments));
    }

    #[test]
    fn parameters_are_the_segments_under_the_names() {
        let check = |template: &str, path: &str, expected: &[(&str, &str)]| {
            let template = Template::parse(template).unwrap();
            assert_eq!(template.parameters(path), expected, "{path}");
        };
        check("/a/{id}", "/a/abc123", &[("id", "abc123")]);
        check("/{x}/{y}/", "/1/2/", &[("x", "1"), ("y", "2")]);
        check("/f/{*rest}", "/f/a/b", &[("rest", "a/b")]);
        check("/a", "/a", &[]);
        check("/a/{id}", "/b/1", &[]);
    }
}
