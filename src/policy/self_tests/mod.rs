//! Self-tests: requests in a state, with the decision that is expected of them.
//!
//! They are part of what was agreed: they stand in the canonical content beside contracts and
//! rules, so whoever signs these signs the examples of what they mean. Invariants: every
//! [`SelfTest`] is valid by construction, wherever it was read from; a [`SelfTests`] is sorted by
//! name and has each name once. Deliberately not here: running them, which takes the pipeline.

mod expectation;
pub mod file;
mod form;
mod share;
mod state;

use crate::contract::file::bounds::{CALLER_CHARS_MAX, FIELD_CHARS_MAX};
use crate::yaml::is_printable;

pub use expectation::{Claimed, Course, Expectation};
pub(crate) use form::SelfTestForm;
pub use state::{BurnShares, LimitState, LoadState, TailState, TestState};

/// The most self-tests of one rulebook.
pub const SELF_TESTS_MAX: usize = 10_000;
/// The most characters of a name.
pub const NAME_CHARS_MAX: usize = 128;
/// The most characters of a target.
pub const URL_CHARS_MAX: usize = 2_048;
/// The most characters of a method.
pub const METHOD_CHARS_MAX: usize = 32;
/// The most fields of a request.
pub const HEADERS_MAX: usize = 16;
/// The most characters of the value of a field.
pub const VALUE_CHARS_MAX: usize = 256;

/// One request in one state, and what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    name: Box<str>,
    request: TestRequest,
    state: TestState,
    expect: Expectation,
}

/// Names and values of header fields.
pub type HeaderFields = Box<[(Box<str>, Box<str>)]>;

/// What a self-test asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TestRequest {
    /// The method, a token.
    pub method: Box<str>,
    /// Path and query as a client sends them.
    pub url: Box<str>,
    /// Fields by lower-case name, sorted, each once.
    pub headers: HeaderFields,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
    /// The name that the caller proved.
    pub caller: Option<Box<str>>,
}

impl SelfTest {
    /// A self-test of these parts.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence.
    pub fn new(
        name: Box<str>,
        request: TestRequest,
        state: TestState,
        expect: Expectation,
    ) -> Result<Self, &'static str> {
        if !is_printable(&name, NAME_CHARS_MAX) {
            return Err("the name is 1 to 128 printable characters");
        }
        request.fault().map_or(Ok(()), Err)?;
        state.fault().map_or(Ok(()), Err)?;
        expect.fault().map_or(Ok(()), Err)?;
        Ok(Self {
            name,
            request,
            state,
            expect,
        })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked.
    #[must_use]
    pub const fn request(&self) -> &TestRequest {
        &self.request
    }

    /// In which state.
    #[must_use]
    pub const fn state(&self) -> &TestState {
        &self.state
    }

    /// What is expected.
    #[must_use]
    pub const fn expect(&self) -> &Expectation {
        &self.expect
    }
}

impl TestRequest {
    fn fault(&self) -> Option<&'static str> {
        if !is_token(&self.method, METHOD_CHARS_MAX) {
            return Some("the method is a token of at most 32 characters");
        }
        if !self.url.starts_with('/') || !is_printable(&self.url, URL_CHARS_MAX) {
            return Some("the url begins with '/' and has at most 2048 printable characters");
        }
        if self.headers.len() > HEADERS_MAX {
            return Some("a request has at most 16 headers");
        }
        let caller = self.caller.as_deref();
        if caller.is_some_and(|caller| !is_printable(caller, CALLER_CHARS_MAX)) {
            return Some("the caller has 1 to 256 printable characters");
        }
        let is_valid = |(name, value): &(Box<str>, Box<str>)| is_header(name, value);
        if !self.headers.iter().all(is_valid) {
            return Some("a header is a lower-case name and a printable value");
        }
        let rises = |pair: &[(Box<str>, Box<str>)]| match pair {
            [one, two] => one.0 < two.0,
            _ => true,
        };
        let is_sorted = self.headers.windows(2).all(rises);
        (!is_sorted).then_some("the headers are sorted, each once")
    }
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str, chars_max: usize) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=chars_max).contains(&text.len()) && text.bytes().all(is_tchar)
}

fn is_header(name: &str, value: &str) -> bool {
    is_token(name, FIELD_CHARS_MAX)
        && !name.bytes().any(|byte| byte.is_ascii_uppercase())
        && is_printable(value, VALUE_CHARS_MAX)
}

/// The self-tests of one rulebook: sorted by name, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelfTests(Box<[SelfTest]>);

impl SelfTests {
    /// These self-tests, in any order.
    ///
    /// # Errors
    /// Where there are too many, or two have one name: what is wrong, as a sentence.
    pub fn new(mut tests: Vec<SelfTest>) -> Result<Self, String> {
        if tests.len() > SELF_TESTS_MAX {
            return Err(format!("there are more than {SELF_TESTS_MAX} self-tests"));
        }
        tests.sort_by(|one, two| one.name.cmp(&two.name));
        let twice = tests.windows(2).find_map(|pair| match pair {
            [one, two] if one.name == two.name => Some(&two.name),
            _ => None,
        });
        match twice {
            Some(name) => Err(format!("two self-tests have the name '{name}'")),
            None => Ok(Self(tests.into())),
        }
    }

    /// The self-tests, sorted by name.
    #[must_use]
    pub fn as_slice(&self) -> &[SelfTest] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
