//! Self-tests stand before everything that comes into force: a start, and every reload.
//!
//! Invariant: files whose self-tests do not all pass make no rulebook. Deliberately not here: how a
//! self-test is run, and what of a failure `tidegate test` tells beyond the first one.

use crate::config::{Loaded, Runnable};
use crate::diagnostic::{Code, Diagnostic, Place, Severity};
use crate::selftest::{Subject, verify};

/// The same for whatever a gateway runs on: the verifier has run those of a bundle.
///
/// # Errors
/// As [`passed`].
pub(super) fn runnable(runnable: Runnable) -> Result<Runnable, Box<Diagnostic>> {
    match runnable {
        Runnable::Files(loaded) => passed(*loaded).map(|loaded| Runnable::Files(Box::new(loaded))),
        bundles @ Runnable::Bundles(_) => Ok(bundles),
    }
}

/// What was loaded, where all of its self-tests pass.
///
/// # Errors
/// An error about the files of the self-tests, with the name of the first that fails.
pub(super) fn passed(loaded: Loaded) -> Result<Loaded, Box<Diagnostic>> {
    let subject = Subject {
        catalogue: &loaded.catalogue,
        rules: &loaded.rules,
    };
    let Err(failed) = verify(subject, &loaded.self_tests) else {
        return Ok(loaded);
    };
    let sources = &loaded.sources;
    let file = sources.self_tests.as_ref().unwrap_or(&sources.main);
    Err(Box::new(Diagnostic {
        file: file.display().to_string().into(),
        place: Place::default(),
        code: Code::SelfTestFails,
        severity: Severity::Error,
        message: failed.to_string(),
        remedy: Code::SelfTestFails.remedy().to_owned(),
        excerpt: None,
    }))
}
