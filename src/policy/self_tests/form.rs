//! Self-tests in canonical form: exact integers, the names of records and files.
//!
//! What a self-test leaves out is left out here too; everything at rest has one spelling, which is
//! none. The tier and the decision always stand. Reading goes through [`SelfTest::new`], so content
//! holds nothing that a file could not have given.

mod expect;
mod parts;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{SelfTest, TestRequest};
use expect::ExpectForm;
use state::StateForm;

/// One self-test.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelfTestForm {
    expect: ExpectForm,
    name: String,
    request: RequestForm,
    state: StateForm,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    method: String,
    #[serde(default, skip_serializing_if = "is_default")]
    trusted: bool,
    url: String,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The one of `all` that has this name.
fn named<T: Copy>(all: &[T], name: fn(T) -> &'static str, text: &str) -> Option<T> {
    all.iter().copied().find(|one| name(*one) == text)
}

impl From<&SelfTest> for SelfTestForm {
    fn from(test: &SelfTest) -> Self {
        let headers = test.request.headers.iter();
        Self {
            expect: ExpectForm::from(test.expect()),
            name: test.name.to_string(),
            request: RequestForm {
                caller: test.request.caller.as_deref().map(str::to_owned),
                headers: headers
                    .map(|(name, value)| (name.to_string(), value.to_string()))
                    .collect(),
                method: test.request.method.to_string(),
                trusted: test.request.trusted,
                url: test.request.url.to_string(),
            },
            state: StateForm::from(test.state()),
        }
    }
}

impl TryFrom<SelfTestForm> for SelfTest {
    type Error = (String, &'static str);

    fn try_from(form: SelfTestForm) -> Result<Self, Self::Error> {
        let name = form.name;
        let headers = form.request.headers.into_iter();
        let request = TestRequest {
            method: form.request.method.into(),
            url: form.request.url.into(),
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            trusted: form.request.trusted,
            caller: form.request.caller.map(Into::into),
        };
        let parts = form
            .state
            .read()
            .and_then(|state| Ok((state, form.expect.read()?)));
        parts
            .and_then(|(state, expect)| Self::new(name.as_str().into(), request, state, expect))
            .map_err(|fault| (name, fault))
    }
}
