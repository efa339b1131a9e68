//! What whoever starts a gateway demands of it beside its files: by flags or by variables.
//!
//! A demand narrows what the files say and never widens it: a tier can be lowered, a policy can be
//! the one that is expected or none. The variables are read by the command line.

use std::path::{Path, PathBuf};

use crate::config::sources::about_file;
use crate::config::{Loaded, Runnable, Settings};
use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::units::Tier;

/// The fewest digits of a digest that name a policy: 48 bits, as much as the log shows.
pub const DIGEST_DIGITS_MIN: usize = 12;

/// What is demanded of a gateway beside its files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demands {
    /// The most that the process may do; no more than the files say.
    pub tier: Option<Tier>,
    /// Where the ledger lies, instead of where the files say.
    pub ledger_dir: Option<PathBuf>,
    /// The policy that must be in force: a content digest, or at least [`DIGEST_DIGITS_MIN`] digits
    /// of its beginning, or the version of the policy.
    pub policy: Option<String>,
}

impl Demands {
    /// Holds what was loaded from `path` for a start to these demands.
    ///
    /// # Errors
    /// A tier above that of the files, and another policy than the expected one.
    pub fn hold_at_start(
        &self,
        path: &Path,
        mut loaded: Loaded,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let faults = [
            self.tier_within(path, loaded.settings.tier).err(),
            self.expect(path, &loaded.content.digest_hex(), &loaded.rules.version)
                .err(),
        ];
        let faults: Vec<Diagnostic> = faults.into_iter().flatten().collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        self.apply(&mut loaded.settings);
        loaded.demands = self.clone();
        Ok(loaded)
    }

    /// The same for whatever a gateway runs on. Which policy a bundle holds is asked when it comes
    /// into force.
    ///
    /// # Errors
    /// As [`Demands::hold_at_start`].
    pub fn hold_to_run(
        &self,
        path: &Path,
        runnable: Runnable,
    ) -> Result<Runnable, Vec<Diagnostic>> {
        match runnable {
            Runnable::Files(loaded) => {
                let loaded = self.hold_at_start(path, *loaded)?;
                Ok(Runnable::Files(Box::new(loaded)))
            }
            Runnable::Bundles(mut bundled) => {
                self.tier_within(path, bundled.settings.tier)
                    .map_err(|fault| vec![fault])?;
                self.apply(&mut bundled.settings);
                bundled.demands = self.clone();
                Ok(Runnable::Bundles(bundled))
            }
        }
    }

    /// The same for a gateway of bundles that runs: which policy is asked when a bundle comes.
    pub fn hold_settings(&self, settings: &mut Settings) {
        self.apply(settings);
    }

    /// The same for a gateway that runs. Its files may have become stricter than the demand, and
    /// then they hold: lowering a tier must always work.
    ///
    /// # Errors
    /// Another policy than the expected one.
    pub fn hold_at_reload(
        &self,
        path: &Path,
        mut loaded: Loaded,
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let digest = loaded.content.digest_hex();
        self.expect(path, &digest, &loaded.rules.version)
            .map_err(|fault| vec![fault])?;
        self.apply(&mut loaded.settings);
        Ok(loaded)
    }

    fn apply(&self, settings: &mut Settings) {
        settings.tier = self
            .tier
            .map_or(settings.tier, |tier| tier.min(settings.tier));
        if let Some(dir) = &self.ledger_dir {
            settings.ledger.dir.clone_from(dir);
        }
    }

    /// The tier that holds where `most` is the most that may be asked for.
    ///
    /// # Errors
    /// A demand for more.
    pub fn tier_within(&self, path: &Path, most: Tier) -> Result<Tier, Diagnostic> {
        match self.tier {
            Some(tier) if tier > most => {
                let (tier, most) = (tier.key(), most.key());
                let message = format!(
                    "TIDEGATE_TIER asks for '{tier}', and the files allow '{most}' at most"
                );
                let remedy = format!(
                    "leave TIDEGATE_TIER out or lower it to '{most}': only files raise a tier"
                );
                Err(fault(path, Code::TierUnavailable, message, remedy))
            }
            tier => Ok(tier.unwrap_or(most)),
        }
    }

    /// Whether the policy of this digest (hex) and version is the one that is expected.
    ///
    /// # Errors
    /// Another one is.
    pub fn expect(&self, path: &Path, digest: &str, version: &str) -> Result<(), Diagnostic> {
        let Some(expected) = self
            .policy
            .as_ref()
            .filter(|_| !self.expects(digest, version))
        else {
            return Ok(());
        };
        let message = format!(
            "TIDEGATE_EXPECT_POLICY is '{expected}', and the files hold version '{version}', \
             digest {digest}"
        );
        let remedy = format!(
            "put the expected files in place, or expect what 'tidegate check' prints: its digest or \
             at least {DIGEST_DIGITS_MIN} digits of it, or the policy version"
        );
        Err(fault(path, Code::UnexpectedPolicy, message, remedy))
    }

    /// Whether a policy of this digest (hex) and version may be in force.
    #[must_use]
    pub fn expects(&self, digest: &str, version: &str) -> bool {
        self.policy.as_ref().is_none_or(|expected| {
            let digits = expected.to_ascii_lowercase();
            let is_digest = digits.len() >= DIGEST_DIGITS_MIN && digest.starts_with(&digits);
            is_digest || expected == version
        })
    }
}

fn fault(path: &Path, code: Code, message: String, remedy: String) -> Diagnostic {
    Diagnostic {
        remedy,
        ..about_file(path, code, Severity::Error, message)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Demands;
    use crate::diagnostic::Code;
    use crate::units::Tier;

    // R120
    #[test]
    fn a_tier_is_lowered_and_never_raised() {
        let check = |demanded: Option<Tier>, most: Tier, expected: Option<Tier>| {
            let demands = Demands {
                tier: demanded,
                ..Demands::default()
            };
            let found = demands.tier_within(Path::new("t.yaml"), most);
            if let Err(fault) = &found {
                assert_eq!(fault.code, Code::TierUnavailable);
            }
            assert_eq!(found.ok(), expected, "{demanded:?} {most:?}");
        };
        check(None, Tier::Control, Some(Tier::Control));
        check(
            Some(Tier::ObserveOnly),
            Tier::Control,
            Some(Tier::ObserveOnly),
        );
        check(Some(Tier::Control), Tier::Control, Some(Tier::Control));
        check(Some(Tier::Autonomous), Tier::Control, None);
        check(Some(Tier::Control), Tier::ObserveOnly, None);
    }

    // R120
    #[test]
    fn the_expected_policy_is_named_by_digest_or_version() {
        let digest = "0123456789ab".to_owned() + &"c".repeat(52);
        let check = |expected: &str, holds: bool| {
            let demands = Demands {
                policy: Some(expected.to_owned()),
                ..Demands::default()
            };
            let found = demands.expect(Path::new("t.yaml"), &digest, "1.4.0");
            assert_eq!(found.is_ok(), holds, "{expected}");
        };
        check(&digest, true);
        check("0123456789ab", true);
        check("0123456789ABC", true);
        check("1.4.0", true);
        check("0123456789a", false);
        check("123456789abc", false);
        check(&format!("{digest}0"), false);
        check("1.4", false);
        check("", false);
    }
}
