//! The charter in canonical form; what says nothing but the default is left out.

use serde::{Deserialize, Serialize};

use super::ReadError;
use crate::contract::compare::Mode;
use crate::policy::charter::{Charter, Deployment};

/// The members.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CharterForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compatibility_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
}

impl From<&Charter> for CharterForm {
    fn from(charter: &Charter) -> Self {
        let default = Charter::default();
        let (mode, deployment) = (charter.compatibility(), charter.deployment());
        Self {
            compatibility_mode: (mode != default.compatibility()).then(|| mode.key().to_owned()),
            deployment: (deployment != default.deployment()).then(|| deployment.key().to_owned()),
        }
    }
}

impl TryFrom<CharterForm> for Charter {
    type Error = ReadError;

    fn try_from(form: CharterForm) -> Result<Self, ReadError> {
        let bad = |reason| ReadError::value("charter", reason);
        let default = Self::default();
        let mode = match form.compatibility_mode {
            Some(key) => Mode::from_key(&key).ok_or_else(|| bad("no such compatibility_mode"))?,
            None => default.compatibility(),
        };
        let deployment = match form.deployment {
            Some(key) => Deployment::from_key(&key).ok_or_else(|| bad("no such deployment"))?,
            None => default.deployment(),
        };
        Self::new(mode, deployment).ok_or_else(|| bad("the mode does not fit the deployment"))
    }
}

#[cfg(test)]
mod tests {
    use crate::contract::compare::Mode;
    use crate::policy::canonical::{read_content, write, write_with};
    use crate::policy::charter::{Charter, Deployment};
    use crate::policy::rules::Rules;

    #[test]
    fn a_charter_reads_back_and_the_default_is_left_out() {
        let rules = Rules::default();
        let without = write([], &rules).expect("canonical content");
        for deployment in Deployment::ALL {
            for mode in Mode::ALL {
                let Some(charter) = Charter::new(mode, deployment) else {
                    continue;
                };
                let content = write_with([], &rules, &charter, &Default::default())
                    .expect("canonical content");
                let again = read_content(content.bytes()).expect("canonical content");
                assert_eq!(again.charter, charter);
                let is_default = charter == Charter::default();
                assert_eq!(content == without, is_default, "{charter:?}");
            }
        }
        let text = std::str::from_utf8(without.bytes()).expect("UTF-8");
        for (charter, message) in [
            (r#"{"compatibility_mode":"strict"}"#, "does not fit"),
            (r#"{"compatibility_mode":"lax"}"#, "no such"),
            (r#"{"deployment":"slow"}"#, "no such"),
            (r#"{"compatibility_mode":"backward"}"#, "canonical form"),
        ] {
            let changed = text.replacen("{}", charter, 1);
            let error = read_content(changed.as_bytes()).expect_err(charter);
            assert!(error.to_string().contains(message), "{charter}: {error}");
        }
    }
}
