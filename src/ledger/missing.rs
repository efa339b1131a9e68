//! Evidence beside the records that a start would put back, or begin anew, without a word.
//!
//! Looks at names only, before the start makes any of them; never refuses: each of these may be gone
//! for an innocent reason, and the log is where somebody can ask which. Not here: whether what is
//! there is right (`recovery`), and the key itself (the shell).

use std::fs;
use std::path::Path;

use super::recovery::Found;
use super::rulebooks;

/// Something that belongs to a ledger with these records and is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// The file `origin`.
    Origin,
    /// `log.vkey`, though a key has signed here.
    Keys,
    /// Signed heads, by file name.
    Heads(&'static str),
    /// The rulebook of this digest, which records of the newest segment name.
    Rulebook(String),
}

/// What is missing in `dir`, whose records are as `found` says.
pub(super) fn missing(dir: &Path, found: &Found) -> Vec<Missing> {
    let length = |name: &str| fs::metadata(dir.join(name)).ok().map(|file| file.len());
    let (keys, log, single) = (
        length("log.vkey"),
        length("heads.log"),
        length("checkpoint"),
    );
    // An orderly end is signed, and no line tells of that head.
    let is_signed = found.has_head || found.closed && found.has_key;
    let mut gone = Vec::new();
    if length("origin").is_none() {
        gone.push(Missing::Origin);
    }
    let has_notes = log.is_some_and(|bytes| bytes > 0);
    if keys.is_none() && (found.has_key || is_signed || has_notes || single.is_some()) {
        gone.push(Missing::Keys);
    }
    // The log is made before the first key is announced, and stays empty until the first head.
    let is_log_gone = match is_signed || single.is_some() {
        true => !has_notes,
        false => keys.is_some() && log.is_none(),
    };
    if is_log_gone {
        gone.push(Missing::Heads("heads.log"));
    }
    if single.is_none() && (is_signed || has_notes) {
        gone.push(Missing::Heads("checkpoint"));
    }
    let books = found.rulebooks.iter();
    let lacking = books.filter(|digest| !dir.join(rulebooks::relative(digest)).exists());
    gone.extend(lacking.cloned().map(Missing::Rulebook));
    gone
}

/// One line in the log for each, and one for a boot that the records lack.
pub(super) fn tell(dir: &Path, found: &Found) {
    for gone in missing(dir, found) {
        match gone {
            Missing::Origin => tracing::warn!(event = "ledger_origin_missing"),
            Missing::Keys => tracing::warn!(event = "ledger_vkey_missing"),
            Missing::Heads(file) => tracing::warn!(event = "ledger_heads_missing", file),
            Missing::Rulebook(digest) => {
                tracing::warn!(event = "ledger_rulebook_missing", policy_hash = digest);
            }
        }
    }
    if let Some(boot) = &found.missing {
        tracing::warn!(
            event = "ledger_boot_missing",
            boot = %boot.boot,
            made = boot.total(),
            "this boot counted decisions here, and no record names it: an older copy of the ledger was put back"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::directory::Directory;
    use super::super::fixture::facts;
    use super::super::recovery::find;
    use super::super::recovery_tests::{key, start};
    use super::super::settings::Settings;
    use super::*;

    #[test]
    fn what_is_gone_is_named() {
        let book = rulebooks::relative(&facts(1).policy_hash);
        let check = |remove: &[&str], expected: &[Missing]| {
            let dir = tempfile::tempdir().unwrap();
            let settings = Settings::new(dir.path()).signed_by(key());
            start(&settings, 1).unwrap().0.close().unwrap();
            for name in remove {
                fs::remove_file(dir.path().join(name)).unwrap();
            }
            let directory = Directory::lock(dir.path()).unwrap();
            let found = find(&settings, &directory).unwrap().unwrap();
            assert_eq!(missing(dir.path(), &found), expected, "{remove:?}");
        };
        let heads = |file| Missing::Heads(file);
        check(&[], &[]);
        check(&["origin"], &[Missing::Origin]);
        check(&["log.vkey"], &[Missing::Keys]);
        check(&["checkpoint"], &[heads("checkpoint")]);
        check(&["heads.log"], &[heads("heads.log")]);
        let both = [heads("heads.log"), heads("checkpoint")];
        check(&["heads.log", "checkpoint"], &both);
        let digest = facts(1).policy_hash;
        check(&[&book], &[Missing::Rulebook(digest)]);
    }

    #[test]
    fn a_ledger_without_a_key_lacks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings::new(dir.path());
        start(&settings, 1).unwrap().0.close().unwrap();
        let directory = Directory::lock(dir.path()).unwrap();
        let found = find(&settings, &directory).unwrap().unwrap();
        assert_eq!(missing(dir.path(), &found), []);
    }
}
