//! The key that signs the ledger's heads: a file that the configuration names must be there and right;
//! the default one is made at the first start.

use crate::config::LedgerSettings;
use crate::ledger::{KeyError, LedgerKey};

/// Reads the key, or makes the default one.
///
/// # Errors
/// A file that is named and is not there, or one that breaks a rule.
pub(super) fn open(settings: &LedgerSettings) -> Result<LedgerKey, KeyError> {
    let path = &settings.key;
    // A link that leads nowhere is there, and creating says so.
    let made = !settings.key_is_given && !path.exists();
    let key = if made {
        LedgerKey::create(path)?
    } else {
        LedgerKey::read(path)?
    };
    tracing::info!(
        event = "ledger_key",
        public_key_id = key.public_id(),
        file = %path.display(),
        made
    );
    // Heads by the key before stay good; whoever has it can go on signing.
    if made && has_signed(settings) {
        tracing::warn!(
            event = "ledger_key_replaced",
            public_key_id = key.public_id(),
            file = %path.display()
        );
    }
    Ok(key)
}

/// Whether some key has signed the ledger that lies there.
fn has_signed(settings: &LedgerSettings) -> bool {
    std::fs::metadata(settings.dir.join("log.vkey")).is_ok_and(|file| file.len() > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    fn settings(key: &Path, given: bool) -> LedgerSettings {
        LedgerSettings {
            key_is_given: given,
            ..LedgerSettings::new("ledger".into(), key.to_owned(), Environment::Sandbox)
        }
    }

    #[test]
    fn the_default_key_is_made_once_and_a_named_one_never() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.key");
        let missing = open(&settings(&path, true)).expect_err("a named key must be there");
        let told = missing.to_string();
        assert!(told.contains("ledger keygen"), "{told}");
        assert!(!path.exists());
        let made = open(&settings(&path, false)).expect("a new key");
        for given in [false, true] {
            let read = open(&settings(&path, given)).expect("the same key");
            assert_eq!(read.public_id(), made.public_id());
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
        for given in [false, true] {
            let refused = open(&settings(&path, given)).expect_err("others can read it");
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
    }
}
